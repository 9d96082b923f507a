"""Where to draw boxes and arrows, so that every arrow points down and none crosses a box.

The method is Sugiyama's (https://doi.org/10.1109/TSMC.1981.4308636) in its simplest form: rows by
longest path, a narrow lane in each row that a long arrow passes, rows ordered by the mean position
of their neighbours.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise

_SWEEPS = 8
"""Passes of ordering; pictures of this size settle after three or four."""


@dataclass(frozen=True, order=True)
class Place:
    """A box of one row, or the lane in which the arrows of that box pass a later row."""

    row: int
    box: str
    is_lane: bool = False


@dataclass(frozen=True)
class Layout:
    """The places of each row from left to right, and the steps of all arrows between them."""

    rows: tuple[tuple[Place, ...], ...]
    steps: tuple[tuple[Place, Place], ...]


def layered(boxes: Sequence[str], arrows: Collection[tuple[str, str]], *, widest: int) -> Layout:
    """Lay out ``boxes`` with at most ``widest`` of them in a row; an arrow is (from, to).

    Raises :class:`graphlib.CycleError` where the arrows go round in a circle.
    """
    rows = _rows(boxes, arrows, widest)
    steps = sorted({step for start, end in arrows for step in _steps(start, end, rows)})
    places = {place for step in steps for place in step} | {Place(rows[box], box) for box in boxes}
    # To begin with: as the boxes were given, lanes last.
    first = sorted(places, key=lambda place: (place.is_lane, boxes.index(place.box)))
    order = {place: index for index, place in enumerate(first)}
    return Layout(_ordered(places, steps, order), tuple(steps))


def _rows(
    boxes: Sequence[str], arrows: Collection[tuple[str, str]], widest: int
) -> Mapping[str, int]:
    sources = {box: sorted(start for start, end in arrows if end == box) for box in boxes}
    rows: dict[str, int] = {}
    for box in TopologicalSorter(sources).static_order():
        row = max((rows[source] + 1 for source in sources[box]), default=0)
        while list(rows.values()).count(row) >= widest:
            row += 1
        rows[box] = row
    return rows


def _steps(start: str, end: str, rows: Mapping[str, int]) -> list[tuple[Place, Place]]:
    lanes = [Place(row, start, is_lane=True) for row in range(rows[start] + 1, rows[end])]
    path = [Place(rows[start], start), *lanes, Place(rows[end], end)]
    return list(pairwise(path))


def _ordered(
    places: Collection[Place], steps: Sequence[tuple[Place, Place]], order: Mapping[Place, float]
) -> tuple[tuple[Place, ...], ...]:
    last = max(place.row for place in places)
    rows = [
        sorted((place for place in places if place.row == row), key=order.__getitem__)
        for row in range(last + 1)
    ]
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            position = _positions(rows)
            row.sort(key=lambda place: _barycentre(place, steps, position, downwards=downwards))
    return tuple(tuple(row) for row in rows)


def _positions(rows: Collection[Sequence[Place]]) -> dict[Place, float]:
    """Return where each place is in its row: 0 at the left edge, 1 at the right."""
    return {place: (index + 0.5) / len(row) for row in rows for index, place in enumerate(row)}


def _barycentre(
    place: Place,
    steps: Sequence[tuple[Place, Place]],
    position: Mapping[Place, float],
    *,
    downwards: bool,
) -> float:
    neighbours = [
        position[start if downwards else end]
        for start, end in steps
        if place == (end if downwards else start)
    ]
    return sum(neighbours) / len(neighbours) if neighbours else position[place]
