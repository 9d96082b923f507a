"""The machine: its files below a root, and its commands."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

COMMAND_SECONDS = 600
"""How long any command may take; unloading Lustre and configuring EFA take minutes, not hours."""

Result = TypeVar("Result")


class NodeError(Exception):
    """Why this machine cannot be a node, as a sentence that says what to do."""


class CommandError(NodeError):
    """A command that could not be run, or ended with something other than 0."""

    def __init__(self, argv: Sequence[str], status: int | None, output: str) -> None:
        self.status = status
        self.output = output.strip()
        last = self.output.splitlines()[-1] if self.output else "it said nothing"
        ended = "could not be run" if status is None else f"ended with {status}"
        super().__init__(f"`{' '.join(argv)}` {ended}: {last}")


def say(message: str) -> None:
    """Write one line to the log, which is standard output, with the time in UTC."""
    sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {message}\n")
    sys.stdout.flush()


def attempts(seconds: float, first_delay: float = 0.5, longest_delay: float = 15) -> Iterator[int]:
    """Yield 1, 2, … until ``seconds`` have passed, with growing pauses; at least twice."""
    deadline = time.monotonic() + seconds
    delay = first_delay
    number = 1
    yield number
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0 and number > 1:
            return
        time.sleep(max(0.0, min(delay, remaining)))
        delay = min(2 * delay, longest_delay)
        number += 1
        yield number


def patiently(
    seconds: float,
    action: Callable[[], Result],
    complaint: str,
    is_final: Callable[[CommandError], bool] = lambda _: False,
) -> Result:
    """Return what ``action`` returns once its commands succeed.

    Logs ``complaint`` with each reason, and raises the last :class:`CommandError` after ``seconds``
    or as soon as one ``is_final``.
    """
    for _ in attempts(seconds):
        outcome = _outcome(action)
        if not isinstance(outcome, CommandError):
            return outcome
        problem = outcome
        say(f"{complaint}: {problem}")
        if is_final(problem):
            break
    raise problem


def _outcome(action: Callable[[], Result]) -> Result | CommandError:
    try:
        return action()
    except CommandError as error:
        return error


class Host:
    """Files below ``root``, which is ``/`` on a node, and the commands of the search path."""

    def __init__(self, root: str = "/") -> None:
        self._root = Path(root or "/")

    def path(self, absolute: str) -> Path:
        """Return where the file that a node has at ``absolute`` is."""
        return self._root / absolute.lstrip("/")

    def read(self, absolute: str) -> str:
        """Return a file's text, or raise :class:`NodeError` naming it."""
        try:
            return self.path(absolute).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise NodeError(f"{absolute} cannot be read: {error}") from None

    def write(self, absolute: str, text: str, mode: int = 0o644) -> bool:
        """Write a file at once or not at all, and return whether that changed anything."""
        target = self.path(absolute)
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            return False
        draft = target.with_name(f".{target.name}.draft")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            draft.chmod(mode)
            draft.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise NodeError(f"{absolute} cannot be written: {error}") from None
        say(f"Wrote {absolute}")
        return True

    def run(self, *argv: str) -> str:
        """Run a command and return what it printed; raise :class:`CommandError` if it fails."""
        try:
            result = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=COMMAND_SECONDS,
            )
        except FileNotFoundError:
            raise CommandError(argv, None, "this image does not have it") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandError(argv, None, str(error)) from None
        if result.returncode:
            raise CommandError(argv, result.returncode, result.stderr or result.stdout)
        return result.stdout

    def run_json(self, *argv: str) -> Any:
        """Run a command that prints JSON, and return that; raise :class:`NodeError` otherwise."""
        text = self.run(*argv)
        try:
            return json.loads(text)
        except ValueError as error:
            raise NodeError(f"`{' '.join(argv)}` printed no JSON: {error}.") from None

    def change(self, *argv: str) -> str:
        """Log a command that changes the machine, then run it as :meth:`run` does."""
        say(f"+ {' '.join(argv)}")
        return self.run(*argv)

    def succeeds(self, *argv: str) -> bool:
        """Return whether a command ends with 0; one that cannot be run raises as :meth:`run`."""
        try:
            self.run(*argv)
        except CommandError as error:
            if error.status is None:
                raise
            return False
        return True

    @property
    def is_ubuntu(self) -> bool:
        """Whether the image is Ubuntu and has ``dpkg``; the others are Amazon Linux with ``rpm``.

        Raises :class:`NodeError` for anything else.
        """
        release = dict(
            line.split("=", 1) for line in self.read("/etc/os-release").splitlines() if "=" in line
        )
        system = release.get("ID", "").strip('"')
        if system not in ("ubuntu", "amzn"):
            raise NodeError(
                f"/etc/os-release says ID={system or 'nothing'}: HyperPod's images are Ubuntu or "
                "Amazon Linux, and nothing is known of others."
            )
        return system == "ubuntu"
