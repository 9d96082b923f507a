"""The commands of docs/local.md, typed as the page has them, in a checkout of their own."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ops.local import processes
from ops.local.cloud import LocalCloud
from tests.local.conftest import ROOT

pytestmark = pytest.mark.emulator

PAGE = ROOT / "docs" / "local.md"
INSTALLED = (".venv", "node_modules", ".cache/emulator")
"""What `make install` makes, each with a file whose time says that it is done."""
MARKERS = (".venv/.ready", "node_modules/.package-lock.json", ".cache/emulator/.ready")
COMMAND_SECONDS = 1200
"""Longer than any command takes on a machine with much to do."""


ENDING_SECONDS = 60


def block(language: str, number: int) -> str:
    """Return a block of code of the page, counted from 0 within its language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(found[number])


@pytest.fixture(scope="module")
def checkout(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout with everything installed, in a folder whose name has a space in it."""
    folder = tmp_path_factory.mktemp("home") / "a checkout"
    for name in INSTALLED:
        (folder / name).mkdir(parents=True)
        for part in (ROOT / name).iterdir():
            if f"{name}/{part.name}" not in MARKERS:
                (folder / name / part.name).symlink_to(part)
    for part in ROOT.iterdir():
        if part.name not in {".git", ".cache", *INSTALLED}:
            (folder / part.name).symlink_to(part)
    functions = ROOT / ".cache" / "functions"
    functions.mkdir(parents=True, exist_ok=True)
    (folder / ".cache" / "functions").symlink_to(functions)
    for name in MARKERS:
        # Newer than what they are made from, so that nothing is installed again.
        (folder / name).touch()
    yield folder
    LocalCloud(folder / ".cache" / "local").down()


def typed(checkout: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run what somebody types into a shell of the checkout."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=checkout,
        env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def test_the_commands_of_the_page_do_what_it_says(checkout: Path) -> None:
    start, end = (line.split("#")[0].strip() for line in block("sh", 0).splitlines())
    assert (start, end) == ("make local", "make local-down")
    cloud = LocalCloud(checkout / ".cache" / "local")

    started = typed(checkout, start)
    assert started.returncode == 0, started.stderr
    assert "The local cloud runs." in started.stdout
    assert cloud.running

    again = typed(checkout, start)
    assert again.returncode != 0
    assert "A local cloud runs already. End it with `make local-down`." in again.stderr

    asked = typed(
        checkout, f"{block('sh', 1)}\n.venv/bin/python - <<'END'\n{block('python', 0)}\nEND"
    )
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.rstrip().endswith("You said: Hello")

    running = [it for mark in cloud.marks.values() for it in processes.tree(mark)]
    ended = typed(checkout, end)
    assert ended.returncode == 0, ended.stderr
    assert [process for process in running if processes.is_alive(process)] == []
    assert {it.name for it in (checkout / ".cache").iterdir()} == {"emulator", "functions"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_the_command_ends_what_it_started(
    number: signal.Signals, checkout: Path
) -> None:
    cloud = LocalCloud(checkout / ".cache" / "local")
    # What an earlier one wrote down is not waited for.
    cloud.down()
    with heard(number):
        command = subprocess.Popen(
            ["make", "local"],
            cwd=checkout,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # The terminal's signals go to everything that the command has in the foreground.
            start_new_session=True,
        )
    with command:
        deadline, pause = time.monotonic() + COMMAND_SECONDS, threading.Event()
        while "emulator" not in cloud.marks and time.monotonic() < deadline:
            pause.wait(0.005)
        marks = cloud.marks
        os.killpg(command.pid, number)
        assert command.wait(COMMAND_SECONDS) != 0
    assert set(marks) == {"bedrock", "emulator"}
    assert all(mark.process() is None for mark in marks.values())
    # What the synthesis has started sees by itself that nobody talks to it any more.
    deadline = time.monotonic() + ENDING_SECONDS
    while (left := works(checkout)) and time.monotonic() < deadline:
        pause.wait(0.05)
    assert left == []


@contextmanager
def heard(number: signal.Signals) -> Iterator[None]:
    """Let processes that are started meanwhile hear a signal.

    Those of tests that run in the background inherit that they ignore some.
    """
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


def works(folder: Path) -> list[psutil.Process]:
    return [it for it in psutil.process_iter() if works_in(folder, it)]


def works_in(folder: Path, process: psutil.Process) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False
