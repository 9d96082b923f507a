"""What alarms and dashboards name is what something emits."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from llm_constructs.gateway_alarms import NAMESPACE
from stacks.platform import build_app
from tests.assembly import Assembly
from tests.emitters import DOCUMENTED, emitted, own_namespaces
from tests.minimal_environment import loaded
from tests.named_metrics import metrics_of_alarm, metrics_of_dashboard, named_metrics, searched
from tests.stacks.test_gateway_stack import ENVIRONMENT, SERVICE


def unknown(templates: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return what ``templates`` name that neither AWS documents nor our code writes."""
    templates = tuple(templates)
    known = emitted(templates)
    return {
        f"{namespace} {name} by {', '.join(sorted(dimensions)) or 'nothing'}"
        for namespace, name, dimensions in named_metrics(templates)
        if (namespace, name, dimensions) not in known
    }


@pytest.mark.synth
def test_every_metric_that_a_template_names_is_emitted(assembly: Assembly) -> None:
    assert unknown(assembly.templates.values()) == set(), f"see tests/{DOCUMENTED.name}"


@pytest.mark.slow
def test_the_metrics_of_containers_are_emitted(tmp_path: Path) -> None:
    environment = loaded(tmp_path, f"{ENVIRONMENT}{SERVICE}\n[observability]\n")
    assembly = build_app([environment], outdir=tmp_path / "out").synth()
    watching = assembly.get_stack_by_name("llm-team-observability").template
    namespaces = {namespace for namespace, _, _ in named_metrics([watching])}
    assert namespaces >= {"AWS/ApplicationELB", "AWS/ECS"}
    every = [stack.template for stack in assembly.stacks]
    assert unknown(every) == set(), f"see tests/{DOCUMENTED.name}"


@pytest.mark.synth
def test_alarms_and_dashboards_name_metrics_of_every_layer(assembly: Assembly) -> None:
    namespaces = {namespace for namespace, _, _ in named_metrics(assembly.templates.values())}
    assert namespaces >= {
        *("AWS/ApiGateway", "AWS/Bedrock", "AWS/EKS", "AWS/FSx", "AWS/Lambda", "AWS/NATGateway"),
        *("AWS/S3", "AWS/SQS", "ContainerInsights", NAMESPACE),
    }


def watched_by(template: Mapping[str, Any]) -> set[str]:
    """Return the metrics that alarms watch and whose dimensions are known before the deployment."""
    metrics = [
        part.get("MetricStat", {}).get("Metric", {}) if "Id" in part else part
        for alarm in template["Resources"].values()
        if alarm["Type"] == "AWS::CloudWatch::Alarm"
        for part in (alarm["Properties"], *alarm["Properties"].get("Metrics", ()))
    ]
    return {
        json.dumps([it["Namespace"], it["MetricName"], it.get("Dimensions", [])], sort_keys=True)
        for it in metrics
        if "Namespace" in it
        and all(isinstance(dimension["Value"], str) for dimension in it.get("Dimensions", ()))
    }


@pytest.mark.synth
def test_environments_of_one_account_do_not_watch_each_other(assembly: Assembly) -> None:
    watched = {
        stack: watched_by(template)
        for stack, template in assembly.templates.items()
        if stack.endswith(("-observability", "-gateway"))
    }
    environments = sorted({stack.split("-")[1] for stack in watched})
    for one, other in combinations(environments, 2):
        shared = {
            metric
            for stack, metrics in watched.items()
            if stack.split("-")[1] == one
            for metric in metrics
            for also, others in watched.items()
            if also.split("-")[1] == other and metric in others
        }
        assert shared == set(), f"{one} and {other}"
    assert any("AWS/ApiGateway" in metric for metric in watched["llm-prod-observability"])


def test_our_own_metrics_are_those_that_our_code_writes() -> None:
    assert NAMESPACE in own_namespaces()
    assert (NAMESPACE, "Tokens", frozenset({"Environment"})) in emitted()
    assert (NAMESPACE, "Tokens", frozenset({"Team"})) not in emitted()


def test_the_table_gives_a_source_for_each_row() -> None:
    rows = [row for rows in tomllib.loads(DOCUMENTED.read_text()).values() for row in rows]
    assert len(rows) > 15
    assert all(row["source"].startswith("https://") for row in rows)


FILTER = {
    "Type": "AWS::Logs::MetricFilter",
    "Properties": {
        "MetricTransformations": [
            {"MetricNamespace": "Jobs", "MetricName": "Rejected", "Dimensions": [{"Key": "Run"}]}
        ]
    },
}
SCHEDULE = {
    "Type": "AWS::Scheduler::Schedule",
    "Properties": {
        "Target": {
            "Arn": {"Fn::Join": ["", ["arn:", {"Ref": "P"}, "::aws-sdk:cloudwatch:putMetricData"]]},
            "Input": json.dumps({"Namespace": "Plans", "MetricData": [{"MetricName": "Ending"}]}),
        }
    },
}


def test_what_templates_emit_themselves_is_known() -> None:
    emits = emitted([{"Resources": {"Filter": FILTER, "Schedule": SCHEDULE}}])
    assert {("Jobs", "Rejected", frozenset({"Run"})), ("Plans", "Ending", frozenset())} <= emits


METRIC = {"Namespace": "A", "MetricName": "B", "Dimensions": [{"Name": "C", "Value": "d"}]}


@pytest.mark.parametrize(
    "alarm",
    [
        METRIC,
        {"Metrics": [{"Expression": "m / 2"}, {"MetricStat": {"Metric": METRIC}}]},
        {"Metrics": [{"Expression": """SUM(SEARCH('{A,C} MetricName="B"', 'Sum', 60))"""}]},
    ],
    ids=["alone", "in an expression", "searched"],
)
def test_the_metrics_of_an_alarm_are_found(alarm: dict[str, Any]) -> None:
    assert list(metrics_of_alarm(alarm)) == [("A", "B", frozenset({"C"}))]


def test_the_metrics_of_a_dashboard_are_found() -> None:
    rows = [["A", "B", "C", "d", {"stat": "Sum"}], ["A", "E"], [{"expression": "m1 + m2"}]]
    widgets = [
        {"type": "metric", "properties": {"metrics": rows}},
        {"type": "text", "properties": {"markdown": "x"}},
    ]
    body = {"DashboardBody": json.dumps({"widgets": widgets})}
    assert list(metrics_of_dashboard(body)) == [
        ("A", "B", frozenset({"C"})),
        ("A", "E", frozenset()),
    ]


def test_both_searches_of_an_expression_are_found() -> None:
    search = """SEARCH('{A,C} MetricName="B" C="x"', 'Maximum', 300)"""
    assert len(list(searched(f"{search} / SERVICE_QUOTA({search})"))) == 2
