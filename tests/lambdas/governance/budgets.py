"""A caller, rates, limits and a clock that the tests of budgets share."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.governance.budget import Limits, ModelRates, Scope, ScopedLimits
from gateway.governance.identity import Caller
from gateway.governance.ledger import DynamoDBLedger
from gateway.governance.transaction import RetryPolicy
from tests.lambdas.governance.emulator import Emulator

NOON = 1_795_348_800.0
"""2026-11-22T12:00:00Z."""

RATES = {
    "smart": ModelRates(
        input_price=3_000_000,
        output_price=15_000_000,
        cache_read_price=300_000,
        cache_write_price=3_750_000,
        output_weight=5,
    ),
    "plain": ModelRates(input_price=1_000_000, output_price=1_000_000),
}

UNLIMITED = Limits()

CALLER = Caller(key_id="abc", team="search", models=None, redaction="redacted")


@dataclass
class FixedClock:
    """A clock that stands until it is set."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class FixedLimits:
    """The same limits for every caller's key and team."""

    key: Limits = UNLIMITED
    team: Limits = UNLIMITED

    def limits(self, caller: Caller) -> Sequence[ScopedLimits]:
        return (
            ScopedLimits(Scope.KEY, caller.key_id, self.key),
            ScopedLimits(Scope.TEAM, caller.team, self.team),
        )


def make_ledger(
    emulator: Emulator,
    table: str,
    *,
    key: Limits = UNLIMITED,
    team: Limits = UNLIMITED,
    clock: FixedClock | None = None,
    retry: RetryPolicy | None = None,
    lease_seconds: int = 900,
) -> DynamoDBLedger:
    return DynamoDBLedger(
        emulator.dynamodb(),
        table,
        rates=RATES,
        limits=FixedLimits(key, team),
        lease_seconds=lease_seconds,
        clock=clock or FixedClock(),
        retry=retry,
    )
