"""Which plugin counts which devices."""

from typing import Any

from llm_constructs.device_plugins import neuron_types
from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents, HyperPodGroup
from ops.kubernetes.devices import check_devices
from tests.ops.kubernetes.clusters import cluster, release, workload

PLUGINS = ("nvidia-device-plugin", "neuron-helm-chart", "aws-efa-k8s-device-plugin")
TRAINIUM = HyperPodGroup(
    name="training",
    instance_types=("trn2.48xlarge",),
    labels={"aws.amazon.com/neuron.present": "true"},
    count=4,
    efa=False,
)


def told(contents: ClusterContents) -> str:
    problems = Problems("planted")
    check_devices(contents, problems)
    return str(problems.error())


def neuron_plugin(*types: str) -> dict[str, Any]:
    """Return the plugin as its chart makes it, for nodes of some types."""
    expression = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": [*types]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return workload(
        "DaemonSet",
        containers=[{"name": "plugin", "image": "public.ecr.aws/neuron/neuron-device-plugin:2"}],
        tolerations=[{"key": "aws.amazon.com/neuron", "operator": "Exists"}],
        affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
    )


def with_neuron_plugins(*plugins: dict[str, Any], **settings: Any) -> ClusterContents:
    """Return a cluster whose Neuron chart makes ``plugins``; the other charts are unknown."""
    charts = tuple(release(name) for name in PLUGINS)
    return cluster(releases=charts, **settings).with_rendered(charts[1], plugins)


def test_a_chart_that_nobody_has_rendered_is_trusted() -> None:
    assert told(cluster(releases=tuple(release(name) for name in PLUGINS))) == ""


def test_nodes_without_any_plugin_are_told() -> None:
    message = told(cluster(releases=(release("nvidia-device-plugin"),)))
    assert "group trn2 (trn2.48xlarge) = []: Its nodes have aws.amazon.com/neuron" in message
    assert "Its nodes have vpc.amazonaws.com/efa" in message
    assert "nvidia.com/gpu" not in message


def test_a_plugin_that_passes_by_hyperpods_nodes_is_told() -> None:
    # What the chart has by itself, in which Trainium 2 of HyperPod is missing.
    own = neuron_plugin("trn2.48xlarge", "ml.trn1n.32xlarge")
    message = told(with_neuron_plugins(own, hyperpod_groups=(TRAINIUM,)))
    assert "HyperPod's group training (ml.trn2.48xlarge) = []" in message
    assert "group trn2 (" not in message
    ours = neuron_plugin(*neuron_types())
    assert told(with_neuron_plugins(ours, hyperpod_groups=(TRAINIUM,))) == ""


def test_two_plugins_on_one_node_are_told() -> None:
    message = told(with_neuron_plugins(*[neuron_plugin(*neuron_types())] * 2))
    assert "with two, pods get what others have" in message


def test_eks_counts_the_devices_of_its_own_nodes() -> None:
    assert told(cluster(automatic=True)) == ""
