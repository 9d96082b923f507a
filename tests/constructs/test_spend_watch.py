"""Budgets and cost monitors, and the topic that they tell."""

import json
from pathlib import Path

import aws_cdk as cdk
import pytest

from llm_constructs.alarm import Severity
from llm_constructs.alarm_topics import AlarmTopics
from llm_constructs.specs.governance import Spending, TagBudget
from llm_constructs.spend_watch import BUDGETS, COST_ANOMALIES, SpendWatch
from tests.constructs.rule_packs import lint_findings, open_findings
from tests.constructs.synthesis import Template, synthesised

TEAMS = (
    TagBudget(value="research", usd_per_month=2500),
    TagBudget(tag="team", value="search", usd_per_month=100),
)
SPENDING = Spending(usd_per_month=3000, budgets=TEAMS, anomaly_usd=250)


def build(stack: cdk.Stack, spending: Spending = SPENDING) -> None:
    topics = AlarmTopics(stack, "Topics", name="llm-team")
    topics.allow_publish(Severity.TICKET, BUDGETS, f"arn:aws:budgets::{stack.account}:*")
    topics.allow_publish(Severity.TICKET, COST_ANOMALIES)
    SpendWatch(
        stack,
        "Spending",
        environment="team",
        spending=spending,
        topic=topics.topics[Severity.TICKET],
        tags={"owner": "ml-platform"},
    )


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(build)


def test_the_account_and_each_tagged_part_have_a_budget(template: Template) -> None:
    budgets = [it["Budget"] for it in template.properties("AWS::Budgets::Budget")]
    assert [(it["BudgetLimit"]["Amount"], it.get("CostFilters")) for it in budgets] == [
        (3000, None),
        (2500, {"TagKeyValue": ["user:cost-center$research"]}),
        (100, {"TagKeyValue": ["user:team$search"]}),
    ]
    # A name would stand in the way when a budget is replaced.
    assert all("BudgetName" not in it for it in budgets)


def test_each_budget_tells_of_what_is_spent_and_of_what_is_expected(template: Template) -> None:
    for budget in template.properties("AWS::Budgets::Budget"):
        told = [it["Notification"] for it in budget["NotificationsWithSubscribers"]]
        assert [(it["NotificationType"], it["Threshold"]) for it in told] == [
            ("ACTUAL", 80),
            ("ACTUAL", 100),
            ("FORECASTED", 100),
        ]
        assert budget["ResourceTags"] == [{"Key": "owner", "Value": "ml-platform"}]


def test_without_a_forecast_only_what_is_spent_is_told() -> None:
    spending = Spending(usd_per_month=1, forecast_percent=None)
    made = synthesised(lambda stack: build(stack, spending))
    told = made.only("AWS::Budgets::Budget")["NotificationsWithSubscribers"]
    assert {it["Notification"]["NotificationType"] for it in told} == {"ACTUAL"}
    assert made.of_type("AWS::CE::AnomalySubscription") == {}


def test_each_tagged_part_has_a_monitor_and_one_subscription_tells(template: Template) -> None:
    monitors = template.properties("AWS::CE::AnomalyMonitor")
    assert [json.loads(it["MonitorSpecification"])["Tags"] for it in monitors] == [
        {"Key": "cost-center", "Values": ["research"]},
        {"Key": "team", "Values": ["search"]},
    ]
    # An account can have one dimensional monitor, and mostly has it already.
    assert {it["MonitorType"] for it in monitors} == {"CUSTOM"}
    subscription = template.only("AWS::CE::AnomalySubscription")
    assert len(subscription["MonitorArnList"]) == 2
    assert subscription["Frequency"] == "IMMEDIATE"
    impact = json.loads(subscription["ThresholdExpression"])["Dimensions"]
    assert impact["Values"] == ["250"]


def test_topic_and_key_let_both_services_tell_for_this_account_alone(template: Template) -> None:
    (policy,) = [
        it["PolicyDocument"]["Statement"]
        for it in template.properties("AWS::SNS::TopicPolicy")
        if BUDGETS in json.dumps(it)
    ]
    key = template.only("AWS::KMS::Key")["KeyPolicy"]["Statement"]
    for statements in (policy, key):
        for service in (BUDGETS, COST_ANOMALIES):
            (found,) = [it for it in statements if it["Principal"] == {"Service": service}]
            assert found["Condition"]["StringEquals"] == {"aws:SourceAccount": "111111111111"}


@pytest.mark.slow
def test_rule_packs_and_cfn_lint_find_nothing(tmp_path: Path) -> None:
    assert open_findings(build, tmp_path) == set()
    assert lint_findings(tmp_path) == ""
