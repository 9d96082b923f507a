"""The picture of an :class:`~ops.stack_summary.Architecture`, as SVG for light and dark."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree as ET

from ops.layered_layout import Layout, Place, layered
from ops.stack_summary import Architecture, Dependency, StackSummary

# Pixels.
_WIDTH = 1180
_MARGIN = 32
_BOX = 244
_LANE = 8
_LINE = 19
_BETWEEN_ROWS = 64
_FLOW_HEIGHT = 66
_FLOW_GAP = 26
_HEADER = 116
_PADDING = 16
_CAP = 34
_CORNER = 10

_MOST_IN_A_ROW = 4
_CHARACTERS = 31
"""In one line of a box, so that it fits in wide fonts too."""

_INDENT = 14
_DESCRIPTION_GAP = 6

_STYLE = """
svg { color-scheme: light dark; font-family: system-ui, "Segoe UI", Roboto, Helvetica, Arial,
  sans-serif; font-size: 13px; }
.page { fill: #ffffff; stroke: #d7dde5; }
.step { fill: #f3f6fa; stroke: #c6d0dc; }
.stack { fill: #f7faff; stroke: #8fb0e0; stroke-width: 1.5; }
.cap { fill: #2f6fd0; }
.heading { fill: #0f2240; font-weight: 600; font-size: 15px; }
.name { fill: #14294a; font-weight: 600; font-size: 14px; }
.on-cap { fill: #ffffff; font-weight: 600; font-size: 14px; }
.badge { fill: #dbe8fb; font-size: 11px; }
.text { fill: #24364f; }
.muted { fill: #5a6b82; font-size: 12px; }
.arrow { fill: none; stroke: #6d87ab; stroke-width: 1.6; }
.tip { fill: #6d87ab; }
@media (prefers-color-scheme: dark) {
  .page { fill: #10161f; stroke: #2b3747; }
  .step { fill: #1a2330; stroke: #3a4a5f; }
  .stack { fill: #152031; stroke: #41669c; }
  .cap { fill: #2a5ba6; }
  .heading, .name { fill: #e8eff9; }
  .text { fill: #cfdaea; }
  .muted { fill: #93a4bb; }
  .arrow { stroke: #7f9ac0; }
  .tip { fill: #7f9ac0; }
}
"""


@dataclass(frozen=True)
class _Frame:
    """Where a place is drawn."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height


def draw(architecture: Architecture, environments: Sequence[str]) -> str:
    """Return the SVG document of ``architecture``; ``environments`` are all that are configured.

    The same architecture gives the same text.
    """
    layout = layered(
        [stack.name for stack in architecture.stacks],
        [(one.producer, one.consumer) for one in architecture.dependencies],
        widest=_MOST_IN_A_ROW,
    )
    stacks = {stack.name: stack for stack in architecture.stacks}
    frames = _frames(layout, stacks)
    height = max(frame.bottom for frame in frames.values()) + _MARGIN
    svg = _document(architecture, height)
    _draw_flow(svg, architecture, environments)
    _draw_heading(svg, architecture)
    _draw_arrows(svg, layout, frames, architecture.dependencies)
    for place, frame in sorted(frames.items()):
        if not place.is_lane:
            _draw_stack(svg, stacks[place.box], frame, architecture.region)
    ET.indent(svg)
    return f"{ET.tostring(svg, encoding='unicode')}\n"


def _document(architecture: Architecture, height: float) -> ET.Element:
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH} {height:g}",
            "width": f"{_WIDTH}",
            "height": f"{height:g}",
            "role": "img",
        },
    )
    ET.SubElement(svg, "title").text = "Architecture of LLM Platform"
    ET.SubElement(svg, "desc").text = _description(architecture)
    ET.SubElement(svg, "style").text = _STYLE
    marker = {
        "id": "tip",
        "viewBox": "0 0 8 8",
        "refX": "7",
        "refY": "4",
        "markerWidth": "7",
        "markerHeight": "7",
        "orient": "auto",
    }
    tip = ET.SubElement(ET.SubElement(svg, "defs"), "marker", marker)
    ET.SubElement(tip, "path", {"class": "tip", "d": "M0 0L8 4L0 8z"})
    _rectangle(svg, "page", _Frame(0.5, 0.5, _WIDTH - 1, height - 1), radius=14)
    return svg


def _description(architecture: Architecture) -> str:
    """Say what the picture shows, for those who cannot see it."""
    stacks = "; ".join(f"{stack.name}: {', '.join(stack.kinds)}" for stack in architecture.stacks)
    arrows = "; ".join(
        f"{one.consumer} takes from {one.producer}" for one in architecture.dependencies
    )
    return f"Stacks of {architecture.environment}. {stacks}. {arrows}."


def _draw_flow(svg: ET.Element, architecture: Architecture, environments: Sequence[str]) -> None:
    resources = sum(stack.resources for stack in architecture.stacks)
    steps = [
        ("config/*.toml", ", ".join(environments)),
        ("config", "typed and validated"),
        ("stacks", "who gets what"),
        ("llm_constructs", "how it is built"),
        ("cdk.out", f"{len(architecture.stacks)} stacks, {resources} resources"),
        ("checks", "rules, snapshots, diff"),
    ]
    width = (_WIDTH - 2 * _MARGIN - _FLOW_GAP * (len(steps) - 1)) / len(steps)
    frames = [
        _Frame(_MARGIN + index * (width + _FLOW_GAP), _MARGIN, width, _FLOW_HEIGHT)
        for index in range(len(steps))
    ]
    for frame, (name, note) in zip(frames, steps, strict=True):
        _rectangle(svg, "step", frame, radius=8)
        _text(svg, "name", frame.centre, frame.y + 29, name, anchor="middle")
        _text(svg, "muted", frame.centre, frame.y + 49, note, anchor="middle")
    for left, right in pairwise(frames):
        middle = left.y + left.height / 2
        _arrow(svg, f"M{left.x + left.width + 3:g} {middle:g}H{right.x - 3:g}", "")


def _draw_heading(svg: ET.Element, architecture: Architecture) -> None:
    y = _MARGIN + _FLOW_HEIGHT + 42
    title = f"Stacks of {architecture.environment} in {architecture.region}"
    _text(svg, "heading", _MARGIN, y, title)
    note = "An arrow goes from the stack that gives values to the one that takes them."
    _text(svg, "muted", _WIDTH - _MARGIN, y, note, anchor="end")


def _frames(layout: Layout, stacks: Mapping[str, StackSummary]) -> dict[Place, _Frame]:
    frames: dict[Place, _Frame] = {}
    y: float = _MARGIN + _FLOW_HEIGHT + _HEADER - 48
    for row in layout.rows:
        height = max(_height(stacks[place.box]) for place in row if not place.is_lane)
        widths = [_LANE if place.is_lane else _BOX for place in row]
        free = _WIDTH - 2 * _MARGIN - sum(widths)
        gap = min(free / max(len(row) - 1, 1), _BOX / 2)
        x = (_WIDTH - sum(widths) - gap * (len(row) - 1)) / 2
        for place, width in zip(row, widths, strict=True):
            frames[place] = _Frame(round(x, 1), y, width, height)
            x += width + gap
        y += height + _BETWEEN_ROWS
    return frames


@dataclass(frozen=True)
class _Line:
    """One line of text in a box; ``y`` is its baseline below the cap."""

    kind: str
    text: str
    x: float
    y: float


def _lines(stack: StackSummary) -> list[_Line]:
    """Return the lines below the name: the description, the kinds, and how many are left out."""
    description = stack.description[:1].upper() + stack.description[1:]
    wrapped = [("muted", part, 0.0) for part in textwrap.wrap(description, _CHARACTERS)]
    gaps = len(wrapped)
    for kind in stack.kinds:
        first, *rest = textwrap.wrap(kind, _CHARACTERS)
        wrapped += [("text", first, 0.0), *(("text", part, float(_INDENT)) for part in rest)]
    if stack.others:
        wrapped.append(("muted", f"and {stack.others} more that support them", 0.0))
    return [
        _Line(kind, text, x, 22 + index * _LINE + (_DESCRIPTION_GAP if index >= gaps else 0))
        for index, (kind, text, x) in enumerate(wrapped)
    ]


def _height(stack: StackSummary) -> float:
    return _CAP + max((line.y for line in _lines(stack)), default=0) + _PADDING


def _draw_stack(svg: ET.Element, stack: StackSummary, frame: _Frame, region: str) -> None:
    group = ET.SubElement(svg, "g")
    _rectangle(group, "stack", frame, radius=_CORNER)
    corner = f"a{_CORNER} {_CORNER} 0 0 1 {_CORNER}"
    side = _CAP - _CORNER
    cap = f"M{frame.x:g} {frame.y + _CAP:g}v-{side}{corner} -{_CORNER}"
    cap += f"h{frame.width - 2 * _CORNER:g}{corner} {_CORNER}v{side}z"
    ET.SubElement(group, "path", {"class": "cap", "d": cap})
    _text(group, "on-cap", frame.x + _PADDING, frame.y + 22, stack.name)
    notes = [stack.region] if stack.region != region else []
    notes += ["protected"] if stack.protected else []
    right = frame.x + frame.width - _PADDING
    _text(group, "badge", right, frame.y + 22, ", ".join(notes), anchor="end")
    for line in _lines(stack):
        x = frame.x + _PADDING + line.x
        _text(group, line.kind, x, frame.y + _CAP + line.y, line.text)


def _draw_arrows(
    svg: ET.Element,
    layout: Layout,
    frames: Mapping[Place, _Frame],
    dependencies: Sequence[Dependency],
) -> None:
    for start, end in layout.steps:
        upper, lower = frames[start], frames[end]
        x1 = upper.centre if start.is_lane else _port(start, end, layout.steps, frames, 0)
        x2 = lower.centre if end.is_lane else _port(end, start, layout.steps, frames, 1)
        # A lane is passed straight through, from the top of its row to the bottom.
        y1, y2 = upper.bottom, lower.y
        middle = (y1 + y2) / 2
        path = f"M{x1:g} {y1:g}C{x1:g} {middle:g} {x2:g} {middle:g} {x2:g} {y2:g}"
        if end.is_lane:
            path += f"V{lower.bottom:g}"
        _arrow(svg, path, _values_taken(start, end, dependencies), tip=not end.is_lane)


def _port(
    place: Place,
    other: Place,
    steps: Sequence[tuple[Place, Place]],
    frames: Mapping[Place, _Frame],
    side: int,
) -> float:
    """Return where on the edge of ``place`` its arrow to ``other`` is fixed.

    ``side`` is 0 for arrows that leave at the bottom and 1 for those that arrive at the top.
    """
    others = sorted(
        (step[1 - side] for step in steps if step[side] == place),
        key=lambda neighbour: frames[neighbour].centre,
    )
    share = (others.index(other) + 1) / (len(others) + 1)
    return round(frames[place].x + frames[place].width * share, 1)


def _values_taken(start: Place, end: Place, dependencies: Sequence[Dependency]) -> str:
    taken = {(one.producer, one.consumer): one.values for one in dependencies}
    number = taken.get((start.box, end.box), 0)
    return f"{end.box} takes {number} values from {start.box}" if number and not end.is_lane else ""


def _arrow(parent: ET.Element, path: str, title: str, *, tip: bool = True) -> None:
    attributes = {"class": "arrow", "d": path}
    if tip:
        attributes["marker-end"] = "url(#tip)"
    arrow = ET.SubElement(parent, "path", attributes)
    if title:
        ET.SubElement(arrow, "title").text = title


def _rectangle(parent: ET.Element, kind: str, frame: _Frame, *, radius: int) -> None:
    attributes = {
        "class": kind,
        "x": f"{frame.x:g}",
        "y": f"{frame.y:g}",
        "width": f"{frame.width:g}",
        "height": f"{frame.height:g}",
        "rx": f"{radius}",
    }
    ET.SubElement(parent, "rect", attributes)


def _text(
    parent: ET.Element, kind: str, x: float, y: float, text: str, *, anchor: str = "start"
) -> None:
    if text:
        attributes = {"class": kind, "x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor}
        ET.SubElement(parent, "text", attributes).text = text
