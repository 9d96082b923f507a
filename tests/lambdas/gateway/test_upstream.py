"""Deadlines, heartbeats and the end of calls, on a clock of the test's own."""

import threading
from collections.abc import Iterator

import pytest

from gateway.errors import ModelError, ThrottledError, TimedOutError
from gateway.reply import Delta, Event, Heartbeat
from gateway.upstream import Upstream

PIECE = Delta(0, "text", "x")


class ScriptedCall:
    """Yields its events; a gate in between holds it until the test opens it."""

    def __init__(self, *steps: Event | threading.Event | Exception) -> None:
        self._steps = steps
        self.closed = threading.Event()

    def events(self) -> Iterator[Event]:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, threading.Event):
                assert step.wait(60)
            else:
                yield step

    def close(self) -> None:
        self.closed.set()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def upstream(call: ScriptedCall, clock: Clock, *, heartbeat: float = 5.0) -> Upstream:
    return Upstream(call, deadline=100.0, heartbeat_seconds=heartbeat, clock=clock)


def test_events_come_in_order_and_once() -> None:
    pieces = [Delta(0, "text", str(number)) for number in range(5)]
    reading = upstream(ScriptedCall(*pieces), Clock())
    reading.begin(5.0)
    assert list(reading) == pieces


def test_a_fault_before_the_first_event_is_raised_at_the_beginning() -> None:
    with pytest.raises(ThrottledError):
        upstream(ScriptedCall(ThrottledError("slow")), Clock()).begin(5.0)


def test_a_fault_after_the_first_event_is_raised_after_it() -> None:
    reading = upstream(ScriptedCall(PIECE, ModelError("broke")), Clock())
    reading.begin(5.0)
    seen: list[Event] = []
    with pytest.raises(ModelError, match="broke"):
        seen.extend(iter(reading))


def test_a_defect_in_the_reader_does_not_hang_the_client() -> None:
    with pytest.raises(ModelError, match="could not be read") as fault:
        upstream(ScriptedCall(KeyError("contentBlockIndex")), Clock()).begin(5.0)
    assert isinstance(fault.value.__cause__, KeyError)


def test_silence_is_bridged_by_heartbeats() -> None:
    gate = threading.Event()
    reading = iter(upstream(ScriptedCall(gate, PIECE), Clock(), heartbeat=0.01))
    assert [next(reading), next(reading)] == [Heartbeat(), Heartbeat()]
    gate.set()
    assert PIECE in list(reading)


def test_the_status_is_held_back_no_longer_than_patience_allows() -> None:
    gate = threading.Event()
    reading = upstream(ScriptedCall(gate, PIECE), Clock())
    reading.begin(0.0)
    assert not gate.is_set()
    gate.set()
    assert list(reading)[-1] == PIECE


@pytest.mark.parametrize("begun", [False, True])
def test_the_deadline_ends_the_call(begun: bool) -> None:
    gate = threading.Event()
    call = ScriptedCall(gate)
    clock = Clock()
    reading = upstream(call, clock)
    clock.now = 100.0
    with pytest.raises(TimedOutError):
        list(reading) if begun else reading.begin(5.0)
    assert call.closed.is_set()
    gate.set()


def test_a_call_that_is_over_is_not_ended_again() -> None:
    call = ScriptedCall(PIECE)
    reading = upstream(call, Clock())
    assert list(reading) == [PIECE]
    reading.close()
    assert not call.closed.is_set()
