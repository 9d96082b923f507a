"""The kinds of nodes that a cluster may have, as its pods see them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from llm_constructs.specs.accelerators import INSTANCE_TYPES
from llm_constructs.specs.instance_type import EFA_RESOURCE, NEURON_CORE_RESOURCE, InstanceType
from llm_constructs.specs.pool_supply import NodeSource
from ops.kubernetes.contents import AppliedObject, ClusterContents, HyperPodGroup, ManagedGroup
from ops.kubernetes.pods import Resources
from ops.kubernetes.quantity import quantity

_EFFECTS: Final[Mapping[str, str]] = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}
"""Effects of taints as EKS's API writes them."""

_ANY_VALUE: Final = frozenset({"kubernetes.io/hostname", "topology.kubernetes.io/region"})


@dataclass(frozen=True, kw_only=True)
class NodeKind:
    """Nodes of one instance type of one pool or group.

    ``labels`` have every value that such a node may have; ``None`` stands for any value at all.
    ``limits`` are what all nodes of the pool may have together, or, of a group, do have.
    """

    title: str
    labels: Mapping[str, frozenset[str] | None]
    taints: tuple[Mapping[str, str], ...]
    resources: Resources
    limits: Resources


def node_kinds(contents: ClusterContents) -> tuple[NodeKind, ...]:
    """Return every kind of node of a cluster: of Karpenter's pools, managed groups, and HyperPod's.

    Types that the catalogue does not have are left out: nothing is known of their nodes.
    """
    classes = {made.name: made for made in contents.of_kind("EC2NodeClass", "NodeClass")}
    pools = (
        kind
        for pool in contents.of_kind("NodePool")
        for kind in _kinds_of_pool(pool, classes, contents.region)
    )
    groups = (
        _kind_of_group(group, INSTANCE_TYPES[name])
        for group in contents.groups
        for name in group.instance_types
        if name in INSTANCE_TYPES
    )
    hyperpod = (
        _kind_of_hyperpod(group, INSTANCE_TYPES[name])
        for group in contents.hyperpod_groups
        for name in group.instance_types
        if name in INSTANCE_TYPES
    )
    return (*pools, *groups, *hyperpod)


def _kinds_of_pool(
    pool: AppliedObject, classes: Mapping[str, AppliedObject], region: str
) -> Iterator[NodeKind]:
    template = pool.body["spec"]["template"]
    requirements = {
        each["key"]: each.get("values", [])
        for each in template["spec"]["requirements"]
        if each["operator"] == "In"
    }
    node_class = classes.get(template["spec"]["nodeClassRef"]["name"])
    spec: Mapping[str, Any] = node_class.body["spec"] if node_class else {}
    labels = {key: {value} for key, value in template["metadata"].get("labels", {}).items()}
    limits = {key: quantity(text) for key, text in pool.body["spec"].get("limits", {}).items()}
    for name in requirements.get("node.kubernetes.io/instance-type", ()):
        row = INSTANCE_TYPES.get(name)
        if row is None or str(row.architecture) not in requirements.get(
            "kubernetes.io/arch", [str(row.architecture)]
        ):
            # Karpenter launches no type that contradicts another requirement.
            continue
        known = {
            "topology.kubernetes.io/zone": None,
            **requirements,
            **labels,
            **_type_labels(row),
            "karpenter.sh/nodepool": {pool.name},
            "topology.kubernetes.io/region": {region},
        }
        yield NodeKind(
            title=f"pool {pool.name} ({name})",
            labels=_frozen(known),
            taints=tuple(template["spec"].get("taints", ())),
            resources=_resources(row, _adapters(spec), _storage(row, spec)),
            limits=limits,
        )


def _kind_of_group(group: ManagedGroup, row: InstanceType) -> NodeKind:
    resources = _resources(row, group.efa, None)
    return NodeKind(
        title=f"group {group.name} ({row.name})",
        labels=_frozen(
            {
                "topology.kubernetes.io/zone": None,
                **{key: {value} for key, value in group.labels.items()},
                **_type_labels(row),
                "eks.amazonaws.com/nodegroup": {group.name},
            }
        ),
        taints=tuple(
            {
                "key": taint["Key"],
                "value": taint.get("Value", ""),
                "effect": _EFFECTS.get(taint["Effect"], taint["Effect"]),
            }
            for taint in group.taints
        ),
        resources=resources,
        limits={name: amount * group.maximum for name, amount in resources.items()},
    )


def _kind_of_hyperpod(group: HyperPodGroup, row: InstanceType) -> NodeKind:
    adapters = row.resources(efa=True)[EFA_RESOURCE] if group.efa else 0
    resources = _resources(row, adapters, None)
    name = row.sagemaker_name or row.name
    return NodeKind(
        title=f"HyperPod's group {group.name} ({name})",
        labels=_frozen(
            {
                "topology.kubernetes.io/zone": None,
                **{key: {value} for key, value in group.labels.items()},
                **_type_labels(row),
                # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks.html
                "node.kubernetes.io/instance-type": {name},
                NodeSource.HYPERPOD.value: {group.name},
            }
        ),
        taints=(),
        resources=resources,
        limits={name: amount * group.count for name, amount in resources.items()},
    )


def _type_labels(row: InstanceType) -> dict[str, set[str]]:
    return {
        "node.kubernetes.io/instance-type": {row.name},
        "kubernetes.io/arch": {str(row.architecture)},
        "kubernetes.io/os": {"linux"},
    }


def _frozen(
    labels: Mapping[str, Iterable[str] | None],
) -> dict[str, frozenset[str] | None]:
    free: dict[str, frozenset[str] | None] = dict.fromkeys(_ANY_VALUE)
    given = {key: None if values is None else frozenset(values) for key, values in labels.items()}
    return free | given


def _adapters(node_class: Mapping[str, Any]) -> int:
    interfaces = node_class.get("networkInterfaces", ())
    return sum(each.get("interfaceType") == "efa-only" for each in interfaces)


def _storage(row: InstanceType, node_class: Mapping[str, Any]) -> Decimal | None:
    """Return the bytes for containers: joined local disks, or else the volume."""
    if node_class.get("instanceStorePolicy") == "RAID0" and row.local_nvme_gb:
        return Decimal(row.local_nvme_gb) * 10**9
    sizes = [
        mapping["ebs"]["volumeSize"]
        for mapping in node_class.get("blockDeviceMappings", ())
        if "volumeSize" in mapping.get("ebs", {})
    ]
    return quantity(sizes[0]) if sizes else None


def _resources(row: InstanceType, adapters: int, storage: Decimal | None) -> dict[str, Decimal]:
    free = row.allocatable()
    resources = {
        "cpu": Decimal(free.cpu_millis) / 1000,
        "memory": Decimal(free.memory_mib) * 1024**2,
        "pods": Decimal(row.max_pods),
        EFA_RESOURCE: Decimal(adapters),
        **{name: Decimal(count) for name, count in row.resources(efa=False).items()},
    }
    if row.neuron_cores:
        resources[NEURON_CORE_RESOURCE] = Decimal(row.neuron_cores)
    if storage is not None:
        resources["ephemeral-storage"] = storage
    return resources
