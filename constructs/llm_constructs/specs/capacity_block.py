"""When nodes of a Capacity Block can run: never before it starts, and gone before EC2 takes them.

https://docs.aws.amazon.com/eks/latest/userguide/capacity-blocks-mng.html
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from llm_constructs.specs.problem import Problems

RECLAIM_NOTICE: Final = timedelta(minutes=30)
"""EC2 begins to terminate instances so long before the end of a block.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-capacity-blocks.html
"""

ULTRASERVER_RECLAIM_NOTICE: Final = timedelta(minutes=60)
"""The same for UltraServers. Same source."""

MOST_BLOCK_NODES: Final = 64
"""Instances in one block.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeCapacityBlockOfferings.html
"""

_RESERVATION_ID = re.compile(r"cr-[0-9a-f]{8,17}")


def check_reservation_id(problems: Problems, field: str, value: str) -> None:
    """Note a problem unless ``value`` is the id of a capacity reservation.

    The ids that are easily taken for one get remedies of their own.
    """
    if _RESERVATION_ID.fullmatch(value):
        return
    reason, remedy = (
        "It is not the id of a capacity reservation.",
        "Give an id such as cr-0123abcd.",
    )
    if value.startswith("cb-"):
        reason = "It is the id of a Capacity Block, and EC2 launches into the reservation inside."
        remedy = "Give the block's cr- id; describe-capacity-blocks lists it."
    elif ":training-plan/" in value:
        reason = "A SageMaker training plan gives no EC2 capacity, so EKS nodes cannot run on it."
        remedy = "Use it for HyperPod, or buy a Capacity Block for this node group."
    problems.add(field, value, reason, remedy)


@dataclass(frozen=True, kw_only=True)
class CapacityBlock:
    """A Capacity Block for ML that has been bought.

    Raises :class:`SpecificationError` for an impossible id or times.
    """

    reservation_id: str
    """The id of the capacity reservation that came with it, as in `cr-0123456789abcdef0`."""
    start: datetime
    """When it starts, with its UTC offset."""
    end: datetime
    """When it ends, with its UTC offset. Nodes leave earlier; see `drain_minutes`."""
    begun: bool = False
    """Whether the block has begun before the group is first deployed. Nodes then come with the
    deployment, for a schedule whose time is past raises no size."""

    def __post_init__(self) -> None:
        problems = Problems("capacity block")
        check_reservation_id(problems, "reservation_id", self.reservation_id)
        naive = [name for name in ("start", "end") if getattr(self, name).utcoffset() is None]
        for name in naive:
            problems.add(
                name,
                getattr(self, name).isoformat(),
                "The time has no UTC offset, so it could be hours off.",
                "Add one, as in 2026-12-01T11:30:00Z.",
            )
        if not naive:
            problems.require(
                self.end > self.start,
                "end",
                self.end.isoformat(),
                "The block would end before it starts.",
                "Check that the two are not swapped.",
            )
        problems.raise_if_any()


@dataclass(frozen=True)
class ScheduledSize:
    """The desired size of a node group from ``at`` on: one scheduled action."""

    at: datetime
    desired: int


@dataclass(frozen=True)
class BlockSchedule:
    """When a node group of ``nodes`` runs on a block.

    ``drain`` is the time that pods get to save and leave before EC2 starts to reclaim instances.
    All times that come out are in UTC and on whole minutes, which scheduled actions require.
    """

    block: CapacityBlock
    nodes: int
    ultraserver: bool
    drain: timedelta

    @property
    def scale_up_at(self) -> datetime:
        """The first whole minute of the block."""
        start = self.block.start.astimezone(UTC)
        minute = _whole_minute(start)
        return minute if minute == start else minute + timedelta(minutes=1)

    @property
    def reclaimed_at(self) -> datetime:
        """When EC2 begins to terminate what still runs."""
        notice = ULTRASERVER_RECLAIM_NOTICE if self.ultraserver else RECLAIM_NOTICE
        return self.block.end.astimezone(UTC) - notice

    @property
    def scale_down_at(self) -> datetime:
        """The last whole minute that leaves pods their time to drain."""
        return _whole_minute(self.reclaimed_at - self.drain)

    @property
    def usable(self) -> timedelta:
        """How long nodes run; zero or negative if the block is over before they could."""
        return self.scale_down_at - self.scale_up_at

    @property
    def first_size(self) -> int:
        """The desired size until the first scheduled action."""
        return self.nodes if self.block.begun else 0

    def sizes(self) -> tuple[ScheduledSize, ...]:
        """Return the scheduled actions: up, unless the block has begun, and down."""
        up = () if self.block.begun else (ScheduledSize(self.scale_up_at, self.nodes),)
        return (*up, ScheduledSize(self.scale_down_at, 0))

    def desired_at(self, moment: datetime) -> int:
        """Return the desired size at ``moment``, which has a UTC offset."""
        passed = [size.desired for size in self.sizes() if size.at <= moment]
        return passed[-1] if passed else self.first_size


def _whole_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
