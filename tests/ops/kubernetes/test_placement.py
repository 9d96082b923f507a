"""Which pods find a node."""

from dataclasses import replace
from typing import Any

import pytest

from llm_constructs.specs.problem import Problems
from ops.kubernetes.contents import AppliedObject, ClusterContents, HyperPodGroup
from ops.kubernetes.placement import check_placement
from tests.ops.kubernetes.clusters import asking, cluster, release, workload

GPU = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
NEURON = [{"key": "aws.amazon.com/neuron", "value": "true"}]


def told(contents: ClusterContents) -> str:
    problems = Problems("planted")
    check_placement(contents, problems)
    return str(problems.error())


def affinity(key: str, operator: str, *values: str) -> dict[str, Any]:
    expression = {"key": key, "operator": operator, "values": list(values)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"nodeSelector": {"karpenter.sh/nodepool": "general", "kubernetes.io/arch": "arm64"}},
        {"nodeSelector": {"topology.kubernetes.io/zone": "us-east-2b"}},
        {"tolerations": GPU, "containers": asking(nvidia_com__gpu="4", cpu="40")},
        {"tolerations": [{"operator": "Exists"}], "containers": asking(nvidia_com__gpu="8")},
        {
            "tolerations": GPU,
            "containers": asking(nvidia_com__gpu="8", vpc_amazonaws_com__efa="16"),
            "nodeSelector": {"vpc.amazonaws.com/efa.present": "true"},
        },
        {"tolerations": NEURON, "containers": asking(aws_amazon_com__neuron="16")},
        {"affinity": affinity("karpenter.sh/capacity-type", "NotIn", "spot")},
        {"affinity": affinity("nvidia.com/gpu.present", "DoesNotExist")},
        {"affinity": affinity("topology.kubernetes.io/zone", "In", "us-east-2b", "us-east-2c")},
    ],
    ids=str,
)
def test_a_pod_that_some_node_takes_is_fine(spec: dict[str, Any]) -> None:
    assert told(cluster(workload(**spec))) == ""


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"nodeSelector": {"kubernetes.io/arch": "amd64"}}, "does not tolerate the taint"),
        ({"nodeSelector": {"karpenter.sh/nodepool": "gone"}}, "karpenter.sh/nodepool In gone"),
        ({"nodeSelector": {"disk": "fast"}}, "it wants the label disk In fast"),
        (
            {"containers": asking(nvidia_com__gpu="1"), "nodeSelector": {"a": "b"}},
            "No node of the cluster takes its pods",
        ),
        (
            {"containers": asking(nvidia_com__gpu="1")},
            "it does not tolerate the taint nvidia.com/gpu",
        ),
        (
            {"tolerations": GPU, "containers": asking(nvidia_com__gpu="9")},
            "it requests 9 of nvidia.com/gpu, and a node has 4",
        ),
        (
            {
                "tolerations": GPU,
                "containers": asking(nvidia_com__gpu="1", vpc_amazonaws_com__efa="1"),
                "nodeSelector": {"node.kubernetes.io/instance-type": "g6e.12xlarge"},
            },
            "it requests 1 of vpc.amazonaws.com/efa, and a node has 0",
        ),
        ({"containers": asking(memory="2Ti")}, "of memory, and a node has"),
        ({"containers": asking(cpu="65")}, "of cpu, and"),
        (
            {"tolerations": [{"key": "nvidia.com/gpu", "value": "false"}],
             "nodeSelector": {"karpenter.sh/nodepool": "gpus"}},
            "does not tolerate the taint nvidia.com/gpu",
        ),
        (
            {"affinity": affinity("kubernetes.io/arch", "NotIn", "arm64", "amd64")},
            "kubernetes.io/arch NotIn arm64, amd64",
        ),
        (
            {
                "nodeSelector": {
                    "topology.kubernetes.io/zone": "us-east-2a",
                    "node.kubernetes.io/instance-type": "p5en.48xlarge",
                },
                "affinity": affinity("karpenter.sh/nodepool", "In", "training"),
            },
            "it wants the label topology.kubernetes.io/zone In us-east-2a",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_a_pod_that_no_node_takes_is_told_with_what_is_in_its_way(
    spec: dict[str, Any], reason: str
) -> None:
    message = told(cluster(workload(**spec)))
    assert "Deployment serving/planted of planted" in message
    assert reason in message


def test_both_halves_of_a_leader_worker_set_need_a_node() -> None:
    fits = workload()["spec"]["template"]
    waits = workload(nodeSelector={"disk": "fast"})["spec"]["template"]
    group = workload("LeaderWorkerSet")
    group["spec"] = {"leaderWorkerTemplate": {"leaderTemplate": fits, "workerTemplate": waits}}
    message = told(cluster(group))
    assert "planted (worker)" in message
    assert "planted (leader)" not in message


def test_what_starts_first_needs_its_node_as_well() -> None:
    init = [{"name": "init", "resources": {"requests": {"memory": "2Ti"}}}]
    assert "of memory" in told(cluster(workload(initContainers=init)))


def test_daemons_take_their_part_of_every_node_before_others_do() -> None:
    whole = workload(containers=asking(cpu="46"))
    assert told(cluster(whole)) == ""
    daemon = workload("DaemonSet", containers=asking(cpu="3"))
    assert "it requests 46 of cpu" in told(cluster(whole, daemon))


def test_a_daemon_of_a_chart_may_be_for_nodes_that_others_have() -> None:
    plugin = release("nvidia-device-plugin")
    daemon = workload("DaemonSet", nodeSelector={"nvidia.com/mps.capable": "true"})
    contents = cluster(releases=(plugin,)).with_rendered(plugin, [daemon])
    assert told(contents) == ""
    assert "nvidia.com/mps.capable" in told(cluster(daemon))


def test_nodes_of_hyperpod_are_nodes_like_others() -> None:
    group = HyperPodGroup(
        name="trn2",
        instance_types=("trn2.48xlarge",),
        labels={"aws.amazon.com/neuron.present": "true"},
        count=2,
        efa=True,
    )
    pod = workload(
        nodeSelector={
            "sagemaker.amazonaws.com/instance-group-name": "trn2",
            "node.kubernetes.io/instance-type": "ml.trn2.48xlarge",
        },
        containers=asking(aws_amazon_com__neuron="16", vpc_amazonaws_com__efa="16"),
    )
    assert "instance-group-name In trn2" in told(cluster(pod))
    assert told(cluster(pod, hyperpod_groups=(group,))) == ""


def test_a_pool_that_may_not_grow_far_enough_is_told() -> None:
    contents = cluster(
        workload(
            tolerations=GPU,
            containers=asking(nvidia_com__gpu="4"),
            nodeSelector={"karpenter.sh/nodepool": "gpus"},
        )
    )
    (pool,) = [made for made in contents.objects if (made.kind, made.name) == ("NodePool", "gpus")]
    assert isinstance(pool.body, dict)
    pool.body["spec"]["limits"]["nvidia.com/gpu"] = "3"
    assert "all nodes together may have 3" in told(contents)


def test_a_type_that_contradicts_its_pools_architecture_is_no_node() -> None:
    contents = cluster(workload(nodeSelector={"karpenter.sh/nodepool": "general"}))
    for made in contents.of_kind("NodePool"):
        for requirement in made.body["spec"]["template"]["spec"]["requirements"]:
            if requirement["key"] == "kubernetes.io/arch":
                requirement["values"] = ["riscv64"]
    assert "No node of the cluster takes its pods" in told(contents)


def test_controllers_that_fill_the_system_nodes_are_told() -> None:
    small = release("keda", resources={"requests": {"cpu": "500m", "memory": "1Gi"}})
    large = release("kueue", resources={"requests": {"cpu": "1500m"}})
    assert told(cluster(releases=(small,))) == ""
    assert "The charts request this much of cpu" in told(cluster(releases=(small, large)))


def controller(replicas: int, **requests: str) -> AppliedObject:
    made = workload(containers=asking(**requests))
    made["spec"]["replicas"] = replicas
    return AppliedObject(stack="planted", logical_id="Chart", body=made, chart="keda")


def test_every_copy_of_a_rendered_controller_takes_its_part_of_the_system_nodes() -> None:
    once = cluster(objects=(controller(1, cpu="1", memory="1Gi"),))
    assert told(once) == ""
    twice = cluster(objects=(controller(2, cpu="1", memory="1Gi"),))
    assert "The charts request this much of cpu" in told(twice)


def test_what_a_rendered_chart_requests_is_not_counted_by_its_values_as_well() -> None:
    resources = {"requests": {"cpu": "1"}}
    rendered = replace(release("keda", resources=resources), rendered=True)
    assert (
        told(cluster(objects=(controller(1, cpu="1", memory="1Gi"),), releases=(rendered,))) == ""
    )


@pytest.mark.parametrize(
    ("requests", "missing"),
    [({}, "no cpu and no memory"), ({"cpu": "1"}, "no memory"), ({"memory": "1Gi"}, "no cpu")],
)
def test_a_controller_without_requests_is_told(requests: dict[str, str], missing: str) -> None:
    message = told(cluster(objects=(controller(2, **requests),)))
    assert f"This container requests {missing}." in message


def test_charts_that_nobody_pins_request_what_their_authors_say() -> None:
    # HyperPod's has no value for the requests of Kubeflow's operators.
    operator = replace(controller(1), chart="hyperpod-dependencies")
    assert told(cluster(objects=(operator,))) == ""
