"""The objects of the proof, against Kubernetes' schemas and the pools they must fit."""

import json
from dataclasses import replace

import kubernetes_validate
import pytest
from typer.testing import CliRunner

from config.loading import load
from llm_constructs.specs.hyperpod import HyperPod, Orchestrator
from llm_constructs.specs.instance_group import InstanceGroup
from llm_constructs.specs.problem import Problems, SpecificationError
from ops.__main__ import app
from ops.fabric.nodes import FabricNodes, fabric_nodes
from ops.fabric.objects import FabricRun, objects
from ops.fabric.whole_node import KubernetesObject
from ops.kubernetes.contents import AppliedObject, clusters
from ops.kubernetes.placement import check_placement
from tests.assembly import Assembly

NEURON_IMAGE = "public.ecr.aws/neuron/pytorch-training-neuronx:2.7.0"


def run_on(nodes: FabricNodes) -> FabricRun:
    return FabricRun(
        name="fabric-proof-abcdef",
        namespace="training",
        nodes=nodes,
        count=2,
        image="image:1",
        mebibytes=64,
        iterations=3,
        deadline_seconds=600,
    )


def pod_of(nodes: FabricNodes) -> KubernetesObject:
    *_, job = objects(run_on(nodes))
    pod: KubernetesObject = job["spec"]["template"]["spec"]
    return pod


PROD = load("prod")
P5EN = fabric_nodes(PROD, "training-p5en", 2)
TRN2 = fabric_nodes(PROD, "trn2-block", 2)


@pytest.mark.parametrize("nodes", [P5EN, TRN2], ids=lambda nodes: nodes.name)
def test_objects_are_valid(nodes: FabricNodes) -> None:
    made = objects(run_on(nodes))
    for item in made:
        kubernetes_validate.validate(item, "1.36", strict=True)
    assert [item["kind"] for item in made] == ["ConfigMap", "Service", "Job"]


def test_a_pod_takes_every_device_and_adapter_of_its_node() -> None:
    requests = pod_of(P5EN)["containers"][0]["resources"]["requests"]
    assert requests["nvidia.com/gpu"] == "8"
    assert requests["vpc.amazonaws.com/efa"] == "16"

    requests = pod_of(TRN2)["containers"][0]["resources"]["requests"]
    assert requests["aws.amazon.com/neuron"] == "16"
    assert requests["vpc.amazonaws.com/efa"] == "16"


def test_a_rank_runs_on_each_gpu_and_logical_core() -> None:
    assert "--nproc-per-node=8" in pod_of(P5EN)["containers"][0]["args"]
    assert "--nproc-per-node=64" in pod_of(TRN2)["containers"][0]["args"]


@pytest.mark.parametrize("nodes", [P5EN, TRN2], ids=lambda nodes: nodes.name)
def test_pods_find_the_nodes_that_the_templates_bring(
    nodes: FabricNodes, assembly: Assembly
) -> None:
    """What Karpenter does not know of a type's resources, such as huge pages, brings no node."""
    *_, job = objects(run_on(nodes))
    (contents,) = [each for each in clusters(assembly.directory) if "prod" in each.name]
    proof = AppliedObject(stack="proof", logical_id="Proof", body=job)
    problems = Problems("cluster")
    check_placement(replace(contents, objects=(*contents.objects, proof)), problems)
    problems.raise_if_any()


@pytest.mark.parametrize("nodes", [P5EN, TRN2], ids=lambda nodes: nodes.name)
def test_a_pod_tolerates_the_nodes_taints(nodes: FabricNodes) -> None:
    tolerated = {toleration["key"] for toleration in pod_of(nodes)["tolerations"]}
    assert {taint.key for taint in nodes.taints} <= tolerated


def test_groups_of_hyperpod_count_where_their_nodes_are_the_clusters() -> None:
    groups = (InstanceGroup(name="hyper", instance_type="trn2.48xlarge", count=3),)
    training = HyperPod(groups=groups, orchestrator=Orchestrator.EKS, unlisted_kubernetes=True)
    nodes = fabric_nodes(PROD.model_copy(update={"training": training}), "hyper", 3)
    assert nodes.selector == {
        "sagemaker.amazonaws.com/instance-group-name": "hyper",
        "node.kubernetes.io/instance-type": "ml.trn2.48xlarge",
    }
    assert (nodes.row.ranks, nodes.most, nodes.taints) == (64, 3, ())
    # Slurm's nodes are in no cluster of Kubernetes.
    with pytest.raises(SpecificationError, match="names none"):
        fabric_nodes(PROD, "p5en", 2)


@pytest.mark.synth
def test_selectors_name_pools_and_groups_that_the_templates_make(assembly: Assembly) -> None:
    template = json.dumps(assembly.templates["llm-prod-eks"])
    assert P5EN.selector["karpenter.sh/nodepool"] in template
    groups = {
        resource["Properties"]["NodegroupName"]
        for resource in assembly.templates["llm-prod-eks"]["Resources"].values()
        if resource["Type"] == "AWS::EKS::Nodegroup" and "NodegroupName" in resource["Properties"]
    }
    assert TRN2.selector["eks.amazonaws.com/nodegroup"] in groups


@pytest.mark.parametrize(
    ("environment", "name", "count", "sentence"),
    [
        ("prod", None, 2, "several pools and groups with EFA"),
        ("prod", "general", 2, "names none of the environment's pools"),
        ("prod", "training-p5en", 1, "between 2 nodes or more"),
        ("prod", "training-p5en", 5, "may have 4"),
        ("dev", None, 2, "No pool and no group"),
    ],
)
def test_nodes_that_cannot_prove_anything_are_refused(
    environment: str, name: str | None, count: int, sentence: str
) -> None:
    with pytest.raises(SpecificationError, match=sentence):
        fabric_nodes(load(environment), name, count)


def test_neuron_needs_an_image() -> None:
    runner = CliRunner()
    arguments = ["fabric", "--env", "prod", "--on", "trn2-block", "--print"]

    refused = runner.invoke(app, arguments)
    assert isinstance(refused.exception, SpecificationError)
    assert "image = None" in str(refused.exception)

    printed = runner.invoke(app, [*arguments, "--image", NEURON_IMAGE])
    assert printed.exit_code == 0
    *_, job = json.loads(printed.stdout)["items"]
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == NEURON_IMAGE
