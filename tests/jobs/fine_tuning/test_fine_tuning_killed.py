"""Killed at any moment and started again, the loop ends in the state of a run nobody killed."""

import hashlib
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fine_tuning.checkpoint_store import CheckpointStore
from tests.jobs.fine_tuning import hash_chain

ROOT = Path(__file__).parents[3]
STEPS = 60
ENDLESS = 10**9
KILLED = 12

pytestmark = pytest.mark.slow


def start(folder: Path, steps: int = STEPS) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-u", "-S", hash_chain.__file__, str(folder), str(steps)],
        env={"PYTHONPATH": str(ROOT / "jobs"), "PATH": "/usr/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )


def expected_state() -> str:
    state = b"start"
    for step in range(1, STEPS + 1):
        state = hashlib.sha256(state + step.to_bytes(8, "big")).digest()
    return state.hex()


def wait_for(process: "subprocess.Popen[str]", sentence: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if sentence in line:
            return


def test_a_run_killed_again_and_again_loses_no_step_and_repeats_none(tmp_path: Path) -> None:
    dice = random.Random(7)  # noqa: S311
    resumed = 0
    for _ in range(KILLED):
        process = start(tmp_path)
        # A line is written as each save begins; the kill hits it at another byte each time.
        wait_for(process, "loss")
        for _ in range(dice.randrange(4)):
            wait_for(process, "loss")
        try:
            process.wait(timeout=dice.random() * 0.02)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        newest = CheckpointStore(tmp_path).newest()
        step = newest.step if newest else 0
        assert step >= resumed
        resumed = step
    process = start(tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert output.splitlines()[-1] == f"finished {expected_state()}"
    # What was left torn on the way is gone.
    assert len(list(tmp_path.iterdir())) == 2


def test_a_run_that_gets_sigterm_leaves_the_step_it_was_in(tmp_path: Path) -> None:
    # Steps without end: however late the signal is sent, the run is in the middle of one.
    process = start(tmp_path, ENDLESS)
    wait_for(process, "saved step 3")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode == 75
    newest = CheckpointStore(tmp_path).newest()
    assert newest is not None
    assert output.splitlines()[-2:-1] == [f"saved step {newest.step}"]
    assert newest.step >= 3
