"""HyperPod on the platform's EKS cluster: what is made, and in which order."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]
from jsonschema import Draft7Validator

from config import ConfigError
from llm_constructs.hyperpod_addons import HyperPodAddons
from llm_constructs.specs.cluster_addon import hyperpod_addons
from llm_constructs.specs.hyperpod_kubernetes import HyperPodKubernetes
from llm_constructs.specs.problem import SpecificationError
from stacks.platform import add_stacks, build_app
from tests.constructs.eks import cluster_in
from tests.constructs.hyperpod_chart import write_chart
from tests.constructs.references import predecessors
from tests.constructs.synthesis import ENVIRONMENT, Resource, Template, app
from tests.minimal_environment import loaded, minimal_with_accelerators

TEAMS = """
[[eks.teams]]
name = "research"
quotas = [{ pool = "p5", devices = 8 }, { pool = "p5-late", devices = 8 }, { pool = "cpu", vcpus = 4, memory_gib = 16 }]

[[eks.teams]]
name = "applications"
quotas = [{ pool = "p5", devices = 8 }]
borrows = false
preemption = "never"
"""  # noqa: E501 - one line of TOML

FILE = (
    minimal_with_accelerators("us-west-2")
    + """
[data]

[lustre]

[eks.system_nodes]
ami_release = "1.36.3-20260903"
{teams}
[training]
orchestrator = "eks"
unlisted_kubernetes = true

[training.kubernetes]
training_operator = true
task_governance = {governed}
observability = true
chart = {chart}

[[training.groups]]
name = "p5"
instance_type = "p5.48xlarge"
count = 2

[[training.groups]]
name = "p5-late"
instance_type = "p5.48xlarge"
count = 1

