"""Pictures of dashboards show what the body lays out, and are the same each time."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from ops.dashboard_picture import draw, pictures, sample_series
from ops.dashboards import Dashboard, Line, Widget, dashboard_of, dashboards
from tests.assembly import Assembly

GRAPH = Widget(
    kind="metric",
    title="Requests",
    x=0,
    y=1,
    width=12,
    height=6,
    series=("good", "bad"),
    unit="per minute",
    lines=(Line(100, "alarm: page", "above"),),
)
HEADING = Widget(kind="text", title="", x=0, y=0, width=24, height=1, series=("# All in $",))
BOARD = Dashboard("llm-team-service", (HEADING, GRAPH))


def texts(picture: str) -> set[str]:
    root = ET.fromstring(picture)  # noqa: S314 - our own picture
    return {
        (element.text or "").strip()
        for element in root.iter("{http://www.w3.org/2000/svg}text")
        if element.text
    }


def test_a_picture_shows_titles_units_labels_and_lines() -> None:
    shown = texts(draw(BOARD))
    assert shown >= {"Requests", "per minute", "good", "bad", "alarm: page", "All in $"}


def test_the_same_board_gives_the_same_bytes() -> None:
    assert draw(BOARD) == draw(BOARD)
    assert "Date" not in draw(BOARD)


def test_another_layout_gives_another_picture() -> None:
    assert draw(BOARD) != draw(Dashboard(BOARD.name, (HEADING,)))


@pytest.mark.parametrize(("fill", "lowest", "highest"), [("above", 0, 100), ("below", 100, 400)])
def test_sample_data_lies_on_the_good_side_of_a_line(
    fill: str, lowest: float, highest: float
) -> None:
    widget = Widget("metric", "x", 0, 0, 6, 6, ("a", "b"), lines=(Line(100, "", fill),))
    values = [value for series in sample_series(widget) for value in series]
    assert lowest <= min(values) <= max(values) <= highest


def test_stacked_series_lie_on_one_another() -> None:
    widget = Widget("metric", "x", 0, 0, 6, 6, ("a", "b", "c"), stacked=True)
    below, between, above = sample_series(widget)
    assert all(a < b < c for a, b, c in zip(below, between, above, strict=True))


def test_percentiles_lie_above_one_another() -> None:
    middle, high = sample_series(Widget("metric", "x", 0, 0, 6, 6, ("p50", "p99")))
    assert sum(middle) < sum(high)


def body(*widgets: dict[str, Any]) -> dict[str, Any]:
    return {"DashboardName": "llm-team-cost", "DashboardBody": json.dumps({"widgets": widgets})}


def test_the_layout_is_read_from_the_body() -> None:
    graph = {
        "type": "metric",
        "x": 8,
        "y": 2,
        "width": 8,
        "height": 6,
        "properties": {
            "title": "Spend",
            "stacked": True,
            "metrics": [
                ["A", "Cost", "Team", "x", {"label": "search"}],
                ["A", "Cost"],
                [{"expression": "m1", "label": ""}],
                ["A", "Hidden", {"visible": False}],
            ],
            "annotations": {"horizontal": [{"value": 3, "label": "limit", "fill": "above"}]},
            "yAxis": {"left": {"label": "USD"}},
        },
    }
    read = dashboard_of(body(graph))
    assert read.audience == "cost"
    (widget,) = read.widgets
    assert widget == Widget(
        kind="metric",
        title="Spend",
        x=8,
        y=2,
        width=8,
        height=6,
        series=("search", "Cost", "each found"),
        unit="USD",
        lines=(Line(3, "limit", "above"),),
        stacked=True,
    )


def test_tables_and_alarms_are_read_too() -> None:
    place = {"x": 0, "y": 0, "width": 8, "height": 6}
    read = dashboard_of(
        body(
            {"type": "log", **place, "properties": {"query": "SOURCE 'g' | stats sum(a) by team"}},
            {"type": "alarm", **place, "properties": {"title": "Alarms", "alarms": ["a", "b"]}},
        )
    )
    assert [widget.series for widget in read.widgets] == [("team",), ("alarm 1", "alarm 2")]


@pytest.mark.synth
def test_each_audience_has_a_picture_of_its_fullest_board(assembly: Assembly) -> None:
    assert set(pictures(assembly.directory)) == {
        f"docs/dashboards/{it}.svg" for it in ("capacity", "cost", "service", "training")
    }
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")
    for board in dashboards(assembly.directory):
        assert f"dashboards/{board.audience}.svg" in page
