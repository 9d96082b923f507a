"""What is known of each request of a load test, and of all of them."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

PERCENTILES: Final = (50, 90, 95, 99)


@dataclass(frozen=True)
class Sample:
    """One request. Times are in seconds.

    ``due`` is when it was to be sent, after the start, and ``lag`` how much later it was.
    Everything else counts from when it was **due**, so that a client or server that falls behind
    cannot hide it. ``first_token`` and ``output_tokens`` are ``None`` where none came.
    """

    due: float
    lag: float
    total: float
    first_token: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error: str | None = None

    @property
    def token_time(self) -> float | None:
        """The mean time of each token after the first one."""
        if self.first_token is None or self.output_tokens is None or self.output_tokens < 2:
            return None
        return (self.total - self.first_token) / (self.output_tokens - 1)


@dataclass(frozen=True)
class Objective:
    """What a good answer keeps to, in seconds."""

    first_token: float
    token: float

    def is_met_by(self, sample: Sample) -> bool:
        """Say whether an answer came, complete and in time."""
        if sample.error is not None or sample.first_token is None:
            return False
        return sample.first_token <= self.first_token and (sample.token_time or 0.0) <= self.token


@dataclass(frozen=True)
class Summary:
    """Figures of a run; ``good_share`` is the share of all requests that met the objective."""

    requests: int
    errors: dict[str, int]
    seconds: float
    good: int
    output_tokens: int
    first_token: dict[str, float]
    token_time: dict[str, float]
    total: dict[str, float]
    lag: dict[str, float]

    @classmethod
    def of(cls, samples: Sequence[Sample], objective: Objective) -> "Summary":
        """Sum up a run of at least one request."""
        return cls(
            requests=len(samples),
            errors=dict(Counter(s.error for s in samples if s.error is not None)),
            seconds=max(s.due + s.total for s in samples),
            good=sum(map(objective.is_met_by, samples)),
            output_tokens=sum(s.output_tokens or 0 for s in samples),
            first_token=percentiles(s.first_token for s in samples),
            token_time=percentiles(s.token_time for s in samples),
            total=percentiles(s.total for s in samples if s.error is None),
            lag=percentiles(s.lag for s in samples),
        )

    @property
    def good_share(self) -> float:
        """Between 0 and 1."""
        return self.good / self.requests

    def body(self) -> dict[str, Any]:
        """Return the figures as JSON takes them."""
        return {
            **vars(self),
            "good_share": round(self.good_share, 4),
            "good_per_second": round(self.good / self.seconds, 3),
            "output_tokens_per_second": round(self.output_tokens / self.seconds, 2),
        }


def percentiles(values: Iterable[float | None]) -> dict[str, float]:
    """Return the percentiles by nearest rank; empty without values."""
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return {}
    return {
        f"p{percent}": round(ordered[math.ceil(percent / 100 * len(ordered)) - 1], 4)
        for percent in PERCENTILES
    }
