"""How many requests come, minute by minute."""

import csv
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

HEADER: Final = ("minute", "requests_per_second")
MOST_REQUESTS: Final = 2_000_000
"""More take minutes to follow, and say nothing that fewer do not."""


class ProfileError(ValueError):
    """A load that cannot be followed; the message has a line for each problem."""


@dataclass(frozen=True)
class LoadProfile:
    """Rates at minutes, in order; in between the rate changes evenly.

    The load begins at the first minute and ends at the last one.
    Raises :class:`ProfileError` for points that are no such load.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        problems = []
        if len(self.points) < 2:
            problems.append("A load has at least two points. Give the minute at which it ends.")
        minutes = [minute for minute, _ in self.points]
        if any(later <= earlier for earlier, later in pairwise(minutes)):
            problems.append("Minutes must rise from point to point.")
        if any(rate < 0 or not math.isfinite(rate) for _, rate in self.points):
            problems.append("A rate is 0 requests in a second or more.")
        if not problems and self.expected > MOST_REQUESTS:
            problems.append(
                f"These are about {self.expected:,.0f} requests. Shorten the load, or scale it "
                f"down, to stay within {MOST_REQUESTS:,}."
            )
        if problems:
            raise ProfileError("\n".join(problems))

    @property
    def seconds(self) -> int:
        """How long the load lasts."""
        return math.ceil((self.points[-1][0] - self.points[0][0]) * 60)

    @property
    def expected(self) -> float:
        """How many requests come, by the rates."""
        return sum(
            (later - earlier) * 60 * (first + last) / 2
            for (earlier, first), (later, last) in pairwise(self.points)
        )

    @property
    def peak(self) -> float:
        """The highest rate, in requests a second."""
        return max(rate for _, rate in self.points)

    def rate(self, second: float) -> float:
        """Return the rate at a second after the beginning; none outside of the load."""
        minute = self.points[0][0] + second / 60
        for (earlier, first), (later, last) in pairwise(self.points):
            if earlier <= minute <= later:
                return first + (last - first) * (minute - earlier) / (later - earlier)
        return 0.0

    def arrivals(self, seed: int) -> Iterator[int]:
        """Yield how many requests come in each second, by chance; the same for the same seed."""
        chance = random.Random(seed)  # noqa: S311 - a load, not a secret
        for second in range(self.seconds):
            yield _poisson(self.rate(second + 0.5), chance)


def _poisson(mean: float, chance: random.Random) -> int:
    """Count events of a Poisson process in one unit of time, by their distances."""
    count, moment = 0, 0.0
    if mean <= 0:
        return 0
    while True:
        moment += chance.expovariate(mean)
        if moment >= 1:
            return count
        count += 1


def read(path: Path) -> LoadProfile:
    """Read a CSV file with the columns of :data:`HEADER`.

    Raises :class:`ProfileError` with a line for each that is not a point.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror}. Give a CSV file.") from None
    rows = list(csv.reader(text.splitlines()))
    if not rows or tuple(cell.strip() for cell in rows[0]) != HEADER:
        raise ProfileError(f"{path}: Its first line must be {','.join(HEADER)}.")
    points, problems = [], []
    for number, row in enumerate(rows[1:], start=2):
        try:
            minute, rate = (float(cell) for cell in row)
        except ValueError:
            problems.append(f"{path}:{number}: {','.join(row)!r} is not a minute and a rate.")
        else:
            points.append((minute, rate))
    if problems:
        raise ProfileError("\n".join(problems))
    return LoadProfile(tuple(points))


def wave(*, base: float, peak: float, ramp_minutes: float, peak_minutes: float) -> LoadProfile:
    """Return a load that rises from ``base`` to ``peak``, stays there, and falls again.

    Before and after it lies half an hour of the base rate.
    """
    calm = 30.0
    up, down = calm + ramp_minutes, calm + ramp_minutes + peak_minutes
    return LoadProfile(
        (
            (0, base),
            (calm, base),
            (up, peak),
            (down, peak),
            (down + ramp_minutes, base),
            (down + ramp_minutes + calm, base),
        )
    )
