"""What fits together only in whole environments: accounts, roles, owners, order of removal."""

import json
from typing import Any

import pytest

from tests.assembly import Assembly
from tests.constructs.references import predecessors
from tests.constructs.synthesis import Template

pytestmark = pytest.mark.synth

ENVIRONMENTS = ("dev", "prod", "staging")
CHARTS = "Custom::AWSCDK-EKS-HelmChart"
OBJECTS = "Custom::AWSCDK-EKS-KubernetesResource"


@pytest.fixture(params=ENVIRONMENTS)
def template(request: pytest.FixtureRequest, assembly: Assembly) -> Template:
    return Template(assembly.templates[f"llm-{request.param}-eks"])


def text(value: Any) -> str:
    """Return a string with `x` in the place of every reference."""
    if isinstance(value, str):
        return value
    return "".join(part if isinstance(part, str) else "x" for part in value["Fn::Join"][1])


def objects(template: Template) -> dict[str, Any]:
    return {
        key: json.loads(text(body["Properties"]["Manifest"]))[0]
        for key, body in template.of_type(OBJECTS).items()
    }


def of_kind(template: Template, kind: str) -> list[dict[str, Any]]:
    return [made for made in objects(template).values() if made["kind"] == kind]


def test_every_role_of_pods_is_associated_with_its_service_account(template: Template) -> None:
    trusted = {}
    for key, role in template.of_type("AWS::IAM::Role").items():
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        if statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}:
            wanted = statement["Condition"]["StringEquals"]
            trusted[key] = wanted["aws:RequestTag/kubernetes-service-account"]
    associated = {
        body["RoleArn"]["Fn::GetAtt"][0]: body["ServiceAccount"]
        for body in template.properties("AWS::EKS::PodIdentityAssociation")
    }
    for addon in template.properties("AWS::EKS::Addon"):
        for entry in addon.get("PodIdentityAssociations", []):
            associated[entry["RoleArn"]["Fn::GetAtt"][0]] = entry["ServiceAccount"]
    assert trusted == associated
    assert len(set(associated.values())) == len(associated) >= 5


def test_every_chart_that_calls_aws_uses_an_associated_account(template: Template) -> None:
    accounts = {
        (body["Namespace"], body["ServiceAccount"])
        for body in template.properties("AWS::EKS::PodIdentityAssociation")
    }
    named = {
        (chart["Namespace"], values["serviceAccount"]["name"])
        for chart in template.properties(CHARTS)
        if "serviceAccount" in (values := json.loads(text(chart.get("Values", "{}"))))
    }
    assert named == accounts


def test_nothing_is_installed_twice(template: Template) -> None:
    releases = [chart["Release"] for chart in template.properties(CHARTS)]
    addons = [addon["AddonName"] for addon in template.properties("AWS::EKS::Addon")]
    names = [(made["kind"], json.dumps(made["metadata"])) for made in objects(template).values()]
    for installed in (releases, addons, names):
        assert len(set(installed)) == len(installed)


def test_one_program_owns_dcgm(template: Template) -> None:
    addons = {
        addon["AddonName"]: json.loads(addon.get("ConfigurationValues", "{}"))
        for addon in template.properties("AWS::EKS::Addon")
    }
    insights = addons["amazon-cloudwatch-observability"]["agent"]["config"]["logs"]
    owners = [
        "eks-node-monitoring-agent" in addons,
        insights["metrics_collected"]["kubernetes"]["accelerated_compute_metrics"],
        any(
            chart["Release"] in {"gpu-operator", "dcgm-exporter"}
            for chart in template.properties(CHARTS)
        ),
    ]
    assert owners.count(True) == 1


def test_whatever_is_applied_goes_while_the_cluster_still_works(template: Template) -> None:
    needed = {
        *template.of_type("AWS::EKS::Addon"),
        *(key for key in template.of_type("AWS::EKS::Nodegroup") if key.startswith("System")),
        *(
            key
            for key, body in template.of_type("AWS::EKS::AccessEntry").items()
            if "KubectlRole" in json.dumps(body["Properties"]["PrincipalArn"])
        ),
    }
    applied = [*template.of_type(CHARTS), *template.of_type(OBJECTS)]
    assert applied
    for key in applied:
        assert needed <= predecessors(template, key)


def test_nodes_go_before_the_network_plugin_that_their_pods_need(template: Template) -> None:
    plugin = {
        key
        for key, body in template.of_type("AWS::EKS::Addon").items()
        if body["Properties"]["AddonName"] in {"vpc-cni", "eks-pod-identity-agent", "kube-proxy"}
    }
    assert len(plugin) == 3
    for group in template.of_type("AWS::EKS::Nodegroup"):
        assert plugin <= predecessors(template, group)


def test_claims_bind_the_platforms_file_system_and_deleting_them_keeps_it(
    template: Template,
) -> None:
    made = objects(template).values()
    volumes = {
        each["metadata"]["name"]: each for each in made if each["kind"] == "PersistentVolume"
    }
    claims = [each for each in made if each["kind"] == "PersistentVolumeClaim"]
    namespaces = {each["metadata"]["name"] for each in made if each["kind"] == "Namespace"}
    assert (
        {claim["metadata"]["namespace"] for claim in claims}
        == namespaces
        == {*("serving", "training")}
    )
    for claim in claims:
        volume = volumes[claim["spec"]["volumeName"]]
        assert volume["spec"]["csi"]["driver"] == "fsx.csi.aws.com"
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert volume["spec"]["claimRef"]["namespace"] == claim["metadata"]["namespace"]


def test_claims_without_a_class_get_encrypted_volumes(template: Template) -> None:
    (storage,) = of_kind(template, "StorageClass")
    assert storage["metadata"]["annotations"] == {
        "storageclass.kubernetes.io/is-default-class": "true"
    }
    assert storage["parameters"]["encrypted"] == "true"
    assert all(isinstance(value, str) for value in storage["parameters"].values())
    addons = {addon["AddonName"] for addon in template.properties("AWS::EKS::Addon")}
    assert storage["provisioner"] == "ebs.csi.aws.com"
    assert "aws-ebs-csi-driver" in addons


def test_every_pool_has_its_class_and_its_plugins(template: Template) -> None:
    classes = {each["metadata"]["name"] for each in of_kind(template, "EC2NodeClass")}
    pools = of_kind(template, "NodePool")
    releases = {chart["Release"] for chart in template.properties(CHARTS)}
    assert {pool["metadata"]["name"] for pool in pools} == classes
    plugins = {
        "nvidia.com/gpu.present": "nvidia-device-plugin",
        "aws.amazon.com/neuron.present": "neuron-helm-chart",
        "vpc.amazonaws.com/efa.present": "aws-efa-k8s-device-plugin",
    }
    labels = {
        label for pool in pools for label in pool["spec"]["template"]["metadata"]["labels"]
    } | {
        label
        for group in template.properties("AWS::EKS::Nodegroup")
        for label in group.get("Labels", {})
    }
    assert {plugins[label] for label in labels} == releases & set(plugins.values())


def test_retained_clusters_refuse_deletion(assembly: Assembly) -> None:
    protected = {
        name: Template(assembly.templates[f"llm-{name}-eks"]).only("AWS::EKS::Cluster")[
            "DeletionProtection"
        ]
        for name in ENVIRONMENTS
    }
    assert protected == {"dev": False, "staging": True, "prod": True}
