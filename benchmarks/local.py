"""Whole cycles of the local cloud: how soon it answers, what it takes, and what it leaves behind.

Each cycle runs the commands that a person types: `ops local up`, a team and a key, OpenAI's client
until the first token of a stream, and `ops local down`. It ends with a search for processes, ports
and files that outlived it. The table goes to stderr; the last line of stdout is one JSON object.
"""

import argparse
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

# The roots of `ops` and of what it imports.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "constructs"))

import psutil
from rich.console import Console
from rich.table import Table

from ops.local.cloud import FOLDER, ROOT
from ops.local.processes import is_alive

LIMITS = {
    "first_token_s": 90.0,
    "peak_mib": 2048,
    "processes_left": 0,
    "ports_left": 0,
    "files_left": 0,
}
"""The bars, each for the worst of the cycles."""

MARK = "LOCAL_CLOUD_CYCLE"
"""The variable by which everything that a cycle starts is known."""

COMMAND_SECONDS = 600
"""Longer than any command waits by itself."""

SAMPLE_SECONDS = 0.2
NOT_OURS = {".git", ".venv", "node_modules", "__pycache__"}
"""Folders of the checkout in which nobody looks for files: what is installed, and bytecode."""
BUILT = ROOT / ".cache" / "functions"
"""Functions that were built for these sources. Every synthesis keeps them for the next one."""

QUESTION = "Hello from the benchmark"
CHAT = f"""
from openai import OpenAI
question = [{{"role": "user", "content": {QUESTION!r}}}]
for part in OpenAI().chat.completions.create(model="fast", stream=True, messages=question):
    print(part.choices[0].delta.content or "" if part.choices else "", end="", flush=True)
"""
CONSOLE = Console(stderr=True)


