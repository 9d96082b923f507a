"""The dashboards of a cloud assembly, as their bodies lay them out."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_constructs.dashboard_rules import text_of
from ops.assembly import stacks

KIND = "AWS::CloudWatch::Dashboard"


@dataclass(frozen=True)
class Line:
    """A horizontal line in a graph; ``fill`` is the bad side, ``above`` or ``below``."""

    value: float
    label: str
    fill: str | None


@dataclass(frozen=True)
class Widget:
    """One widget: its type, its place in the grid, and what it shows.

    ``series`` are the labels of a graph's metrics, the names of a table's columns, or a text's
    lines.
    """

    kind: str
    title: str
    x: int
    y: int
    width: int
    height: int
    series: tuple[str, ...] = ()
    unit: str = ""
    lines: tuple[Line, ...] = ()
    stacked: bool = False


@dataclass(frozen=True)
class Dashboard:
    """One dashboard: its name and its widgets."""

    name: str
    widgets: tuple[Widget, ...]

    @property
    def audience(self) -> str:
        """The last part of the name, which says who looks at it."""
        return self.name.rsplit("-", 1)[-1]


def dashboards(directory: Path) -> tuple[Dashboard, ...]:
    """Return the dashboards of the assembly in ``directory``, by name.

    Raises :class:`~ops.assembly.AssemblyError` where there is no assembly.
    """
    found = [
        dashboard_of(resource["Properties"])
        for stack in stacks(directory)
        for resource in stack.template.get("Resources", {}).values()
        if resource["Type"] == KIND
    ]
    return tuple(sorted(found, key=lambda dashboard: dashboard.name))


def dashboard_of(properties: Mapping[str, Any]) -> Dashboard:
    """Return the dashboard that a resource's properties describe."""
    body = json.loads(text_of(properties["DashboardBody"]))
    return Dashboard(properties["DashboardName"], tuple(map(_widget, body["widgets"])))


def _widget(widget: Mapping[str, Any]) -> Widget:
    shown = widget["properties"]
    return Widget(
        kind=widget["type"],
        title=shown.get("title", ""),
        x=widget["x"],
        y=widget["y"],
        width=widget["width"],
        height=widget["height"],
        series=tuple(_series(widget["type"], shown)),
        unit=shown.get("yAxis", {}).get("left", {}).get("label", ""),
        lines=tuple(
            Line(line["value"], line.get("label", ""), line.get("fill"))
            for line in shown.get("annotations", {}).get("horizontal", ())
        ),
        stacked=shown.get("stacked", False),
    )


def _series(kind: str, shown: Mapping[str, Any]) -> Iterator[str]:
    match kind:
        case "text":
            yield from shown["markdown"].splitlines()
        case "alarm":
            yield from (f"alarm {place}" for place, _ in enumerate(shown["alarms"], start=1))
        case "log":
            yield shown["query"].rsplit(" by ", 1)[-1].splitlines()[0]
        case _:
            for row in shown.get("metrics", ()):
                options = row[-1] if isinstance(row[-1], dict) else {}
                if options.get("visible", True):
                    yield options.get("label") or (str(row[1]) if len(row) > 1 else "each found")
