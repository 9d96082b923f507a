"""KEDA, LeaderWorkerSet, external-dns, Kueue, mounts of models, and monitors of devices."""

import json
import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsonschema
import kubernetes_validate
import pytest
from aws_cdk import aws_route53 as route53
from hypothesis import given
from hypothesis import strategies as st

from llm_constructs.data_lake import DataLake
from llm_constructs.dcgm_exporter import dcgm_values
from llm_constructs.device_plugins import (
    NEURON_SCHEDULER,
    SCHEDULER_TAGS,
    DevicePlugins,
    neuron_values,
)
from llm_constructs.external_dns import ExternalDns
from llm_constructs.keda import Keda, keda_values, trigger_authentication
from llm_constructs.kueue import Kueue, manager_configuration
from llm_constructs.leader_worker_set import LeaderWorkerSets
from llm_constructs.model_mounts import ModelMounts
from llm_constructs.neuron_monitor import neuron_monitor
from llm_constructs.prometheus import Prometheus
from llm_constructs.specs.controller_charts import NEURON
from llm_constructs.specs.controllers import Controllers
from llm_constructs.specs.eks import KUBERNETES_VERSIONS
from llm_constructs.specs.instance_type import DeviceKind
from llm_constructs.specs.mounted_folder import MountedFolder, folder_that_holds
from llm_constructs.specs.network import Domain
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.specs.prometheus import PrometheusMetrics
from tests.constructs.custom_resources import CRDS, schemas
from tests.constructs.eks import cluster_in
from tests.constructs.references import predecessors
from tests.constructs.rule_packs import open_findings
from tests.constructs.synthesis import Template, synthesised

CHARTS = "Custom::AWSCDK-EKS-HelmChart"
DOMAIN = Domain(
    name="staging.example.com",
    hosted_zone_id="Z0000000000000STAGING",
    hosted_zone_name="example.com",
)


def build(stack: cdk.Stack) -> None:
    cluster = cluster_in(stack)
    prometheus = Prometheus(
        stack,
        "Prometheus",
        cluster=cluster,
        metrics=PrometheusMetrics(),
        log_retention_days=90,
    )
    keda = Keda(stack, "Keda", cluster=cluster, prometheus=prometheus)
    ExternalDns(
        stack,
        "ExternalDns",
        cluster=cluster,
        domain=DOMAIN,
        hosted_zone=route53.HostedZone.from_hosted_zone_attributes(
            stack, "Zone", hosted_zone_id=DOMAIN.hosted_zone_id, zone_name=DOMAIN.zone_name
        ),
    )
    ModelMounts(
        stack,
        "ModelMounts",
        cluster=cluster,
        lake=DataLake(stack, "Lake"),
        folders=[MountedFolder("llama-4"), MountedFolder("team/qwen")],
    )
    workers = LeaderWorkerSets(stack, "LeaderWorkerSets", cluster=cluster)
    Kueue(
        stack,
        "Kueue",
        cluster=cluster,
        namespaces=["training"],
        after=[keda.installed, workers.installed],
    )


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(build)


@pytest.mark.slow
def test_the_rule_packs_accept_them(tmp_path: Path) -> None:
    own = ("Keda", "ExternalDns", "ModelMounts", "LeaderWorkerSets", "Kueue", "Prometheus")
    found = open_findings(build, tmp_path)
    assert [each for each in found if any(f"/{name}/" in each for name in own)] == []
    assert not [each for each in found if "UnusedAcknowledgement" in each]


def statements(template: Template, owner: str) -> list[dict[str, Any]]:
    (policy,) = [
        body["Properties"]["PolicyDocument"]["Statement"]
        for key, body in template.of_type("AWS::IAM::Policy").items()
        if key.startswith(f"{owner}Role")
    ]
    return list(policy)


