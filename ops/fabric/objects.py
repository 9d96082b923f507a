"""The Kubernetes objects of the proof: a program, a name for its first pod, and a Job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llm_constructs.specs.instance_type import DeviceKind
from ops.fabric.node_job import NodeJob
from ops.fabric.whole_node import EFA_ENVIRONMENT, PORT, KubernetesObject

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
class FabricRun(NodeJob):
    """One run of the proof: ``count`` of ``nodes``, ``mebibytes`` reduced ``iterations`` times."""

    application = "fabric-proof"

    mebibytes: int
    iterations: int
    deadline_seconds: int


def objects(run: FabricRun) -> Sequence[KubernetesObject]:
    """Return what the run needs in the cluster, in the order in which it is made."""
    return (run.program([PROGRAM]), run.meeting_point(), _job(run))


def _job(run: FabricRun) -> KubernetesObject:
    return run.job(
        failures={
            # A second try would hide that the first one failed.
            "backoffLimit": 0,
            "activeDeadlineSeconds": run.deadline_seconds,
            # Should nobody be left to delete it.
            "ttlSecondsAfterFinished": 3600,
        },
        pod=run.pod(_container(run), shared_memory="8Gi"),
    )


def _container(run: FabricRun) -> KubernetesObject:
    return run.torchrun(
        "all-reduce",
        "--node-rank=$(JOB_COMPLETION_INDEX)",
        f"--master-addr={run.first_pod}",
        f"--master-port={PORT}",
        f"/program/{PROGRAM.name}",
        environment={
            **ENVIRONMENT,
            "FABRIC_BACKEND": BACKENDS[run.nodes.row.device_kind],
            "FABRIC_MEBIBYTES": str(run.mebibytes),
            "FABRIC_ITERATIONS": str(run.iterations),
        },
        share=SHARE,
        mounts=[{"name": "program", "mountPath": "/program", "readOnly": True}],
    )
