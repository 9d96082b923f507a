"""Processes in the background: started in a file's care, found again, and ended with all they made.

A process is known by its id and the moment of its creation, so that an id that was given to another
process since is never taken for it.
"""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import psutil

GRACE_SECONDS = 3.0
"""How long a process may take to end by itself; nothing of a local cloud needs to be saved."""

KILLED_SECONDS = 60.0
"""How long a process may take to end when the kernel ends it, on a machine that has much to do."""

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessMark:
    """What a process is recognised by."""

    pid: int
    created: float

    @classmethod
    def of(cls, process: psutil.Process) -> Self:
        """Return the mark of a process that runs."""
        return cls(process.pid, _created(process))

    def process(self) -> psutil.Process | None:
        """Return the process, ``None`` when it has ended."""
        try:
            found = psutil.Process(self.pid)
            same = _created(found) == self.created
        except psutil.NoSuchProcess:
            return None
        return found if same and is_alive(found) else None


def _created(process: psutil.Process) -> float:
    """Return the moment of its creation, which stays the same where the clock is set meanwhile.

    On Linux that is the kernel's count of ticks since it started: ``starttime`` of
    https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html. psutil adds the moment of it,
    which the kernel reckons from the clock: once a machine has stood still, or slept, and its clock
    is corrected, each process would seem to be another one.
    """
    if not psutil.LINUX:
        return process.create_time()
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(process.pid) from None
    # The second field, the name in brackets, may hold spaces and brackets.
    return float(stat.rpartition(")")[2].split()[19])


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; one that ended and that nobody has asked about does not.

    A process whose first thread has ended is called a zombie while its other threads still run,
    hold its ports, and keep its parent from asking about it.
    """
    try:
        return process.is_running() and (
            process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
        )
    except psutil.NoSuchProcess:
        return False


def start(
    command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str], log: Path
) -> ProcessMark:
    """Start a process that outlives this one, and return its mark."""
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal is for the command, which then ends what it started.
            start_new_session=True,
        )
    return ProcessMark.of(psutil.Process(process.pid))


def save(marks: Mapping[str, ProcessMark], file: Path) -> None:
    """Write down processes by name; who reads meanwhile finds what was there before, or all."""
    written = file.with_name(f"{file.name}.new")
    written.write_text(json.dumps({name: asdict(mark) for name, mark in marks.items()}))
    written.replace(file)


def saved(file: Path) -> dict[str, ProcessMark]:
    """Return what :func:`save` wrote, nothing where the file is missing or broken."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {name: ProcessMark(**mark) for name, mark in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def tree(mark: ProcessMark) -> list[psutil.Process]:
    """Return the process and all that it started, the youngest last; empty when it has ended."""
    process = mark.process()
    if process is None:
        return []
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def stop(marks: Sequence[ProcessMark]) -> None:
    """End processes and everything that they started; return when they are gone."""
    found = [process for mark in marks for process in tree(mark)]
    for process in found:
        _signal(process, force=False)
    alive = _still_alive(found, GRACE_SECONDS)
    for process in alive:
        _signal(process, force=True)
    _still_alive(alive, KILLED_SECONDS)


def memory(marks: Sequence[ProcessMark]) -> int:
    """Return the resident bytes of processes and all that they started."""
    total = 0
    for mark in marks:
        for process in tree(mark):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
    return total


def _still_alive(found: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until all have ended, at most so long, and return those that have not.

    psutil's own wait also waits until somebody has asked about those that ended, which the first
    process of a container may do late or never.
    """
    deadline = time.monotonic() + seconds
    while (alive := [it for it in found if not _has_ended(it)]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return alive


def _has_ended(process: psutil.Process) -> bool:
    if is_alive(process):
        return False
    # This process's own children remain listed until it has asked about them.
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return True


def _signal(process: psutil.Process, *, force: bool) -> None:
    try:
        process.kill() if force else process.terminate()
    except psutil.NoSuchProcess:
        return
