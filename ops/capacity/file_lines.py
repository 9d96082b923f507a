"""What goes into an environment's file for capacity that was bought."""

from datetime import UTC, datetime

from config import Environment
from llm_constructs.specs.instance_type import InstanceType
from ops.capacity.offering import Source
from ops.capacity.purchase import Purchase


def lines(purchase: Purchase, environment: Environment) -> str:
    """Return TOML for the environment's file, with a comment where a choice is left."""
    match purchase.source:
        case Source.TRAINING_PLAN:
            return _training_plan(purchase)
        case Source.CAPACITY_BLOCK:
            return _node_group(purchase, environment)
        case Source.ON_DEMAND:
            return _pool(purchase)


def _training_plan(purchase: Purchase) -> str:
    return "\n".join(
        [
            f"# In the group of [[training.groups]] that runs on it, {purchase.instance_type}.",
            "[training.groups.training_plan]",
            f'arn = "{purchase.reference}"',
            *([f'zone = "{purchase.zone}"'] if purchase.zone else []),
            f"nodes = {purchase.count}",
            *_window(purchase),
        ]
    )


def _node_group(purchase: Purchase, environment: Environment) -> str:
    return "\n".join(
        [
            "[[eks.groups]]",
            f'name = "{purchase.name}"',
            f'instance_type = "{purchase.instance_type}"',
            f"nodes = {purchase.count}",
            f'zone = "{purchase.zone}"',
            _ami_release(environment),
            "",
            "[eks.groups.capacity_block]",
            f'reservation_id = "{purchase.reference}"',
            *_window(purchase),
        ]
    )


def _pool(purchase: Purchase) -> str:
    return "\n".join(
        [
            f"# In the pool of [[eks.pools]] that has {purchase.instance_type} in {purchase.zone}.",
            'capacity_types = ["reserved", "on-demand"]',
            f'reservation_ids = ["{purchase.reference}"]',
        ]
    )


def _ami_release(environment: Environment) -> str:
    eks = environment.eks
    system = eks.managed_system_nodes if eks else None
    release = system.ami_release if system else None
    if release is None:
        return (
            "# Add ami_release, one of https://github.com/awslabs/amazon-eks-ami/releases, such as "
            "1.36.2-20261110."
        )
    return f'ami_release = "{release}"'


def _window(purchase: Purchase) -> list[str]:
    times = (("start", purchase.start), ("end", purchase.end))
    return [f'{name} = "{_written(moment)}"' for name, moment in times if moment is not None]


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fit_remark(row: InstanceType, zone: str | None, environment: Environment) -> str:
    """Return what to know about a zone before buying there, "" for nothing."""
    own = environment.network.chosen_vpc.accelerator_zone
    if zone is None or own is None or zone == own or row.accelerator is None:
        return ""
    return f"not in {own}, the file's accelerator zone"