@dataclass
class Cycle:
    """One cycle, with a home and a temporary folder of its own, in which nothing may remain."""

    home: Path
    temporary: Path
    mark: str = field(default_factory=lambda: uuid4().hex)
    peak: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._sampler.join()

    def ops(self, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
        """Run a command of the project's command line; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "ops", *arguments],
            cwd=ROOT,
            env=self._environment(variables),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"ops {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def first_token(self, variables: Mapping[str, str]) -> float:
        """Return when the first token of a stream arrived; the rest must arrive as well."""
        client = subprocess.Popen(
            [sys.executable, "-c", CHAT],
            env=self._environment(variables),
            stdout=subprocess.PIPE,
        )
        with client:
            stream = client.stdout
            first = stream.read(1) if stream else b""
            arrived = time.monotonic()
            answer = (first + stream.read()).decode() if stream else ""
        if QUESTION not in answer:
            raise SystemExit(f"The answer is {answer!r}, which does not repeat the question.")
        return arrived

    def processes(self) -> Iterator[psutil.Process]:
        """Yield what this cycle started and what still runs."""
        for process in psutil.process_iter():
            try:
                variables = process.environ()
                # Functions get their own variables only, and a folder of the cloud's.
                ours = variables.get(MARK) == self.mark or variables.get("TMPDIR", "").startswith(
                    str(FOLDER)
                )
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if ours and is_alive(process):
                yield process

    def memory(self) -> int:
        """Return the bytes that all processes have in memory, shared pages once (PSS)."""
        total = 0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total

    def ports(self) -> set[int]:
        """Return the ports that the processes listen on."""
        found: set[int] = set()
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                opened = process.net_connections(kind="inet")
                found.update(it.laddr.port for it in opened if it.status == psutil.CONN_LISTEN)
        return found

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, self.memory())

    def _environment(self, variables: Mapping[str, str] | None) -> dict[str, str]:
        own = {MARK: self.mark, "HOME": str(self.home), "TMPDIR": str(self.temporary)}
        return {**os.environ, **own, **(variables or {})}


def main() -> int:
    """Measure, print, and return 1 where a bar is missed and ``--assert`` was given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", dest="cycles", type=int, default=3, help="cycles in a row")
    parser.add_argument("--assert", dest="strict", action="store_true", help="1 where one misses")
    arguments = parser.parse_args()
    if FOLDER.exists():
        raise SystemExit("There is a local cloud already. End it with `make local-down`.")
    cycles = [measure() for _ in range(arguments.cycles)]
    worst = {name: max(each[name] for each in cycles) for name in LIMITS}
    missed = [name for name, limit in LIMITS.items() if worst[name] > limit]
    show(cycles)
    if missed:
        CONSOLE.print(f"Missed: {', '.join(missed)}")
    report = {
        "benchmark": "local",
        "cycles": cycles,
        "units": {
            "first_token_s": "seconds from `ops local up` to a stream's first token, key included",
            "peak_mib": "MiB (PSS) of all that runs at one moment, synthesis and CDK included",
        },
        "limits": LIMITS,
        **worst,
    }
    print(json.dumps(report))
    return 1 if missed and arguments.strict else 0


def measure() -> dict[str, Any]:
    """Run one cycle and return its figures. Whatever happens, its cloud is ended."""
    before = files()
    with tempfile.TemporaryDirectory(prefix="local-benchmark-") as name:
        home, temporary = Path(name) / "home", Path(name) / "tmp"
        home.mkdir()
        temporary.mkdir()
        with Cycle(home, temporary) as cycle:
            try:
                figures, ports = use(cycle)
            finally:
                ending = time.monotonic()
                cycle.ops("local", "down")
            figures["down_s"] = round(time.monotonic() - ending, 1)
            processes = list(map(told, cycle.processes()))
        found = files() - before | {*home.rglob("*"), *temporary.rglob("*")}
    left: dict[str, list[Any]] = {
        "processes_left": processes,
        "ports_left": sorted(filter(answers, ports)),
        "files_left": sorted(map(str, found)),
    }
    for what, which in left.items():
        if which:
            CONSOLE.print(f"{what}: {which[:10]}")
    return {
        **figures,
        "peak_mib": round(cycle.peak / 2**20),
        **{what: len(which) for what, which in left.items()},
    }


def told(process: psutil.Process) -> str:
    """Return the command of a process, which may end while it is asked."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return f"process {process.pid}, which has ended since"


def use(cycle: Cycle) -> tuple[dict[str, Any], set[int]]:
    """Start the cloud and call it; return the times, and the ports that it listens on."""
    began = time.monotonic()
    cycle.ops("local", "up")
    up = time.monotonic() - began
    # As a shell takes it: `export NAME=VALUE`, a line for each.
    exports = [shlex.split(line)[1] for line in cycle.ops("local", "env").splitlines()]
    variables = dict(export.split("=", 1) for export in exports)
    whose = ("--team", "benchmark", "--env", "local")
    cycle.ops("usage", "limit", *whose, "--usd-per-month", "5", variables=variables)
    variables["OPENAI_API_KEY"] = cycle.ops("keys", "create", *whose, variables=variables).strip()
    first_token = cycle.first_token(variables) - began
    ports = cycle.ports()
    figures = {
        "up_s": round(up, 1),
        "first_token_s": round(first_token, 1),
        "idle_mib": round(cycle.memory() / 2**20),
        "processes": sum(1 for _ in cycle.processes()),
        "ports": len(ports),
    }
    if not ports:
        raise SystemExit("No process of the cloud was found, so nothing could be found left.")
    return figures, ports


def files() -> set[Path]:
    """Return the checkout's files and folders, without what others put there."""
    found: set[Path] = set()
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [it for it in folders if it not in NOT_OURS and Path(folder, it) != BUILT]
        found.update(Path(folder, name) for name in (*folders, *names))
    return found


def answers(port: int) -> bool:
    """Tell whether anything listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def show(cycles: list[dict[str, Any]]) -> None:
    """Print a column for each cycle."""
    table = Table("", *(f"cycle {number}" for number in range(1, len(cycles) + 1)))
    for name in cycles[0]:
        table.add_row(name, *(str(cycle[name]) for cycle in cycles))
    CONSOLE.print(table)


if __name__ == "__main__":
    sys.exit(main())
