"""What an environment asks of EC2: instances by type and zone, and how they are bought."""

from collections.abc import Iterator
from dataclasses import dataclass

from config import Environment
from llm_constructs.specs.instance_type import InstanceType
from llm_constructs.specs.karpenter_pool import CapacityType, KarpenterPool
from llm_constructs.specs.node_group import ReservedNodeGroup


@dataclass(frozen=True)
class InstanceDemand:
    """Instances that one part of the file may launch.

    ``vcpus`` counts what they come to at the part's limit, for the cheapest way to be wrong: with
    the type that needs the most vCPUs for it. ``zones`` are all in which one must be launched if
    ``every_zone``, or of which one will do.
    """

    part: str
    rows: tuple[InstanceType, ...]
    zones: tuple[str, ...]
    capacity_types: tuple[CapacityType, ...]
    vcpus: int
    every_zone: bool = False


def instance_demands(environment: Environment) -> Iterator[InstanceDemand]:
    """Yield everything in the file that launches EC2 instances in the account's name."""
    if environment.eks is None:
        return
    zones = environment.network.chosen_vpc.availability_zones
    system = environment.eks.managed_system_nodes
    if system is not None:
        yield InstanceDemand(
            "eks.system_nodes",
            (system.row,),
            zones,
            (CapacityType.ON_DEMAND,),
            system.maximum * system.row.vcpus,
            every_zone=True,
        )
    for pool in environment.eks.pools:
        yield InstanceDemand(
            f"eks.pools.{pool.name}",
            pool.rows,
            pool.zones or zones,
            pool.capacity_types,
            _most_vcpus(pool),
        )
    for group in environment.eks.groups:
        yield InstanceDemand(
            f"eks.groups.{group.name}",
            (group.row,),
            (group.zone,),
            (CapacityType.RESERVED,),
            _counted_vcpus(group),
            every_zone=True,
        )


def _counted_vcpus(group: ReservedNodeGroup) -> int:
    # Instances of a Capacity Block do not count towards the quotas of on-demand instances:
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-purchase.html
    return 0 if group.capacity_block else group.nodes * group.row.vcpus


def _most_vcpus(pool: KarpenterPool) -> int:
    if pool.max_devices is not None:
        return max(
            pool.max_devices // row.accelerator_count * row.vcpus
            for row in pool.rows
            if row.accelerator_count
        )
    return pool.max_vcpus or 0
