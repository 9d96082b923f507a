"""Many processes against one budget: the proof that it holds, and that a killed call returns.

The processes are separate operating system processes with clients of their own; DynamoDB is
another process behind HTTP, which notes after every single request what each counter holds. So
"never exceeds" is checked at every moment at which anything changed, not at the end.
"""

import multiprocessing
import os
import random
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import pytest

from gateway.governance.budget import BudgetExceeded, Dimension, Limits, Scope, Usage, Window
from gateway.governance.ledger import DynamoDBLedger
from tests.lambdas.governance.budgets import (
    CALLER,
    RATES,
    UNLIMITED,
    FixedClock,
    make_ledger,
)
from tests.lambdas.governance.emulator import Emulator

PROCESSES = 8
REQUESTS_PER_PROCESS = 8
RESERVED = RATES["smart"].reservation(input_tokens=100, max_output_tokens=30)


@dataclass(frozen=True)
class Scenario:
    """Limits of which one is reached first, and the counters that it holds in."""

    dimension: Dimension
    limit: int
    counters: tuple[str, ...]
    key: Limits = UNLIMITED
    team: Limits = UNLIMITED


SCENARIOS = (
    Scenario(
        Dimension.TOKENS,
        2_500,
        ("TEAM#search#month#2026-11", "KEY#abc#minute#2026-11-22T12:00"),
        key=Limits(tokens_per_minute=2_500),
        team=Limits(tokens_per_month=2_500, micro_usd_per_month=1_000_000),
    ),
    Scenario(
        Dimension.MICRO_USD,
        9_000,
        ("TEAM#search#month#2026-11",),
        team=Limits(micro_usd_per_month=9_000, tokens_per_day=1_000_000),
    ),
    Scenario(
        Dimension.REQUESTS,
        15,
        ("KEY#abc#day#2026-11-22",),
        key=Limits(requests_per_day=15),
    ),
)

HANGING_LIMITS = Limits(tokens_per_month=5_000)
NEARLY_FULL = 8_750
FULL = 9_000

# Not a fork: pytest's own process has threads, which a fork would not survive.
PROCESS = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Spent:
    """What one process settled and was refused in one scenario."""

    settled: dict[Dimension, int]
    refused: int


def spend(
    emulator: Emulator, tables: list[str], start: Barrier, results: Connection, seed: int
) -> None:
    """Reserve, settle and release as a gateway would, and report each scenario's sums."""
    spent = []
    for scenario, table in zip(SCENARIOS, tables, strict=True):
        ledger = make_ledger(emulator, table, key=scenario.key, team=scenario.team)
        # Only now: who makes his client first must not have spent all before the others begin.
        start.wait()
        spent.append(spend_from(ledger, seed))
    results.send(spent)


def spend_from(ledger: DynamoDBLedger, seed: int) -> Spent:
    choose = random.Random(seed)  # noqa: S311 - reproducible, not secret
    settled = dict.fromkeys(Dimension, 0)
    refused = 0
    for number in range(REQUESTS_PER_PROCESS):
        try:
            reservation = ledger.reserve(
                CALLER,
                model="smart",
                input_tokens=100,
                max_output_tokens=30,
                request_id=f"{seed}-{number}",
            )
        except BudgetExceeded:
            refused += 1
            continue
        if choose.random() < 0.2:
            ledger.release(reservation)
            continue
        usage = Usage(input_tokens=choose.randint(1, 100), output_tokens=choose.randint(15, 30))
        ledger.settle(reservation, usage)
        for dimension in Dimension:
            settled[dimension] += RATES["smart"].amounts(usage).of(dimension)
    return Spent(settled, refused)


def spend_unguarded(emulator: Emulator, table: str, start: Barrier, results: Connection) -> None:
    """Do what a gateway without reservations does: look, call, and add afterwards."""
    client = emulator.dynamodb()
    key = {"id": {"S": "TEAM#search#month#2026-11"}}
    item = client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
    room = int(item["tokens"]["N"]) + RESERVED.tokens <= FULL
    start.wait()
    if room:
        client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="ADD tokens :tokens",
            ExpressionAttributeValues={":tokens": {"N": str(RESERVED.tokens)}},
        )
    results.send(room)


