"""Who is in charge of what."""

from typing import Any

import pytest

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import ClusterContents
from ops.kubernetes.ownership import check_ownership
from tests.ops.kubernetes.clusters import cluster, named, release, workload

AGENT: tuple[str, dict[str, Any]] = ("eks-node-monitoring-agent", {})
INSIGHTS: dict[str, Any] = {
    "agent": {
        "config": {
            "logs": {"metrics_collected": {"kubernetes": {"accelerated_compute_metrics": True}}}
        }
    }
}
EXPORTER = [{"name": "dcgm", "image": "nvcr.io/nvidia/k8s/dcgm-exporter:4.8.1@sha256:0"}]


def told(contents: ClusterContents) -> str:
    problems = Problems("planted")
    check_ownership(contents, problems)
    return str(problems.error())


@pytest.mark.parametrize(
    ("contents", "concern"),
    [
        (
            cluster(releases=(release("nvidia-device-plugin"), release("gpu-operator"))),
            "the NVIDIA device plugin",
        ),
        (cluster(releases=(release("dcgm-exporter"),), addons=(AGENT,)), "DCGM"),
        (cluster(addons=(AGENT, ("amazon-cloudwatch-observability", INSIGHTS))), "DCGM"),
        (cluster(workload("DaemonSet", containers=EXPORTER), addons=(AGENT,)), "DCGM"),
        (cluster(releases=(release("kueue"), release("volcano"))), "quotas and queues"),
        (
            cluster(
                releases=(release("aws-ebs-csi-driver"),), addons=(("aws-ebs-csi-driver", {}),)
            ),
            "block storage",
        ),
        (cluster(releases=(release("karpenter"),), automatic=True), "launching of nodes"),
        (
            cluster(releases=(release("metrics-server"),), addons=(("metrics-server", {}),)),
            "the API of resource metrics",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_two_owners_of_one_concern_are_told(contents: ClusterContents, concern: str) -> None:
    message = told(contents)
    assert f"planted: {concern} = [" in message
    assert "Keep one of them." in message


def test_one_owner_of_each_concern_is_fine() -> None:
    contents = cluster(
        workload("DaemonSet", containers=EXPORTER),
        releases=(release("nvidia-device-plugin"), release("karpenter"), release("kueue")),
        addons=(("metrics-server", {}), ("amazon-cloudwatch-observability", {})),
    )
    assert told(contents) == ""


def test_what_a_rendered_chart_makes_is_no_second_owner() -> None:
    exporter = release("dcgm-exporter")
    contents = cluster(releases=(exporter,)).with_rendered(
        exporter, [workload("DaemonSet", containers=EXPORTER)]
    )
    assert told(contents) == ""


def test_a_chart_that_brings_what_another_owns_is_told() -> None:
    # As HyperPod's chart does, unless its part is off.
    hyperpod = release("hyperpod-dependencies")
    plugin = [{"name": "plugin", "image": "nvcr.io/nvidia/k8s-device-plugin:v0.16.1"}]
    contents = cluster(releases=(release("nvidia-device-plugin"), hyperpod)).with_rendered(
        hyperpod, [workload("DaemonSet", containers=plugin)]
    )
    message = told(contents)
    assert "the chart hyperpod-dependencies" in message
    assert "the chart nvidia-device-plugin" in message


def test_what_is_installed_twice_is_told() -> None:
    twice = named("ConfigMap", "settings")
    message = told(cluster(twice, twice, releases=(release("keda"), release("keda"))))
    assert "release = 'kube-system/keda': It is installed 2 times" in message
    assert "object = ' ConfigMap serving settings'" in message


def test_a_service_in_the_place_of_a_groups_own_is_told() -> None:
    group = named("LeaderWorkerSet", "large", spec={"leaderWorkerTemplate": {}})
    assert told(cluster(group, named("Service", "large-leaders"))) == ""
    assert "LeaderWorkerSet" in told(cluster(group, named("Service", "large")))
