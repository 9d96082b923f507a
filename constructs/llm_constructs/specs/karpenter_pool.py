"""Pools of nodes that Karpenter launches for the pods that wait, and removes again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from llm_constructs.specs.accelerators import INSTANCE_TYPES, known_families, known_types
from llm_constructs.specs.capacity_block import check_reservation_id
from llm_constructs.specs.instance_type import (
    CapacityOption,
    DeviceKind,
    InstanceType,
    NetworkInterface,
    Taint,
)
from llm_constructs.specs.node_group import (
    SMALLEST_ACCELERATOR_VOLUME,
    SMALLEST_VOLUME,
    check_name,
)
from llm_constructs.specs.node_image import check_fast_image_pull
from llm_constructs.specs.node_location import check_zone
from llm_constructs.specs.problem import Problems


class CapacityType(StrEnum):
    """Values of the label ``karpenter.sh/capacity-type``, in the order of Karpenter's preference.

    https://karpenter.sh/docs/concepts/nodepools/
    """

    RESERVED = "reserved"
    SPOT = "spot"
    ON_DEMAND = "on-demand"


class Consolidation(StrEnum):
    """``consolidationPolicy`` of a NodePool."""

    WHEN_EMPTY = "WhenEmpty"
    """Only nodes without workload go."""
    WHEN_EMPTY_OR_UNDERUTILIZED = "WhenEmptyOrUnderutilized"
    """Pods are also moved together, so that nodes become empty."""


class Workload(StrEnum):
    """What a pool is for, which decides what may be done to running pods."""

    GENERAL = "general"
    SERVING = "serving"
    TRAINING = "training"
    """Jobs that lose work when they are evicted."""


HIGHEST_WEIGHT: Final = 100
"""Of a NodePool's ``weight``; the lowest is 1. https://karpenter.sh/docs/concepts/nodepools/"""

_AMI_VERSION = re.compile(r"v\d{8}")

_RESERVED_OPTIONS = frozenset({CapacityOption.CAPACITY_RESERVATION, CapacityOption.CAPACITY_BLOCK})

_NEEDED_OPTIONS: Final[Mapping[str, frozenset[CapacityOption]]] = {
    CapacityType.RESERVED: _RESERVED_OPTIONS,
    CapacityType.SPOT: frozenset({CapacityOption.SPOT}),
    CapacityType.ON_DEMAND: frozenset({CapacityOption.ON_DEMAND}),
}


