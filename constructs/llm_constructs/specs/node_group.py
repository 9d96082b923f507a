"""Managed node groups: the system nodes, and groups on reserved accelerators."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from llm_constructs.specs.accelerators import INSTANCE_TYPES, known_types
from llm_constructs.specs.capacity_block import MOST_BLOCK_NODES, BlockSchedule, CapacityBlock
from llm_constructs.specs.instance_type import (
    AmiType,
    CapacityOption,
    DeviceKind,
    InstanceType,
    NetworkInterface,
    Taint,
)
from llm_constructs.specs.node_image import (
    check_ami,
    check_ami_release,
    check_fast_image_pull,
)
from llm_constructs.specs.node_location import check_region, check_zone, zone_region
from llm_constructs.specs.problem import Problems

SMALLEST_VOLUME: Final = 20
"""GiB of a root volume below which EKS's image and the controllers' images do not fit.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html (`diskSize`)
"""

SMALLEST_ACCELERATOR_VOLUME: Final = 100
"""GiB of a root volume; driver, CUDA and serving images alone take half of it."""

MOST_GROUP_NODES: Final = 450
"""Nodes in one managed node group, an adjustable quota.

https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html
"""

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_RESOURCE_GROUP = re.compile(
    r"arn:aws(?:-us-gov)?:resource-groups:([a-z0-9-]+):\d{12}:group/[\w.-]{1,128}"
)


def check_name(problems: Problems, name: str) -> None:
    """Note a problem unless ``name`` can name a node group, a NodePool and a label's value."""
    problems.require(
        _NAME.fullmatch(name) is not None,
        "name",
        name,
        "It becomes part of Kubernetes objects, which take lower-case letters, digits and hyphens.",
        "Give a name of at most 40 of them that starts with a letter, such as p5-training.",
    )


@dataclass(frozen=True, kw_only=True)
class SystemNodes:
    """The managed nodes that run the cluster's own controllers.

    Raises :class:`SpecificationError` with everything that would not work.
    """

    instance_type: str = "m7g.large"
    """Any general-purpose type, on Graviton or x86."""
    minimum: int = 2
    """Nodes at all times. Two survive the loss of a zone and of a node being repaired."""
    maximum: int = 4
    """Nodes at most, while an update replaces them."""
    volume_gib: int = 50
    """Root volume of each node."""
    ami_type: AmiType | None = None
    """The image. Left out: Amazon Linux 2023 for the type's processors."""
    ami_release: str | None = None
    """The release of the image, as in `1.36.2-20261110`. Left out: the latest when the node group
    is made; EKS changes it only with a deployment that asks for it."""

    def __post_init__(self) -> None:
        problems = Problems("system nodes")
        rows = known_types([self.instance_type], problems, "instance_type")
        for row in rows:
            self._check_type(problems, row)
            check_ami(problems, row, self.ami_type)
        problems.require(
            1 <= self.minimum <= self.maximum,
            "minimum",
            self.minimum,
            f"It must lie between 1 and maximum, which is {self.maximum}.",
            "Lower it, or raise maximum.",
        )
        problems.require(
            self.maximum <= MOST_GROUP_NODES,
            "maximum",
            self.maximum,
            f"A managed node group has at most {MOST_GROUP_NODES} nodes.",
            "Lower it: workloads run on nodes that Karpenter brings, not on these.",
        )
        problems.require(
            self.volume_gib >= SMALLEST_VOLUME,
            "volume_gib",
            self.volume_gib,
            f"The AMI and the images of the controllers need at least {SMALLEST_VOLUME} GiB.",
            "Raise it; 50 leaves room for logs.",
        )
        if self.ami_release is not None:
            check_ami_release(problems, self.ami_release, self.ami_type)
        problems.raise_if_any()

    def _check_type(self, problems: Problems, row: InstanceType) -> None:
        problems.require(
            row.device_kind is DeviceKind.NONE,
            "instance_type",
            row.name,
            "Controllers need no accelerator, and its taint would keep them away.",
            "Choose a CPU type such as m7g.large.",
        )

    @property
    def row(self) -> InstanceType:
        """The type's row of the catalogue."""
        return INSTANCE_TYPES[self.instance_type]

    @property
    def effective_ami_type(self) -> AmiType:
        """The image, chosen or by default."""
        return self.ami_type or self.row.ami_type


