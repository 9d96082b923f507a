"""How much of everything all nodes of a pool or group can give to pods."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.instance_type import DEVICE_RESOURCES, InstanceType, Taint
from llm_constructs.specs.karpenter_pool import KarpenterPool
from llm_constructs.specs.node_group import ReservedNodeGroup


class NodeSource(StrEnum):
    """Who brings the nodes, as the label by which they are told apart."""

    KARPENTER = "karpenter.sh/nodepool"
    MANAGED_GROUP = "eks.amazonaws.com/nodegroup"
    HYPERPOD = "sagemaker.amazonaws.com/instance-group-name"


@dataclass(frozen=True, kw_only=True)
class PoolSupply:
    """An amount of what one pool, reserved group or HyperPod group has: all of it, or a share.

    ``device`` is the resource that pods request an accelerator by, ``None`` without accelerators.
    """

    name: str
    source: NodeSource
    device: str | None
    devices: int
    cpu_millis: int
    memory_mib: int
    taints: tuple[Taint, ...]

    def share(
        self, *, devices: int | None, vcpus: int | None, memory_gib: int | None
    ) -> "PoolSupply":
        """Return a share of it; what is left out is in proportion to what is given.

        The measure is ``devices`` where there are any, and ``vcpus`` elsewhere.
        """
        if self.device is None:
            part, whole = (vcpus or 0) * 1000, self.cpu_millis
        else:
            part, whole = devices or 0, self.devices
        return replace(
            self,
            devices=devices or 0,
            cpu_millis=_part(self.cpu_millis, part, whole) if vcpus is None else vcpus * 1000,
            memory_mib=_part(self.memory_mib, part, whole)
            if memory_gib is None
            else memory_gib * 1024,
        )

    def quantities(self) -> Mapping[str, str]:
        """Return the amounts as Kubernetes writes them, by resource."""
        amounts = {"cpu": f"{self.cpu_millis}m", "memory": f"{self.memory_mib}Mi"}
        return {**amounts, self.device: str(self.devices)} if self.device else amounts


def supply_of_pool(pool: KarpenterPool) -> PoolSupply:
    """Return the most that a pool's nodes can give within its limits.

    A pool of several types can give the most of each resource on different types, so this is an
    upper bound; less than it may be reachable at once.
    """
    fleets = [(row, _most_nodes(pool, row)) for row in pool.rows]
    return PoolSupply(
        name=pool.name,
        source=NodeSource.KARPENTER,
        device=DEVICE_RESOURCES.get(pool.device_kind),
        devices=max(row.accelerator_count * nodes for row, nodes in fleets),
        cpu_millis=max(row.allocatable().cpu_millis * nodes for row, nodes in fleets),
        memory_mib=max(row.allocatable().memory_mib * nodes for row, nodes in fleets),
        taints=pool.taints(),
    )


def supply_of_group(group: ReservedNodeGroup) -> PoolSupply:
    """Return what a reserved group gives while its capacity lasts."""
    free = group.row.allocatable()
    return PoolSupply(
        name=group.name,
        source=NodeSource.MANAGED_GROUP,
        device=DEVICE_RESOURCES.get(group.row.device_kind),
        devices=group.row.accelerator_count * group.nodes,
        cpu_millis=free.cpu_millis * group.nodes,
        memory_mib=free.memory_mib * group.nodes,
        taints=group.taints(),
    )


def supply_of_hyperpod(group: InstanceGroup) -> PoolSupply:
    """Return what a group of a HyperPod cluster gives once all of its nodes are there.

    Of several types the least counts, for nobody knows which of them a node will be.
    """
    free = [row.allocatable() for row in group.rows]
    return PoolSupply(
        name=group.name,
        source=NodeSource.HYPERPOD,
        device=DEVICE_RESOURCES.get(group.row.device_kind),
        devices=min(row.accelerator_count for row in group.rows) * group.count,
        cpu_millis=min(one.cpu_millis for one in free) * group.count,
        memory_mib=min(one.memory_mib for one in free) * group.count,
        # HyperPod's groups get labels alone.
        taints=(),
    )


def _part(amount: int, part: int, whole: int) -> int:
    return amount * part // whole if whole else 0


def _most_nodes(pool: KarpenterPool, row: InstanceType) -> int:
    bounds = []
    if pool.max_devices is not None and row.accelerator_count:
        bounds.append(pool.max_devices // row.accelerator_count)
    if pool.max_vcpus is not None:
        bounds.append(pool.max_vcpus // row.vcpus)
    return min(bounds)
