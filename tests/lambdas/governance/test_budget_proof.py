"""Many processes against one budget: the proof that it holds, and that a killed call returns.

The processes are separate operating system processes with clients of their own; DynamoDB is
another process behind HTTP, which notes after every single request what each counter holds. So
"never exceeds" is checked at every moment at which anything changed, not at the end.
"""

import multiprocessing
import os
import random
import signal
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

import pytest

from gateway.governance.budget import BudgetExceeded, Dimension, Limits, Scope, Usage, Window
from tests.lambdas.governance.budgets import CALLER, RATES, FixedClock, make_ledger
from tests.lambdas.governance.emulator import Emulator

PROCESSES = 8
REQUESTS_PER_PROCESS = 24
REQUEST_TOKENS = 250
LIMIT_TOKENS = 5_000
LIMIT_MICRO_USD = 20_000
LIMIT_REQUESTS = 50

KEY_LIMITS = Limits(tokens_per_minute=LIMIT_TOKENS, requests_per_day=LIMIT_REQUESTS)
TEAM_LIMITS = Limits(tokens_per_month=LIMIT_TOKENS, micro_usd_per_month=LIMIT_MICRO_USD)

# Not a fork: pytest's own process has threads, which a fork would not survive.
PROCESS = multiprocessing.get_context("spawn")


def spend(emulator: Emulator, table: str, start: Barrier, results: Connection, seed: int) -> None:
    """Reserve, settle and release as a gateway would, and report what was settled."""
    ledger = make_ledger(emulator, table, key=KEY_LIMITS, team=TEAM_LIMITS)
    choose = random.Random(seed)  # noqa: S311 - reproducible, not secret
    start.wait()
    settled = micro_usd = requests = refused = 0
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
        usage = Usage(
            input_tokens=choose.randint(1, 100),
            output_tokens=choose.choice([choose.randint(0, 30), 30]),
        )
        ledger.settle(reservation, usage)
        amounts = RATES["smart"].amounts(usage)
        settled += amounts.tokens
        micro_usd += amounts.micro_usd
        requests += 1
    results.send((settled, micro_usd, requests, refused))


def spend_unguarded(emulator: Emulator, table: str, start: Barrier, results: Connection) -> None:
    """Do what a gateway without reservations does: look, call, and add afterwards."""
    client = emulator.dynamodb()
    key = {"id": {"S": "TEAM#search#month#2026-11"}}
    item = client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
    room = int(item["tokens"]["N"]) + REQUEST_TOKENS <= LIMIT_TOKENS
    start.wait()
    if room:
        client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="ADD tokens :tokens",
            ExpressionAttributeValues={":tokens": {"N": str(REQUEST_TOKENS)}},
        )
    results.send(room)


def reserve_and_hang(emulator: Emulator, table: str, results: Connection) -> None:
    """Reserve, say so, and wait for a call that never answers."""
    ledger = make_ledger(emulator, table, team=TEAM_LIMITS, lease_seconds=30)
    ledger.reserve(
        CALLER, model="smart", input_tokens=100, max_output_tokens=900, request_id="killed"
    )
    results.send("reserved")
    results.recv()


def test_parallel_processes_never_use_more_than_any_budget_at_any_moment(
    emulator: Emulator, ledger_table: str
) -> None:
    start = PROCESS.Barrier(PROCESSES)
    pipes = [PROCESS.Pipe() for _ in range(PROCESSES)]
    workers = [
        PROCESS.Process(target=spend, args=(emulator, ledger_table, start, child, seed))
        for seed, (_, child) in enumerate(pipes)
    ]
    for worker in workers:
        worker.start()
    results = [parent.recv() for parent, _ in pipes]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    settled, micro_usd, requests, refused = (sum(column) for column in zip(*results, strict=True))

    peaks = emulator.peaks(ledger_table)
    assert peaks["KEY#abc#minute#2026-11-22T12:00"]["tokens"] <= LIMIT_TOKENS
    assert peaks["KEY#abc#day#2026-11-22"]["requests"] <= LIMIT_REQUESTS
    assert peaks["TEAM#search#month#2026-11"]["tokens"] <= LIMIT_TOKENS
    assert peaks["TEAM#search#month#2026-11"]["micro_usd"] <= LIMIT_MICRO_USD

    # Without contention and refusals, the above would prove nothing.
    assert refused > 0
    assert peaks["TEAM#search#month#2026-11"]["held_requests"] > 1
    assert peaks["TEAM#search#month#2026-11"]["tokens"] > LIMIT_TOKENS - REQUEST_TOKENS

    report = make_ledger(emulator, ledger_table, key=KEY_LIMITS, team=TEAM_LIMITS).usage(CALLER)
    expected = {
        Dimension.TOKENS: settled,
        Dimension.MICRO_USD: micro_usd,
        Dimension.REQUESTS: requests,
    }
    for line in report.lines:
        assert (line.used, line.held) == (expected[line.dimension], 0), line


def test_the_same_measurement_finds_the_overrun_of_a_gateway_that_checks_first(
    emulator: Emulator, ledger_table: str
) -> None:
    """The proof above can fail: this is the usual way to keep budgets, and it is seen to break."""
    emulator.dynamodb().put_item(
        TableName=ledger_table,
        Item={
            "id": {"S": "TEAM#search#month#2026-11"},
            "tokens": {"N": str(LIMIT_TOKENS - REQUEST_TOKENS)},
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
    assert peak == LIMIT_TOKENS + REQUEST_TOKENS


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
    ledger = make_ledger(emulator, ledger_table, team=TEAM_LIMITS, clock=clock, lease_seconds=30)

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
