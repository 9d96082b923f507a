"""The workspace and its scraper, and what the scraper would collect of which pods."""

import json
import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import RemovalPolicy

from llm_constructs import dcgm_exporter, karpenter, keda, neuron_monitor
from llm_constructs.prometheus import Prometheus
from llm_constructs.scrape_configuration import (
    METRICS_PORTS,
    scrape_annotations,
    scrape_configuration,
)
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.specs.prometheus import PrometheusMetrics
from tests.constructs.eks import cluster_in
from tests.constructs.rule_packs import lint_findings, open_findings
from tests.constructs.synthesis import ENVIRONMENT, Template, app, synthesised

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"


def build(stack: cdk.Stack) -> Prometheus:
    return Prometheus(
        stack,
        "Prometheus",
        cluster=cluster_in(stack),
        metrics=PrometheusMetrics(retention_days=30),
        log_retention_days=90,
        removal_policy=RemovalPolicy.RETAIN,
    )


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(build)


def test_metrics_are_encrypted_kept_for_a_time_and_outlive_the_stack(template: Template) -> None:
    (workspace,) = template.of_type("AWS::APS::Workspace").values()
    assert "PrometheusKey" in json.dumps(workspace["Properties"]["KmsKeyArn"])
    assert workspace["Properties"]["WorkspaceConfiguration"] == {"RetentionPeriodInDays": 30}
    assert workspace["DeletionPolicy"] == "Retain"


def test_scraper_and_workspace_write_logs_that_are_encrypted_and_end(template: Template) -> None:
    groups = {
        key: body["Properties"]
        for key, body in template.of_type("AWS::Logs::LogGroup").items()
        if key.startswith("Prometheus")
    }
    used = json.dumps([template.only("AWS::APS::Workspace"), template.only("AWS::APS::Scraper")])
    assert len(groups) == 2
    for key, group in groups.items():
        assert key in used
        assert group["LogGroupName"].startswith("/aws/vendedlogs/")
        assert group["RetentionInDays"] == 90
        assert "PrometheusKey" in json.dumps(group["KmsKeyId"])


def test_the_scraper_reaches_the_api_and_ports_of_metrics_alone(template: Template) -> None:
    (group,) = [
        key
        for key in template.of_type("AWS::EC2::SecurityGroup")
        if key.startswith("PrometheusSecurityGroup")
    ]
    rules = [
        (rule["FromPort"], rule["ToPort"])
        for rule in template.properties("AWS::EC2::SecurityGroupIngress")
        if rule.get("SourceSecurityGroupId") == {"Fn::GetAtt": [group, "GroupId"]}
    ]
    assert sorted(rules) == [(443, 443), METRICS_PORTS]
    source = template.only("AWS::APS::Scraper")["Source"]["EksConfiguration"]
    assert source["SecurityGroupIds"] == [{"Fn::GetAtt": [group, "GroupId"]}]
    assert all("Private" in subnet["Ref"] for subnet in source["SubnetIds"])


def test_nobody_claims_the_access_that_the_service_gives_itself(template: Template) -> None:
    entries = json.dumps(template.properties("AWS::EKS::AccessEntry"))
    assert "aws-service-role" not in entries
    assert "AmazonPrometheusScraperPolicy" not in entries


def test_queries_go_to_the_workspaces_own_address() -> None:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    endpoint = stack.resolve(build(stack).query_endpoint)
    text = json.dumps(endpoint)
    assert "https://aps-workspaces.us-east-2." in text
    assert "WorkspaceId" in text
    assert not text.rstrip('"]} ').endswith("/")


def test_silence_is_an_alarm_with_a_runbook() -> None:
    stack = cdk.Stack(app(), "Test", env=ENVIRONMENT)
    (alarm,) = build(stack).alarms
    assert alarm.treat_missing_data is cdk.aws_cloudwatch.TreatMissingData.BREACHING
    assert (RUNBOOKS / f"{alarm.runbook}.md").exists()


@pytest.mark.slow
def test_the_rule_packs_and_cfn_lint_accept_it(tmp_path: Path) -> None:
    found = open_findings(lambda stack: build(stack), tmp_path)
    assert [finding for finding in found if "/Prometheus" in finding] == []
    assert "PrometheusScraper" not in lint_findings(tmp_path)


@pytest.mark.parametrize("days", [0, -1, 1096])
def test_a_retention_that_the_service_does_not_have_is_refused(days: int) -> None:
    with pytest.raises(SpecificationError, match="retention_days"):
        PrometheusMetrics(retention_days=days)


