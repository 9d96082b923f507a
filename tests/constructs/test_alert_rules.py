"""Alerts in a Prometheus workspace, and whom they tell."""

import json
from typing import Any

import pytest
import yaml

from llm_constructs.alarm import Severity
from llm_constructs.alert_manager import alert_manager_definition
from llm_constructs.alert_rule import AlertRule
from llm_constructs.alert_rules import AlertRules
from llm_constructs.layer_alarms import AlarmSettings
from llm_constructs.specs.problem import SpecificationError
from tests.assembly import Assembly
from tests.constructs.synthesis import synthesised

WORKSPACE = "arn:aws:aps:us-east-2:111111111111:workspace/ws-1"
RULE = AlertRule(
    name="ThingWaits",
    summary="Things wait.",
    expression="sum(things)",
    threshold=4,
    minutes=20,
    severity=Severity.TICKET,
    runbook="thing-waits",
)


def rules(*made: AlertRule, **settings: Any) -> dict[str, Any]:
    template = synthesised(
        lambda stack: AlertRules(
            stack,
            "Rules",
            workspace_arn=WORKSPACE,
            layer="serving",
            rules=made,
            settings=AlarmSettings(environment="team", **settings),
        )
    )
    properties = template.only("AWS::APS::RuleGroupsNamespace")
    assert properties["Workspace"] == WORKSPACE
    (group,) = yaml.safe_load(properties["Data"])["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_a_rule_rings_above_its_threshold_and_says_what_to_do() -> None:
    assert rules(RULE)["ThingWaits"] == {
        "alert": "ThingWaits",
        "expr": "sum(things) > 4",
        "for": "20m",
        "labels": {"severity": "ticket", "environment": "team", "layer": "serving"},
        "annotations": {"summary": "Things wait.", "runbook": "docs/runbooks/thing-waits.md"},
    }


def test_a_threshold_of_the_file_takes_the_place_of_the_rules_own() -> None:
    changed = rules(RULE, thresholds={"ThingWaits": 2.5}, runbooks_url="https://git.example.com")
    assert changed["ThingWaits"]["expr"] == "sum(things) > 2.5"
    assert changed["ThingWaits"]["annotations"]["runbook"].startswith("https://git.example.com/")


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(SpecificationError, match=r"name = 'ThingWaits': Two alerts have it"):
        rules(RULE, RULE)


def test_a_rule_without_patience_is_refused() -> None:
    with pytest.raises(SpecificationError, match="minutes = 0: One sample"):
        AlertRule(**{**vars(RULE), "minutes": 0})


def test_each_severity_goes_to_its_own_topic_and_what_is_unknown_is_a_ticket() -> None:
    topics = {each: f"arn:aws:sns:us-east-2:111111111111:llm-team-{each}" for each in Severity}
    text = alert_manager_definition(name="llm-team", region="us-east-2", topics=topics)
    told = yaml.safe_load(yaml.safe_load(text)["alertmanager_config"])
    receivers = {each["name"]: each["sns_configs"][0] for each in told["receivers"]}
    routes = {each["match"]["severity"]: each["receiver"] for each in told["route"]["routes"]}
    assert {each: receivers[name]["topic_arn"] for each, name in routes.items()} == topics
    assert told["route"]["receiver"] == "ticket"
    assert all(each["sigv4"] == {"region": "us-east-2"} for each in receivers.values())
    # SNS takes subjects of at most 100 characters.
    assert all(len(each["subject"]) < 100 for each in receivers.values())


@pytest.mark.synth
@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_workspace_publishes_to_the_topics_that_are_there_and_may(
    environment: str, assembly: Assembly
) -> None:
    def properties(layer: str, kind: str) -> list[dict[str, Any]]:
        resources = assembly.templates[f"llm-{environment}-{layer}"]["Resources"].values()
        return [each["Properties"] for each in resources if each["Type"] == kind]

    (workspace,) = properties("eks", "AWS::APS::Workspace")
    definition = json.dumps(workspace["AlertManagerDefinition"])
    names = {each["TopicName"] for each in properties("observability", "AWS::SNS::Topic")}
    assert names == {f"llm-{environment}-page", f"llm-{environment}-ticket"}
    assert all(f":{name}" in definition for name in names)
    admitted = [
        statement
        for policy in properties("observability", "AWS::SNS::TopicPolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Principal"] == {"Service": "aps.amazonaws.com"}
    ]
    assert len(admitted) == len(names)
    for statement in admitted:
        assert set(statement["Action"]) == {"sns:Publish", "sns:GetTopicAttributes"}
        assert "workspace" in json.dumps(statement["Condition"]["ArnLike"]).lower()
        assert statement["Condition"]["StringEquals"]
    (key,) = properties("observability", "AWS::KMS::Key")
    assert "aps.amazonaws.com" in json.dumps(key["KeyPolicy"])


@pytest.mark.synth
def test_every_model_on_the_cluster_has_its_alerts(assembly: Assembly) -> None:
    for name, template in assembly.templates.items():
        if not name.endswith("-serving"):
            continue
        balancers = [
            each
            for each in template["Resources"].values()
            if each["Type"] == "AWS::ElasticLoadBalancingV2::LoadBalancer"
        ]
        (made,) = [
            each["Properties"]["Data"]
            for each in template["Resources"].values()
            if each["Type"] == "AWS::APS::RuleGroupsNamespace"
        ]
        (group,) = json.loads(made)["groups"]
        assert len(group["rules"]) == 3 * len(balancers)