def reserve_and_hang(emulator: Emulator, table: str, results: Connection) -> None:
    """Reserve, say so, and wait for a call that never answers."""
    ledger = make_ledger(emulator, table, team=HANGING_LIMITS, lease_seconds=30)
    ledger.reserve(
        CALLER, model="smart", input_tokens=100, max_output_tokens=900, request_id="killed"
    )
    results.send("reserved")
    results.recv()


def test_parallel_processes_never_use_more_than_any_budget_at_any_moment(
    emulator: Emulator,
) -> None:
    tables = [emulator.make_ledger_table() for _ in SCENARIOS]
    start = PROCESS.Barrier(PROCESSES)
    pipes = [PROCESS.Pipe() for _ in range(PROCESSES)]
    workers = [
        PROCESS.Process(target=spend, args=(emulator, tables, start, child, seed))
        for seed, (_, child) in enumerate(pipes)
    ]
    for worker in workers:
        worker.start()
    results: list[list[Spent]] = [parent.recv() for parent, _ in pipes]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    for scenario, table, spent in zip(SCENARIOS, tables, zip(*results, strict=True), strict=True):
        assert_held(scenario, emulator, table, spent)


def assert_held(
    scenario: Scenario, emulator: Emulator, table: str, spent: tuple[Spent, ...]
) -> None:
    # Without refusals, contention and a budget that is nearly full, the rest would prove nothing.
    assert sum(part.refused for part in spent) > 0
    for counter in scenario.counters:
        peaks = emulator.peaks(table)[counter]
        assert peaks[scenario.dimension] <= scenario.limit
        assert peaks[scenario.dimension] > scenario.limit - RESERVED.of(scenario.dimension)
        assert peaks["held_requests"] > 1

    report = make_ledger(emulator, table, key=scenario.key, team=scenario.team).usage(CALLER)
    for line in report.lines:
        settled = sum(part.settled[line.dimension] for part in spent)
        assert (line.used, line.held) == (settled, 0), line


def test_the_same_measurement_finds_the_overrun_of_a_gateway_that_checks_first(
    emulator: Emulator, ledger_table: str
) -> None:
    """The proof above can fail: this is the usual way to keep budgets, and it is seen to break."""
    emulator.dynamodb().put_item(
        TableName=ledger_table,
        Item={
            "id": {"S": "TEAM#search#month#2026-11"},
            "tokens": {"N": str(NEARLY_FULL)},
        },
    )
    start = PROCESS.Barrier(2)
    pipes = [PROCESS.Pipe() for _ in range(2)]
    workers = [
        PROCESS.Process(target=spend_unguarded, args=(emulator, ledger_table, start, child))
        for _, child in pipes
    ]
    for worker in workers:
        worker.start()
    assert [parent.recv() for parent, _ in pipes] == [True, True]
    for worker in workers:
        worker.join()
    peak = emulator.peaks(ledger_table)["TEAM#search#month#2026-11"]["tokens"]
    assert peak == NEARLY_FULL + 2 * RESERVED.tokens > FULL


def test_a_process_killed_in_the_middle_of_a_call_returns_its_reservation_when_the_lease_ends(
    emulator: Emulator, ledger_table: str
) -> None:
    parent, child = PROCESS.Pipe()
    worker = PROCESS.Process(target=reserve_and_hang, args=(emulator, ledger_table, child))
    worker.start()
    assert parent.recv() == "reserved"
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert worker.exitcode == -signal.SIGKILL

    clock = FixedClock()
    ledger = make_ledger(emulator, ledger_table, team=HANGING_LIMITS, clock=clock, lease_seconds=30)

    def reserve(request_id: str) -> None:
        ledger.reserve(
            CALLER, model="smart", input_tokens=500, max_output_tokens=0, request_id=request_id
        )

    with pytest.raises(BudgetExceeded) as caught:
        reserve("before")
    assert caught.value.used == 100 + 5 * 900
    clock.now += 30
    reserve("after")
    line = ledger.usage(CALLER).line(Scope.TEAM, Window.MONTH, Dimension.TOKENS)
    assert line is not None
    assert (line.used, line.held) == (0, 500)