@pytest.mark.parametrize("seconds", [0, 29, 301])
def test_an_interval_that_no_query_could_use_is_refused(seconds: int) -> None:
    with pytest.raises(SpecificationError, match="scrape_interval_seconds"):
        PrometheusMetrics(scrape_interval_seconds=seconds)


def relabelled(labels: dict[str, str], rules: list[dict[str, Any]]) -> dict[str, str] | None:
    """Apply Prometheus's relabelling, of which the configuration uses three actions.

    https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config
    """
    labels = dict(labels)
    for rule in rules:
        value = rule.get("separator", ";").join(labels.get(k, "") for k in rule["source_labels"])
        match = re.fullmatch(rule.get("regex", "(.*)"), value)
        if rule["action"] == "replace":
            if match:
                labels[rule["target_label"]] = match.group(1)
        elif (match is None) == (rule["action"] == "keep"):
            return None
    return labels


def target(annotations: dict[str, str], **meta: str) -> dict[str, str] | None:
    configuration: Any = scrape_configuration(cluster="llm-test", interval_seconds=30)
    (job,) = configuration["scrape_configs"]
    found = {"phase": "Running", "ip": "10.0.0.7", "name": "vllm-0", "node_name": "n1", **meta}
    labels = {f"__meta_kubernetes_pod_{key}": value for key, value in found.items()}
    labels["__meta_kubernetes_namespace"] = "serving"
    labels["__address__"] = "10.0.0.7:1234"
    labels["__metrics_path__"] = "/metrics"
    for key, value in annotations.items():
        name = re.sub(r"\W", "_", key)
        labels[f"__meta_kubernetes_pod_annotation_{name}"] = value
    return relabelled(labels, job["relabel_configs"])


@pytest.mark.parametrize("program", [keda, karpenter, neuron_monitor, dcgm_exporter])
def test_an_annotated_pod_is_scraped_at_its_port(program: Any) -> None:
    port = program.METRICS_PORT
    found = target(dict(scrape_annotations(port=port)))
    assert found is not None
    assert found["__address__"] == f"10.0.0.7:{port}"
    assert found["__metrics_path__"] == "/metrics"
    assert (found["namespace"], found["pod"], found["node"]) == ("serving", "vllm-0", "n1")


@pytest.mark.parametrize(
    ("annotations", "phase"),
    [
        ({}, "Running"),
        ({"prometheus.io/scrape": "false", "prometheus.io/port": "8000"}, "Running"),
        (dict(scrape_annotations(port=8000)), "Succeeded"),
        (dict(scrape_annotations(port=8000)), "Pending"),
    ],
)
def test_other_pods_are_left_alone(annotations: dict[str, str], phase: str) -> None:
    assert target(annotations, phase=phase) is None


def test_containers_of_one_pod_become_one_target() -> None:
    annotations = dict(scrape_annotations(port=8000))
    first, second = (target(annotations, container_name=name) for name in ("vllm", "sidecar"))
    assert first is not None
    assert second is not None
    kept = [{k: v for k, v in each.items() if "__meta" not in k} for each in (first, second)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize(
    ("metric", "kept"),
    [
        ("vllm:num_requests_waiting", True),
        ("DCGM_FI_DEV_GPU_UTIL", True),
        ("neuroncore_utilization_ratio", True),
        ("karpenter_nodes_created_total", True),
        ("keda_scaler_errors_total", True),
        ("go_goroutines", False),
        ("process_cpu_seconds_total", False),
        ("python_gc_objects_collected_total", False),
    ],
)
def test_programs_metrics_of_themselves_are_not_paid_for(metric: str, kept: bool) -> None:
    configuration: Any = scrape_configuration(cluster="llm-test", interval_seconds=30)
    (job,) = configuration["scrape_configs"]
    found = relabelled({"__name__": metric}, job["metric_relabel_configs"])
    assert (found is not None) == kept


def test_no_pod_gets_the_scrapers_token() -> None:
    configuration = json.dumps(scrape_configuration(cluster="llm-test", interval_seconds=30))
    assert "credentials" not in configuration
    assert "bearer" not in configuration


@pytest.mark.parametrize("port", [80, 7999, 10_000])
def test_a_port_that_the_scraper_does_not_reach_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="8000 to 9999"):
        scrape_annotations(port=port)
