"""What fits together only in whole environments: accounts, roles, owners, order of removal."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from config import load
from tests.assembly import Assembly
from tests.constructs.references import predecessors
from tests.constructs.synthesis import Template

pytestmark = pytest.mark.synth

ENVIRONMENTS = ("dev", "prod", "staging")
CHARTS = "Custom::AWSCDK-EKS-HelmChart"
OBJECTS = "Custom::AWSCDK-EKS-KubernetesResource"

ADDON_NAMESPACES = {"amazon-cloudwatch-observability": "amazon-cloudwatch"}
"""Of add-ons outside kube-system."""

ADDON_ACCOUNTS = {
    "amazon-cloudwatch-observability": "cloudwatch-agent",
    "aws-ebs-csi-driver": "ebs-csi-controller-sa",
    "aws-mountpoint-s3-csi-driver": "s3-csi-driver-sa",
    "vpc-cni": "aws-node",
}
"""The service account that each add-on makes and that calls AWS.

https://docs.aws.amazon.com/eks/latest/userguide/workloads-add-ons-available-eks.html
"""


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


def associations(template: Template) -> dict[tuple[str, str], str]:
    """Return the role of every service account, whether it or an add-on is associated with it."""
    found = {
        (body["Namespace"], body["ServiceAccount"]): body["RoleArn"]["Fn::GetAtt"][0]
        for body in template.properties("AWS::EKS::PodIdentityAssociation")
    }
    for addon in template.properties("AWS::EKS::Addon"):
        for entry in addon.get("PodIdentityAssociations", []):
            namespace = ADDON_NAMESPACES.get(addon["AddonName"], "kube-system")
            found[namespace, entry["ServiceAccount"]] = entry["RoleArn"]["Fn::GetAtt"][0]
    return found


def accounts_of_charts(template: Template) -> set[tuple[str, str]]:
    """Return the service accounts that charts are told to use."""
    found = set()
    for chart in template.properties(CHARTS):
        values = json.loads(text(chart.get("Values", "{}")))
        account = values.get("serviceAccount", {})
        if "name" in (named := account.get("operator", account)):
            found.add((chart["Namespace"], named["name"]))
    return found


def test_every_role_of_pods_is_associated_with_the_one_account_that_it_trusts(
    template: Template,
) -> None:
    trusted = {}
    for key, role in template.of_type("AWS::IAM::Role").items():
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        if statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}:
            wanted = statement["Condition"]["StringEquals"]
            names = ("namespace", "service-account")
            namespace, account = (wanted[f"aws:RequestTag/kubernetes-{name}"] for name in names)
            trusted[namespace, account] = key
    assert trusted == associations(template)
    assert len(trusted) >= 6


def test_every_account_of_a_controller_is_associated_and_every_association_has_an_account(
    template: Template,
) -> None:
    addons = {addon["AddonName"] for addon in template.properties("AWS::EKS::Addon")}
    made_by_addons = {
        (ADDON_NAMESPACES.get(addon, "kube-system"), account)
        for addon, account in ADDON_ACCOUNTS.items()
        if addon in addons
    }
    assert set(associations(template)) == accounts_of_charts(template) | made_by_addons


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


def test_what_charts_and_objects_make_goes_before_its_controller(template: Template) -> None:
    controllers = {
        "keda.sh": "keda",
        "kueue.x-k8s.io": "kueue",
        "karpenter.sh": "karpenter",
        "karpenter.k8s.aws": "karpenter",
    }
    releases = {
        body["Properties"]["Release"]: key for key, body in template.of_type(CHARTS).items()
    }
    guarded = {
        key: controllers[group]
        for key, made in objects(template).items()
        if (group := made["apiVersion"].partition("/")[0]) in controllers
    }
    assert guarded
    for key, controller in guarded.items():
        assert releases[controller] in predecessors(template, key)


def test_no_chart_comes_while_kueues_webhooks_are_starting(template: Template) -> None:
    charts = template.of_type(CHARTS)
    found = {body["Properties"]["Release"]: key for key, body in charts.items()}
    if "kueue" in found:
        before = predecessors(template, found["kueue"])
        # Of the rest none makes jobs or pods but DaemonSets of kube-system.
        others = {"nvidia-device-plugin", "neuron-helm-chart", "aws-efa-k8s-device-plugin"}
        assert {key for release, key in found.items() if release not in {*others, "kueue"}} <= (
            before
        )


def test_what_controllers_request_fits_the_system_nodes_beside_what_else_runs_there(
    template: Template, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["template"]
    table = load(name).eks
    assert table is not None
    nodes = table.system_nodes
    requested = sum(
        cpu_millis(entry["cpu"])
        for chart in template.properties(CHARTS)
        for entry in requests(json.loads(text(chart.get("Values", "{}"))))
    )
    # Half: add-ons and DaemonSets take the rest, and Karpenter runs twice.
    assert 0 < requested <= nodes.row.allocatable().cpu_millis * nodes.minimum / 2


def requests(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if "requests" in value:
            yield value["requests"]
        for each in value.values():
            yield from requests(each)


def cpu_millis(quantity: str) -> int:
    return int(quantity.removesuffix("m")) * (1 if quantity.endswith("m") else 1000)


def test_devices_that_lie_side_by_side_are_chosen_where_nodes_have_several(
    template: Template, request: pytest.FixtureRequest
) -> None:
    table = load(request.node.callspec.params["template"]).eks
    assert table is not None
    enabled = [
        json.loads(chart["Values"])["scheduler"]["enabled"]
        for chart in template.properties(CHARTS)
        if chart["Release"] == "neuron-helm-chart"
    ]
    assert any(enabled) == table.needs_neuron_topology


def test_jobs_of_a_team_can_run_on_some_node_of_every_flavor(template: Template) -> None:
    pools = {pool["metadata"]["name"]: pool for pool in of_kind(template, "NodePool")}
    groups = {
        group["NodegroupName"]: group
        for group in template.properties("AWS::EKS::Nodegroup")
        if "NodegroupName" in group
    }
    for made in of_kind(template, "ResourceFlavor"):
        ((label, value),) = made["spec"]["nodeLabels"].items()
        known = {"karpenter.sh/nodepool": pools, "eks.amazonaws.com/nodegroup": groups}
        assert value in known[label]
    flavors = {made["metadata"]["name"] for made in of_kind(template, "ResourceFlavor")}
    used = {
        each["name"]
        for queue in of_kind(template, "ClusterQueue")
        for group in queue["spec"]["resourceGroups"]
        for each in group["flavors"]
    }
    assert used == flavors


def test_queues_of_namespaces_are_those_that_the_teams_queue_lets_in(template: Template) -> None:
    admitted = {
        queue["metadata"]["name"]: queue["spec"]["namespaceSelector"]["matchExpressions"][0]
        for queue in of_kind(template, "ClusterQueue")
    }
    for queue in of_kind(template, "LocalQueue"):
        selector = admitted[queue["spec"]["clusterQueue"]]
        assert queue["metadata"]["namespace"] in selector["values"]


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


def test_claims_bind_the_platforms_files_and_deleting_them_keeps_those(
    template: Template,
) -> None:
    made = objects(template).values()
    volumes = {
        each["metadata"]["name"]: each for each in made if each["kind"] == "PersistentVolume"
    }
    claims = [each for each in made if each["kind"] == "PersistentVolumeClaim"]
    namespaces = {each["metadata"]["name"] for each in made if each["kind"] == "Namespace"}
    drivers = {"lustre": "fsx.csi.aws.com", "models-serving": "s3.csi.aws.com"}
    assert namespaces == {*("serving", "training")}
    for namespace in namespaces:
        assert "lustre" in {
            claim["metadata"]["name"]
            for claim in claims
            if claim["metadata"]["namespace"] == namespace
        }
    for claim in claims:
        volume = volumes[claim["spec"]["volumeName"]]
        assert volume["spec"]["csi"]["driver"] == drivers[claim["metadata"]["name"]]
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
