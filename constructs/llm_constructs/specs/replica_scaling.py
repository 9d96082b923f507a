"""How many copies of a model run, and when."""

import re
import zoneinfo
from dataclasses import dataclass
from functools import cache
from typing import Final

from llm_constructs.specs.problem import Problems

MOST_REPLICAS: Final = 100
"""Copies of a model; beyond it, a second model server is easier to run than one very large one."""

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, kw_only=True)
class BusinessHours:
    """Hours of the week in which a number of copies runs whatever the load is."""

    replicas: int
    """Copies during these hours."""
    start: str = "08:00"
    """When they begin, in 24 hours."""
    end: str = "18:00"
    """When they end, on the same day."""
    first_day: str = "mon"
    """The first day of the week that has them: `mon` to `sun`."""
    last_day: str = "fri"
    """The last one, not before the first."""
    time_zone: str = "UTC"
    """The time zone of the clock, such as `America/New_York`."""

    def __post_init__(self) -> None:
        problems = Problems("business hours")
        clocks = {field: getattr(self, field) for field in ("start", "end")}
        legal = [bool(_CLOCK.fullmatch(value)) for value in clocks.values()]
        for (field, value), ok in zip(clocks.items(), legal, strict=True):
            problems.require(
                ok, field, value, "It is no time of day.", "Write it as 08:00, from 00:00 to 23:59."
            )
        problems.require(
            not all(legal) or self.start < self.end,
            "end",
            self.end,
            f"The hours would be over before they begin at {self.start}.",
            "Give a later time of the same day.",
        )
        days = (self.first_day, self.last_day)
        known = all(day in _DAYS for day in days)
        problems.require(
            known and _DAYS.index(days[0]) <= _DAYS.index(days[1]),
            "last_day",
            list(days),
            "They are no days of one week, in order.",
            f"Choose two of {', '.join(_DAYS)}.",
        )
        problems.require(
            self.time_zone in _time_zones(),
            "time_zone",
            self.time_zone,
            "The time zone database has no such zone.",
            "Give a name such as Europe/Berlin or UTC.",
        )
        problems.require(
            self.replicas >= 1,
            "replicas",
            self.replicas,
            "Hours in which nothing runs need not be named.",
            "Give at least 1, or leave the hours out.",
        )
        problems.raise_if_any()

    def cron(self, clock: str) -> str:
        """Return the five fields of cron for ``clock`` (HH:MM) on the days."""
        hour, minute = (int(part) for part in clock.split(":"))
        first, last = (str((_DAYS.index(day) + 1) % 7) for day in (self.first_day, self.last_day))
        # Sunday is 0, which ends no range that begins before it.
        days = f"{first}-{last}" if last != "0" else f"{first}-6,0"
        if self.first_day == self.last_day:
            days = first
        return f"{minute} {hour} * * {days}"


@dataclass(frozen=True, kw_only=True)
class ReplicaScaling:
    """Between which numbers of copies a model runs, and what adds one."""

    minimum: int = 1
    """Copies that always run. With 0 the first call of an idle model is answered with 503 and wakes
    it, which takes as long as a node and the weights need."""
    maximum: int = 1
    """Copies under load."""
    waiting_requests: int = 4
    """Requests that wait in a copy's queue, on average, above which copies are added."""
    first_token_seconds: float = 5.0
    """Time to the first token of 95 % of the requests above which copies are added."""
    idle_minutes: int = 30
    """Minutes without a request after which the last copy goes, where minimum is 0."""
    business_hours: BusinessHours | None = None
    """Hours with a higher minimum. Left out: none."""

    def __post_init__(self) -> None:
        problems = Problems("scaling")
        problems.require(
            0 <= self.minimum <= self.maximum,
            "minimum",
            self.minimum,
            f"It must lie between 0 and maximum, which is {self.maximum}.",
            "Lower it, or raise maximum.",
        )
        problems.require(
            1 <= self.maximum <= MOST_REPLICAS,
            "maximum",
            self.maximum,
            f"A model server has 1 to {MOST_REPLICAS} copies.",
            "Choose a number in between, or make a second model server.",
        )
        problems.require(
            self.waiting_requests >= 1,
            "waiting_requests",
            self.waiting_requests,
            "Copies would be added without anything waiting.",
            "Give at least 1.",
        )
        problems.require(
            self.first_token_seconds > 0,
            "first_token_seconds",
            self.first_token_seconds,
            "No request is answered before it comes.",
            "Give seconds, such as 2.5.",
        )
        problems.require(
            self.idle_minutes >= 10,
            "idle_minutes",
            self.idle_minutes,
            "A node and its weights need about as long to come, so a model would go as it wakes.",
            "Give at least 10 minutes.",
        )
        hours = self.business_hours
        problems.require(
            hours is None or self.minimum < hours.replicas <= self.maximum,
            "business_hours.replicas",
            hours and hours.replicas,
            f"It must lie above minimum, {self.minimum}, and not above maximum, {self.maximum}.",
            "Choose a number in between, or leave the hours out.",
        )
        problems.raise_if_any()

    @property
    def fixed(self) -> bool:
        """Whether the number never changes."""
        return self.minimum == self.maximum


@cache
def _time_zones() -> frozenset[str]:
    # Each call reads the whole database, 20 ms long.
    return frozenset(zoneinfo.available_timezones())
