"""The alarms of a layer: each as described, and one message for many of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from llm_constructs.alarm import AlarmDescription, Anomaly, Severity
from llm_constructs.alarm_topics import AlarmTopics
from llm_constructs.layer_alarms import MOST_CHILDREN, AlarmSettings, LayerAlarms
from llm_constructs.specs.observability import Recipients, SlackChannel
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.watched import watched
from tests.constructs.rule_packs import lint_findings, open_findings
from tests.constructs.synthesis import Template, synthesised
from tests.constructs.watched_things import Thing, alarm, metric

SETTINGS = AlarmSettings(environment="team", thresholds={"ThingSlow": 9}, anomaly_deviations=3)
SLACK = SlackChannel(workspace_id="T0123ABCDEF", channel_id="C0123ABCDEF")
DESCRIBED = (
    alarm(),
    alarm("ThingSlow", Severity.TICKET, watching=metric("Latency"), anomaly=Anomaly.EITHER),
)


def build(
    stack: cdk.Stack,
    *descriptions: AlarmDescription,
    settings: AlarmSettings = SETTINGS,
    slack: SlackChannel | None = None,
) -> None:
    # In an app of its own: what it describes is watched, and it is no part of this stack.
    described = cdk.Stack(cdk.App(), "Described")
    Thing(described, "Thing", alarms=descriptions)
    topics = AlarmTopics(
        stack,
        "Topics",
        name="llm-team",
        emails=Recipients(page=("now@example.com",), ticket=("later@example.com",)),
        slack=slack,
    )
    LayerAlarms(
        stack,
        "Alarms",
        layer=watched("things", described),
        settings=settings,
        topics=topics.topics,
    )


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(lambda stack: build(stack, *DESCRIBED, slack=SLACK))


def alarms(template: Template) -> dict[str, dict[str, Any]]:
    return {
        key.removeprefix("Alarms")[:-8]: it["Properties"]
        for key, it in template.of_type("AWS::CloudWatch::Alarm").items()
    }


def composites(template: Template) -> dict[str, dict[str, Any]]:
    return {
        it["Properties"]["AlarmName"]: it["Properties"]
        for it in template.of_type("AWS::CloudWatch::CompositeAlarm").values()
    }


def test_every_description_becomes_an_alarm(template: Template) -> None:
    made = alarms(template)
    assert set(made) == {"ThingFails", "ThingSlow", "ThingSlowAnomaly"}
    assert made["ThingFails"]["Threshold"] == 5
    assert made["ThingFails"]["TreatMissingData"] == "notBreaching"


def test_a_threshold_of_the_file_replaces_the_built_in_one(template: Template) -> None:
    assert alarms(template)["ThingSlow"]["Threshold"] == 9


def test_a_band_stands_beside_a_threshold_on_the_same_metric(template: Template) -> None:
    made = alarms(template)
    anomaly = made["ThingSlowAnomaly"]
    band, watched_metric = anomaly["Metrics"]
    assert band["Expression"] == "ANOMALY_DETECTION_BAND(m0, 3)"
    assert anomaly["ThresholdMetricId"] == band["Id"]
    assert anomaly["ComparisonOperator"] == "LessThanLowerOrGreaterThanUpperThreshold"
    assert watched_metric["MetricStat"]["Metric"]["MetricName"] == made["ThingSlow"]["MetricName"]


def test_an_alarm_says_what_it_is_and_what_to_do(template: Template) -> None:
    text = alarms(template)["ThingFails"]["AlarmDescription"]
    assert text.startswith("The thing fails.\n\n")
    assert "Severity: page. Environment: team, layer: things, alarm: ThingFails." in text
    assert "Runbook: docs/runbooks/gateway-server-errors.md" in text
    assert "Missing data: Nothing is emitted while nothing happens" in text


def test_the_runbook_is_a_link_where_the_file_says_where_runbooks_are() -> None:
    settings = AlarmSettings(environment="team", runbooks_url="https://git.example.com/runbooks")
    made = alarms(synthesised(lambda stack: build(stack, alarm(), settings=settings)))
    link = "Runbook: https://git.example.com/runbooks/gateway-server-errors.md"
    assert link in made["ThingFails"]["AlarmDescription"]


def test_only_composites_tell_people(template: Template) -> None:
    assert all("AlarmActions" not in it for it in alarms(template).values())
    told = composites(template)
    assert set(told) == {"llm-team-things-page", "llm-team-things-ticket"}
    for name, composite in told.items():
        (topic,) = composite["AlarmActions"]
        assert composite["OKActions"] == [topic]
        severity = name.rsplit("-", 1)[-1]
        assert topic["Ref"].startswith(f"Topics{severity.capitalize()}")


def test_a_moment_tells_people_itself_whatever_rings_beside_it() -> None:
    moment = replace(alarm("ThingEnds", Severity.TICKET), momentary=True)
    described = (alarm("ThingFails", Severity.TICKET), moment)
    template = synthesised(lambda stack: build(stack, *described, slack=SLACK))
    made = alarms(template)["ThingEnds"]
    assert made["AlarmName"] == "llm-team-things-ThingEnds"
    (topic,) = made["AlarmActions"]
    assert topic["Ref"].startswith("TopicsTicket")
    assert "AlarmActions" not in alarms(template)["ThingFails"]
    rule = json.dumps(composites(template)["llm-team-things-ticket"]["AlarmRule"])
    assert "ThingFails" in rule
    assert "ThingEnds" not in rule
    with pytest.raises(SpecificationError, match="about one moment"):
        replace(moment, anomaly=Anomaly.ABOVE)


def test_a_composite_rings_with_any_alarm_of_its_severity(template: Template) -> None:
    told = composites(template)
    page, ticket = (
        json.dumps(told[f"llm-team-things-{it}"]["AlarmRule"]) for it in ("page", "ticket")
    )
    assert "AlarmsThingFails" in page
    assert "Slow" not in page
    assert "AlarmsThingSlowAnomaly" in ticket
    assert ticket.count("ALARM(") == 2
    assert " OR " in ticket


def test_tickets_are_silent_while_a_page_of_the_layer_rings(template: Template) -> None:
    told = composites(template)
    suppressor = told["llm-team-things-ticket"]["ActionsSuppressor"]["Fn::GetAtt"][0]
    assert suppressor.startswith("AlarmsPage")
    assert "ActionsSuppressor" not in told["llm-team-things-page"]


def test_a_layer_with_tickets_alone_has_no_composite_for_pages() -> None:
    described = alarm("ThingSlow", Severity.TICKET)
    told = composites(synthesised(lambda stack: build(stack, described)))
    assert set(told) == {"llm-team-things-ticket"}
    assert "ActionsSuppressor" not in told["llm-team-things-ticket"]


def test_an_alarm_on_a_metric_of_another_region_is_refused() -> None:
    far = alarm(watching=metric(region="us-east-1"))
    with pytest.raises(SpecificationError, match="ThingFails = 'us-east-1': CloudWatch evaluates"):
        synthesised(lambda stack: build(stack, far))


def test_more_alarms_than_a_composite_can_name_are_refused() -> None:
    many = [alarm(f"Thing{number}") for number in range(MOST_CHILDREN + 1)]
    with pytest.raises(SpecificationError, match=f"page = {MOST_CHILDREN + 1}"):
        synthesised(lambda stack: build(stack, *many))


def test_the_rule_of_a_full_composite_fits() -> None:
    many = [alarm(f"ThingWithALongNameLikeThoseThatThereAre{it:03}") for it in range(MOST_CHILDREN)]
    (composite,) = composites(synthesised(lambda stack: build(stack, *many))).values()
    (_, parts) = composite["AlarmRule"]["Fn::Join"]
    longest = "arn:aws-us-gov:cloudwatch:ap-southeast-2:111111111111:alarm:llm-prod-observability-"
    names = [f"{longest}{it['Fn::GetAtt'][0]}-1A2B3C4D5E6F" for it in parts if isinstance(it, dict)]
    assert len(names) == MOST_CHILDREN
    assert sum(map(len, names)) + sum(len(it) for it in parts if isinstance(it, str)) <= 10_240


def test_topics_are_encrypted_and_take_messages_of_this_accounts_alarms_alone(
    template: Template,
) -> None:
    topics = template.properties("AWS::SNS::Topic")
    assert len(topics) == 2
    assert all("KmsMasterKeyId" in topic for topic in topics)
    statements = [
        statement
        for policy in template.properties("AWS::SNS::TopicPolicy")
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    refused = [it for it in statements if it["Effect"] == "Deny"]
    allowed = [it for it in statements if it["Effect"] == "Allow"]
    assert len(refused) == len(allowed) == 2
    assert all(it["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for it in refused)
    for statement in allowed:
        assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "111111111111"}
        assert "alarm:*" in json.dumps(statement["Condition"]["ArnLike"]["aws:SourceArn"])


def test_cloudwatch_may_use_the_topics_key(template: Template) -> None:
    (key,) = template.properties("AWS::KMS::Key")
    services = {json.dumps(it["Principal"]): it["Action"] for it in key["KeyPolicy"]["Statement"]}
    assert services['{"Service": "cloudwatch.amazonaws.com"}'] == [
        "kms:Decrypt",
        "kms:GenerateDataKey*",
    ]


def test_each_severity_has_its_own_addresses(template: Template) -> None:
    subscribed = {
        it["Endpoint"]: it["TopicArn"]["Ref"]
        for it in template.properties("AWS::SNS::Subscription")
    }
    assert subscribed["now@example.com"].startswith("TopicsPage")
    assert subscribed["later@example.com"].startswith("TopicsTicket")


def test_a_chat_channel_reads_alarms_and_nothing_else(template: Template) -> None:
    channel = template.only("AWS::Chatbot::SlackChannelConfiguration")
    assert (channel["SlackWorkspaceId"], channel["SlackChannelId"]) == (
        "T0123ABCDEF",
        "C0123ABCDEF",
    )
    assert len(channel["SnsTopicArns"]) == 2
    assert len(channel["GuardrailPolicies"]) == 1
    documents = [
        *(it["PolicyDocument"] for it in template.properties("AWS::IAM::Policy")),
        *(it["PolicyDocument"] for it in template.properties("AWS::IAM::ManagedPolicy")),
    ]
    actions = [action for it in documents for s in it["Statement"] for action in s["Action"]]
    assert len(documents) == 2
    assert all(
        it.startswith(("cloudwatch:Describe", "cloudwatch:Get", "cloudwatch:List"))
        for it in actions
    )


@pytest.mark.slow
@pytest.mark.parametrize("slack", [None, SLACK], ids=["mail", "mail and chat"])
def test_no_rule_is_broken(slack: SlackChannel | None, tmp_path: Path) -> None:
    assert open_findings(lambda stack: build(stack, *DESCRIBED, slack=slack), tmp_path) == set()
    assert lint_findings(tmp_path) == ""
