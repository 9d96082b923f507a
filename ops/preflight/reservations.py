"""Reserved capacity: whether it is what the file says, and lies where the file puts it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from config import Environment
from llm_constructs.specs.capacity_block import CapacityBlock
from llm_constructs.specs.karpenter_pool import KarpenterPool
from llm_constructs.specs.node_group import ReservedNodeGroup
from ops.aws_account import Account, Call, RefusedError
from ops.preflight import clock
from ops.preflight.check import Finding, Severity

GROUP: Final = "reserved capacity"

DESCRIBE_RESERVATIONS: Final = Call("ec2", "DescribeCapacityReservations")
LIST_GROUP: Final = Call("resource-groups", "ListGroupResources")

_USABLE: Final = frozenset({"active", "scheduled", "pending"})

TIME_TOLERANCE: Final = timedelta(minutes=1)
"""Windows that differ by less are the same: files write whole minutes."""

_LIST: Final = "Take the values of `aws ec2 describe-capacity-reservations`."


@dataclass(frozen=True)
class CapacityBlocksCheck:
    """Each Capacity Block of a node group exists as the file describes it."""

    title: str = "Capacity Blocks against zone, window and size"
    group: str = GROUP
    calls: tuple[Call, ...] = (DESCRIBE_RESERVATIONS,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where a node group runs on a block."""
        return any(True for _ in _block_groups(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Compare type, count, zone, window and state of each block."""
        for group, block in _block_groups(environment):
            subject = f"eks.groups.{group.name}"
            found = reservation(account, block.reservation_id)
            if found is None:
                yield Finding(
                    subject,
                    f"The account has no reservation {block.reservation_id} in {account.region}.",
                    "Buy one with `python -m ops capacity buy`, or correct reservation_id.",
                )
                continue
            yield from reservation_findings(subject, found, group)
            yield from _window_findings(subject, found, block)
            yield from _start_findings(subject, block)


@dataclass(frozen=True)
class ReservationGroupsCheck:
    """The resource groups of on-demand reservations hold enough instances in the right zone."""

    title: str = "resource groups of On-Demand Capacity Reservations"
    group: str = GROUP
    calls: tuple[Call, ...] = (DESCRIBE_RESERVATIONS, LIST_GROUP)

    def concerns(self, environment: Environment) -> bool:
        """It matters where a node group runs on such a group."""
        return any(True for _ in _resource_groups(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Add up the usable instances of each group."""
        for group, arn in _resource_groups(environment):
            subject = f"eks.groups.{group.name}"
            matching = 0
            for member in account.items(LIST_GROUP, "Resources", Group=arn):
                found = reservation(account, member["Identifier"]["ResourceArn"].split("/")[-1])
                if found is not None and _matches(found, group):
                    matching += found.get("TotalInstanceCount", 0)
            if matching < group.nodes:
                yield Finding(
                    subject,
                    f"The group holds {matching} usable instances of {group.instance_type} in "
                    f"{group.zone}, and {group.nodes} nodes would run on it.",
                    "Add reservations to the resource group, or lower nodes.",
                )


@dataclass(frozen=True)
class PoolReservationsCheck:
    """The reservations that pools name exist, and have types and zones of the pool."""

    title: str = "reservations of Karpenter pools"
    group: str = GROUP
    calls: tuple[Call, ...] = (DESCRIBE_RESERVATIONS,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where a pool names reservations."""
        return any(pool.reservation_ids for pool in _pools(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Ask for each reservation."""
        zones = environment.network.chosen_vpc.availability_zones
        for pool in _pools(environment):
            types = {row.name for row in pool.rows}
            for name in pool.reservation_ids:
                found = reservation(account, name)
                fits = (
                    found is not None
                    and found.get("State") in _USABLE
                    and found.get("InstanceType") in types
                    and found.get("AvailabilityZone") in (pool.zones or zones)
                )
                if not fits:
                    what = "does not exist" if found is None else f"is {_told(found)}"
                    yield Finding(
                        f"eks.pools.{pool.name}",
                        f"The reservation {name} {what}, so no pod of the pool could use it.",
                        "Correct reservation_ids, instance_types or zones.",
                    )


def reservation(account: Account, reservation_id: str) -> Mapping[str, Any] | None:
    """Return a capacity reservation, or ``None`` where there is none.

    Raises :class:`~ops.aws_account.RefusedError` for any other refusal.
    """
    try:
        answer = account.call(DESCRIBE_RESERVATIONS, CapacityReservationIds=[reservation_id])
    except RefusedError as refused:
        if refused.code.startswith("InvalidCapacityReservationId"):
            return None
        raise
    found: list[Mapping[str, Any]] = answer.get("CapacityReservations", [])
    return found[0] if found else None


def reservation_findings(
    subject: str, found: Mapping[str, Any], group: ReservedNodeGroup
) -> Iterator[Finding]:
    """Yield what makes a reservation unfit for the nodes of a group."""
    zone, instance_type, nodes = group.zone, group.instance_type, group.nodes
    if found.get("State") not in _USABLE:
        yield Finding(
            subject,
            f"The reservation is {found.get('State')}.",
            "Buy another, and give its id; runbooks/eks-capacity-block.md says what to keep.",
        )
    if found.get("AvailabilityZone") != zone:
        yield Finding(
            subject,
            f"The reservation lies in {found.get('AvailabilityZone')} "
            f"({found.get('AvailabilityZoneId', 'id unknown')}), and the file puts its nodes, the "
            f"accelerator subnet and the file system into {zone}.",
            "Buy capacity in that zone. Moving the subnet means a new file system.",
        )
    if found.get("InstanceType") != instance_type:
        yield Finding(
            subject,
            f"The reservation is for {found.get('InstanceType')}, and the file says "
            f"{instance_type}.",
            _LIST,
        )
    count = found.get("TotalInstanceCount", 0)
    if count != nodes:
        few = count < nodes
        yield Finding(
            subject,
            f"The reservation has {count} instances, and the file says {nodes} nodes.",
            _LIST if few else "Raise nodes: what is not used is paid as well.",
            Severity.PROBLEM if few else Severity.WARNING,
        )


def _window_findings(
    subject: str, found: Mapping[str, Any], block: CapacityBlock
) -> Iterator[Finding]:
    for name, written in (("start", block.start), ("end", block.end)):
        actual: datetime | None = found.get(f"{name.capitalize()}Date")
        if actual is not None and abs(actual - written) >= TIME_TOLERANCE:
            yield Finding(
                f"{subject}.capacity_block.{name}",
                f"The file says {written.astimezone(UTC):%Y-%m-%d %H:%M} UTC, and the block's "
                f"{name} is {actual.astimezone(UTC):%Y-%m-%d %H:%M} UTC.",
                _LIST,
            )
    if block.end <= clock.now():
        yield Finding(
            f"{subject}.capacity_block.end",
            "The block is over, and its nodes never come again.",
            "Remove the group, or give it another block.",
        )


def _start_findings(subject: str, block: CapacityBlock) -> Iterator[Finding]:
    now = clock.now()
    if block.begun and now < block.start:
        yield Finding(
            f"{subject}.capacity_block.begun",
            "The block has not begun, and EC2 would refuse the nodes that a deployment asks for.",
            "Remove begun: the schedule raises the group when the block begins.",
        )
    if not block.begun and block.start <= now < block.end:
        yield Finding(
            f"{subject}.capacity_block.start",
            "The block has begun. If the group is not deployed yet, it would have no nodes: the "
            "time of its schedule is past.",
            "Write begun = true, unless the group has its nodes already.",
            Severity.WARNING,
        )


def _block_groups(
    environment: Environment,
) -> Iterator[tuple[ReservedNodeGroup, CapacityBlock]]:
    for group in environment.eks.groups if environment.eks else ():
        if group.capacity_block is not None:
            yield group, group.capacity_block


def _resource_groups(environment: Environment) -> Iterator[tuple[ReservedNodeGroup, str]]:
    for group in environment.eks.groups if environment.eks else ():
        if group.reservation_group_arn is not None:
            yield group, group.reservation_group_arn


def _pools(environment: Environment) -> tuple[KarpenterPool, ...]:
    return environment.eks.pools if environment.eks else ()


def _matches(found: Mapping[str, Any], group: ReservedNodeGroup) -> bool:
    return (
        found.get("State") in _USABLE
        and found.get("InstanceType") == group.instance_type
        and found.get("AvailabilityZone") == group.zone
    )


def _told(found: Mapping[str, Any]) -> str:
    return (
        f"{found.get('State')}, of {found.get('InstanceType')} in {found.get('AvailabilityZone')}"
    )
