"""A run goes on where the newest whole checkpoint ended, and ends when it is asked to."""

import os
import signal
from pathlib import Path

import pytest

from fine_tuning.errors import FineTuningError
from fine_tuning.run import Alone, Outcome, Run
from fine_tuning.stop_request import SIGNALS, StopRequest
from tests.jobs.fine_tuning.hash_chain import HashChain, run_of


class Asking(HashChain):
    """It asks for an end in the middle of a step."""

    def __init__(self, stop: StopRequest, at: int) -> None:
        super().__init__()
        self._stop, self._at = stop, at

    def train(self, step: int) -> float:
        if step == self._at:
            self._stop.ask()
        return super().train(step)


def finished(folder: Path, steps: int) -> bytes:
    trainer = HashChain()
    run = run_of(folder, steps=steps, save_every=4)
    assert run.carry_out(trainer, Alone(), StopRequest()) is Outcome.FINISHED
    return trainer.state


def test_a_run_that_was_asked_to_end_saves_its_step_and_goes_on_from_it(tmp_path: Path) -> None:
    stop = StopRequest()
    run = run_of(tmp_path / "stopped", steps=10, save_every=4)
    assert run.carry_out(Asking(stop, at=6), Alone(), stop) is Outcome.STOPPED
    newest = run.store.newest()
    assert newest is not None
    assert newest.step == 6
    assert finished(tmp_path / "stopped", 10) == finished(tmp_path / "whole", 10)


def test_a_run_that_is_asked_in_its_last_step_is_finished(tmp_path: Path) -> None:
    stop = StopRequest()
    assert run_of(tmp_path, steps=3).carry_out(Asking(stop, at=3), Alone(), stop) is (
        Outcome.FINISHED
    )


def test_a_finished_run_is_continued_by_more_steps(tmp_path: Path) -> None:
    finished(tmp_path / "longer", 5)
    assert finished(tmp_path / "longer", 9) == finished(tmp_path / "whole", 9)


def test_a_finished_run_that_is_started_again_takes_no_step(tmp_path: Path) -> None:
    state = finished(tmp_path, 5)
    before = {it: it.stat().st_mtime_ns for it in tmp_path.rglob("*")}
    assert finished(tmp_path, 5) == state
    assert {it: it.stat().st_mtime_ns for it in tmp_path.rglob("*")} == before


def test_a_checkpoint_of_other_settings_is_not_resumed_from(tmp_path: Path) -> None:
    finished(tmp_path, 5)
    other = Run(
        store=run_of(tmp_path, steps=9).store, settings={"model": "x"}, steps=9, save_every=1
    )
    with pytest.raises(FineTuningError, match="model = 'x' instead of 'hash-chain'"):
        other.carry_out(HashChain(), Alone(), StopRequest())


class Second(Alone):
    """A rank that is not the first and hears what the first found."""

    first = False

    def __init__(self, heard: str | None) -> None:
        self._heard = heard

    def told_by_first(self, value: str | None) -> str | None:
        assert value is None
        return self._heard


class Joining(HashChain):
    """It takes part in saving without a folder."""

    def save(self, folder: Path | None) -> None:
        assert folder is None


def test_other_ranks_take_what_the_first_found_and_write_nothing(tmp_path: Path) -> None:
    finished(tmp_path, 4)
    run = run_of(tmp_path, steps=8)
    newest = run.store.newest()
    assert newest is not None
    names = sorted(it.name for it in tmp_path.iterdir())
    trainer = Joining()
    assert run.carry_out(trainer, Second(str(newest.folder)), StopRequest()) is Outcome.FINISHED
    assert sorted(it.name for it in tmp_path.iterdir()) == names
    assert trainer.state == finished(tmp_path, 8)


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_ask_for_an_end_however_many_come(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    stop = StopRequest()
    with stop.from_signals():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert stop.asked
    assert signal.getsignal(number) is before
