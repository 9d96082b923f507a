"""What HyperPod brings to the EKS cluster that orchestrates it."""

import re
from dataclasses import dataclass

from llm_constructs.specs.problem import Problems

_VERSION = re.compile(r"\d+\.\d+\.\d+([-+][\w.+-]+)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class ChartFolder:
    """HyperPod's Helm chart in a folder of yours. AWS keeps it in a repository of Git, at
    `helm_chart/HyperPodHelmChart`, and publishes it nowhere.

    https://github.com/aws/sagemaker-hyperpod-cli
    """

    path: str
    """The folder with `Chart.yaml`, from the root of this repository or absolute. What the chart
    depends on lies in its `charts/`, where `helm dependency build` puts it."""
    version: str
    """The version in its `Chart.yaml`."""
    digest: str
    """The checksum of all its files, as in `sha256:…`. A wrong one is answered with the right
    one, to be pinned once the files have been read."""

    def __post_init__(self) -> None:
        problems = Problems("chart")
        problems.require(
            bool(self.path.strip()),
            "path",
            self.path,
            "It names no folder.",
            "Give the folder of HyperPod's chart, such as charts/HyperPodHelmChart.",
        )
        problems.require(
            _VERSION.fullmatch(self.version) is not None,
            "version",
            self.version,
            "Charts have versions of three numbers.",
            "Copy the one of Chart.yaml.",
        )
        problems.require(
            _DIGEST.fullmatch(self.digest) is not None,
            "digest",
            self.digest,
            "It is no checksum of SHA-256.",
            "Write sha256: and 64 hexadecimal digits; any will do at first, and are corrected.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class HyperPodKubernetes:
    """HyperPod's chart and add-ons on the EKS cluster that orchestrates the nodes."""

    chart: ChartFolder | None = None
    """HyperPod's agents, installed before the cluster. Left out: somebody installs the chart by
    hand before the first deployment, for nodes are neither watched nor replaced without it."""
    kubeflow: bool = True
    """Whether the chart brings Kubeflow's controllers of PyTorchJob and MPIJob."""
    training_operator: bool = False
    """Whether HyperPod's training operator restarts the processes of a job in place of the job."""
    task_governance: bool = False
    """Whether HyperPod keeps the quotas of `[[eks.teams]]`, with a Kueue of its own. Otherwise the
    platform's Kueue does."""
    observability: bool = False
    """Whether HyperPod's metrics of nodes and training go to the cluster's Prometheus workspace."""
