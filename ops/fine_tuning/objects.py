"""The Kubernetes objects of a fine-tune: its program, a name for its first pod, and a Job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.fabric.node_job import NodeJob
from ops.fabric.whole_node import EFA_ENVIRONMENT, PORT, KubernetesObject

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
class FineTune(NodeJob):
    """One fine-tune, called ``name``, on ``count`` of ``nodes``, with the program's ``options``."""

    application = "fine-tuning"

    options: Sequence[str]


def objects(job: FineTune) -> Sequence[KubernetesObject]:
    """Return what the fine-tune needs in the cluster, in the order in which it is made."""
    return (job.program(PROGRAM.glob("*.py")), job.meeting_point(), _job(job))


def _job(job: FineTune) -> KubernetesObject:
    pod = job.pod(
        _container(job),
        shared_memory="64Gi",
        volumes=[{"name": "files", "persistentVolumeClaim": {"claimName": CLAIM}}],
    )
    return job.job(
        failures={
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
        },
        pod={**pod, "terminationGracePeriodSeconds": GRACE_SECONDS},
    )


def _container(job: FineTune) -> KubernetesObject:
    return job.torchrun(
        "fine-tuning",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={job.first_pod}:{PORT}",
        f"--rdzv-id={job.name}",
        f"--max-restarts={WORKER_RESTARTS}",
        "-m",
        "fine_tuning",
        "train",
        *job.options,
        environment=ENVIRONMENT,
        share=SHARE,
        mounts=[
            {"name": "program", "mountPath": f"/program/{PROGRAM.name}", "readOnly": True},
            {"name": "files", "mountPath": MOUNT},
        ],
    )
