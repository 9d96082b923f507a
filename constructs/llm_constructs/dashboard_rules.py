"""Rules for the bodies of dashboards, which CloudFormation passes on unread.

CloudWatch accepts some wrong bodies, with a warning that nobody sees, and shows empty graphs.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from llm_constructs.template_violation import Properties, Violation

COLUMNS: Final = 24
MOST_WIDGETS: Final = 500
TALLEST_WIDGET: Final = 1000

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
MOST_METRICS_IN_WIDGET: Final = 500
MOST_METRICS: Final = 2500
MOST_ALARMS_IN_WIDGET: Final = 100
MOST_DIMENSIONS: Final = 30

_TOP: Final = frozenset({"start", "end", "periodOverride", "widgets", "variables"})
_WIDGET: Final = frozenset({"type", "x", "y", "width", "height", "properties"})

_COMMON: Final = frozenset({"title", "region", "accountId", "start", "end"})
_PROPERTIES: Final[Mapping[str, frozenset[str]]] = {
    "alarm": frozenset({"alarms", "sortBy", "states", "title"}),
    "explorer": frozenset(
        {"aggregateBy", "labels", "metrics", "period", "splitBy", "title", "widgetOptions"}
    ),
    "log": _COMMON
    | {"logGroupNames", "query", "queryBy", "queryLanguage", "stacked", "view", "timezone"},
    "metric": _COMMON
    | {
        *("annotations", "labels", "legend", "liveData", "metrics", "period", "stat", "stacked"),
        *("setPeriodToTimeRange", "singleValueFullPrecision", "sparkline", "table", "timezone"),
        *("trend", "view", "yAxis"),
    },
    "text": frozenset({"background", "markdown"}),
}
"""What each type of widget may have."""

_REQUIRED: Final[Mapping[str, frozenset[str]]] = {
    "alarm": frozenset({"alarms"}),
    "log": frozenset({"query", "region"}),
    "metric": frozenset({"region"}),
    "text": frozenset({"markdown"}),
}

_VIEWS: Final[Mapping[str, frozenset[str]]] = {
    "log": frozenset({"bar", "pie", "table", "timeSeries"}),
    "metric": frozenset({"bar", "gauge", "pie", "singleValue", "table", "timeSeries"}),
}

_OPTIONS: Final = frozenset(
    {
        *("accountId", "color", "expression", "id", "label", "period", "region", "stat"),
        *("visible", "yAxis"),
    }
)
_LINE: Final = frozenset({"color", "fill", "label", "value", "visible", "yAxis"})
_AXIS: Final = frozenset({"label", "max", "min", "showUnits"})
_ID: Final = re.compile(r"[a-z][A-Za-z0-9_]*")

Widget = Mapping[str, Any]


def legal_dashboard(properties: Properties) -> Iterator[Violation]:
    """Refuse dashboards whose body CloudWatch refuses, or would show other than it was meant."""
    try:
        content = json.loads(text_of(properties.get("DashboardBody", "")))
    except json.JSONDecodeError as error:
        yield _violation(f"It is not JSON ({error}).", "Correct the body.")
        return
    widgets = content.get("widgets") if isinstance(content, dict) else None
    if not isinstance(widgets, list):
        yield _violation("It has no list of widgets.", 'Give it {"widgets": [...]}.')
        return
    yield from _unknown("The body", content, _TOP)
    if content.get("periodOverride", "auto") not in {"auto", "inherit"}:
        yield _violation(
            f"periodOverride is {content['periodOverride']!r}.", "Choose auto or inherit."
        )
    yield from _check_numbers(widgets)
    whole = [it for it in enumerate(widgets) if _is_whole(it[1])]
    for number, widget in enumerate(widgets):
        if _is_whole(widget):
            yield from _check_widget(f"Widget {number}", widget)
        else:
            yield _violation(
                f"Widget {number} has no type or no properties.", "Every widget needs both."
            )
    yield from _check_overlaps(whole)


def text_of(value: object) -> str:
    """Return a template's string with a digit in the place of each intrinsic function.

    A digit is legal inside JSON strings and where JSON has numbers.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        joined: str = separator.join(text_of(part) for part in parts)
        return joined
    return "0"


def _violation(reason: str, remedy: str) -> Violation:
    return Violation("DashboardBody", reason, remedy)


def _is_whole(widget: object) -> bool:
    return (
        isinstance(widget, dict)
        and isinstance(widget.get("properties"), dict)
        and ("type" in widget)
    )


def _unknown(owner: str, value: Mapping[str, Any], known: frozenset[str]) -> Iterator[Violation]:
    for key in sorted(set(value) - known):
        yield _violation(
            f"{owner} has {key!r}, which CloudWatch does not know.",
            f"Choose from {', '.join(sorted(known))}.",
        )


def _check_numbers(widgets: Sequence[Any]) -> Iterator[Violation]:
    metrics = sum(
        len(widget["properties"].get("metrics", ()))
        for widget in widgets
        if _is_whole(widget) and widget["type"] == "metric"
    )
    for name, number, most in (
        ("widgets", len(widgets), MOST_WIDGETS),
        ("metrics", metrics, MOST_METRICS),
    ):
        if number > most:
            yield _violation(
                f"It has {number} {name}, and CloudWatch takes {most}.", "Make a second dashboard."
            )