@dataclass(frozen=True, kw_only=True)
class KarpenterPool:
    """One NodePool with its EC2NodeClass.

    Raises :class:`SpecificationError` with everything that Karpenter or EC2 would refuse, or that
    would leave pods waiting.
    """

    name: str
    """Unique among groups and pools."""
    instance_types: tuple[str, ...] = ()
    """Types that nodes may have; or:"""
    instance_families: tuple[str, ...] = ()
    """Families, of which nodes may have every known size."""
    workload: Workload = Workload.GENERAL
    """`general`, `serving` or `training`. Nothing evicts running training but spot and repair."""
    capacity_types: tuple[CapacityType, ...] = (CapacityType.SPOT, CapacityType.ON_DEMAND)
    """Of `reserved`, `spot` and `on-demand`; Karpenter always tries them in this order."""
    reservation_ids: tuple[str, ...] = ()
    """Capacity reservations (also those of Capacity Blocks) for `reserved`."""
    zones: tuple[str, ...] = ()
    """Zones that nodes may be in. Left out: every zone of the cluster."""
    max_devices: int | None = None
    """Accelerators of all nodes together; required for accelerator types."""
    max_vcpus: int | None = None
    """vCPUs of all nodes together; required for CPU types."""
    consolidation: Consolidation = Consolidation.WHEN_EMPTY
    """`WhenEmpty`, or `WhenEmptyOrUnderutilized`, which also moves running pods."""
    consolidate_after_minutes: int = 10
    """How long a node must be empty (or its pods unchanged) before it may go."""
    expire_after_hours: int | None = None
    """Age at which a node is replaced, even a busy one. Left out: never, and a new `ami_version`
    replaces nodes instead."""
    efa: bool = False
    """Whether nodes talk over the Elastic Fabric Adapter; needs one zone and like network cards."""
    placement_group: bool = False
    """Whether nodes lie in a cluster placement group, as close together as EC2 can put them."""
    ami_version: str | None = None
    """The version of the EKS-optimised Amazon Linux 2023, as in `v20261110`."""
    volume_gib: int = 100
    """Root volume of each node."""
    fast_image_pull: bool = False
    """Whether layers of an image are pulled and unpacked at the same time, on types with local
    disks. The image calls it experimental: try it where a failed pull hurts nobody."""
    weight: int | None = None
    """1 to 100: among pools that fit a pod, the heaviest is tried first."""
    unlisted_region: bool = False
    """Set it when EC2 offers the types in the region though the catalogue does not know."""

    def __post_init__(self) -> None:
        problems = Problems(f"pool {self.name}")
        check_name(problems, self.name)
        rows = (
            *known_types(self.instance_types, problems, "instance_types"),
            *known_families(self.instance_families, problems, "instance_families"),
        )
        self._check_types(problems, rows)
        self._check_capacity_types(problems, rows)
        self._check_reservations(problems)
        self._check_zones(problems)
        self._check_limits(problems, rows)
        self._check_disruption(problems)
        self._check_network(problems, rows)
        self._check_node(problems, rows)
        problems.raise_if_any()

    def _check_types(self, problems: Problems, rows: tuple[InstanceType, ...]) -> None:
        problems.require(
            bool(self.instance_types or self.instance_families),
            "instance_types",
            list(self.instance_types),
            "Without a type or family Karpenter would take any, also ones without a known driver.",
            "Name instance_types or instance_families.",
        )
        both = sorted(
            {row.family for row in _rows(self.instance_types)} & {*self.instance_families}
        )
        problems.require(
            not both,
            "instance_types",
            list(self.instance_types),
            f"Types of {', '.join(both)} are named, and the whole family is as well.",
            "Name the family, or only those of its sizes that you want.",
        )
        kinds = sorted({row.device_kind for row in rows})
        problems.require(
            len(kinds) <= 1,
            "instance_types",
            [row.name for row in rows],
            f"The types have different devices ({', '.join(kinds)}), which need different taints, "
            "drivers and pods.",
            "Make a pool for each kind of device.",
        )
        for row in rows:
            problems.require(
                not row.ultraserver_sizes,
                "instance_types",
                row.name,
                "UltraServers are allotted by dynamic resource allocation, for which Karpenter "
                "launches no nodes.",
                "Make a reserved node group on a Capacity Block for it.",
            )

    def _check_capacity_types(self, problems: Problems, rows: tuple[InstanceType, ...]) -> None:
        given = list(self.capacity_types)
        problems.require(
            bool(given),
            "capacity_types",
            given,
            "Karpenter would launch on-demand nodes only, which should be said.",
            "Name reserved, spot or on-demand, or several.",
        )
        expected = [str(kind) for kind in CapacityType if kind in given]
        problems.require(
            given == expected,
            "capacity_types",
            given,
            "Karpenter tries reserved, then spot, then on-demand, and takes no other order.",
            f"Write {expected}." if expected else f"Choose from {', '.join(CapacityType)}.",
        )
        for kind in expected:
            without = [row.name for row in rows if not _NEEDED_OPTIONS[kind] & row.capacity_options]
            problems.require(
                not without,
                "capacity_types",
                given,
                f"No {kind} capacity is known for {', '.join(without)}.",
                f"Leave {kind} out, or the types.",
            )

    def _check_reservations(self, problems: Problems) -> None:
        for reservation in self.reservation_ids:
            check_reservation_id(problems, "reservation_ids", reservation)
        reserved = CapacityType.RESERVED in self.capacity_types
        problems.require(
            bool(self.reservation_ids) or not reserved,
            "reservation_ids",
            [],
            "The pool is to use reserved capacity, and no reservation is named.",
            "Name the reservations, or take reserved out of capacity_types.",
        )
        problems.require(
            reserved or not self.reservation_ids,
            "capacity_types",
            list(self.capacity_types),
            "Reservations are named, and the pool would never use them.",
            "Add reserved as the first of capacity_types, or leave reservation_ids out.",
        )
        problems.require(
            not (reserved and self.placement_group),
            "placement_group",
            True,
            "A placement group confines the launch to another spot than the reserved one, and EC2 "
            "answers InsufficientInstanceCapacity.",
            "Leave it out: reservations carry a group of their own if they were made in one.",
        )

    def _check_zones(self, problems: Problems) -> None:
        for zone in self.zones:
            check_zone(problems, "zones", zone)
        for field in ("zones", "instance_types", "instance_families", "reservation_ids"):
            values: tuple[str, ...] = getattr(self, field)
            problems.require(
                len(set(values)) == len(values),
                field,
                list(values),
                "Something is named twice.",
                "Name each once.",
            )

    def _check_limits(self, problems: Problems, rows: tuple[InstanceType, ...]) -> None:
        if not rows:
            return
        accelerated = any(row.accelerator_count for row in rows)
        field, unit = ("max_devices", "devices") if accelerated else ("max_vcpus", "vCPUs")
        smallest = min(row.accelerator_count if accelerated else row.vcpus for row in rows)
        limit: int | None = getattr(self, field)
        if limit is None:
            problems.add(
                field,
                None,
                "Without a limit a faulty job can launch nodes without end.",
                f"Give the most {unit} that may run at once.",
            )
        else:
            problems.require(
                limit >= smallest,
                field,
                limit,
                f"The smallest type has {smallest} {unit}, so no node could ever be launched.",
                f"Allow at least {smallest}, or name smaller types.",
            )
        problems.require(
            accelerated or self.max_devices is None,
            "max_devices",
            self.max_devices,
            "CPU types have no devices to limit.",
            "Leave it out, and set max_vcpus.",
        )

    def _check_disruption(self, problems: Problems) -> None:
        training = self.workload == Workload.TRAINING
        problems.require(
            not training or self.consolidation == Consolidation.WHEN_EMPTY,
            "consolidation",
            str(self.consolidation),
            "Moving pods together stops running training.",
            "Choose WhenEmpty for training.",
        )
        problems.require(
            not training or self.expire_after_hours is None,
            "expire_after_hours",
            self.expire_after_hours,
            "A node that expires takes its running training with it.",
            "Leave it out for training; nodes go when their jobs are done.",
        )
        problems.require(
            self.expire_after_hours is None or self.expire_after_hours >= 1,
            "expire_after_hours",
            self.expire_after_hours,
            "Nodes would expire as they start.",
            "Give hours, or leave it out for never.",
        )
        problems.require(
            self.consolidate_after_minutes >= 0,
            "consolidate_after_minutes",
            self.consolidate_after_minutes,
            "A time cannot be negative.",
            "Give 0 for at once, or minutes to keep nodes for the next pod.",
        )

    def _check_network(self, problems: Problems, rows: tuple[InstanceType, ...]) -> None:
        if self.efa:
            without = [row.name for row in rows if row.efa is None and not row.ultraserver_sizes]
            problems.require(
                not without,
                "efa",
                True,
                f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no EFA.",
                "Leave the types out, or set efa = false.",
            )
            layouts = {row.efa for row in rows if row.efa}
            problems.require(
                len(layouts) <= 1,
                "efa",
                True,
                "The types have different network cards, and one EC2NodeClass lists the interfaces "
                "of all its nodes.",
                f"Make a pool for each: {'; '.join(_by_layout(rows))}.",
            )
        for field in ("efa", "placement_group"):
            problems.require(
                not getattr(self, field) or len(self.zones) == 1,
                field,
                True,
                f"Neither EFA nor a placement group crosses zones, and the pool may use "
                f"{len(self.zones) or 'all'} zones.",
                "Name one zone in zones.",
            )

    def _check_node(self, problems: Problems, rows: tuple[InstanceType, ...]) -> None:
        accelerated = any(row.device_kind is not DeviceKind.NONE for row in rows)
        smallest = SMALLEST_ACCELERATOR_VOLUME if accelerated else SMALLEST_VOLUME
        problems.require(
            self.volume_gib >= smallest,
            "volume_gib",
            self.volume_gib,
            f"The image and the containers' images need at least {smallest} GiB.",
            "Raise it.",
        )
        problems.require(
            self.ami_version is None or _AMI_VERSION.fullmatch(self.ami_version) is not None,
            "ami_version",
            self.ami_version,
            "It does not pin one version of the image: a new one would replace every node at once.",
            "Give a version such as v20261110 of "
            "https://github.com/awslabs/amazon-eks-ami/releases.",
        )
        problems.require(
            self.weight is None or 1 <= self.weight <= HIGHEST_WEIGHT,
            "weight",
            self.weight,
            f"Karpenter takes weights from 1 to {HIGHEST_WEIGHT}.",
            "Choose one of these, or leave it out to be tried last.",
        )
        check_fast_image_pull(
            problems, rows, wanted=self.fast_image_pull, joins_disks=self.joins_disks
        )

    @property
    def rows(self) -> tuple[InstanceType, ...]:
        """The rows of every type that a node may have."""
        return tuple(
            row
            for row in INSTANCE_TYPES.values()
            if row.name in self.instance_types or row.family in self.instance_families
        )

    @property
    def device_kind(self) -> DeviceKind:
        """The kind of device that all nodes have."""
        return self.rows[0].device_kind

    @property
    def joins_disks(self) -> bool:
        """Whether local disks become one volume for containers: wherever there are any."""
        return any(row.local_nvme_gb for row in self.rows)

    def network_interfaces(self) -> tuple[NetworkInterface, ...]:
        """Return the interfaces of the EC2NodeClass, none where EC2's default will do."""
        return self.rows[0].network_interfaces(efa=self.efa)

    def taints(self) -> tuple[Taint, ...]:
        """Return the taints of all nodes."""
        return self.rows[0].taints()

    def labels(self) -> Mapping[str, str]:
        """Return the labels that device plugins find the nodes by."""
        return self.rows[0].labels(efa=self.efa)


def _rows(names: tuple[str, ...]) -> list[InstanceType]:
    return [INSTANCE_TYPES[name] for name in names if name in INSTANCE_TYPES]


def _by_layout(rows: tuple[InstanceType, ...]) -> list[str]:
    layouts = dict.fromkeys(row.efa for row in rows if row.efa)
    return [", ".join(row.name for row in rows if row.efa == layout) for layout in layouts]
