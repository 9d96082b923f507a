"""What a pod asks for that takes a node of the fabric whole."""

from collections.abc import Mapping
from typing import Any, Final

from llm_constructs.specs.instance_type import DEVICE_RESOURCES, EFA_RESOURCE
from ops.fabric.nodes import FabricNodes

KubernetesObject = dict[str, Any]
"""An object as Kubernetes' API takes it."""

PORT: Final = 29500
"""Where the ranks meet: torchrun's default."""

EFA_ENVIRONMENT: Final[Mapping[str, str]] = {
    # A provider other than EFA is an error, and no second choice.
    # https://ofiwg.github.io/libfabric/main/man/fi_efa.7.html
    "FI_PROVIDER": "efa",
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start-nccl.html
    "FI_EFA_FORK_SAFE": "1",
    # Huge pages would have to be requested, and Karpenter launches no node for a pod that does:
    # https://github.com/aws/karpenter-provider-aws/issues/3315
    "FI_EFA_USE_HUGE_PAGE": "0",
    "NCCL_SOCKET_IFNAME": "^lo,docker",
    "PYTHONUNBUFFERED": "1",
}
"""What the ranks of every job over EFA are told."""


def placement(nodes: FabricNodes) -> KubernetesObject:
    """Return the part of a pod's specification that brings it to ``nodes``."""
    return {
        "nodeSelector": dict(nodes.selector),
        "tolerations": [
            {"key": taint.key, "operator": "Exists", "effect": taint.effect}
            for taint in nodes.taints
        ],
    }


def resources(nodes: FabricNodes, share: float) -> KubernetesObject:
    """Return every device and adapter of a node, and ``share`` of its memory and processors."""
    row = nodes.row
    allocatable = row.allocatable()
    counted = {
        DEVICE_RESOURCES[row.device_kind]: str(row.accelerator_count),
        EFA_RESOURCE: str(nodes.efa_devices),
        "memory": f"{int(allocatable.memory_mib * share)}Mi",
    }
    requests = {**counted, "cpu": f"{int(allocatable.cpu_millis * share)}m"}
    return {"requests": requests, "limits": counted}