def _check_widget(name: str, widget: Widget) -> Iterator[Violation]:
    kind, properties = widget["type"], widget["properties"]
    if kind not in _PROPERTIES:
        yield _violation(
            f"{name} has the type {kind!r}.", f"Choose one of {', '.join(sorted(_PROPERTIES))}."
        )
        return
    yield from _unknown(name, widget, _WIDGET)
    yield from _unknown(f"{name} ({kind})", properties, _PROPERTIES[kind])
    for key in sorted(_REQUIRED.get(kind, frozenset()) - set(properties)):
        yield _violation(f"{name} ({kind}) has no {key}.", f"Give it {key}.")
    view = properties.get("view")
    if kind in _VIEWS and view is not None and view not in _VIEWS[kind]:
        yield _violation(
            f"{name} has the view {view!r}.", f"Choose one of {', '.join(sorted(_VIEWS[kind]))}."
        )
    yield from _check_place(name, widget)
    if kind == "metric":
        yield from _check_graph(name, properties)
    if kind == "alarm":
        yield from _check_alarms(name, properties)


def _check_place(name: str, widget: Widget) -> Iterator[Violation]:
    x, y = widget.get("x"), widget.get("y")
    width, height = widget.get("width", 6), widget.get("height", 6)
    numbers = [it for it in (x, y, width, height) if it is not None]
    if not all(isinstance(it, int) and not isinstance(it, bool) for it in numbers):
        yield _violation(f"{name} has a place that is no whole number.", "Count in grid units.")
        return
    if (x is None) != (y is None):
        yield _violation(f"{name} has only one of x and y.", "Give both or neither.")
    elif x is not None and y is not None and (x < 0 or y < 0 or x + width > COLUMNS):
        yield _violation(
            f"{name} reaches from column {x} to {x + width} in row {y}.",
            f"The grid has {COLUMNS} columns and begins at row 0.",
        )
    if not (1 <= width <= COLUMNS and 1 <= height <= TALLEST_WIDGET):
        yield _violation(
            f"{name} is {width} wide and {height} high.",
            f"A widget is 1 to {COLUMNS} wide and 1 to {TALLEST_WIDGET} high.",
        )


def _check_overlaps(widgets: Sequence[tuple[int, Widget]]) -> Iterator[Violation]:
    placed = [
        (number, widget["x"], widget["y"], widget.get("width", 6), widget.get("height", 6))
        for number, widget in widgets
        if all(isinstance(widget.get(key), int) for key in ("x", "y"))
    ]
    for (one, x, y, width, height), (two, left, top, wide, high) in combinations(placed, 2):
        if x < left + wide and left < x + width and y < top + high and top < y + height:
            yield _violation(
                f"Widgets {one} and {two} overlap.", "CloudWatch would move one of them: part them."
            )


def _check_alarms(name: str, properties: Mapping[str, Any]) -> Iterator[Violation]:
    alarms = properties.get("alarms")
    if not isinstance(alarms, list) or not 1 <= len(alarms) <= MOST_ALARMS_IN_WIDGET:
        yield _violation(
            f"{name} does not list 1 to {MOST_ALARMS_IN_WIDGET} alarms.", "Divide it or remove it."
        )


def _check_graph(name: str, properties: Mapping[str, Any]) -> Iterator[Violation]:
    annotations = properties.get("annotations", {})
    metrics = properties.get("metrics")
    if metrics is None and "alarms" not in annotations:
        yield _violation(f"{name} shows neither metrics nor an alarm.", "Give it one of the two.")
    if metrics is not None:
        yield from _check_metrics(name, metrics)
    for line in annotations.get("horizontal", ()):
        # A list of two lines is a band.
        for part in line if isinstance(line, list) else [line]:
            yield from _unknown(f"{name}'s line", part, _LINE)
            if not isinstance(part.get("value"), int | float):
                yield _violation(f"{name} has a line without a number.", "Give the line a value.")
    for side, axis in properties.get("yAxis", {}).items():
        if side not in {"left", "right"}:
            yield _violation(f"{name} has the axis {side!r}.", "Choose left or right.")
        else:
            yield from _unknown(f"{name}'s axis", axis, _AXIS)


def _check_metrics(name: str, metrics: object) -> Iterator[Violation]:
    if not isinstance(metrics, list) or not all(isinstance(row, list) and row for row in metrics):
        yield _violation(f"{name} has metrics that are no list of lists.", "Give one list each.")
        return
    if len(metrics) > MOST_METRICS_IN_WIDGET:
        yield _violation(
            f"{name} shows {len(metrics)} metrics, and CloudWatch takes {MOST_METRICS_IN_WIDGET}.",
            "Divide it.",
        )
    ids: Counter[str] = Counter()
    for row in metrics:
        options = row[-1] if isinstance(row[-1], dict) else {}
        yield from _unknown(f"{name}'s metric", options, _OPTIONS)
        yield from _check_row(name, row[:-1] if options else row, options)
        if "id" in options:
            ids[options["id"]] += 1
            if not _ID.fullmatch(str(options["id"])):
                yield _violation(
                    f"{name} has the id {options['id']!r}.", "Begin it with a small letter."
                )
    for repeated in sorted(key for key, number in ids.items() if number > 1):
        yield _violation(f"{name} has the id {repeated} twice.", "Give each metric its own.")


def _check_row(name: str, row: Sequence[object], options: Mapping[str, Any]) -> Iterator[Violation]:
    if "expression" in options:
        if row:
            yield _violation(
                f"{name} has an expression beside a metric.", "Give the expression its own list."
            )
        return
    # Namespace and name, then names and values of dimensions in turn.
    if len(row) < 2 or len(row) % 2 or not all(isinstance(part, str) and part for part in row):
        yield _violation(
            f"{name} has the metric {json.dumps(row)}.",
            "Write namespace, name, and each dimension's name and value.",
        )
    elif len(row) > 2 + 2 * MOST_DIMENSIONS:
        yield _violation(
            f"{name} has a metric with {len(row) // 2 - 1} dimensions.",
            f"A metric has at most {MOST_DIMENSIONS}.",
        )
