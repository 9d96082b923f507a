"""The Kubernetes objects of a fine-tune: its program, a name for its first pod, and a Job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.fabric.nodes import FabricNodes
from ops.fabric.whole_node import (
    EFA_ENVIRONMENT,
    PORT,
    KubernetesObject,
    meeting_point,
    placement,
    resources,
)

PROGRAM: Final = Path(__file__).parents[2] / "jobs" / "fine_tuning"

CLAIM: Final = "lustre"
"""Of the platform's file system, in each of the cluster's namespaces (docs/lustre.md)."""

MOUNT: Final = "/fsx"
"""The same path as on Slurm's nodes."""

SHARE: Final = 0.85
"""Of a node's allocatable memory and processors; DaemonSets have the rest."""

WORKER_RESTARTS: Final = 3
"""How often torchrun starts all ranks again after one failed, before its pod fails."""

POD_FAILURES: Final = 6
"""How many pods may fail before the Job does: Kubernetes' default. Evictions do not count."""

GRACE_SECONDS: Final = 60
"""From the signal to the end of a pod: torchrun gives its ranks half of it to save."""


ENVIRONMENT: Final[Mapping[str, str]] = {
    **EFA_ENVIRONMENT,
    "PYTHONPATH": "/program",
    # Otherwise the pod that stays tells the one that joins later no address, and both wait in vain.
    # https://github.com/pytorch/pytorch/blob/main/torch/distributed/elastic/rendezvous/dynamic_rendezvous.py
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
}


@dataclass(frozen=True, kw_only=True)
class FineTune:
    """One fine-tune, called ``name``, on ``count`` of ``nodes``, with the program's ``options``."""

    name: str
    namespace: str
    nodes: FabricNodes
    count: int
    image: str
    options: Sequence[str]


def objects(job: FineTune) -> Sequence[KubernetesObject]:
    """Return what the fine-tune needs in the cluster, in the order in which it is made."""
    return (_program(job), meeting_point(_metadata(job), _labels(job)), _job(job))


def _metadata(job: FineTune) -> KubernetesObject:
    return {"name": job.name, "namespace": job.namespace, "labels": _labels(job)}


def _labels(job: FineTune) -> dict[str, str]:
    return {"app.kubernetes.io/name": "fine-tuning", "app.kubernetes.io/instance": job.name}


def _program(job: FineTune) -> KubernetesObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(job),
        "data": {file.name: file.read_text(encoding="utf-8") for file in PROGRAM.glob("*.py")},
    }


def _job(job: FineTune) -> KubernetesObject:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(job),
        "spec": {
            "completionMode": "Indexed",
            "completions": job.count,
            "parallelism": job.count,
            "backoffLimit": POD_FAILURES,
            # A pod that is still there may hold the name and the devices that its successor needs.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    }
                ]
            },
            "template": {
                "metadata": {
                    "labels": _labels(job),
                    # Karpenter must not move pods together whose neighbours wait for them.
                    "annotations": {"karpenter.sh/do-not-disrupt": "true"},
                },
                "spec": _pod(job),
            },
        },
    }


def _pod(job: FineTune) -> KubernetesObject:
    return {
        "restartPolicy": "Never",
        "subdomain": job.name,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        **placement(job.nodes),
        "containers": [_container(job)],
        "volumes": [
            {"name": "program", "configMap": {"name": job.name}},
            {"name": "files", "persistentVolumeClaim": {"claimName": CLAIM}},
            # NCCL talks within a node through shared memory.
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}},
        ],
    }


def _container(job: FineTune) -> KubernetesObject:
    return {
        "name": "fine-tuning",
        "image": job.image,
        "command": ["torchrun"],
        "args": [
            f"--nnodes={job.count}",
            f"--nproc-per-node={job.nodes.row.ranks}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={job.name}-0.{job.name}:{PORT}",
            f"--rdzv-id={job.name}",
            f"--max-restarts={WORKER_RESTARTS}",
            "-m",
            "fine_tuning",
            "train",
            *job.options,
        ],
        "env": [{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
        "resources": resources(job.nodes, SHARE),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "program", "mountPath": f"/program/{PROGRAM.name}", "readOnly": True},
            {"name": "files", "mountPath": MOUNT},
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  # The pod's own.
        ],
    }
