"""Processes in the background, and everything that they start."""

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ops.local import processes

# Each test starts processes.
pytestmark = pytest.mark.slow

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("listens to nobody", flush=True)
time.sleep(600)
"""

HALF_ENDED = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""
"""Its first thread ends, as a process's does on its way out, and another one goes on."""


def eventually(condition: Callable[[], bool]) -> bool:
    deadline, pause = time.monotonic() + 120, threading.Event()
    while not condition() and time.monotonic() < deadline:
        pause.wait(0.01)
    return condition()


def started(code: str, folder: Path) -> processes.ProcessMark:
    command = [sys.executable, "-c", code]
    return processes.start(command, folder=folder, environment=os.environ, log=folder / "log")


def test_the_whole_tree_ends_even_when_a_part_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"
    mark = started(parent, tmp_path)
    assert eventually(lambda: "listens to nobody" in (tmp_path / "log").read_text())
    tree = processes.tree(mark)
    assert len(tree) == 2

    processes.stop([mark])

    assert [process for process in tree if processes.is_alive(process)] == []
    assert mark.process() is None


def test_a_process_whose_first_thread_has_ended_is_alive_until_all_have(tmp_path: Path) -> None:
    mark = started(HALF_ENDED, tmp_path)
    process = psutil.Process(mark.pid)
    assert eventually(lambda: process.status() == psutil.STATUS_ZOMBIE)
    assert processes.is_alive(process)

    processes.stop([mark])

    assert not psutil.pid_exists(mark.pid)


def test_an_id_that_was_given_away_is_not_taken_for_the_process() -> None:
    mark = processes.ProcessMark.of(psutil.Process())
    assert mark.process() is not None
    assert replace(mark, created=mark.created - 1).process() is None


@pytest.mark.skipif(not psutil.LINUX, reason="Elsewhere psutil tells the moment of the clock.")
def test_a_process_is_the_same_when_the_clock_has_been_set(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = processes.ProcessMark.of(psutil.Process())
    created = psutil.Process().create_time()
    booted = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 5)
    assert psutil.Process().create_time() == pytest.approx(created + 5, abs=2)
    assert mark.process() is not None


def test_processes_are_found_again(tmp_path: Path) -> None:
    marks = {"one": processes.ProcessMark(pid=1, created=2.5)}
    processes.save(marks, tmp_path / "marks")
    assert processes.saved(tmp_path / "marks") == marks


@pytest.mark.parametrize("content", ["", "[]", "{", '{"one": 1}', '{"one": {"pid": 1}}'])
def test_a_broken_file_names_no_process(content: str, tmp_path: Path) -> None:
    (tmp_path / "marks").write_text(content)
    assert processes.saved(tmp_path / "marks") == {}


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    mark = started("print('said')", tmp_path)
    assert eventually(lambda: mark.process() is None)
    assert (tmp_path / "log").read_text() == "said\n"
