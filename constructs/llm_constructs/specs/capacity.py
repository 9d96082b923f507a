"""The nodes of a cluster as a whole: what no group or pool can see by itself."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from llm_constructs.specs.eks import ComputeProfile
from llm_constructs.specs.instance_type import InstanceType
from llm_constructs.specs.karpenter_pool import KarpenterPool
from llm_constructs.specs.node_group import ReservedNodeGroup, SystemNodes
from llm_constructs.specs.node_location import check_region, zone_region
from llm_constructs.specs.problem import Problems
from llm_constructs.specs.region import REGIONS

__all__ = [
    "ClusterCapacity",
    "ComputeProfile",
    "KarpenterPool",
    "ReservedNodeGroup",
    "SystemNodes",
]

LONGEST_AUTO_MODE_LIFE: Final = 504
"""Hours after which EKS Auto Mode replaces any node.

https://docs.aws.amazon.com/eks/latest/userguide/automode.html
"""


@dataclass(frozen=True, kw_only=True)
class ClusterCapacity:
    """All nodes of one cluster.

    Raises :class:`SpecificationError` with everything that does not fit together.
    """

    region: str
    """The cluster's region."""
    zones: tuple[str, ...]
    """Zones that the cluster has private subnets in."""
    accelerator_zone: str | None = None
    """The zone of the accelerator subnet, if there is one."""
    profile: ComputeProfile = ComputeProfile.KARPENTER
    """`karpenter`, or `auto-mode`."""
    system_nodes: SystemNodes | None = None
    """The nodes of the cluster's controllers; with Auto Mode AWS runs those."""
    pools: tuple[KarpenterPool, ...] = ()
    """Nodes that come and go with the pods."""
    groups: tuple[ReservedNodeGroup, ...] = ()
    """Nodes on reserved capacity."""

    def __post_init__(self) -> None:
        problems = Problems("cluster capacity")
        self._check_region(problems)
        self._check_names(problems)
        self._check_reservations(problems)
        self._check_profile(problems)
        for pool in self.pools:
            self._check_pool(problems, pool)
        for group in self.groups:
            self._check_group(problems, group)
        problems.raise_if_any()

    def _check_region(self, problems: Problems) -> None:
        problems.require(
            self.region in REGIONS,
            "region",
            self.region,
            "It is not a region that the platform knows.",
            f"Choose from {', '.join(REGIONS)}.",
        )
        if self.system_nodes is not None:
            check_region(
                problems,
                "system_nodes.instance_type",
                self.system_nodes.row,
                self.region,
                unlisted=False,
            )

    def _check_names(self, problems: Problems) -> None:
        names = [*(pool.name for pool in self.pools), *(group.name for group in self.groups)]
        for name in _repeated(names):
            problems.add(
                "pools",
                name,
                "Several pools or groups have this name, and labels could not tell them apart.",
                "Give each a name of its own.",
            )

    def _check_reservations(self, problems: Problems) -> None:
        in_pools = [reservation for pool in self.pools for reservation in pool.reservation_ids]
        in_groups = [
            group.capacity_block.reservation_id for group in self.groups if group.capacity_block
        ]
        for reservation in _repeated([*in_pools, *in_groups]):
            problems.add(
                "groups",
                reservation,
                "Several pools or groups would launch into this reservation, and the last to come "
                "would fail.",
                "Give the reservation to one of them, and let the others use their own.",
            )

    def _check_profile(self, problems: Problems) -> None:
        if self.profile == ComputeProfile.KARPENTER:
            problems.require(
                self.system_nodes is not None,
                "system_nodes",
                None,
                "Karpenter cannot run on the nodes that it brings itself.",
                "Add system nodes, or choose auto-mode.",
            )
            return
        problems.require(
            self.system_nodes is None,
            "system_nodes",
            self.system_nodes and self.system_nodes.instance_type,
            "EKS Auto Mode runs the cluster's controllers outside of its nodes.",
            "Leave it out, or choose the profile karpenter.",
        )
        for group in self.groups:
            problems.add(
                "groups",
                group.name,
                "With EKS Auto Mode the cluster has no CNI and device plugins of its own, which "
                "managed node groups need.",
                "Choose the profile karpenter, or name the reservation in a pool.",
            )

    def _check_pool(self, problems: Problems, pool: KarpenterPool) -> None:
        for zone in pool.zones:
            self._check_zone(problems, f"pools.{pool.name}.zones", zone)
        self._check_offered(problems, pool)
        if pool.efa:
            self._check_accelerator_zone(problems, f"pools.{pool.name}.zones", *pool.zones)
        if self.profile == ComputeProfile.AUTO_MODE:
            self._check_auto_mode(problems, pool)
        else:
            problems.require(
                pool.ami_version is not None,
                f"pools.{pool.name}.ami_version",
                None,
                "Without a version, each new image replaces every node on the day it appears, with "
                "a driver that nobody tested.",
                "Pin one, such as v20261110.",
            )

    def _check_offered(self, problems: Problems, pool: KarpenterPool) -> None:
        named = [row for row in pool.rows if row.name in pool.instance_types]
        field = f"pools.{pool.name}.instance_types"
        for row in named:
            check_region(problems, field, row, self.region, unlisted=pool.unlisted_region)
        for family in pool.instance_families:
            rows = [row for row in pool.rows if row.family == family]
            problems.require(
                pool.unlisted_region or any(self.region in row.regions for row in rows),
                f"pools.{pool.name}.instance_families",
                family,
                f"The catalogue does not know it in {self.region}, so its capacity may not exist "
                "there.",
                f"Known are {', '.join(sorted(_known_regions(rows)))}. If `aws ec2 "
                f"describe-instance-type-offerings` lists it in {self.region}, set unlisted_region "
                "= true.",
            )

    def _check_auto_mode(self, problems: Problems, pool: KarpenterPool) -> None:
        where = f"pools.{pool.name}"
        problems.require(
            not pool.efa,
            f"{where}.efa",
            True,
            "A NodeClass of EKS Auto Mode has no list of network interfaces, so NCCL would fall "
            "back to TCP.",
            "Choose the profile karpenter, or set efa = false.",
        )
        problems.require(
            not pool.placement_group,
            f"{where}.placement_group",
            True,
            "EKS Auto Mode knows no placement groups.",
            "Choose the profile karpenter, or set placement_group = false.",
        )
        problems.require(
            pool.ami_version is None,
            f"{where}.ami_version",
            pool.ami_version,
            "EKS Auto Mode chooses the image and its driver.",
            "Leave it out, or choose the profile karpenter.",
        )
        problems.require(
            not pool.fast_image_pull,
            f"{where}.fast_image_pull",
            True,
            "It is a setting of Amazon Linux, and EKS Auto Mode runs Bottlerocket.",
            "Choose the profile karpenter, or leave it out.",
        )
        life = pool.expire_after_hours
        problems.require(
            life is None or life <= LONGEST_AUTO_MODE_LIFE,
            f"{where}.expire_after_hours",
            life,
            f"EKS Auto Mode replaces every node after {LONGEST_AUTO_MODE_LIFE} hours at most.",
            f"Give at most {LONGEST_AUTO_MODE_LIFE}, or choose the profile karpenter.",
        )

    def _check_group(self, problems: Problems, group: ReservedNodeGroup) -> None:
        field = f"groups.{group.name}.zone"
        self._check_zone(problems, field, group.zone)
        self._check_accelerator_zone(problems, field, group.zone)

    def _check_zone(self, problems: Problems, field: str, zone: str) -> None:
        region = zone_region(zone)
        problems.require(
            region == self.region,
            field,
            zone,
            f"It lies in {region}, and the cluster in {self.region}.",
            f"Choose one of {', '.join(self._subnet_zones())}.",
        )
        problems.require(
            region != self.region or zone in self._subnet_zones(),
            field,
            zone,
            "The cluster has no subnet in this zone.",
            f"Choose one of {', '.join(self._subnet_zones())}, or add the zone to the network.",
        )

    def _check_accelerator_zone(self, problems: Problems, field: str, *zones: str) -> None:
        if self.accelerator_zone is None:
            problems.add(
                field,
                list(zones),
                "The network has no accelerator subnet, where EFA and reserved nodes lie beside "
                "the file system.",
                "Set the network's accelerator_zone to this zone.",
            )
            return
        for zone in set(zones) & set(self._subnet_zones()):
            problems.require(
                zone == self.accelerator_zone,
                field,
                zone,
                f"The accelerator subnet lies in {self.accelerator_zone}.",
                "Reserve capacity there, or move the network's accelerator_zone.",
            )

    def _subnet_zones(self) -> list[str]:
        return sorted({*self.zones, *filter(None, [self.accelerator_zone])})


def _repeated(names: Iterable[str]) -> Iterator[str]:
    return (name for name, count in Counter(names).items() if count > 1)


def _known_regions(rows: Iterable[InstanceType]) -> set[str]:
    return {region for row in rows for region in row.regions}
