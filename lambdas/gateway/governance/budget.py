"""What a caller may use, in requests, tokens and money, and the promises of a ledger."""

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from gateway.governance.identity import Caller

TOKENS_PER_PRICE_UNIT = 1_000_000
"""Prices are micro-USD for this many tokens, so that every price is an integer."""


class Window(StrEnum):
    """A calendar window in UTC; a budget starts anew with each one."""

    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"

    def label(self, moment: float) -> str:
        """Return the name of the window that holds ``moment`` (seconds since the epoch)."""
        form = {"minute": "%Y-%m-%dT%H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}[self.value]
        return datetime.fromtimestamp(moment, UTC).strftime(form)

    def end(self, moment: float) -> int:
        """Return the second since the epoch at which the window that holds ``moment`` ends."""
        start = datetime.fromtimestamp(moment, UTC).replace(second=0, microsecond=0)
        if self is Window.MINUTE:
            return int((start + timedelta(minutes=1)).timestamp())
        start = start.replace(hour=0, minute=0)
        if self is Window.DAY:
            return int((start + timedelta(days=1)).timestamp())
        days = calendar.monthrange(start.year, start.month)[1]
        return int((start.replace(day=1) + timedelta(days=days)).timestamp())


class Dimension(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    MICRO_USD = "micro_usd"


class Scope(StrEnum):
    """Whose budget it is; a request must fit into both."""

    KEY = "key"
    TEAM = "team"


@dataclass(frozen=True)
class Amounts:
    """Requests, weighted tokens and micro-USD, all integers. Adds and negates."""

    requests: int = 0
    tokens: int = 0
    micro_usd: int = 0

    def __sub__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.requests - other.requests,
            self.tokens - other.tokens,
            self.micro_usd - other.micro_usd,
        )

    def __neg__(self) -> "Amounts":
        return Amounts() - self

    def of(self, dimension: Dimension) -> int:
        """Return the amount of one dimension."""
        return {
            Dimension.REQUESTS: self.requests,
            Dimension.TOKENS: self.tokens,
            Dimension.MICRO_USD: self.micro_usd,
        }[dimension]


@dataclass(frozen=True)
class Limits:
    """The most that may be used per window; ``None`` is no limit, 0 closes the scope.

    Tokens are weighted as Bedrock counts them against its own quotas (:class:`ModelRates`); money
    is micro-USD (1 USD = 1,000,000).
    """

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    requests_per_month: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    micro_usd_per_month: int | None = None

    def __post_init__(self) -> None:
        negative = [f"{name} is {limit}" for name, limit in self.given().items() if limit < 0]
        if negative:
            message = f"A limit cannot be negative: {', '.join(negative)}. Use 0 to allow nothing."
            raise ValueError(message)

    def of(self, window: Window, dimension: Dimension) -> int | None:
        """Return the limit of one dimension in one window, ``None`` when there is none."""
        limit: int | None = getattr(self, f"{dimension}_per_{window}", None)
        return limit

    def given(self) -> dict[str, int]:
        """Return the limits that are set, by field name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: limit for name, limit in values.items() if limit is not None}


@dataclass(frozen=True)
class ScopedLimits:
    """The limits of one key or one team."""

    scope: Scope
    name: str
    limits: Limits


class LimitSource(Protocol):
    """Knows the limits that hold for a caller."""

    def limits(self, caller: Caller) -> Sequence[ScopedLimits]:
        """Return the limits of the caller's key and team, one entry for each scope."""
        ...


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer, as Converse reports them: ``input_tokens`` leaves the cache out."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True)
class ModelRates:
    """What a model's tokens cost and how they weigh. Prices are micro-USD per million tokens.

    ``output_weight`` is how many tokens of quota one output token takes: 5 for Claude 3.7 and
    later, 1 otherwise. Tokens read from the cache take none; tokens written to it count as input
    (https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html).
    """

    input_price: int
    output_price: int
    cache_read_price: int = 0
    cache_write_price: int = 0
    output_weight: int = 1

    def reservation(self, input_tokens: int, max_output_tokens: int) -> Amounts:
        """Return the most one request can use, so that settling never adds to it.

        Every input token is taken at the dearest price it can have, which is that of writing the
        cache where the model has one.
        """
        dearest = max(self.input_price, self.cache_write_price, self.cache_read_price)
        return Amounts(
            requests=1,
            tokens=input_tokens + self.output_weight * max_output_tokens,
            micro_usd=_round_up(input_tokens * dearest + max_output_tokens * self.output_price),
        )

    def amounts(self, usage: Usage) -> Amounts:
        """Return what an answer used."""
        return Amounts(
            requests=1,
            tokens=usage.input_tokens
            + usage.cache_write_tokens
            + self.output_weight * usage.output_tokens,
            micro_usd=_round_up(
                usage.input_tokens * self.input_price
                + usage.cache_write_tokens * self.cache_write_price
                + usage.cache_read_tokens * self.cache_read_price
                + usage.output_tokens * self.output_price
            ),
        )


def _round_up(price_times_tokens: int) -> int:
    return -(-price_times_tokens // TOKENS_PER_PRICE_UNIT)


@dataclass(frozen=True)
class Reservation:
    """What a ledger holds for one request until it is settled, released, or its lease ends.

    ``counters`` are the identifiers of the windows that hold it; ``lease_until`` is in seconds
    since the epoch.
    """

    request_id: str
    model: str
    held: Amounts
    counters: tuple[str, ...]
    lease_until: int


@dataclass(frozen=True)
class UsageLine:
    """One dimension of one window: settled use, what open requests hold, and the limit."""

    scope: Scope
    name: str
    window: Window
    dimension: Dimension
    used: int
    held: int
    limit: int | None
    resets_at: int

    @property
    def left(self) -> int | None:
        """What may still be used, never below 0; ``None`` without a limit."""
        return None if self.limit is None else max(0, self.limit - self.used - self.held)


@dataclass(frozen=True)
class UsageReport:
    """What a key and its team have used in the current windows."""

    lines: tuple[UsageLine, ...]

    def line(self, scope: Scope, window: Window, dimension: Dimension) -> UsageLine | None:
        """Return one line, or ``None`` when that window is not counted."""
        wanted = (scope, window, dimension)
        found = (line for line in self.lines if (line.scope, line.window, line.dimension) == wanted)
        return next(found, None)


class BudgetExceeded(Exception):  # noqa: N818 - the name is the API's term for the refusal
    """A request does not fit into a budget.

    ``used`` is settled use plus what open requests hold. ``retry_after_seconds`` is the time until
    the window ends; ``never_fits`` says that this request alone is larger than the limit, so that
    waiting cannot help.
    """

    def __init__(
        self,
        *,
        window: Window,
        scope: Scope,
        dimension: Dimension,
        limit: int,
        used: int,
        retry_after_seconds: int,
        never_fits: bool = False,
    ) -> None:
        self.window = window
        self.scope = scope
        self.dimension = dimension
        self.limit = limit
        self.used = used
        self.retry_after_seconds = retry_after_seconds
        self.never_fits = never_fits
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        unit = {"requests": "requests", "tokens": "tokens", "micro_usd": "micro-USD"}
        budget = f"The {self.scope}'s budget of {self.limit} {unit[self.dimension]} per"
        if self.never_fits:
            return (
                f"{budget} {self.window} is smaller than this request alone may use. "
                "Lower max_tokens or shorten the input."
            )
        return (
            f"{budget} {self.window} does not hold this request: {self.used} are used or held. "
            f"Retry in {self.retry_after_seconds} seconds, or lower max_tokens."
        )


class BudgetUnavailable(Exception):  # noqa: N818 - a state of the ledger, as in HTTP 503
    """The ledger could not decide; the request must be refused, for no budget was reserved."""


class BudgetLedger(Protocol):
    """Keeps budgets. All methods are safe to call from many processes at once."""

    def reserve(
        self,
        caller: Caller,
        *,
        model: str,
        input_tokens: int,
        max_output_tokens: int,
        request_id: str,
    ) -> Reservation:
        """Hold the most the request can use in every window of the key and the team, or nothing.

        ``input_tokens`` must be an upper bound: what the ledger guarantees is only as good.

        Raises:
            BudgetExceeded: a window of the key or the team does not hold it.
            BudgetUnavailable: the ledger cannot be reached or stayed contended.
            ValueError: the model has no rates, or a number is negative.
        """
        ...

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Replace what was held by what was used, exactly once, however often it is called.

        Raises:
            BudgetUnavailable: the ledger cannot be reached; calling again is safe.
        """
        ...

    def release(self, reservation: Reservation) -> None:
        """Return all that was held; nothing happens when it was settled or returned before.

        Raises:
            BudgetUnavailable: the ledger cannot be reached; calling again is safe.
        """
        ...

    def usage(self, caller: Caller) -> UsageReport:
        """Return the current windows of the caller's key and team.

        Raises:
            BudgetUnavailable: the ledger cannot be reached.
        """
        ...


Rates = Mapping[str, ModelRates]
"""The rates of each model, by the name that :meth:`BudgetLedger.reserve` is given."""
