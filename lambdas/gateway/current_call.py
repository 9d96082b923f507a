"""Whose call a thread is making, for hooks of a client that are told nothing of it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Call = TypeVar("Call")


class CurrentCall(Generic[Call]):
    """The call of each thread while it is being made, and no longer: threads are used again."""

    def __init__(self) -> None:
        self._thread = threading.local()

    def get(self) -> Call | None:
        """Return the call that this thread is making, ``None`` where it makes none."""
        call: Call | None = getattr(self._thread, "call", None)
        return call

    @contextmanager
    def made(self, call: Call) -> Iterator[None]:
        """Let hooks know, while the client is asked in here, that it is asked for ``call``."""
        self._thread.call = call
        try:
            yield
        finally:
            self._thread.call = None
