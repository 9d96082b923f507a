"""When a model is left alone, and when it is tried again."""

import pytest

from gateway.breaker import CircuitBreaker
from gateway.errors import (
    InvalidRequestError,
    ModelError,
    ThrottledError,
    UnavailableError,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures=2, cooldown_seconds=30, clock=clock)


def fail(breaker: CircuitBreaker, times: int = 2) -> None:
    for _ in range(times):
        breaker.failed("m", ModelError("x"))


def test_it_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    fail(breaker, 1)
    breaker.check("m")
    fail(breaker, 1)
    with pytest.raises(UnavailableError, match="left alone") as refusal:
        breaker.check("m")
    assert refusal.value.retry_after == 30
    breaker.check("another")


def test_throttling_stays_throttling(breaker: CircuitBreaker) -> None:
    for _ in range(2):
        breaker.failed("m", ThrottledError("slow"))
    with pytest.raises(ThrottledError):
        breaker.check("m")


def test_a_success_starts_the_count_anew(breaker: CircuitBreaker) -> None:
    fail(breaker, 1)
    breaker.succeeded("m")
    fail(breaker, 1)
    breaker.check("m")


def test_a_refusal_of_the_request_is_no_failure_of_the_model(breaker: CircuitBreaker) -> None:
    fail(breaker, 1)
    breaker.failed("m", InvalidRequestError("no"))
    fail(breaker, 1)
    breaker.check("m")


def test_one_call_tries_after_the_cooldown(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker)
    clock.now = 31.0
    breaker.check("m")
    with pytest.raises(UnavailableError):
        breaker.check("m")
    breaker.succeeded("m")
    breaker.check("m")


def test_a_try_that_fails_starts_a_new_cooldown(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker)
    clock.now = 31.0
    breaker.check("m")
    fail(breaker, 1)
    clock.now = 60.0
    with pytest.raises(UnavailableError):
        breaker.check("m")
    clock.now = 62.0
    breaker.check("m")


def test_a_try_that_its_client_gave_up_lets_another_try(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker)
    clock.now = 31.0
    breaker.check("m")
    breaker.cancelled("m")
    breaker.check("m")
    with pytest.raises(UnavailableError):
        breaker.check("m")
