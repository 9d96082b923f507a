"""When requests are sent: at moments that do not wait for answers."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MOST_REQUESTS: Final = 20_000
"""One process on a small machine sends no more in a run without distorting what it measures."""

LONGEST_RUN_SECONDS: Final = 3600.0
HIGHEST_RATE: Final = 200.0
"""Requests in a second, for the same reason."""


class Arrivals(StrEnum):
    """How requests follow one another."""

    POISSON = "poisson"
    """By chance, as from many people who know nothing of each other."""
    STEADY = "steady"
    """At equal distances."""


class PlanError(ValueError):
    """A load that cannot be; the message says why and what to do."""


@dataclass(frozen=True)
class LoadPlan:
    """``rate`` requests in a second for ``seconds``; the same ``seed`` gives the same moments.

    Raises :class:`PlanError` beyond the bounds of this module.
    """

    rate: float
    seconds: float
    arrivals: Arrivals = Arrivals.POISSON
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.rate <= HIGHEST_RATE:
            raise PlanError(
                f"The rate is {self.rate}. Give more than 0 and at most {HIGHEST_RATE}."
            )
        if not 0 < self.seconds <= LONGEST_RUN_SECONDS:
            raise PlanError(
                f"The run lasts {self.seconds} seconds. Give more than 0 and at most "
                f"{LONGEST_RUN_SECONDS}."
            )
        if self.rate * self.seconds > MOST_REQUESTS:
            raise PlanError(
                f"That is {self.rate * self.seconds:.0f} requests. Lower rate or seconds to stay "
                f"within {MOST_REQUESTS}."
            )

    def moments(self) -> list[float]:
        """Return the seconds after the start at which requests are sent, in order."""
        if self.arrivals is Arrivals.STEADY:
            return [number / self.rate for number in range(int(self.rate * self.seconds))]
        chance = random.Random(self.seed)  # noqa: S311 - a load, not a secret
        moments: list[float] = []
        moment = chance.expovariate(self.rate)
        while moment < self.seconds and len(moments) < MOST_REQUESTS:
            moments.append(moment)
            moment += chance.expovariate(self.rate)
        return moments
