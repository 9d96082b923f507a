"""The Kubernetes objects of the proof: a program, a name for its first pod, and a Job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from llm_constructs.specs.instance_type import DEVICE_RESOURCES, EFA_RESOURCE, DeviceKind
from ops.fabric.nodes import FabricNodes

KubernetesObject = dict[str, Any]
"""An object as Kubernetes' API takes it."""

PROGRAM: Final = Path(__file__).parent / "all_reduce.py"
PORT: Final = 29500
"""Where the ranks meet: torchrun's default."""

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

EFA_HUGE_PAGES: Final = "5120Mi"
"""Of 2 MiB, which libfabric's EFA provider takes its buffers from.

https://docs.aws.amazon.com/eks/latest/userguide/node-efa.html
"""

MEMORY_SHARE: Final = 0.5
"""Of a node's allocatable memory, which leaves room for DaemonSets and is far more than needed."""

CPU_SHARE: Final = 0.5

ENVIRONMENT: Final[Mapping[str, str]] = {
    # A provider other than EFA is an error, and no second choice.
    # https://ofiwg.github.io/libfabric/main/man/fi_efa.7.html
    "FI_PROVIDER": "efa",
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-start-nccl.html
    "FI_EFA_FORK_SAFE": "1",
    # Which transport each channel takes.
    # https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html
    "NCCL_DEBUG": "INFO",
    "NCCL_DEBUG_SUBSYS": "INIT,NET",
    "NCCL_SOCKET_IFNAME": "^lo,docker",
    "PYTHONUNBUFFERED": "1",
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
    return (_program(run), _service(run), _job(run))


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


def _service(run: FabricRun) -> KubernetesObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(run),
        "spec": {
            "clusterIP": "None",
            "selector": _labels(run),
            # Ranks look for the first pod before anything says that it is ready.
            "publishNotReadyAddresses": True,
            "ports": [{"name": "rendezvous", "port": PORT}],
        },
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
        "nodeSelector": dict(run.nodes.selector),
        "tolerations": [
            {"key": taint.key, "operator": "Exists", "effect": taint.effect}
            for taint in run.nodes.taints
        ],
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
        "resources": _resources(run),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "program", "mountPath": "/program", "readOnly": True},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  # The pod's own.
        ],
    }


def _resources(run: FabricRun) -> KubernetesObject:
    row = run.nodes.row
    allocatable = row.allocatable()
    counted = {
        DEVICE_RESOURCES[row.device_kind]: str(row.accelerator_count),
        EFA_RESOURCE: str(run.nodes.efa_devices),
        "hugepages-2Mi": EFA_HUGE_PAGES,
        "memory": f"{int(allocatable.memory_mib * MEMORY_SHARE)}Mi",
    }
    requests = {**counted, "cpu": f"{int(allocatable.cpu_millis * CPU_SHARE)}m"}
    return {"requests": requests, "limits": counted}
