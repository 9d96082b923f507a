"""Bodies of dashboards that CloudWatch refuses, or would show other than they were meant."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_constructs.dashboard_rules import legal_dashboard, text_of

GRAPH = {
    "type": "metric",
    "x": 0,
    "y": 0,
    "width": 8,
    "height": 6,
    "properties": {
        "region": "us-east-2",
        "title": "Requests",
        "view": "timeSeries",
        "metrics": [
            ["A", "B", "C", "d", {"stat": "Sum", "id": "m1"}],
            [{"expression": "m1 / 60", "id": "e1", "label": "per second"}],
        ],
        "annotations": {"horizontal": [{"value": 3, "label": "limit", "fill": "above"}]},
        "yAxis": {"left": {"label": "n", "min": 0, "showUnits": False}},
    },
}
TEXT = {
    "type": "text",
    "x": 8,
    "y": 0,
    "width": 16,
    "height": 1,
    "properties": {"markdown": "# T", "background": "transparent"},
}
LOG = {
    "type": "log",
    "properties": {"region": "us-east-2", "query": "SOURCE 'g' | limit 1", "view": "table"},
}
ALARMS = {"type": "alarm", "properties": {"title": "Alarms", "alarms": ["arn:aws:…"]}}


def graph(**properties: Any) -> dict[str, Any]:
    return {**GRAPH, "properties": {**GRAPH["properties"], **properties}}  # type: ignore[dict-item]


def violations(*widgets: object, **top: object) -> list[str]:
    body = json.dumps({"widgets": list(widgets), **top})
    return [it.reason for it in legal_dashboard({"DashboardBody": body})]


def test_a_legal_body_passes() -> None:
    assert violations(GRAPH, TEXT, LOG, ALARMS, periodOverride="inherit", start="-PT3H") == []


WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "type": ([{**TEXT, "type": "note"}], "Widget 0 has the type 'note'"),
    "key": ([{**TEXT, "colour": "red"}], "Widget 0 has 'colour'"),
    "property": ([graph(legends={})], r"Widget 0 \(metric\) has 'legends'"),
    "no region": (
        [{"type": "metric", "properties": {"metrics": [["A", "B"]]}}],
        "Widget 0 .metric. has no region",
    ),
    "no query": ([{"type": "log", "properties": {"region": "r"}}], "Widget 0 .log. has no query"),
    "view": ([graph(view="donut")], "the view 'donut'"),
    "too far right": ([{**TEXT, "x": 20}], "reaches from column 20 to 36"),
    "x alone": ([{"type": "text", "x": 1, "properties": {"markdown": ""}}], "only one of x and y"),
    "fraction": ([{**TEXT, "width": 1.5}], "no whole number"),
    "width": ([{**TEXT, "x": 0, "width": 0}], "is 0 wide"),
    "height": ([{**TEXT, "height": 1001}], "1001 high"),
    "overlap": ([GRAPH, {**TEXT, "x": 7, "width": 4}], "Widgets 0 and 1 overlap"),
    "no metrics": (
        [{"type": "metric", "properties": {"region": "us-east-2"}}],
        "neither metrics nor an alarm",
    ),
    "flat metrics": ([graph(metrics=["A", "B"])], "no list of lists"),
    "odd dimensions": ([graph(metrics=[["A", "B", "C"]])], r'the metric \["A", "B", "C"\]'),
    "no name": ([graph(metrics=[["A"]])], r'the metric \["A"\]'),
    "dimensions": (
        [graph(metrics=[["A", "B", *map(str, range(62))]])],
        "a metric with 31 dimensions",
    ),
    "expression": ([graph(metrics=[["A", "B", {"expression": "m1"}]])], "beside a metric"),
    "option": ([graph(metrics=[["A", "B", {"statistic": "Sum"}]])], "has 'statistic'"),
    "ids": ([graph(metrics=[["A", "B", {"id": "m"}], ["A", "C", {"id": "m"}]])], "id m twice"),
    "id": ([graph(metrics=[["A", "B", {"id": "M1"}]])], "the id 'M1'"),
    "line": ([graph(annotations={"horizontal": [{"label": "x"}]})], "a line without a number"),
    "axis": ([graph(yAxis={"top": {}})], "the axis 'top'"),
    "alarms": ([{**ALARMS, "properties": {"alarms": []}}], "does not list 1 to 100 alarms"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_told_with_its_widget(mistake: str) -> None:
    widgets, expected = WRONG[mistake]
    found = violations(*widgets)
    assert any(re.search(expected, line) for line in found), found


def test_what_a_body_says_of_itself_is_checked() -> None:
    assert violations(TEXT, periodOverride="always") == ["periodOverride is 'always'."]
    assert violations(TEXT, title="x") == ["The body has 'title', which CloudWatch does not know."]


def test_the_numbers_of_widgets_and_metrics_are_limited() -> None:
    text = {"type": "text", "properties": {"markdown": ""}}
    assert violations(*[text] * 501) == ["It has 501 widgets, and CloudWatch takes 500."]
    many = {
        "type": "metric",
        "properties": {"region": "r", "metrics": [["A", "B"]] * 500},
    }
    assert violations(*[many] * 5) == []
    assert violations(*[many] * 6) == ["It has 3000 metrics, and CloudWatch takes 2500."]
    many["properties"] = {"region": "r", "metrics": [["A", "B"]] * 501}
    assert violations(many) == ["Widget 0 shows 501 metrics, and CloudWatch takes 500."]


def test_widgets_that_touch_do_not_overlap() -> None:
    below = {**TEXT, "x": 0, "y": 6, "width": 24}
    assert violations(GRAPH, TEXT, below) == []


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Widgets that stand beside and below one another, as a board lays them out."""
    placed, top = [], 0
    for number in draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=6)):
        height = draw(st.integers(1, 10))
        width = 24 // number
        placed += [
            {**TEXT, "x": place * width, "y": top, "width": width, "height": height}
            for place in range(number)
        ]
        top += height
    return placed


@given(rows())
def test_rows_never_overlap_and_one_widget_moved_up_does(widgets: list[dict[str, Any]]) -> None:
    assert violations(*widgets) == []
    last = widgets[-1]
    if last["y"]:
        moved = {**last, "y": last["y"] - 1}
        assert any("overlap" in line for line in violations(*widgets[:-1], moved))


def test_what_is_known_at_deployment_counts_as_a_digit() -> None:
    body = {"Fn::Join": ["", ['{"a":', {"Ref": "B"}, "}"]]}
    assert json.loads(text_of(body)) == {"a": 0}
