"""Models of whole environments: schemas, pools, and what the gateway is told."""

import json
from typing import Any

import pytest

from config import load
from tests.assembly import Assembly
from tests.constructs.model_servers import judge
from tests.constructs.synthesis import Template

pytestmark = pytest.mark.synth

ENVIRONMENTS = ("dev", "prod", "staging")
OBJECTS = "Custom::AWSCDK-EKS-KubernetesResource"


def text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "".join(part if isinstance(part, str) else "x" for part in value["Fn::Join"][1])


def objects(template: Template) -> list[Any]:
    return [json.loads(text(body["Manifest"]))[0] for body in template.properties(OBJECTS)]


@pytest.fixture(params=ENVIRONMENTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def template(name: str, assembly: Assembly) -> Template:
    return Template(assembly.templates[f"llm-{name}-serving"])


def test_every_object_is_what_its_schema_says(template: Template) -> None:
    made = objects(template)
    assert made
    for each in made:
        judge(each)


def test_every_pod_finds_a_node_of_its_environments_cluster(
    name: str, template: Template, assembly: Assembly
) -> None:
    """Compare what is applied: selectors and tolerations with NodePools and their limits."""
    cluster = objects(Template(assembly.templates[f"llm-{name}-eks"]))
    made = [each for each in cluster if each["kind"] == "NodePool"]
    pools = {each["metadata"]["name"]: each["spec"] for each in made}
    served = [
        each["spec"]["template"]["spec"]
        for each in objects(template)
        if each["kind"] == "Deployment" and "router" not in each["metadata"]["name"]
    ]
    assert served
    for spec in served:
        pool = pools[spec["nodeSelector"]["karpenter.sh/nodepool"]]
        allowed = {it["key"]: it["values"] for it in pool["template"]["spec"]["requirements"]}
        for key in ("node.kubernetes.io/instance-type", "kubernetes.io/arch"):
            assert spec["nodeSelector"][key] in allowed[key]
        tolerated = {toleration["key"] for toleration in spec["tolerations"]}
        assert {taint["key"] for taint in pool["template"]["spec"]["taints"]} <= tolerated
        (container,) = spec["containers"]
        requested = int(container["resources"]["requests"]["nvidia.com/gpu"])
        assert requested <= int(pool["limits"]["nvidia.com/gpu"])


def test_what_the_models_need_of_the_cluster_is_installed(
    name: str, template: Template, assembly: Assembly
) -> None:
    kinds = {each["kind"] for each in objects(template)}
    releases = {
        chart["Release"]
        for chart in Template(assembly.templates[f"llm-{name}-eks"]).properties(
            "Custom::AWSCDK-EKS-HelmChart"
        )
    }
    assert "aws-load-balancer-controller" in releases
    assert ("ScaledObject" in kinds) <= ("keda" in releases)
    claims = {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in objects(Template(assembly.templates[f"llm-{name}-eks"]))
        if each["kind"] == "Namespace" or each["kind"] == "PersistentVolumeClaim"
        if "namespace" in each["metadata"]
    }
    assert ("serving", "lustre") in claims


def test_service_accounts_have_their_association(template: Template) -> None:
    associated = {
        (body["Namespace"], body["ServiceAccount"])
        for body in template.properties("AWS::EKS::PodIdentityAssociation")
    }
    calling_aws = {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in objects(template)
        if each["kind"] == "ServiceAccount" and each.get("automountServiceAccountToken") is False
    }
    assert calling_aws == associated


def test_outputs_say_how_each_model_is_called(name: str, assembly: Assembly) -> None:
    serving = load(name).serving
    domain = load(name).network.domain
    assert serving is not None
    assert domain is not None
    outputs = assembly.templates[f"llm-{name}-serving"]["Outputs"]
    urls = {body["Value"] for key, body in outputs.items() if key.endswith("Url")}
    assert urls == {f"https://{model.name}.{domain.name}/v1" for model in serving.models}
    assert sum(key.endswith("KeySecret") for key in outputs) == len(serving.models)


def test_the_serving_stack_goes_before_the_cluster_and_the_data(
    name: str, assembly: Assembly
) -> None:
    manifest = json.loads((assembly.directory / "manifest.json").read_text())
    needed = manifest["artifacts"][f"llm-{name}-serving"]["dependencies"]
    assert {f"llm-{name}-eks", f"llm-{name}-data", f"llm-{name}-network"} <= set(needed)
