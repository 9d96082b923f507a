"""Boards are laid out from what constructs describe, and from nothing else."""

import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from llm_constructs.account_usage import AccountUsage
from llm_constructs.boards import COLUMNS, Boards
from llm_constructs.dashboard_rules import legal_dashboard, text_of
from llm_constructs.layer_alarms import AlarmSettings
from llm_constructs.log_queries import LogQueries
from llm_constructs.specs.observability import Audience
from llm_constructs.specs.problem import SpecificationError
from llm_constructs.watched import WatchedLayer, watched
from tests.constructs.synthesis import ENVIRONMENT, Template, app, synthesised
from tests.constructs.watched_things import Thing, alarm, metric, query, signal

SETTINGS = AlarmSettings(environment="team", thresholds={"ThingFails": 7})
LESS = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


def described() -> WatchedLayer:
    stack = cdk.Stack(cdk.App(), "Described")
    Thing(
        stack,
        "One",
        alarms=[alarm(), alarm("ThingEmpty", comparison=LESS)],
        signals=[
            signal("Errors", alarm="ThingFails"),
            signal("Room", alarm="ThingEmpty"),
            signal("Used", threshold=80),
            signal("Bill", audience=Audience.COST, region="us-east-1", stacked=True),
            signal("More errors"),
            signal("Other", section="Other things"),
        ],
        queries=[
            query(stack),
            query(
                Construct(stack, "Costs"),
                name="spend by team",
                audience=Audience.COST,
                section="Things",
            ),
        ],
    )
    return watched("things", stack)


def build(stack: cdk.Stack, layer: WatchedLayer, *, audiences: tuple[Audience, ...]) -> None:
    ringing = cloudwatch.Alarm(stack, "Ringing", metric=metric(), threshold=1, evaluation_periods=1)
    Boards(
        stack,
        "Boards",
        layers=[layer],
        audiences=audiences,
        alarms={"things": [ringing]},
        settings=SETTINGS,
    )
    LogQueries(stack, "Queries", folder="llm-team", layers=[layer])


@pytest.fixture(scope="module")
def template() -> Template:
    return synthesised(lambda stack: build(stack, described(), audiences=tuple(Audience)))


def board(template: Template, name: str) -> list[dict[str, Any]]:
    (properties,) = [
        it
        for it in template.properties("AWS::CloudWatch::Dashboard")
        if it["DashboardName"] == name
    ]
    assert list(legal_dashboard(properties)) == []
    widgets: list[dict[str, Any]] = json.loads(text_of(properties["DashboardBody"]))["widgets"]
    return widgets


def titled(widgets: list[dict[str, Any]], title: str) -> dict[str, Any]:
    (widget,) = [it for it in widgets if it["properties"].get("title") == title]
    return widget


def test_only_audiences_with_something_to_see_get_a_board(template: Template) -> None:
    names = {it["DashboardName"] for it in template.properties("AWS::CloudWatch::Dashboard")}
    assert names == {"llm-team-service", "llm-team-cost"}


def test_only_audiences_that_were_asked_for_get_a_board() -> None:
    stack = synthesised(lambda stack: build(stack, described(), audiences=(Audience.COST,)))
    (made,) = stack.properties("AWS::CloudWatch::Dashboard")
    assert made["DashboardName"] == "llm-team-cost"


def test_sections_have_headings_and_fill_their_rows(template: Template) -> None:
    widgets = board(template, "llm-team-service")
    headings = [it["properties"]["markdown"] for it in widgets if it["type"] == "text"]
    assert headings == ["# Service: are users served?", "## Things", "## Other things"]
    rows: dict[int, int] = {}
    for widget in widgets:
        rows[widget["y"]] = rows.get(widget["y"], 0) + widget["width"]
    assert set(rows.values()) == {COLUMNS}


def test_the_alarms_of_the_layers_stand_on_top(template: Template) -> None:
    widgets = board(template, "llm-team-service")
    assert [it["type"] for it in widgets[:3]] == ["text", "alarm", "text"]
    assert len(widgets[1]["properties"]["alarms"]) == 1


def test_a_line_is_drawn_where_the_alarm_rings(template: Template) -> None:
    widgets = board(template, "llm-team-service")
    (line,) = titled(widgets, "Errors")["properties"]["annotations"]["horizontal"]
    assert (line["value"], line["label"], line["fill"]) == (7, "alarm: page", "above")
    (line,) = titled(widgets, "Room")["properties"]["annotations"]["horizontal"]
    assert (line["value"], line["fill"]) == (5, "below")
    (line,) = titled(widgets, "Used")["properties"]["annotations"]["horizontal"]
    assert (line["value"], line["label"]) == (80, "limit")
    assert "annotations" not in titled(widgets, "More errors")["properties"]


def test_a_graph_may_show_another_region(template: Template) -> None:
    shown = titled(board(template, "llm-team-cost"), "Bill")["properties"]
    assert (shown["region"], shown["stacked"]) == ("us-east-1", True)
    assert shown["yAxis"]["left"]["label"] == "per minute"


def test_graphs_use_the_periods_of_their_metrics(template: Template) -> None:
    for properties in template.properties("AWS::CloudWatch::Dashboard"):
        assert json.loads(text_of(properties["DashboardBody"]))["periodOverride"] == "inherit"


def test_a_query_with_an_audience_is_a_table_on_its_board(template: Template) -> None:
    table = titled(board(template, "llm-team-cost"), "spend by team")
    assert table["type"] == "log"
    assert table["properties"]["query"] == "SOURCE 'things' | fields @message\n| limit 5"


def test_every_query_is_saved_in_a_folder(template: Template) -> None:
    saved = {it["Name"]: it for it in template.properties("AWS::Logs::QueryDefinition")}
    assert set(saved) == {"llm-team/things/slow things", "llm-team/things/spend by team"}
    assert saved["llm-team/things/slow things"]["LogGroupNames"] == ["things"]


def test_a_signal_that_names_an_alarm_which_is_not_there_is_refused() -> None:
    stack = cdk.Stack(cdk.App(), "Described")
    Thing(stack, "One", signals=[signal(alarm="Nothing")])
    with pytest.raises(SpecificationError, match="One describes no alarm of this name"):
        synthesised(lambda it: build(it, watched("things", stack), audiences=tuple(Audience)))


@pytest.mark.parametrize(
    ("region", "titles"),
    [
        ("eu-central-1", ["Bill since the beginning of the month, by service", "EC2", "Lambda"]),
        ("us-gov-west-1", ["EC2", "Lambda"]),
    ],
)
def test_the_bill_is_shown_where_there_is_one(region: str, titles: list[str]) -> None:
    environment = cdk.Environment(account=ENVIRONMENT.account, region=region)
    usage = AccountUsage(cdk.Stack(app(), "Test", env=environment), "Account")
    assert [it.title.split(":")[0] for it in usage.signals] == titles