def chart(template: Template, release: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the id, the properties and the values of a release."""
    ((key, body),) = [
        (key, body["Properties"])
        for key, body in template.of_type(CHARTS).items()
        if body["Properties"]["Release"] == release
    ]
    return key, body, json.loads(body.get("Values", "{}"))


def test_keda_reads_metrics_and_nothing_else(template: Template) -> None:
    allowed = {s["Action"]: s["Resource"] for s in statements(template, "Keda")}
    assert set(allowed) == {"aps:QueryMetrics", "cloudwatch:GetMetricData"}
    assert "PrometheusWorkspace" in json.dumps(allowed["aps:QueryMetrics"])


def test_keda_without_a_workspace_still_wakes_by_cloudwatch() -> None:
    alone = synthesised(
        lambda stack: Keda(stack, "Keda", cluster=cluster_in(stack), prometheus=None)
    )
    assert [s["Action"] for s in statements(alone, "Keda")] == ["cloudwatch:GetMetricData"]


@pytest.mark.parametrize("release", ["keda", "external-dns"])
def test_pods_start_after_their_account_has_its_role(template: Template, release: str) -> None:
    key, body, values = chart(template, release)
    accounts = {
        (each["Namespace"], each["ServiceAccount"]): logical
        for logical, each in (
            (logical, association["Properties"])
            for logical, association in template.of_type("AWS::EKS::PodIdentityAssociation").items()
        )
    }
    account = values["serviceAccount"]
    name = account.get("operator", account)["name"]
    assert accounts[(body["Namespace"], name)] in predecessors(template, key)


def test_the_drivers_pods_start_after_their_account_has_its_role(template: Template) -> None:
    (key,) = [
        key
        for key, body in template.of_type("AWS::EKS::Addon").items()
        if body["Properties"]["AddonName"] == "aws-mountpoint-s3-csi-driver"
    ]
    before = predecessors(template, key)
    assert any("ModelMountsRoleAssociation" in each for each in before)
    assert any("ModelMountsRoleDefaultPolicy" in each for each in before)


def test_only_the_named_folders_of_the_lake_are_mounted_and_only_to_read(
    template: Template,
) -> None:
    listing, reading, decrypting = statements(template, "ModelMounts")
    assert listing["Action"] == "s3:ListBucket"
    assert listing["Condition"]["StringLike"]["s3:prefix"] == [
        "models/llama-4/*",
        "models/team/qwen/*",
    ]
    assert reading["Action"] == "s3:GetObject"
    assert [each["Fn::Join"][1][-1] for each in reading["Resource"]] == [
        "/models/llama-4/*",
        "/models/team/qwen/*",
    ]
    assert decrypting["Action"] == "kms:Decrypt"
    assert "ArtifactsKey" in json.dumps(decrypting["Resource"])


@pytest.mark.parametrize("folder", ["/llama", "llama/", "../raw", "a/../b", "", "*", "a//b"])
def test_a_folder_that_leaves_the_models_is_refused(folder: str) -> None:
    with pytest.raises(SpecificationError, match="mounted_models"):
        Controllers(mounted_models=(folder,))


def test_a_folder_is_named_once() -> None:
    with pytest.raises(SpecificationError, match="named twice"):
        Controllers(mounted_models=("llama-4", "llama-4"))


def test_folders_whose_claims_would_have_the_same_name_are_refused() -> None:
    with pytest.raises(SpecificationError, match="Both would be mounted by the claim models-a-b"):
        Controllers(mounted_models=("a/b", "a-b"))


def test_a_folder_is_not_too_long_for_the_names_of_kubernetes() -> None:
    with pytest.raises(SpecificationError, match="up to 128 characters"):
        Controllers(mounted_models=("a" * 129,))


@given(
    path=st.from_regex(
        r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}(/[A-Za-z0-9_.-]{1,20}){0,3}", fullmatch=True
    )
)
def test_claims_have_names_that_kubernetes_takes(path: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", MountedFolder(path).claim)


@pytest.mark.parametrize(
    ("model", "folder", "place"),
    [
        ("team/qwen/1", "team/qwen", "1"),
        ("team/llama", "team", "llama"),
        ("team", "team", ""),
        ("teams/llama", None, None),
        ("qwen", None, None),
    ],
)
def test_a_model_lies_in_the_smallest_folder_that_holds_it(
    model: str, folder: str | None, place: str | None
) -> None:
    found = folder_that_holds(map(MountedFolder, ("team", "team/qwen", "qwen/1")), model)
    assert (found and found.path) == folder
    assert (found and found.place_of(model)) == place


def test_records_of_the_domain_alone_are_changed(template: Template) -> None:
    changing, listing, zones = statements(template, "ExternalDns")
    assert changing["Action"] == "route53:ChangeResourceRecordSets"
    names = changing["Condition"]["ForAllValues:StringLike"]
    assert names["route53:ChangeResourceRecordSetsNormalizedRecordNames"] == [
        "staging.example.com",
        "*.staging.example.com",
    ]
    for statement in (changing, listing):
        assert "hostedzone/Z0000000000000STAGING" in json.dumps(statement["Resource"])
    assert zones == {"Action": "route53:ListHostedZones", "Effect": "Allow", "Resource": "*"}


def test_records_go_with_their_ingress_and_say_whose_they_are(template: Template) -> None:
    _, _, values = chart(template, "external-dns")
    assert values["policy"] == "sync"
    assert values["txtOwnerId"] == "test"
    assert values["domainFilters"] == ["staging.example.com"]
    assert "--zone-id-filter=Z0000000000000STAGING" in values["extraArgs"]
    # The zone is example.com, which the filter of the domain would pass over.
    assert "--aws-zone-match-parent" in values["extraArgs"]


def test_the_owners_record_of_the_domain_itself_lies_within_what_may_be_changed(
    template: Template,
) -> None:
    _, _, values = chart(template, "external-dns")
    prefix = values["txtPrefix"].replace("%{record_type}", "a")
    assert f"{prefix}{DOMAIN.name}".endswith(f".{DOMAIN.name}")


@pytest.mark.parametrize(
    ("release", "waits"),
    [("kueue", True), ("lws", True), ("keda", False), ("external-dns", False)],
)
def test_charts_whose_webhooks_guard_later_objects_are_waited_for(
    template: Template, release: str, waits: bool
) -> None:
    _, body, _ = chart(template, release)
    assert body.get("Wait", False) is waits


def test_kueue_comes_last_so_that_it_refuses_no_job_of_another_chart(template: Template) -> None:
    key, _, _ = chart(template, "kueue")
    assert {chart(template, release)[0] for release in ("keda", "lws")} <= predecessors(
        template, key
    )


def test_no_job_passes_its_teams_queue() -> None:
    configuration = manager_configuration(["training"])
    assert configuration["manageJobsWithoutQueueName"] is True
    (selector,) = configuration["managedJobsNamespaceSelector"]["matchExpressions"]
    assert selector["values"] == ["training"]


def test_model_servers_wait_in_no_queue() -> None:
    frameworks = set(manager_configuration([])["integrations"]["frameworks"])
    assert not frameworks & {"pod", "deployment", "statefulset"}
    assert not [each for each in frameworks if each.startswith("leaderworkerset")]


def test_resources_without_quotas_keep_no_job_waiting() -> None:
    prefixes = tuple(manager_configuration([])["resources"]["excludeResourcePrefixes"])
    assert "vpc.amazonaws.com/efa".startswith(prefixes)
    assert not "nvidia.com/gpu".startswith(prefixes)


@pytest.mark.skipif(CRDS is None, reason="KUBERNETES_CRDS names no folder with KEDA's CRDs")
def test_kedas_schema_accepts_the_identity_of_triggers() -> None:
    made: Any = trigger_authentication()
    jsonschema.Draft202012Validator(schemas()["TriggerAuthentication"]).validate(
        {**made, "kind": "TriggerAuthentication"}
    )


def test_the_operator_asks_as_itself_and_tells_prometheus_of_its_errors() -> None:
    made: Any = trigger_authentication()
    assert made["spec"]["podIdentity"] == {"provider": "aws", "identityOwner": "keda"}
    values = keda_values(cluster="test")
    annotations = values["podAnnotations"]["keda"]
    assert annotations["prometheus.io/port"] == str(values["prometheus"]["operator"]["port"])
    assert values["podIdentity"]["aws"]["irsa"]["enabled"] is False


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_the_second_scheduler_is_of_the_clusters_version(version: str) -> None:
    assert SCHEDULER_TAGS[version].startswith(f"v{version}.")
    values = neuron_values(kubernetes_version=version, topology=True, problems=False)
    scheduler = values["scheduler"]["customScheduler"]
    assert scheduler["image"]["tag"] == SCHEDULER_TAGS[version]
    assert scheduler["fullnameOverride"] == NEURON_SCHEDULER
    assert values["scheduler"]["defaultScheduler"]["enabled"] is False


@pytest.mark.parametrize("topology", [True, False])
@pytest.mark.parametrize("problems", [True, False])
def test_parts_of_the_neuron_chart_come_as_they_are_needed(topology: bool, problems: bool) -> None:
    values = neuron_values(kubernetes_version="1.36", topology=topology, problems=problems)
    assert values["scheduler"]["enabled"] is topology
    assert values["npd"] == {
        "enabled": problems,
        # One that is there; the chart makes none.
        "namespaceOverride": NEURON.namespace,
        "nodeRecovery": {"enabled": False},
    }


def test_the_plugins_construct_passes_on_what_nodes_need() -> None:
    made = synthesised(
        lambda stack: DevicePlugins(
            stack,
            "Plugins",
            cluster=cluster_in(stack),
            kinds={DeviceKind.NEURON},
            efa=False,
            neuron_topology=True,
        )
    )
    _, _, values = chart(made, "neuron-helm-chart")
    assert values["scheduler"]["enabled"] is True
    assert values["npd"]["enabled"] is False


def test_the_neuron_monitor_is_a_valid_daemon_set_on_neuron_nodes() -> None:
    made: Any = neuron_monitor()
    kubernetes_validate.validate(made, KUBERNETES_VERSIONS[-1], strict=True)
    spec = made["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"aws.amazon.com/neuron.present": "true"}
    assert [each["key"] for each in spec["tolerations"]] == ["aws.amazon.com/neuron"]


def test_dcgm_is_scraped_on_nvidia_nodes_without_the_prometheus_operator() -> None:
    values = dcgm_values()
    assert values["serviceMonitor"] == {"enabled": False}
    assert values["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert values["podAnnotations"]["prometheus.io/port"] == "9400"
    assert set(values["resources"]["limits"]) == {"cpu", "memory"}
