"""What boards show of a file system depends on what links it to S3."""

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from llm_constructs.encryption import CustomerKey
from llm_constructs.lustre import LustreFileSystem
from llm_constructs.s3_location import S3Location
from llm_constructs.specs.data_repository import DataRepository, FileEvent
from llm_constructs.specs.lustre import LustreVolume
from llm_constructs.specs.observability import Audience
from tests.constructs.eks import vpc_of
from tests.constructs.synthesis import ENVIRONMENT, app

EXPORTS = DataRepository(path="/out", data="models", export_events=(FileEvent.NEW,))
IMPORTS = DataRepository(path="/in", data="models", import_events=(FileEvent.NEW,))


def file_system(*repositories: DataRepository) -> LustreFileSystem:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    vpc = vpc_of(stack)
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
    return LustreFileSystem(
        stack,
        "FileSystem",
        vpc=vpc,
        subnet=vpc.private_subnets[0],
        volume=LustreVolume(capacity_gib=4800, repositories=repositories),
        encryption_key=CustomerKey(stack, "Key", description="Encrypts the file system"),
        repositories={"models": S3Location(bucket, "models/")},
    )


@pytest.mark.parametrize(
    ("repositories", "expected"),
    [
        ((), set()),
        ((EXPORTS,), {"Waits to reach S3"}),
        ((IMPORTS,), {"Waits to come from S3"}),
    ],
    ids=["none", "exports", "imports"],
)
def test_queues_are_shown_for_the_directions_that_are_automatic(
    repositories: tuple[DataRepository, ...], expected: set[str]
) -> None:
    made = file_system(*repositories)
    titles = {it.title for it in made.signals if it.audience is Audience.TRAINING}
    assert titles == {"Throughput", "Operations", "Free"} | expected
    assert bool(made.queries) == bool(repositories)


def test_the_free_room_is_shown_to_those_who_train_and_those_who_plan() -> None:
    shown = [it for it in file_system().signals if it.alarm == "LustreCapacityLow"]
    assert [it.audience for it in shown] == [Audience.TRAINING, Audience.CAPACITY]
