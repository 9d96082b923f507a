"""HyperPod's agents on an EKS cluster, from a chart that its user pins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aws_cdk import Stack
from constructs import Construct

from llm_constructs.chart_folder import Chart, is_on, pinned_chart
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.specs.hyperpod import HyperPod
from llm_constructs.specs.hyperpod_kubernetes import ChartFolder, HyperPodKubernetes
from llm_constructs.specs.problem import Problems

CHART: Final = "hyperpod-helm-chart"
RELEASE: Final = "hyperpod-dependencies"
NAMESPACE: Final = "kube-system"
"""Where AWS's page installs the chart; its part `deep-health-check` makes `aws-hyperpod`, which
all agents are in.

https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-install-packages-using-helm-chart.html
"""

AGENTS: Final = (
    "health-monitoring-agent",
    "deep-health-check",
    "job-auto-restart",
    "hyperpod-patching",
)
"""The parts of the chart without which nodes are not checked, replaced and patched."""

OWNERS: Final[Mapping[str, str]] = {
    "aws-efa-k8s-device-plugin": "the plugin of EFA that [eks] installs",
    "cert-manager": "EKS's add-on",
    "gpu-operator": "the images of nodes and the plugin of NVIDIA that [eks] installs",
    "neuron-device-plugin": "the plugin of Neuron that [eks] installs",
    "nvidia-device-plugin": "the plugin of NVIDIA that [eks] installs",
}
"""Parts of the chart that somebody else brings. A device that two plugins count is counted twice:
https://github.com/aws/sagemaker-hyperpod-cli/issues/95
"""

KUBEFLOW_IMAGES: Final[Mapping[str, str]] = {
    "mpi-operator.mpiOperator.image.repository": "docker.io/mpioperator/mpi-operator",
    "training-operators.image.repository": "docker.io/kubeflow/training-operator",
}
"""The values that name images of public registries. The health monitoring agent's is in a registry
of AWS's in each region, which a network without a way out reaches.

https://github.com/aws/sagemaker-hyperpod-cli/tree/main/helm_chart/HyperPodHelmChart/charts
"""


class HyperPodChart(Construct):
    """The chart of ``pin``, as ``installed``, which a HyperPod cluster has to come after.

    A path in ``pin`` is relative to ``root``. Nobody waits for its pods, for they run on the nodes
    of the cluster that comes after it.

    Raises :class:`SpecificationError` when the folder is not what was pinned, lacks an agent, or
    would install what the platform installs already.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        pin: ChartFolder,
        root: Path,
        spec: HyperPod,
    ) -> None:
        super().__init__(scope, construct_id)
        chart = pinned_chart(pin, root=root, name=CHART)
        values = chart_values(spec, region=Stack.of(self).region)
        check_parts(chart, values)
        kubernetes = spec.kubernetes or HyperPodKubernetes()
        self.installed = cluster.kubectl.install_folder(
            self,
            "Chart",
            folder=chart.folder,
            digest=chart.digest,
            release=RELEASE,
            namespace=NAMESPACE,
            values=values,
            images=KUBEFLOW_IMAGES if kubernetes.kubeflow else {},
        )


def chart_values(spec: HyperPod, *, region: str) -> dict[str, Any]:
    """Return the chart's values, by which each of its parts runs only if ``spec`` needs it.

    https://github.com/aws/sagemaker-hyperpod-cli/blob/main/helm_chart/HyperPodHelmChart/values.yaml
    """
    kubernetes = spec.kubernetes or HyperPodKubernetes()
    off: dict[str, Any] = {"enabled": False}
    plugin_off: dict[str, Any] = {"devicePlugin": off}
    return {
        "global": {"region": region},
        "health-monitoring-agent": {"enabled": True, "region": region},
        # Also where nothing is checked: it makes the namespace that the other agents are in.
        "deep-health-check": {"enabled": True},
        # It starts jobs again on the nodes that take the place of broken ones.
        "job-auto-restart": {"enabled": spec.node_recovery},
        "hyperpod-patching": {"enabled": True},
        "trainingOperators": {"enabled": kubernetes.kubeflow},
        "mpi-operator": {"enabled": kubernetes.kubeflow},
        "nvidia-device-plugin": plugin_off,
        "neuron-device-plugin": plugin_off,
        "aws-efa-k8s-device-plugin": plugin_off,
        "gpu-operator": off,
        "cert-manager": off,
        # What the chart offers besides, and the platform does in its own way or not at all.
        "cluster-role-and-bindings": off,
        "hyperpod-ray-endpoint-operator": off,
        "inferenceOperators": off,
        "kuberay": off,
        "mlflow": off,
        "namespaced-role-and-bindings": {"enable": False, "enabled": False},
        "storage": off,
        "team-role-and-bindings": off,
    }


def check_parts(chart: Chart, values: Mapping[str, Any]) -> None:
    """Raise :class:`SpecificationError` unless ``chart`` has every agent, and by ``values`` nothing
    of what others own."""
    problems = Problems(f"chart {chart.name} {chart.version}")
    parts = {part.name: part for part in chart.dependencies}
    for name in AGENTS:
        problems.require(
            name in parts,
            "chart",
            name,
            "The chart has no such part, without which HyperPod does not look after nodes.",
            "Pin a version that has it.",
        )
    for name, owner in OWNERS.items():
        problems.require(
            name not in parts or not is_on(values, parts[name].condition),
            "chart",
            name,
            f"It would run beside {owner}, for this version turns it off by another value.",
            "Pin a version that the platform knows, or take the part out of the folder.",
        )
    problems.raise_if_any()