@dataclass(frozen=True, kw_only=True)
class ReservedNodeGroup:
    """Managed nodes on capacity that was reserved beforehand, in one zone.

    Raises :class:`SpecificationError` with everything that would fail in the deployment or later.
    """

    name: str
    """Unique among groups and pools."""
    instance_type: str
    """An accelerator type of the catalogue."""
    nodes: int
    """Nodes of the group while its capacity lasts."""
    zone: str
    """The zone of the reservation."""
    ami_release: str
    """The release of the image, as in `1.36.2-20261110`: driver and EFA software change with it."""
    capacity_block: CapacityBlock | None = None
    """The Capacity Block it runs on; or:"""
    reservation_group_arn: str | None = None
    """The resource group of On-Demand Capacity Reservations that it runs on."""
    efa: bool = True
    """Whether nodes talk over the Elastic Fabric Adapter; off for types without it."""
    placement_group: bool = False
    """Reserved capacity already lies together, so this only ever says no."""
    ami_type: AmiType | None = None
    """The image. Left out: Amazon Linux 2023 with the type's driver."""
    raid0: bool | None = None
    """Whether local disks become one volume for containers. Left out: where there are disks, on
    Amazon Linux."""
    volume_gib: int = 200
    """Root volume of each node."""
    fast_image_pull: bool = False
    """Whether layers of an image are pulled and unpacked at the same time, onto joined local disks.
    The image calls it experimental."""
    drain_minutes: int = 15
    """Time for pods to save and leave before EC2 reclaims a block, which begins 30 minutes before
    its end and 60 for UltraServers."""
    unlisted_region: bool = False
    """Set it when EC2 offers the type in the region though the catalogue does not know."""

    def __post_init__(self) -> None:
        problems = Problems(f"node group {self.name}")
        check_name(problems, self.name)
        check_zone(problems, "zone", self.zone)
        check_ami_release(problems, self.ami_release, self.ami_type)
        self._check_reservation(problems)
        self._check_sizes(problems)
        for row in known_types([self.instance_type], problems, "instance_type"):
            self._check_type(problems, row)
            self._check_capacity(problems, row)
            self._check_network(problems, row)
            check_ami(problems, row, self.ami_type)
            self._check_storage(problems, row)
            check_fast_image_pull(
                problems,
                [row],
                wanted=self.fast_image_pull,
                # Bottlerocket is told so in another way, which nothing here speaks.
                joins_disks=self.raid0 is not False
                and not (self.ami_type or "").startswith("BOTTLEROCKET"),
            )
            self._check_schedule(problems, row)
        problems.raise_if_any()

    def _check_reservation(self, problems: Problems) -> None:
        problems.require(
            (self.capacity_block is None) != (self.reservation_group_arn is None),
            "capacity_block",
            self.capacity_block and self.capacity_block.reservation_id,
            "A reserved group runs on a Capacity Block or on a resource group of reservations: on "
            "exactly one of them.",
            "Give capacity_block or reservation_group_arn; for on-demand capacity, use a pool.",
        )
        if self.reservation_group_arn is not None:
            self._check_arn(problems, self.reservation_group_arn)

    def _check_arn(self, problems: Problems, arn: str) -> None:
        match = _RESOURCE_GROUP.fullmatch(arn)
        if match is None:
            problems.add("reservation_group_arn", arn, *_wrong_arn(arn))
            return
        region = zone_region(self.zone)
        problems.require(
            region in (None, match.group(1)),
            "reservation_group_arn",
            arn,
            f"The resource group lies in {match.group(1)}, and the zone in {region}.",
            "Name a zone and a group of the same region.",
        )

    def _check_sizes(self, problems: Problems) -> None:
        problems.require(
            self.nodes >= 1,
            "nodes",
            self.nodes,
            "A reserved group has at least one node; outside its block it scales to 0 by itself.",
            "Give the number of instances that you reserved.",
        )
        problems.require(
            self.nodes <= MOST_GROUP_NODES,
            "nodes",
            self.nodes,
            f"A managed node group has at most {MOST_GROUP_NODES} nodes.",
            "Split it into several groups.",
        )
        problems.require(
            self.volume_gib >= SMALLEST_ACCELERATOR_VOLUME,
            "volume_gib",
            self.volume_gib,
            f"Images with accelerator software need at least {SMALLEST_ACCELERATOR_VOLUME} GiB.",
            "Raise it, even where local disks hold the containers.",
        )
        problems.require(
            self.drain_minutes >= 0,
            "drain_minutes",
            self.drain_minutes,
            "Pods cannot leave after EC2 has taken their nodes.",
            "Give the minutes that saving a checkpoint takes.",
        )

    def _check_type(self, problems: Problems, row: InstanceType) -> None:
        check_region(
            problems,
            "instance_type",
            row,
            zone_region(self.zone),
            unlisted=self.unlisted_region,
        )
        problems.require(
            row.device_kind is not DeviceKind.NONE,
            "instance_type",
            row.name,
            "It has no accelerator, and CPU capacity needs no reservation.",
            "Choose an accelerator type, or use a Karpenter pool.",
        )
        sizes = row.ultraserver_sizes
        problems.require(
            not sizes or self.nodes % min(sizes) == 0,
            "nodes",
            self.nodes,
            f"{row.name} is sold only as whole UltraServers of {' or '.join(map(str, sizes))} "
            "instances.",
            f"Give a multiple of {min(sizes, default=1)}.",
        )

    def _check_capacity(self, problems: Problems, row: InstanceType) -> None:
        if self.capacity_block is not None:
            problems.require(
                CapacityOption.CAPACITY_BLOCK in row.capacity_options,
                "capacity_block",
                self.capacity_block.reservation_id,
                f"Capacity Blocks are not sold for {row.name}.",
                "Use On-Demand Capacity Reservations, or a type that has blocks: "
                f"{', '.join(_types_with(CapacityOption.CAPACITY_BLOCK))}.",
            )
            problems.require(
                self.nodes <= MOST_BLOCK_NODES,
                "nodes",
                self.nodes,
                f"A Capacity Block has at most {MOST_BLOCK_NODES} instances.",
                "Make one group for each block.",
            )
        if self.reservation_group_arn is not None:
            problems.require(
                CapacityOption.CAPACITY_RESERVATION in row.capacity_options,
                "reservation_group_arn",
                self.reservation_group_arn,
                f"{row.name} has no on-demand capacity that could be reserved.",
                "Buy a Capacity Block and give it as capacity_block.",
            )
        problems.require(
            not self.placement_group,
            "placement_group",
            True,
            "A placement group confines the launch to another spot than the reserved one, and EC2 "
            "answers InsufficientInstanceCapacity.",
            "Leave it out: blocks lie in one UltraCluster, and reservations carry a group of their "
            "own if they were made in one.",
        )

    def _check_network(self, problems: Problems, row: InstanceType) -> None:
        if not self.efa or row.efa is not None:
            return
        reason = f"{row.name} has no EFA."
        if row.ultraserver_sizes:
            reason = f"The layout of EFA interfaces of {row.name} is not published."
        problems.add("efa", True, reason, f"Set efa = false{_with_efa(row)}.")

    def _check_storage(self, problems: Problems, row: InstanceType) -> None:
        if not self.raid0:
            return
        problems.require(
            row.local_nvme_gb > 0,
            "raid0",
            True,
            f"{row.name} has no local disks.",
            "Leave it out, and raise volume_gib.",
        )
        problems.require(
            not (self.ami_type or "").startswith("BOTTLEROCKET"),
            "raid0",
            True,
            "Only Amazon Linux takes the NodeConfig that joins the disks.",
            "Leave ami_type out, or set raid0 = false.",
        )

    def _check_schedule(self, problems: Problems, row: InstanceType) -> None:
        if self.capacity_block is None:
            return
        schedule = self._schedule(self.capacity_block, row)
        problems.require(
            schedule.usable > timedelta(0),
            "drain_minutes",
            self.drain_minutes,
            "No time is left in the block: nodes would have to leave at "
            f"{schedule.scale_down_at:%Y-%m-%d %H:%M} UTC and could come only at "
            f"{schedule.scale_up_at:%Y-%m-%d %H:%M}.",
            "Drain for a shorter time, or buy a longer block.",
        )

    def _schedule(self, block: CapacityBlock, row: InstanceType) -> BlockSchedule:
        drain = timedelta(minutes=self.drain_minutes)
        return BlockSchedule(block, self.nodes, bool(row.ultraserver_sizes), drain)

    @property
    def row(self) -> InstanceType:
        """The type's row of the catalogue."""
        return INSTANCE_TYPES[self.instance_type]

    @property
    def schedule(self) -> BlockSchedule | None:
        """When nodes run; ``None`` on reservations without an end."""
        return self._schedule(self.capacity_block, self.row) if self.capacity_block else None

    @property
    def desired_nodes(self) -> int:
        """The size to deploy with: 0 for a block, whose schedule raises it when it starts."""
        return self.schedule.first_size if self.schedule else self.nodes

    @property
    def effective_ami_type(self) -> AmiType:
        """The image, chosen or by default."""
        return self.ami_type or self.row.ami_type

    @property
    def joins_disks(self) -> bool:
        """Whether local disks become one volume, chosen or by default."""
        if self.raid0 is not None:
            return self.raid0
        return self.row.local_nvme_gb > 0 and not self.effective_ami_type.is_bottlerocket

    def network_interfaces(self) -> tuple[NetworkInterface, ...]:
        """Return the interfaces of the launch template, none where EC2's default will do."""
        return self.row.network_interfaces(efa=self.efa)

    def taints(self) -> tuple[Taint, ...]:
        """Return the nodes' taints."""
        return self.row.taints()

    def labels(self) -> Mapping[str, str]:
        """Return the labels that device plugins find the nodes by."""
        return self.row.labels(efa=self.efa)


def _wrong_arn(arn: str) -> tuple[str, str]:
    if arn.startswith("cr-") or ":capacity-reservation/" in arn:
        return (
            "The group targets a resource group, so that reservations can be added to it later.",
            "Put the reservation into a resource group, and give the group's ARN.",
        )
    if ":training-plan/" in arn:
        return (
            "A SageMaker training plan gives no EC2 capacity, so EKS nodes cannot run on it.",
            "Use it for HyperPod, or reserve EC2 capacity for this node group.",
        )
    return (
        "It is not the ARN of a resource group.",
        "Write it as arn:aws:resource-groups:us-east-2:111111111111:group/name.",
    )


def _types_with(option: CapacityOption) -> list[str]:
    return [row.name for row in INSTANCE_TYPES.values() if option in row.capacity_options]


def _with_efa(row: InstanceType) -> str:
    larger = [
        other.name
        for other in INSTANCE_TYPES.values()
        if other.family == row.family and other.efa is not None
    ]
    return f", or choose {' or '.join(larger)}" if larger else ""
