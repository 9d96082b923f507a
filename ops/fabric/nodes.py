"""Which of an environment's nodes the proof runs on."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from config import Environment
from llm_constructs.specs.hyperpod import Orchestrator
from llm_constructs.specs.instance_type import DeviceKind, InstanceType, Taint
from llm_constructs.specs.karpenter_pool import KarpenterPool
from llm_constructs.specs.node_group import ReservedNodeGroup
from llm_constructs.specs.pool_supply import supply_of_hyperpod
from llm_constructs.specs.problem import Problem, SpecificationError

LEAST_NODES: Final = 2
"""Below, nothing crosses the network."""


@dataclass(frozen=True, kw_only=True)
class FabricNodes:
    """Nodes of one type that the proof can be scheduled to, at most ``most`` of them."""

    name: str
    row: InstanceType
    selector: Mapping[str, str]
    taints: tuple[Taint, ...]
    most: int

    @property
    def efa_devices(self) -> int:
        """EFA devices of each node."""
        return self.row.efa.interfaces if self.row.efa else 0


def fabric_nodes(
    environment: Environment, name: str | None, count: int, instance_type: str | None = None
) -> FabricNodes:
    """Return the nodes of the pool or group ``name`` that a proof on ``count`` needs.

    Without a name it is the only one with EFA; without an instance type, the pool's first.

    Raises :class:`SpecificationError` where the environment has no such nodes, or too few of them.
    """
    chosen = named_nodes(environment, name, instance_type)
    if not LEAST_NODES <= count <= chosen.most:
        raise _refused(
            "nodes",
            count,
            f"An all-reduce crosses the network between {LEAST_NODES} nodes or more, and "
            f"{chosen.name} may have {chosen.most}.",
            f"Choose {LEAST_NODES} to {chosen.most}."
            if chosen.most >= LEAST_NODES
            else "Let it have more nodes, or choose others.",
        )
    return chosen


def named_nodes(
    environment: Environment, name: str | None, instance_type: str | None = None
) -> FabricNodes:
    """Return the nodes of the pool or group ``name``, however many there may be.

    Raises :class:`SpecificationError` where the environment has no such nodes.
    """
    candidates = _candidates(environment, instance_type)
    if name is None and len(candidates) == 1:
        return candidates[0]
    return _named(candidates, name)


def namespace_of(environment: Environment, name: str | None) -> str:
    """Return the namespace ``name``; without one, the last of the cluster's namespaces."""
    namespaces = environment.eks.cluster.namespaces if environment.eks else ()
    return name or (namespaces[-1] if namespaces else "default")


def _candidates(environment: Environment, instance_type: str | None) -> list[FabricNodes]:
    if environment.eks is None:
        raise _refused(
            "env",
            environment.name,
            "The environment has no cluster.",
            "Choose one with an [eks] table.",
        )
    candidates = [
        *_of_pools(environment.eks.pools, instance_type),
        *(
            _of_group(environment.name, group)
            for group in environment.eks.groups
            if group.efa and instance_type in (None, group.row.name)
        ),
        *_of_hyperpod(environment, instance_type),
    ]
    return [
        nodes
        for nodes in candidates
        if nodes.row.efa and nodes.row.device_kind is not DeviceKind.NONE
    ]


def _of_pools(pools: Iterable[KarpenterPool], instance_type: str | None) -> list[FabricNodes]:
    nodes = []
    for pool in pools:
        rows = [row for row in pool.rows if instance_type in (None, row.name)]
        if not (pool.efa and rows):
            continue
        row = rows[0]
        nodes.append(
            FabricNodes(
                name=pool.name,
                row=row,
                selector={
                    "karpenter.sh/nodepool": pool.name,
                    "node.kubernetes.io/instance-type": row.name,
                },
                taints=pool.taints(),
                most=(pool.max_devices or 0) // (row.accelerator_count or 1),
            )
        )
    return nodes


def _of_group(environment: str, group: ReservedNodeGroup) -> FabricNodes:
    return FabricNodes(
        name=group.name,
        row=group.row,
        selector={
            "eks.amazonaws.com/nodegroup": f"llm-{environment}-{group.name}",
            "node.kubernetes.io/instance-type": group.row.name,
        },
        taints=group.taints(),
        most=group.nodes,
    )


def _of_hyperpod(environment: Environment, instance_type: str | None) -> Iterator[FabricNodes]:
    """Yield the groups of a HyperPod cluster whose nodes are the EKS cluster's."""
    training = environment.training
    if training is None or training.orchestrator is not Orchestrator.EKS:
        return
    for group in training.groups:
        rows = [row for row in group.rows if instance_type in (None, row.name)]
        if rows:
            supply = supply_of_hyperpod(group)
            # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-run-jobs-kubectl.html
            selector = {
                str(supply.source): group.name,
                "node.kubernetes.io/instance-type": f"ml.{rows[0].name}",
            }
            yield FabricNodes(
                name=group.name,
                row=rows[0],
                selector=selector,
                taints=supply.taints,
                most=group.count,
            )


def _named(candidates: Iterable[FabricNodes], name: str | None) -> FabricNodes:
    by_name = {nodes.name: nodes for nodes in candidates}
    if name in by_name:
        return by_name[name]
    if not by_name:
        raise _refused(
            "on",
            name,
            "No pool and no group of the environment's cluster has accelerators and EFA.",
            "Set efa = true for one whose instance type has EFA (docs/accelerators.md).",
        )
    raise _refused(
        "on",
        name,
        "It names none of the environment's pools and groups with EFA and that type."
        if name
        else "The environment has several pools and groups with EFA.",
        f"Choose {', '.join(sorted(by_name))}.",
    )


def _refused(field: str, value: object, reason: str, remedy: str) -> SpecificationError:
    return SpecificationError("nodes over EFA", [Problem(field, value, reason, remedy)])
