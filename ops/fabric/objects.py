"""The Kubernetes objects of the proof: a program, a name for its first pod, and a Job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llm_constructs.specs.instance_type import DeviceKind
from ops.fabric.nodes import FabricNodes
from ops.fabric.whole_node import (
    EFA_ENVIRONMENT,
    PORT,
    KubernetesObject,
    meeting_point,
    placement,
    resources,
)

PROGRAM: Final = Path(__file__).parent / "all_reduce.py"

BACKENDS: Final[Mapping[DeviceKind, str]] = {
    DeviceKind.NVIDIA: "nccl",
    DeviceKind.NEURON: "neuron",
}
"""Of ``torch.distributed``.

https://awsdocs-neuron.readthedocs-hosted.com/en/latest/torch/guides/torch-distributed.html
"""

NVIDIA_IMAGE: Final = "public.ecr.aws/deep-learning-containers/pytorch:2.12-cu130-amzn2023"
"""PyTorch with EFA's installer and the OFI plugin, for the driver branch of EKS's AMIs (580).

https://github.com/aws/deep-learning-containers
"""

SHARE: Final = 0.5
"""Of a node's allocatable memory and processors, which leaves room and is far more than needed."""

ENVIRONMENT: Final[Mapping[str, str]] = {
    **EFA_ENVIRONMENT,
    # Which transport each channel takes.
    # https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html
    "NCCL_DEBUG": "INFO",
    "NCCL_DEBUG_SUBSYS": "INIT,NET",
}


@dataclass(frozen=True, kw_only=True)
class FabricRun:
    """One run of the proof: ``count`` of ``nodes``, ``mebibytes`` reduced ``iterations`` times."""

    name: str
    namespace: str
    nodes: FabricNodes
    count: int
    image: str
    mebibytes: int
    iterations: int
    deadline_seconds: int


def objects(run: FabricRun) -> Sequence[KubernetesObject]:
    """Return what the run needs in the cluster, in the order in which it is made."""
    return (_program(run), meeting_point(_metadata(run), _labels(run)), _job(run))


def _metadata(run: FabricRun) -> KubernetesObject:
    return {
        "name": run.name,
        "namespace": run.namespace,
        "labels": _labels(run),
    }


def _labels(run: FabricRun) -> dict[str, str]:
    return {"app.kubernetes.io/name": "fabric-proof", "app.kubernetes.io/instance": run.name}


def _program(run: FabricRun) -> KubernetesObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(run),
        "data": {PROGRAM.name: PROGRAM.read_text(encoding="utf-8")},
    }


def _job(run: FabricRun) -> KubernetesObject:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(run),
        "spec": {
            "completionMode": "Indexed",
            "completions": run.count,
            "parallelism": run.count,
            # A second try would hide that the first one failed.
            "backoffLimit": 0,
            "activeDeadlineSeconds": run.deadline_seconds,
            # Should nobody be left to delete it.
            "ttlSecondsAfterFinished": 3600,
            "template": {
                "metadata": {
                    "labels": _labels(run),
                    # Karpenter must not move the pods together while they measure.
                    "annotations": {"karpenter.sh/do-not-disrupt": "true"},
                },
                "spec": _pod(run),
            },
        },
    }


def _pod(run: FabricRun) -> KubernetesObject:
    return {
        "restartPolicy": "Never",
        "subdomain": run.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        **placement(run.nodes),
        "containers": [_container(run)],
        "volumes": [
            {"name": "program", "configMap": {"name": run.name}},
            # NCCL talks within a node through shared memory.
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
        ],
    }


def _container(run: FabricRun) -> KubernetesObject:
    return {
        "name": "all-reduce",
        "image": run.image,
        "command": ["torchrun"],
        "args": [
            f"--nnodes={run.count}",
            f"--nproc-per-node={run.nodes.row.ranks}",
            "--node-rank=$(JOB_COMPLETION_INDEX)",
            f"--master-addr={run.name}-0.{run.name}",
            f"--master-port={PORT}",
            f"/program/{PROGRAM.name}",
        ],
        "env": [
            {"name": name, "value": value}
            for name, value in {
                **ENVIRONMENT,
                "FABRIC_BACKEND": BACKENDS[run.nodes.row.device_kind],
                "FABRIC_MEBIBYTES": str(run.mebibytes),
                "FABRIC_ITERATIONS": str(run.iterations),
            }.items()
        ],
        "resources": resources(run.nodes, SHARE),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "program", "mountPath": "/program", "readOnly": True},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  # The pod's own.
        ],
    }