[[training.groups]]
name = "cpu"
instance_type = "m7i.2xlarge"
count = 1
"""
)

QUEUED = """
[[eks.teams]]
name = "research"
namespaces = ["training"]
quotas = [{ pool = "p5", devices = 8 }]
"""


def text(folder: Path, *, teams: str = TEAMS, governed: bool = True) -> str:
    pin = write_chart(folder / "chart")
    chart = f'{{ path = "{pin.path}", version = "{pin.version}", digest = "{pin.digest}" }}'
    return FILE.format(teams=teams, governed=str(governed).lower(), chart=chart)


def templates(folder: Path, content: str) -> Mapping[str, Template]:
    """Return the stacks of an environment by name, without the checks of a deployment."""
    environment = loaded(folder, content)
    root = build_app([], context=zones())
    add_stacks(root, environment)
    return {
        stack.stack_name.removeprefix("llm-team-"): Template(stack.template)
        for stack in root.synth().stacks
    }


def zones() -> dict[str, list[str]]:
    key = "availability-zones:account=111111111111:region=us-west-2"
    return {key: ["us-west-2a", "us-west-2b"]}


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Template]:
    folder = tmp_path_factory.mktemp("governed")
    return templates(folder, text(folder))


@pytest.fixture(scope="module")
def training(governed: Mapping[str, Template]) -> Template:
    return governed["training"]


def one(template: Template, kind: str, **properties: Any) -> str:
    """Return the id of the one resource of a type with these properties."""
    (found,) = [
        key
        for key, resource in template.of_type(kind).items()
        if properties.items() <= resource.get("Properties", {}).items()
    ]
    return found


def addon(template: Template, name: str) -> str:
    return one(template, "AWS::EKS::Addon", AddonName=name)


def quotas(template: Template) -> dict[str, Resource]:
    return {
        quota["Properties"]["Name"]: quota["Properties"]
        for quota in template.of_type("AWS::SageMaker::ComputeQuota").values()
    }


def order(template: Template) -> list[str]:
    return [
        one(template, "Custom::AWSCDK-EKS-HelmChart"),
        one(template, "AWS::SageMaker::Cluster"),
        addon(template, "amazon-sagemaker-hyperpod-taskgovernance"),
        one(template, "Custom::HyperPodGovernance"),
        one(template, "AWS::SageMaker::ComputeQuota", Name="research"),
    ]


def test_the_chart_comes_before_the_nodes_and_quotas_go_before_everything(
    training: Template,
) -> None:
    steps = order(training)
    for earlier, later in itertools.pairwise(steps):
        assert earlier in predecessors(training, later)
        assert later not in predecessors(training, earlier)


def test_every_addon_of_hyperpod_is_installed_at_its_pin(training: Template) -> None:
    every = HyperPodKubernetes(training_operator=True, task_governance=True, observability=True)
    assert {
        (addon["AddonName"], addon["AddonVersion"])
        for addon in training.properties("AWS::EKS::Addon")
    } == {(addon.name, addon.version) for addon in hyperpod_addons(every)}


def test_the_operator_has_its_identity_before_it_starts(training: Template) -> None:
    operator = addon(training, "amazon-sagemaker-hyperpod-training-operator")
    before = predecessors(training, operator)
    identity = one(
        training,
        "AWS::EKS::PodIdentityAssociation",
        Namespace="aws-hyperpod",
        ServiceAccount="hp-training-operator-controller-manager",
    )
    assert {identity, addon(training, "cert-manager")} <= before
    assert "PodIdentityAssociations" not in training.resources[operator]["Properties"]
    policies = [
        key for key in before if training.resources.get(key, {}).get("Type") == "AWS::IAM::Policy"
    ]
    assert "sagemaker:DescribeClusterNode" in str([training.resources[key] for key in policies])


def test_the_operator_may_look_at_the_nodes_of_its_cluster_alone(training: Template) -> None:
    cluster = one(training, "AWS::SageMaker::Cluster")
    (statement,) = [
        statement
        for policy in training.properties("AWS::IAM::Policy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "sagemaker:DescribeClusterNode"
    ]
    assert statement["Resource"] == {"Fn::GetAtt": [cluster, "ClusterArn"]}
    assert {"Key": "SageMaker", "Value": "true"} in training.resources[cluster]["Properties"][
        "Tags"
    ]


def test_metrics_go_to_the_workspace_of_the_cluster_and_no_second_dcgm_runs(
    training: Template,
) -> None:
    made = training.resources[addon(training, "amazon-sagemaker-hyperpod-observability")]
    properties = made["Properties"]
    (association,) = properties["PodIdentityAssociations"]
    assert association["ServiceAccount"] == "hyperpod-observability-operator-otel-collector"
    configuration = json.loads(flat(properties["ConfigurationValues"]))
    levels = {key: value["level"] for key, value in configuration["metricsProvider"].items()}
    assert levels["acceleratedComputeMetrics"] == "DISABLED"
    assert levels["nodeMetrics"] == levels["trainingMetrics"] == "BASIC"
    assert configuration["ampWorkspace"]["prometheusEndpoint"].startswith("https://aps-workspaces.")
    assert "aps:RemoteWrite" in str(training.properties("AWS::IAM::Policy"))


def test_metrics_without_a_workspace_are_refused() -> None:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    with pytest.raises(SpecificationError, match="need a workspace"):
        HyperPodAddons(
            stack,
            "Addons",
            cluster=cluster_in(stack),
            kubernetes=HyperPodKubernetes(observability=True),
            cluster_arn="arn:aws:sagemaker:us-east-2:111111111111:cluster/abcdefghij12",
            prometheus=None,
            after=[],
        )


def flat(value: Any) -> str:
    """Return a string of a template with a word in place of each intrinsic."""
    if isinstance(value, dict) and "Fn::Join" in value:
        return "".join(flat(part) for part in value["Fn::Join"][1])
    return value if isinstance(value, str) else "reference"


def test_there_is_one_kueue(governed: Mapping[str, Template]) -> None:
    charts = [
        chart.get("Release") for chart in governed["eks"].properties("Custom::AWSCDK-EKS-HelmChart")
    ]
    assert charts
    assert "kueue" not in charts
    assert "ClusterQueue" not in str(governed["eks"].resources)
    assert addon(governed["training"], "amazon-sagemaker-hyperpod-taskgovernance")


def test_quotas_are_counted_by_type_of_instance(training: Template) -> None:
    research, applications = quotas(training)["research"], quotas(training)["applications"]
    assert research["ComputeQuotaConfig"] == {
        "ComputeQuotaResources": [
            {"InstanceType": "ml.p5.48xlarge", "Accelerators": 16},
            {"InstanceType": "ml.m7i.2xlarge", "VCpu": 4, "MemoryInGiB": 16},
        ],
        "ResourceSharingConfig": {"Strategy": "LendAndBorrow", "BorrowLimit": 500},
        "PreemptTeamTasks": "LowerPriority",
    }
    sharing = applications["ComputeQuotaConfig"]
    assert sharing["ResourceSharingConfig"] == {"Strategy": "Lend"}
    assert sharing["PreemptTeamTasks"] == "Never"


def test_quotas_are_what_cloudformation_knows(training: Template) -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(
        "us-west-2", "AWS::SageMaker::ComputeQuota"
    ).schema
    for quota in quotas(training).values():
        # The ARN is known to the deployment alone, and shaped like this.
        arn = "arn:aws:sagemaker:us-west-2:111111111111:cluster/abcdefghij12"
        # The pattern of tags is in a dialect that Python's expressions do not know.
        assert {"owner", "cost-center"} <= {tag["Key"] for tag in quota["Tags"]}
        told = {key: value for key, value in quota.items() if key != "Tags"}
        errors = list(Draft7Validator(schema).iter_errors({**told, "ClusterArn": arn}))
        assert errors == []


def test_the_policy_is_made_by_a_function_where_cloudformation_has_none(
    training: Template,
) -> None:
    resource = training.resources[one(training, "Custom::HyperPodGovernance")]["Properties"]
    assert resource["Kind"] == "ClusterSchedulerConfig"
    configuration = json.loads(flat(resource["Configuration"]))
    assert configuration["SchedulerConfig"]["IdleResourceSharing"] == "Enabled"
    names = {entry["Name"] for entry in configuration["SchedulerConfig"]["PriorityClasses"]}
    assert {"urgent", "background"} <= names


def test_each_team_mounts_the_file_system_in_the_namespace_of_its_quota(
    training: Template,
) -> None:
    for name, quota in (("research", "research"), ("applications", "applications")):
        (claim,) = [
            key
            for key, resource in training.of_type("Custom::AWSCDK-EKS-KubernetesResource").items()
            if '"PersistentVolumeClaim"' in flat(resource["Properties"]["Manifest"])
            and f'"hyperpod-ns-{name}"' in flat(resource["Properties"]["Manifest"])
        ]
        made = one(training, "AWS::SageMaker::ComputeQuota", Name=quota)
        assert made in predecessors(training, claim)


def test_without_governance_the_platforms_kueue_shares_hyperpods_nodes(tmp_path: Path) -> None:
    made = templates(tmp_path, text(tmp_path, teams=QUEUED, governed=False))
    objects = flat_manifests(made["eks"])
    (flavor,) = [one for one in objects if one["kind"] == "ResourceFlavor"]
    assert flavor["spec"]["nodeLabels"] == {"sagemaker.amazonaws.com/instance-group-name": "p5"}
    assert "amazon-sagemaker-hyperpod-taskgovernance" not in str(made["training"].resources)
    assert made["training"].of_type("AWS::SageMaker::ComputeQuota") == {}
    (kueue,) = [
        chart
        for chart in made["eks"].properties("Custom::AWSCDK-EKS-HelmChart")
        if chart["Release"] == "kueue"
    ]
    assert "HyperPodPytorchJob.v1.sagemaker.amazonaws.com" in kueue["Values"]


def flat_manifests(template: Template) -> list[dict[str, Any]]:
    return [
        json.loads(flat(resource["Manifest"]))[0]
        for resource in template.properties("Custom::AWSCDK-EKS-KubernetesResource")
    ]


@pytest.mark.parametrize(
    ("teams", "governed", "said"),
    [
        (QUEUED, True, "makes hyperpod-ns-research"),
        (QUEUED.replace('namespaces = ["training"]\n', ""), False, "Without a namespace"),
        (TEAMS.replace('pool = "p5"', 'pool = "p6"'), True, "There is no pool or group"),
        (TEAMS.replace("devices = 8", "devices = 9000"), True, "can give pods 16 at most"),
        (TEAMS.replace("borrows = false", "lends = false"), True, "borrows and does not lend"),
        ("", True, "No team has a quota"),
        ("\n[eks.prometheus]\nenabled = false\n" + TEAMS, True, "no Prometheus workspace"),
    ],
)
def test_what_cannot_be_governed_is_refused_with_a_remedy(
    teams: str, governed: bool, said: str, tmp_path: Path
) -> None:
    content = text(tmp_path, teams=teams, governed=governed)
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, content)
    assert said in str(caught.value)


def test_quotas_on_other_nodes_or_on_several_types_are_not_governed(tmp_path: Path) -> None:
    pool = """
[[eks.pools]]
name = "general"
instance_families = ["m7g"]
max_vcpus = 64
ami_version = "v20260903"

[[eks.teams]]
name = "others"
quotas = [{ pool = "general", vcpus = 4 }]
"""
    content = text(tmp_path, teams=pool + TEAMS).replace(
        'name = "p5-late"', 'name = "p5-late"\nfallback_types = ["p5en.48xlarge"]'
    )
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, content)
    assert "HyperPod's own nodes alone" in str(caught.value)
    assert "counts by type" in str(caught.value)


@pytest.mark.slow
def test_nobody_finds_fault_with_it(tmp_path: Path) -> None:
    outdir = tmp_path / "out"
    build_app([loaded(tmp_path, text(tmp_path))], outdir=outdir).synth()
    plugins = json.loads((outdir / "validation-report.json").read_text())["pluginReports"]
    found = [
        (violation["ruleName"], where.get("constructPath"))
        for plugin in plugins
        for violation in plugin["violations"]
        for where in violation["violatingConstructs"]
    ]
    assert found == []
