"""Answers kept for repeated requests."""

import random

import pytest

from gateway.governance.idempotency import (
    IN_PROGRESS_SECONDS,
    Claim,
    IdempotencyConflict,
    IdempotencyStore,
    StoredAnswer,
)
from gateway.governance.identity import Caller
from tests.lambdas.governance.budgets import CALLER, FixedClock
from tests.lambdas.governance.emulator import Emulator

OTHER = Caller(key_id="xyz", team="search", models=None, redaction="off")
ANSWER = StoredAnswer(200, b'{"choices": []}')


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def store(emulator: Emulator, ledger_table: str, clock: FixedClock) -> IdempotencyStore:
    return IdempotencyStore(emulator.dynamodb(), ledger_table, seconds=60, clock=clock)


def claim(store: IdempotencyStore, caller: Caller = CALLER, key: str = "k1") -> Claim:
    begun = store.begin(caller, key, b"question")
    assert isinstance(begun, Claim)
    return begun


def test_a_repeated_request_gets_the_first_answer(store: IdempotencyStore) -> None:
    store.complete(claim(store), ANSWER)
    assert store.begin(CALLER, "k1", b"question") == ANSWER


def test_two_api_keys_never_share_an_answer(store: IdempotencyStore) -> None:
    store.complete(claim(store), ANSWER)
    assert isinstance(store.begin(OTHER, "k1", b"question"), Claim)


def test_a_request_that_still_runs_is_not_started_again(store: IdempotencyStore) -> None:
    claim(store)
    with pytest.raises(IdempotencyConflict, match="still running"):
        store.begin(CALLER, "k1", b"question")


def test_a_key_is_not_taken_for_another_request(store: IdempotencyStore) -> None:
    store.complete(claim(store), ANSWER)
    with pytest.raises(IdempotencyConflict, match="another request"):
        store.begin(CALLER, "k1", b"another question")


def test_an_answer_too_large_to_keep_is_not_computed_again(store: IdempotencyStore) -> None:
    noise = random.Random(7).randbytes(400_000)  # noqa: S311 - incompressible, not secret
    store.complete(claim(store), StoredAnswer(200, noise))
    with pytest.raises(IdempotencyConflict, match="too large"):
        store.begin(CALLER, "k1", b"question")


def test_an_abandoned_key_is_free_at_once(store: IdempotencyStore) -> None:
    store.abandon(claim(store))
    assert isinstance(store.begin(CALLER, "k1", b"question"), Claim)


def test_a_key_is_free_when_its_answer_is_too_old(
    store: IdempotencyStore, clock: FixedClock
) -> None:
    store.complete(claim(store), ANSWER)
    clock.now += 60
    assert isinstance(store.begin(CALLER, "k1", b"question"), Claim)


def test_a_call_that_ends_after_its_claim_does_not_touch_its_successor(
    store: IdempotencyStore, clock: FixedClock
) -> None:
    first = claim(store)
    clock.now += IN_PROGRESS_SECONDS
    second = claim(store)
    store.complete(first, StoredAnswer(200, b"late"))
    store.abandon(first)
    store.complete(second, ANSWER)
    assert store.begin(CALLER, "k1", b"question") == ANSWER


def test_the_table_holds_neither_the_key_nor_the_question(
    store: IdempotencyStore, emulator: Emulator, ledger_table: str
) -> None:
    begun = store.begin(CALLER, "order-of-ada", b"my question")
    assert isinstance(begun, Claim)
    items = str(emulator.dynamodb().scan(TableName=ledger_table)["Items"])
    assert begun.item_id in items
    assert "order-of-ada" not in items
    assert "my question" not in items
