"""Pictures of dashboards, drawn from their layout with made-up data.

They show where things stand, so that people can look before they deploy. The same dashboard gives
the same bytes: the data is made of its labels, and nothing depends on the time or the machine.
"""

import hashlib
import io
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.dashboards import Dashboard, Widget, dashboards

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER: Final = "docs/dashboards"

COLUMNS: Final = 24
_POINTS: Final = 36
_INCHES: Final = 0.5
_GAP: Final = 0.12
_PERCENTILE: Final = re.compile(r"p\d{2}")
_COLOURS: Final = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#17becf")
_BAD: Final = "#d62728"
_FRAME: Final = "#d5dbdb"
_TEXT: Final = "#16191f"


def pictures(assembly: Path) -> Mapping[str, str]:
    """Return an SVG for each audience, by its path in the repository.

    Of the environments' boards for one audience, it shows the one with the most widgets.
    Raises :class:`~ops.assembly.AssemblyError` where ``assembly`` holds no cloud assembly.
    """
    fullest: dict[str, Dashboard] = {}
    for dashboard in dashboards(assembly):
        before = fullest.get(dashboard.audience)
        if before is None or len(dashboard.widgets) > len(before.widgets):
            fullest[dashboard.audience] = dashboard
    return {
        f"{FOLDER}/{audience}.svg": draw(dashboard)
        for audience, dashboard in sorted(fullest.items())
    }


def draw(dashboard: Dashboard) -> str:
    """Return the picture of one dashboard as SVG."""
    # Slow to load, and needed here alone.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = max(widget.y + widget.height for widget in dashboard.widgets)
    # Text stays text, and ids are hashed with a constant instead of a random number.
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "dashboards", "font.family": "sans-serif"}
    ):
        figure = Figure(figsize=(COLUMNS * _INCHES, rows * _INCHES))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, COLUMNS)
        axes.set_ylim(rows, 0)
        axes.axis("off")
        for widget in dashboard.widgets:
            _draw_widget(axes, widget)
        content = io.StringIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in content.getvalue().splitlines()) + "\n"


def _draw_widget(axes: "Axes", widget: Widget) -> None:
    if widget.kind == "text":
        text = widget.series[0]
        heading = text.lstrip("# ")
        size = 15 if text.startswith("# ") else 11
        _write(axes, widget.x + _GAP, widget.y + 0.7, heading, size=size, bold=True)
        return
    _box(
        axes,
        (widget.x + _GAP, widget.y + _GAP, widget.width - 2 * _GAP, widget.height - 2 * _GAP),
        edge=_FRAME,
    )
    _write(axes, widget.x + 0.3, widget.y + 0.6, widget.title, size=8, bold=True)
    match widget.kind:
        case "metric":
            _draw_graph(axes, widget)
        case "alarm":
            _draw_alarms(axes, widget)
        case _:
            _draw_table(axes, widget)


def _draw_graph(axes: "Axes", widget: Widget) -> None:
    left, right = widget.x + 0.4, widget.x + widget.width - 0.4
    top, bottom = widget.y + 1.4, widget.y + widget.height - 1.0
    _write(axes, left, widget.y + 1.1, widget.unit, size=6)
    values = sample_series(widget)
    highest = 1.15 * max([max(map(max, values)), *(line.value for line in widget.lines), 1e-9])

    def place(value: float) -> float:
        return bottom - (bottom - top) * value / highest

    for line in widget.lines:
        side = (place(line.value), bottom if line.fill == "below" else top)
        _box(axes, (left, min(side), right - left, abs(side[1] - side[0])), fill=_BAD, alpha=0.08)
        axes.plot([left, right], [place(line.value)] * 2, color=_BAD, linewidth=0.8)
        _write(axes, right - 0.1, place(line.value) - 0.08, line.label, size=6, right=True)
    step = (right - left) / (_POINTS - 1)
    for number, series in enumerate(values):
        axes.plot(
            [left + step * point for point in range(_POINTS)],
            [place(value) for value in series],
            color=_COLOURS[number % len(_COLOURS)],
            linewidth=1,
        )
    _draw_legend(axes, widget, left)


def _draw_legend(axes: "Axes", widget: Widget, left: float) -> None:
    across = left
    for number, label in enumerate(widget.series):
        if across > widget.x + widget.width - 1.5:
            return
        colour = _COLOURS[number % len(_COLOURS)]
        _box(axes, (across, widget.y + widget.height - 0.65, 0.2, 0.2), fill=colour)
        _write(axes, across + 0.3, widget.y + widget.height - 0.45, label, size=6)
        across += 0.6 + 0.12 * len(label)


def _draw_alarms(axes: "Axes", widget: Widget) -> None:
    width = (widget.width - 0.6) / max(len(widget.series), 1)
    for number, _ in enumerate(widget.series):
        place = (widget.x + 0.3 + number * width, widget.y + 0.9, width - 0.2, 0.7)
        _box(axes, place, fill="#e9f7ef", edge="#2ca02c")


def _draw_table(axes: "Axes", widget: Widget) -> None:
    columns = ", ".join(widget.series)
    _write(axes, widget.x + 0.3, widget.y + 1.3, f"a table by {columns}", size=6)
    for row in range(1, 2 * (widget.height - 2)):
        height = widget.y + 1.3 + row * 0.45
        axes.plot(
            [widget.x + 0.3, widget.x + widget.width - 0.3],
            [height, height],
            color=_FRAME,
            linewidth=0.6,
        )


def sample_series(widget: Widget) -> Sequence[Sequence[float]]:
    """Return made-up values for each metric of a graph, on the good side of its lines."""
    low, high = 0.2, 0.8
    for line in widget.lines:
        low, high = (1.5, 3.0) if line.fill == "below" else (0.2, 0.8)
        low, high = low * line.value, high * line.value
    total = [0.0] * _POINTS
    drawn = []
    for label in widget.series:
        share = len(widget.series) if widget.stacked else 1
        # Percentiles lie above one another.
        scale = int(label[1:]) / 100 if _PERCENTILE.fullmatch(label) else 1.0
        walk = _walk(f"{widget.title}/{label}", low * scale, high * scale)
        series = [value / share for value in walk]
        if widget.stacked:
            series = total = [sum(pair) for pair in zip(total, series, strict=True)]
        drawn.append(series)
    return drawn or [total]


def _walk(seed: str, low: float, high: float) -> list[float]:
    # Additions and multiplications alone, which every machine rounds alike.
    number = random.Random(hashlib.sha256(seed.encode()).hexdigest())  # noqa: S311 - a picture
    value = low + (high - low) * number.random()
    walk = []
    for _ in range(_POINTS):
        value += (high - low) * 0.2 * (number.random() - 0.5)
        value = min(max(value, low), high)
        walk.append(value)
    return walk


def _box(
    axes: "Axes",
    place: tuple[float, float, float, float],
    *,
    fill: str = "none",
    edge: str = "none",
    alpha: float = 1.0,
) -> None:
    from matplotlib.patches import Rectangle

    x, y, width, height = place
    axes.add_patch(
        Rectangle((x, y), width, height, facecolor=fill, edgecolor=edge, alpha=alpha, linewidth=0.8)
    )


def _write(
    axes: "Axes",
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    bold: bool = False,
    right: bool = False,
) -> None:
    axes.text(
        x,
        y,
        # A dollar begins a formula otherwise.
        text.replace("$", r"\$"),
        fontsize=size,
        color=_TEXT,
        fontweight="bold" if bold else "normal",
        horizontalalignment="right" if right else "left",
        verticalalignment="bottom",
    )
