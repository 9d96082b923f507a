"""Governance as a file asks for it, and promises that every stack is held to."""

import contextlib
import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_dynamodb as dynamodb

from config import ConfigError, environment_names, load
from llm_constructs.environment_rules import breaches
from stacks.checks import promises_of
from stacks.platform import build_app
from tests.assembly import Assembly
from tests.constructs.synthesis import Template
from tests.minimal_environment import loaded, minimal

ENVIRONMENT = minimal("eu-west-1", "eu")
SPENDING = """
[governance.spending]
usd_per_month = 100
"""
OBSERVABILITY = """
[observability]
"""


def environment(folder: Path, *parts: str) -> Any:
    return loaded(folder, "".join((ENVIRONMENT, *parts)))


def templates(folder: Path, *parts: str) -> dict[str, Template]:
    assembly = build_app([environment(folder, *parts)], outdir=folder / "out").synth()
    return {stack.stack_name: Template(stack.template) for stack in assembly.stacks}


def test_budgets_stand_beside_the_topics_that_they_tell(tmp_path: Path) -> None:
    made = templates(tmp_path, OBSERVABILITY, SPENDING)
    assert set(made) == {"llm-team-network", "llm-team-observability"}
    watching = made["llm-team-observability"]
    (told,) = {
        subscriber["Address"]["Ref"]
        for it in watching.only("AWS::Budgets::Budget")["NotificationsWithSubscribers"]
        for subscriber in it["Subscribers"]
    }
    assert watching.resources[told]["Properties"]["DisplayName"] == "llm-team ticket"


def test_budgets_without_anybody_to_tell_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there are none\. Add \[observability\]"):
        environment(tmp_path, SPENDING)


def test_govcloud_has_no_budgets(tmp_path: Path) -> None:
    text = f"{ENVIRONMENT}{OBSERVABILITY}{SPENDING}".replace("eu-west-1", "us-gov-west-1")
    with pytest.raises(ConfigError, match="GovCloud has neither AWS Budgets"):
        loaded(tmp_path, text.replace('"eu"', '"us-gov"'))


def test_the_rule_of_aws_config_asks_for_the_tags_that_synthesis_asks_for(tmp_path: Path) -> None:
    rule = templates(tmp_path, "[governance]\ntag_rule = true\n")["llm-team-governance"]
    asked = rule.only("AWS::Config::ConfigRule")
    assert asked["Source"]["SourceIdentifier"] == "REQUIRED_TAGS"
    assert set(asked["InputParameters"].values()) == {
        *("cost-center", "environment", "layer", "owner"),
    }


@pytest.mark.synth
def test_the_trail_of_production_records_the_lake_and_its_copy(assembly: Assembly) -> None:
    trail = Template(assembly.templates["llm-prod-governance"]).only("AWS::CloudTrail::Trail")
    places = json.dumps(trail["AdvancedEventSelectors"])
    assert '"llm-prod-data"' in places
    assert "arn:aws:s3:::llm-prod-replica" in places


@pytest.mark.synth
def test_every_stack_keeps_what_its_environment_promises(assembly: Assembly) -> None:
    promises = promises_of([load(name) for name in environment_names()])
    assert list(breaches(assembly.directory, promises)) == []


def violations(folder: Path) -> set[tuple[str, str]]:
    report = json.loads((folder / "validation-report.json").read_text(encoding="utf-8"))
    (ours,) = [it for it in report["pluginReports"] if it["pluginName"] == "Environments"]
    return {
        (violation["ruleName"], where.get("constructPath"))
        for violation in ours["violations"]
        for where in violation["violatingConstructs"]
    }


def test_planted_ways_out_fail_the_synthesis(tmp_path: Path) -> None:
    app = build_app([environment(tmp_path)], outdir=tmp_path / "out")
    network = app.node.find_child("llm-team-network")
    assert isinstance(network, cdk.Stack)
    dynamodb.CfnGlobalTable(
        network,
        "Copied",
        attribute_definitions=[],
        key_schema=[],
        replicas=[dynamodb.CfnGlobalTable.ReplicaSpecificationProperty(region="us-east-1")],
    )
    cdk.CfnResource(network, "Untagged", type="AWS::SNS::Topic")
    cdk.CfnOutput(network, "Model", value="global.anthropic.claude-sonnet-4-6")
    cdk.Stack(app, "Elsewhere", env=cdk.Environment(account="111111111111", region="us-east-1"))
    with contextlib.suppress(RuntimeError):
        app.synth()
    found = violations(tmp_path / "out")
    assert ("Residency", "llm-team-network/Copied") in found
    assert ("RequiredTags", "llm-team-network/Untagged") in found
    assert "KnownEnvironment" in {rule for rule, _ in found}
    # The global table lacks its tags, and the output has no construct of its own in the report.
    assert sum(rule == "Residency" for rule, _ in found) >= 2


def test_a_layer_in_a_region_outside_fails_the_synthesis(tmp_path: Path) -> None:
    from stacks.layer import Layer

    team = environment(tmp_path)
    app = build_app([team], outdir=tmp_path / "out")
    Layer(app, "far", environment=team, description="outside", region="us-east-1")
    with contextlib.suppress(RuntimeError):
        app.synth()
    assert {rule for rule, _ in violations(tmp_path / "out")} == {"Residency"}


@pytest.mark.parametrize("name", ["team", "team-eu"])
def test_a_stack_is_held_to_the_longest_name_that_fits(tmp_path: Path, name: str) -> None:
    manifest = {
        "artifacts": {
            "llm-team-eu-data": {
                "type": "aws:cloudformation:stack",
                "environment": "aws://111111111111/us-east-1",
                "properties": {"templateFile": "t.json"},
            }
        }
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (tmp_path / "t.json").write_text("{}", encoding="utf-8")
    (eu,) = promises_of([environment(tmp_path)])
    american = ENVIRONMENT.replace("eu-west-1", "us-east-1").replace('"eu"', '"us"')
    (tmp_path / "team-eu.toml").write_text(american, encoding="utf-8")
    us = promises_of([load("team-eu", tmp_path)])
    chosen = [eu, *us] if name == "team-eu" else [eu]
    assert bool(list(breaches(tmp_path, chosen))) == (name == "team")
