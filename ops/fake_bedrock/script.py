"""What a fake is told to answer, and when."""

import threading
from collections import deque
from typing import Final, Generic, TypeVar

LONGEST_WAIT_SECONDS: Final = 60
"""After which a wait on a gate ends by itself, so that a failed test holds no thread for ever."""

Answer = TypeVar("Answer")


class Script(Generic[Answer]):
    """Answers for the next calls, in order, and gates that some of them wait for.

    Threads may share it.
    """

    def __init__(self) -> None:
        self._answers: deque[Answer] = deque()
        self._gates: dict[str, threading.Event] = {}
        self._reached: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def add(self, *answers: Answer) -> None:
        """Add answers for the next calls."""
        with self._lock:
            self._answers.extend(answers)

    def next(self) -> Answer | None:
        """Take the next answer; ``None`` where nothing is told."""
        with self._lock:
            return self._answers.popleft() if self._answers else None

    def clear(self) -> None:
        """Forget answers and gates."""
        with self._lock:
            self._answers.clear()
            self._gates.clear()
            self._reached.clear()

    def gate(self, name: str) -> threading.Event:
        """Return the gate of this name, closed unless somebody has opened it."""
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def reached(self, name: str) -> threading.Event:
        """Return what is set as soon as somebody waits at the gate of this name."""
        with self._lock:
            return self._reached.setdefault(name, threading.Event())

    def wait_at(self, name: str) -> None:
        """Wait until the gate is opened, at most :data:`LONGEST_WAIT_SECONDS`."""
        gate = self.gate(name)
        self.reached(name).set()
        gate.wait(LONGEST_WAIT_SECONDS)

    def open_gates(self) -> None:
        """Let everything go on that waits."""
        with self._lock:
            for gate in self._gates.values():
                gate.set()
