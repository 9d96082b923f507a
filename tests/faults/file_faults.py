"""Environments' files with one wrong line."""

from tests.faults.fault import FileFault

FILE_FAULTS = (
    FileFault(
        name="a key that no table has",
        why="What was meant is silently left at its default.",
        environment="dev",
        old='nat_gateways = "one"',
        new='nat_gateway = "one"',
    ),
    FileFault(
        name="a model that answers outside the jurisdiction",
        why="Prompts leave the union or country that was promised.",
        environment="dev",
        old='model_id = "us.amazon.nova-2-lite-v1:0"',
        new='model_id = "eu.amazon.nova-2-lite-v1:0"',
    ),
    FileFault(
        name="a copy of the lake outside the jurisdiction",
        why="Data leaves the union or country that was promised.",
        environment="prod",
        old='region = "us-west-2"',
        new='region = "eu-central-1"',
    ),
    FileFault(
        name="a zone of another region",
        why="No subnet can be made.",
        environment="dev",
        old='accelerator_zone = "us-west-2b"',
        new='accelerator_zone = "us-east-2b"',
    ),
    FileFault(
        name="a file system of 1300 GiB",
        why="FSx refuses it.",
        environment="dev",
        old="capacity_gib = 1200",
        new="capacity_gib = 1300",
    ),
    FileFault(
        name="no owner",
        why="Nobody is asked, and nobody pays.",
        environment="dev",
        old='owner = "ml-platform"\n',
        new="",
    ),
    FileFault(
        name="fewer system nodes at most than at least",
        why="EKS refuses the group.",
        environment="prod",
        old="minimum = 3\nmaximum = 6",
        new="minimum = 7\nmaximum = 6",
    ),
    FileFault(
        name="a model that does not fit its instance",
        why="The engine runs out of memory after twenty minutes of loading.",
        environment="dev",
        old="parameters_billions = 4.0",
        new="parameters_billions = 70.0",
    ),
    FileFault(
        name="a fallback that is no model of the gateway",
        why="The gateway does not start.",
        environment="dev",
        old='fallbacks = ["fast"]',
        new='fallbacks = ["quick"]',
    ),
)
