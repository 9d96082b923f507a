"""The benchmark of the local cloud finds what a cycle leaves behind, and fails then."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import local
from benchmarks.local import Cycle
from ops.local.cloud import FOLDER

LISTENER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""
CLEAN = {"first_token_s": 30.0, "peak_mib": 900} | dict.fromkeys(
    ("processes_left", "ports_left", "files_left"), 0
)


@pytest.fixture
def cycle(tmp_path: Path) -> Cycle:
    return Cycle(tmp_path, tmp_path)


@pytest.fixture(params=["mark", "folder"])
def listener(request: pytest.FixtureRequest, cycle: Cycle) -> Iterator["subprocess.Popen[str]"]:
    known = {
        "mark": {local.MARK: cycle.mark},
        "folder": {"TMPDIR": str(FOLDER / "tmp")},
    }
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENER],
        env=known[request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def test_a_process_and_its_port_are_found_until_they_end(
    cycle: Cycle, listener: "subprocess.Popen[str]"
) -> None:
    assert listener.stdout
    port = int(listener.stdout.readline())
    assert listener.pid in [process.pid for process in cycle.processes()]
    assert port in cycle.ports()
    assert local.answers(port)
    assert cycle.memory() > 0

    listener.communicate("")

    assert listener.pid not in [process.pid for process in cycle.processes()]
    assert not local.answers(port)


def test_processes_of_others_are_not_counted(cycle: Cycle) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER], env={local.MARK: "another"}, stdin=subprocess.PIPE
    ) as other:
        assert other.pid not in [process.pid for process in cycle.processes()]
        other.communicate(b"")


def test_files_are_found_but_for_what_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local, "ROOT", tmp_path)
    monkeypatch.setattr(local, "BUILT", tmp_path / ".cache" / "functions")
    for name in (".cache/functions/a.zip", ".cache/local/log", ".venv/lib", "stray.txt"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    found = {path.relative_to(tmp_path).as_posix() for path in local.files()}
    assert found == {".cache", ".cache/local", ".cache/local/log", "stray.txt"}


@pytest.mark.parametrize(
    ("figures", "strict", "code"),
    [
        (CLEAN, True, 0),
        ({**CLEAN, "first_token_s": 90.1}, True, 1),
        ({**CLEAN, "peak_mib": 2049}, True, 1),
        ({**CLEAN, "processes_left": 1}, True, 1),
        ({**CLEAN, "ports_left": 1}, True, 1),
        ({**CLEAN, "files_left": 1}, True, 1),
        ({**CLEAN, "files_left": 1}, False, 0),
    ],
)
def test_one_bad_cycle_of_three_misses_the_bar(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    figures: dict[str, Any],
    strict: bool,
    code: int,
) -> None:
    cycles = iter([CLEAN, figures, CLEAN])
    monkeypatch.setattr(local, "FOLDER", tmp_path / "none")
    monkeypatch.setattr(local, "measure", lambda: next(cycles))
    monkeypatch.setattr(sys, "argv", ["local.py", *(["--assert"] if strict else [])])
    assert local.main() == code
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["files_left"] == figures["files_left"]
    assert len(report["cycles"]) == 3


def test_a_cloud_that_is_there_already_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["local.py"])
    with pytest.raises(SystemExit, match="make local-down"):
        local.main()
