"""The observability stack reads every other stack of its environment, and none reads it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from llm_constructs.specs.problem import SpecificationError
from ops.alarm_catalogue import alarms
from ops.assembly import stacks
from stacks.platform import build_app
from tests.assembly import Assembly
from tests.constructs.synthesis import Template
from tests.minimal_environment import MINIMAL, loaded
from tests.scraped_metrics import rules_of

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"

ENVIRONMENT = (
    MINIMAL
    + """
[observability]
boards = ["cost"]
anomaly_deviations = 3

[observability.emails]
page = ["on-call@example.com"]

[observability.slack]
workspace_id = "T0123ABCDEF"
channel_id = "C0123ABCDEF"
"""
)


def template(folder: Path, text: str = ENVIRONMENT) -> Template:
    assembly = build_app([loaded(folder, text)], outdir=folder / "out").synth()
    return Template(assembly.get_stack_by_name("llm-team-observability").template)


def test_the_file_decides_on_boards_addresses_and_channel(tmp_path: Path) -> None:
    stack = template(tmp_path)
    assert stack.only("AWS::CloudWatch::Dashboard")["DashboardName"] == "llm-team-cost"
    assert stack.only("AWS::SNS::Subscription")["Endpoint"] == "on-call@example.com"
    channel = stack.only("AWS::Chatbot::SlackChannelConfiguration")
    assert channel["ConfigurationName"] == "llm-team-alarms"


def test_a_threshold_of_the_file_reaches_its_alarm(tmp_path: Path) -> None:
    text = ENVIRONMENT + "\n[observability.thresholds]\nNatPortsExhausted = 40\n"
    stack = template(tmp_path, text)
    thresholds = {
        key: it["Properties"]["Threshold"]
        for key, it in stack.of_type("AWS::CloudWatch::Alarm").items()
    }
    (changed,) = [value for key, value in thresholds.items() if "NatPortsExhausted" in key]
    assert changed == 40


def test_a_threshold_of_no_alarm_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    text = ENVIRONMENT + "\n[observability.thresholds]\nGatewaySpent = 40\n"
    with pytest.raises(SpecificationError) as caught:
        template(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.field == "thresholds.GatewaySpent"
    assert "FlowLogsStopped, NatPortsExhausted" in problem.remedy


def test_without_the_table_there_is_no_such_stack(tmp_path: Path) -> None:
    unobserved = loaded(tmp_path, ENVIRONMENT.split("[observability]")[0])
    assembly = build_app([unobserved], outdir=tmp_path / "out").synth()
    assert [stack.stack_name for stack in assembly.stacks] == ["llm-team-network"]


def watching(assembly: Assembly) -> dict[str, dict[str, Any]]:
    return {
        name: body for name, body in assembly.templates.items() if name.endswith("-observability")
    }


@pytest.mark.synth
def test_every_layer_that_describes_alarms_can_tell_people(assembly: Assembly) -> None:
    for name, body in watching(assembly).items():
        environment = name.split("-")[1]
        told = {
            it["Properties"]["AlarmName"]
            for it in body["Resources"].values()
            if it["Type"] == "AWS::CloudWatch::CompositeAlarm"
        }
        layers = [
            layer
            for layer in ("network", "data", "eks", "gateway")
            if f"llm-{environment}-{layer}" in assembly.templates
        ]
        assert {"network", "data", "gateway"} <= set(layers)
        assert told >= {f"llm-{environment}-{layer}-ticket" for layer in layers}
        assert told >= {f"llm-{environment}-{it}-page" for it in layers if it != "network"}


@pytest.mark.synth
def test_every_alarm_has_a_runbook_that_exists(assembly: Assembly) -> None:
    made = alarms(assembly.directory)
    described = [
        resource
        for body in watching(assembly).values()
        for resource in body["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]
    ruled = [rule for body in assembly.templates.values() for rule in rules_of(body)]
    assert len(described) > 50
    assert len(ruled) > 10
    assert len(made) == len(described) + len(ruled)
    assert {it.runbook for it in made if not (RUNBOOKS / f"{it.runbook}.md").exists()} == set()


@pytest.mark.synth
def test_a_runbook_says_what_to_look_at_and_what_to_do(assembly: Assembly) -> None:
    pages = {
        it.runbook: (RUNBOOKS / f"{it.runbook}.md").read_text(encoding="utf-8")
        for it in alarms(assembly.directory)
    }
    assert {
        name
        for name, page in pages.items()
        if not ("\n## Check" in page and "\n## Remedy" in page and page.startswith("# "))
    } == set()


@pytest.mark.synth
def test_a_runbook_names_the_alarms_that_lead_to_it(assembly: Assembly) -> None:
    silent = {
        f"{it.runbook}: {it.name}"
        for it in alarms(assembly.directory)
        if not _is_named(it.name, (RUNBOOKS / f"{it.runbook}.md").read_text(encoding="utf-8"))
    }
    assert silent == set()


def _is_named(alarm: str, page: str) -> bool:
    # Alarms of single models carry the model's name at their end.
    return any(alarm.startswith(name) for name in re.findall(r"`([A-Z]\w+)", page))


@pytest.mark.synth
def test_no_stack_reads_it(assembly: Assembly) -> None:
    for stack in stacks(assembly.directory):
        if stack.name.endswith("-observability"):
            continue
        assert not [it for it in stack.dependencies if it.endswith("-observability")]
        environment = stack.name.split("-")[1]
        assert f"llm-{environment}-observability" not in json.dumps(stack.template)


@pytest.mark.synth
def test_latency_tokens_and_spend_have_a_threshold_and_a_band(assembly: Assembly) -> None:
    body = assembly.templates["llm-prod-observability"]["Resources"]
    names = [key for key, it in body.items() if it["Type"] == "AWS::CloudWatch::Alarm"]
    for alarm in ("GatewayFirstTokenSlow", "GatewayTokensPerMinute", "GatewaySpend"):
        both = [key for key in names if alarm in key]
        assert len(both) == 2
        assert sum("ThresholdMetricId" in body[key]["Properties"] for key in both) == 1
