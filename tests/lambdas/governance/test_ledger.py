"""The ledger against DynamoDB's wire protocol."""

import threading
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.governance.budget import (
    BudgetExceeded,
    BudgetUnavailable,
    Dimension,
    Limits,
    Reservation,
    Scope,
    Usage,
    UsageLine,
    Window,
)
from gateway.governance.ledger import DynamoDBLedger
from gateway.governance.transaction import RetryPolicy
from tests.lambdas.governance.budgets import (
    CALLER,
    NOON,
    RATES,
    FixedClock,
    FixedLimits,
    make_ledger,
)
from tests.lambdas.governance.emulator import Emulator, canceled


class Waits:
    """A retry policy's sleep that only notes how long it was asked to wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def policy(self, attempts: int = 4) -> RetryPolicy:
        return RetryPolicy(
            attempts=attempts, sleep=self.seconds.append, uniform=lambda _, high: high
        )


def hold_hundred(ledger: DynamoDBLedger, request_id: str) -> Reservation:
    """Reserve 100 tokens, which cost 100 micro-USD."""
    return ledger.reserve(
        CALLER, model="plain", input_tokens=60, max_output_tokens=40, request_id=request_id
    )


def tokens(ledger: DynamoDBLedger, scope: Scope = Scope.TEAM) -> UsageLine:
    line = ledger.usage(CALLER).line(scope, Window.MONTH, Dimension.TOKENS)
    assert line is not None
    return line


def test_a_reservation_is_held_and_then_replaced_by_what_was_used(
    emulator: Emulator, ledger_table: str
) -> None:
    ledger = make_ledger(emulator, ledger_table, team=Limits(tokens_per_month=1_000))
    reservation = hold_hundred(ledger, "r1")
    assert (tokens(ledger).used, tokens(ledger).held, tokens(ledger).left) == (0, 100, 900)
    ledger.settle(reservation, Usage(input_tokens=50, output_tokens=10))
    for scope in Scope:
        assert (tokens(ledger, scope).used, tokens(ledger, scope).held) == (60, 0)


def test_settling_twice_charges_once(emulator: Emulator, ledger_table: str) -> None:
    ledger = make_ledger(emulator, ledger_table)
    reservation = hold_hundred(ledger, "r1")
    for _ in range(3):
        ledger.settle(reservation, Usage(input_tokens=50, output_tokens=10))
    assert (tokens(ledger).used, tokens(ledger).held) == (60, 0)


def test_releasing_returns_the_request_too(emulator: Emulator, ledger_table: str) -> None:
    ledger = make_ledger(emulator, ledger_table, key=Limits(requests_per_minute=1))
    reservation = hold_hundred(ledger, "r1")
    ledger.release(reservation)
    ledger.release(reservation)
    assert (tokens(ledger).used, tokens(ledger).held) == (0, 0)
    assert hold_hundred(ledger, "r2").request_id == "r2"


def test_releasing_after_settling_changes_nothing(emulator: Emulator, ledger_table: str) -> None:
    ledger = make_ledger(emulator, ledger_table)
    reservation = hold_hundred(ledger, "r1")
    ledger.settle(reservation, Usage(input_tokens=50, output_tokens=10))
    ledger.release(reservation)
    assert (tokens(ledger).used, tokens(ledger).held) == (60, 0)


@pytest.mark.parametrize(
    ("key", "team", "scope", "window", "dimension", "retry_after"),
    [
        (Limits(requests_per_minute=1), Limits(), "key", "minute", "requests", 60),
        (Limits(), Limits(requests_per_day=1), "team", "day", "requests", 12 * 3600),
        (Limits(requests_per_month=1), Limits(), "key", "month", "requests", 8.5 * 86_400),
        (Limits(), Limits(tokens_per_minute=150), "team", "minute", "tokens", 60),
        (Limits(tokens_per_day=150), Limits(), "key", "day", "tokens", 12 * 3600),
        (Limits(tokens_per_month=150), Limits(), "key", "month", "tokens", 8.5 * 86_400),
        (Limits(), Limits(micro_usd_per_month=150), "team", "month", "micro_usd", 8.5 * 86_400),
    ],
)
def test_each_limit_refuses_what_does_not_fit_and_says_when_to_return(
    emulator: Emulator,
    ledger_table: str,
    key: Limits,
    team: Limits,
    scope: str,
    window: str,
    dimension: str,
    retry_after: float,
) -> None:
    ledger = make_ledger(emulator, ledger_table, key=key, team=team)
    hold_hundred(ledger, "r1")
    with pytest.raises(BudgetExceeded) as caught:
        hold_hundred(ledger, "r2")
    refusal = caught.value
    assert (refusal.scope, refusal.window, refusal.dimension) == (scope, window, dimension)
    assert refusal.retry_after_seconds == retry_after
    assert refusal.used == (1 if dimension == "requests" else 100)
    assert not refusal.never_fits
    assert tokens(ledger).held == 100


def test_of_several_refusals_the_one_that_lasts_longest_is_told(
    emulator: Emulator, ledger_table: str
) -> None:
    limits = Limits(requests_per_minute=1, tokens_per_day=150)
    ledger = make_ledger(emulator, ledger_table, key=limits)
    hold_hundred(ledger, "r1")
    with pytest.raises(BudgetExceeded) as caught:
        hold_hundred(ledger, "r2")
    assert caught.value.window is Window.DAY


def test_of_two_limits_in_a_window_only_the_one_that_is_exceeded_is_told(
    emulator: Emulator, ledger_table: str
) -> None:
    limits = Limits(requests_per_day=10, tokens_per_day=150)
    ledger = make_ledger(emulator, ledger_table, team=limits)
    hold_hundred(ledger, "r1")
    with pytest.raises(BudgetExceeded) as caught:
        hold_hundred(ledger, "r2")
    assert (caught.value.dimension, caught.value.limit) == (Dimension.TOKENS, 150)


def test_a_full_budget_opens_with_the_next_window(emulator: Emulator, ledger_table: str) -> None:
    clock = FixedClock()
    limits = Limits(requests_per_minute=1)
    ledger = make_ledger(emulator, ledger_table, key=limits, clock=clock)
    hold_hundred(ledger, "r1")
    clock.now += 60
    assert hold_hundred(ledger, "r2").counters[0].endswith("T12:01")


def test_a_request_larger_than_its_limit_is_refused_before_anything_is_written(
    emulator: Emulator, ledger_table: str
) -> None:
    ledger = make_ledger(emulator, ledger_table, team=Limits(tokens_per_minute=99))
    with pytest.raises(BudgetExceeded) as caught:
        hold_hundred(ledger, "r1")
    assert caught.value.never_fits
    assert emulator.peaks(ledger_table) == {}


def test_a_limit_can_be_used_to_the_last_token(emulator: Emulator, ledger_table: str) -> None:
    ledger = make_ledger(emulator, ledger_table, team=Limits(tokens_per_month=200))
    for name in ("r1", "r2"):
        hold_hundred(ledger, name)
    assert tokens(ledger).left == 0


def test_a_settlement_is_charged_to_the_windows_of_the_reservation(
    emulator: Emulator, ledger_table: str
) -> None:
    clock = FixedClock()
    ledger = make_ledger(emulator, ledger_table, key=Limits(tokens_per_minute=500), clock=clock)
    reservation = hold_hundred(ledger, "r1")
    clock.now += 60
    ledger.settle(reservation, Usage(input_tokens=50, output_tokens=10))
    now = ledger.usage(CALLER).line(Scope.KEY, Window.MINUTE, Dimension.TOKENS)
    clock.now -= 60
    then = ledger.usage(CALLER).line(Scope.KEY, Window.MINUTE, Dimension.TOKENS)
    assert now is not None
    assert then is not None
    assert (now.used, then.used, then.held) == (0, 60, 0)


def test_an_expired_lease_is_returned_by_the_request_that_needs_its_room(
    emulator: Emulator, ledger_table: str
) -> None:
    clock = FixedClock()
    ledger = make_ledger(
        emulator, ledger_table, team=Limits(tokens_per_month=150), clock=clock, lease_seconds=30
    )
    hold_hundred(ledger, "dead")
    clock.now += 29
    with pytest.raises(BudgetExceeded):
        hold_hundred(ledger, "early")
    clock.now += 1
    hold_hundred(ledger, "late")
    assert (tokens(ledger).used, tokens(ledger).held) == (0, 100)


def test_an_expired_lease_is_returned_by_the_next_request_even_if_there_is_room(
    emulator: Emulator, ledger_table: str
) -> None:
    clock = FixedClock()
    ledger = make_ledger(emulator, ledger_table, clock=clock, lease_seconds=30)
    hold_hundred(ledger, "dead")
    clock.now += 61
    hold_hundred(ledger, "next")
    assert tokens(ledger).held == 100


def test_a_lease_that_was_returned_is_still_charged_when_its_call_ends_late(
    emulator: Emulator, ledger_table: str
) -> None:
    clock = FixedClock()
    ledger = make_ledger(emulator, ledger_table, clock=clock, lease_seconds=30)
    reservation = hold_hundred(ledger, "slow")
    clock.now += 30
    assert ledger.return_expired(CALLER.team) == 1
    for _ in range(2):
        ledger.settle(reservation, Usage(input_tokens=50, output_tokens=10))
    assert (tokens(ledger).used, tokens(ledger).held) == (60, 0)


def test_sweeping_finds_every_team_and_returns_each_lease_once(
    emulator: Emulator, ledger_table: str
) -> None:
    clock = FixedClock()
    ledger = make_ledger(emulator, ledger_table, clock=clock, lease_seconds=30)
    for number in range(3):
        hold_hundred(ledger, f"r{number}")
    assert ledger.teams_with_expired_leases() == set()
    clock.now += 30
    assert ledger.teams_with_expired_leases() == {CALLER.team}
    assert ledger.return_expired(CALLER.team, limit=2) == 2
    assert ledger.return_expired(CALLER.team) == 1
    assert ledger.return_expired(CALLER.team) == 0
    assert tokens(ledger).held == 0


def test_an_index_that_is_behind_does_not_return_a_settled_lease(
    emulator: Emulator, ledger_table: str
) -> None:
    """The index is eventually consistent: it may still name a lease that is closed."""
    clock = FixedClock()
    client = emulator.dynamodb()
    ledger = DynamoDBLedger(
        client,
        ledger_table,
        rates=RATES,
        limits=FixedLimits(),
        lease_seconds=30,
        clock=clock,
    )
    reservation = hold_hundred(ledger, "r1")
    ledger.settle(reservation, Usage(input_tokens=50, output_tokens=10))
    client.update_item(
        TableName=ledger_table,
        Key={"id": {"S": "LEASE#r1"}},
        UpdateExpression="SET open_team = :team",
        ExpressionAttributeValues={":team": {"S": CALLER.team}},
    )
    clock.now += 30
    assert ledger.return_expired(CALLER.team) == 0
    assert (tokens(ledger).used, tokens(ledger).held) == (60, 0)


def test_pages_of_open_leases_are_all_read(emulator: Emulator, ledger_table: str) -> None:
    clock = FixedClock()
    client = emulator.dynamodb()
    real_scan: Callable[..., Any] = client.scan
    pages: list[str | None] = []

    def scan_one(**arguments: Any) -> Any:
        answer = real_scan(**arguments, Limit=1)
        pages.append(answer.get("LastEvaluatedKey", {}).get("id", {}).get("S"))
        return answer

    client.scan = scan_one  # type: ignore[method-assign]  # real pages, only smaller
    ledger = DynamoDBLedger(
        client, ledger_table, rates=RATES, limits=FixedLimits(), lease_seconds=30, clock=clock
    )
    for number in range(2):
        hold_hundred(ledger, f"r{number}")
    clock.now += 30
    assert ledger.teams_with_expired_leases() == {CALLER.team}
    assert len(pages) >= 2


def test_conflicts_with_other_transactions_are_retried_with_growing_waits(
    emulator: Emulator, ledger_table: str
) -> None:
    waits = Waits()
    ledger = make_ledger(emulator, ledger_table, retry=waits.policy())
    emulator.fail_next_transactions(
        [
            canceled("TransactionConflict", "None"),
            {"__type": "ThrottlingException", "message": "Rate exceeded"},
            canceled("None", "ThrottlingError"),
        ]
    )
    hold_hundred(ledger, "r1")
    assert waits.seconds == [0.01, 0.02, 0.04]
    assert tokens(ledger).held == 100


def test_conflicts_that_do_not_end_refuse_the_request(
    emulator: Emulator, ledger_table: str
) -> None:
    waits = Waits()
    ledger = make_ledger(emulator, ledger_table, retry=waits.policy(attempts=3))
    emulator.fail_next_transactions([canceled("TransactionConflict")] * 3)
    with pytest.raises(BudgetUnavailable, match="during 3 attempts"):
        hold_hundred(ledger, "r1")
    assert len(waits.seconds) == 2
    assert tokens(ledger).held == 0


def test_an_error_that_retrying_cannot_cure_is_told_at_once(
    emulator: Emulator, ledger_table: str
) -> None:
    waits = Waits()
    ledger = make_ledger(emulator, ledger_table, retry=waits.policy())
    emulator.fail_next_transactions([{"__type": "AccessDeniedException", "message": "no"}])
    with pytest.raises(BudgetUnavailable, match="AccessDeniedException"):
        hold_hundred(ledger, "r1")
    assert waits.seconds == []


def test_without_dynamodb_every_call_says_that_the_budget_is_unavailable(
    emulator: Emulator, ledger_table: str
) -> None:
    reservation = hold_hundred(make_ledger(emulator, ledger_table), "r1")
    nobody = boto3.client(
        "dynamodb",
        endpoint_url="http://127.0.0.1:9",
        region_name="eu-central-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"max_attempts": 0}, connect_timeout=60),
    )
    ledger = DynamoDBLedger(nobody, ledger_table, rates=RATES, limits=FixedLimits())
    usage = Usage(input_tokens=1, output_tokens=1)
    with pytest.raises(BudgetUnavailable):
        hold_hundred(ledger, "r2")
    with pytest.raises(BudgetUnavailable):
        ledger.settle(reservation, usage)
    with pytest.raises(BudgetUnavailable):
        ledger.release(reservation)
    with pytest.raises(BudgetUnavailable):
        ledger.usage(CALLER)


def test_a_request_id_that_was_used_before_is_refused_and_holds_nothing_more(
    emulator: Emulator, ledger_table: str
) -> None:
    ledger = make_ledger(emulator, ledger_table)
    hold_hundred(ledger, "same")
    with pytest.raises(BudgetUnavailable, match="request id"):
        hold_hundred(ledger, "same")
    assert tokens(ledger).held == 100


def test_a_model_without_rates_and_negative_tokens_are_refused(
    emulator: Emulator, ledger_table: str
) -> None:
    ledger = make_ledger(emulator, ledger_table)
    with pytest.raises(ValueError, match="'huge' has no rates"):
        ledger.reserve(CALLER, model="huge", input_tokens=1, max_output_tokens=1, request_id="r1")
    with pytest.raises(ValueError, match="negative"):
        ledger.reserve(CALLER, model="plain", input_tokens=-1, max_output_tokens=1, request_id="r1")


def test_counters_and_leases_leave_the_table_after_their_time(
    emulator: Emulator, ledger_table: str
) -> None:
    ledger = make_ledger(emulator, ledger_table, key=Limits(tokens_per_minute=500))
    reservation = hold_hundred(ledger, "r1")
    items = {
        item["id"]["S"]: int(item["expires_at"]["N"])
        for item in emulator.dynamodb().scan(TableName=ledger_table)["Items"]
    }
    day = 86_400
    assert items["KEY#abc#minute#2026-11-22T12:00"] == NOON + 60 + 2 * day
    assert items["TEAM#search#month#2026-11"] == NOON + 8.5 * day + 400 * day
    assert items["LEASE#r1"] == reservation.lease_until + 35 * day


def test_threads_of_one_process_share_a_ledger(emulator: Emulator, ledger_table: str) -> None:
    ledger = make_ledger(emulator, ledger_table, team=Limits(requests_per_month=5))
    outcomes: list[str] = []

    def call(number: int) -> None:
        try:
            hold_hundred(ledger, f"r{number}")
            outcomes.append("held")
        except BudgetExceeded:
            outcomes.append("refused")

    threads = [threading.Thread(target=call, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held"] * 5 + ["refused"] * 7


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "release", "expire"]),
        st.integers(min_value=0, max_value=5),
    ),
    max_size=12,
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_after_any_history_the_counter_is_what_was_settled_plus_what_is_held(
    emulator: Emulator, steps: list[tuple[str, int]]
) -> None:
    table = emulator.make_ledger_table()
    clock = FixedClock()
    ledger = make_ledger(
        emulator, table, team=Limits(tokens_per_month=400), clock=clock, lease_seconds=30
    )
    open_leases: list[Any] = []
    settled = 0
    for number, (step, size) in enumerate(steps):
        if step == "reserve":
            try:
                open_leases.append(hold_hundred(ledger, f"r{number}"))
            except BudgetExceeded:
                assert len(open_leases) * 100 + settled + 100 > 400
        elif step == "settle" and open_leases:
            usage = Usage(input_tokens=size, output_tokens=size)
            ledger.settle(open_leases.pop(size % len(open_leases)), usage)
            settled += 2 * size
        elif step == "release" and open_leases:
            ledger.release(open_leases.pop(size % len(open_leases)))
        elif step == "expire":
            clock.now += 30
            assert ledger.return_expired(CALLER.team) == len(open_leases)
            open_leases.clear()
        assert (tokens(ledger).used, tokens(ledger).held) == (settled, 100 * len(open_leases))
