"""Signals that ask a job to end soon, noted instead of obeyed at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""Of Kubernetes and Slurm, of Ctrl-C, and of whoever wants a checkpoint and an end."""


class StopRequest:
    """Whether somebody asked the job to end."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self) -> None:
        """Ask the job to end after its step."""
        self.asked = True

    @contextmanager
    def from_signals(self) -> Iterator[None]:
        """Take the signals of :data:`SIGNALS` as requests, in the main thread.

        However many come: Slurm and torchrun both send one to each process. A step that hangs ends
        by SIGKILL, which they send next.
        """
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def note(_number: int, _frame: FrameType | None) -> None:
            self.ask()

        for number in SIGNALS:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
