"""Reading a model's answer with deadlines and signs of life."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from gateway.errors import ApiError, ModelError, TimedOutError
from gateway.reply import Event, Heartbeat

Clock = Callable[[], float]


class Call(Protocol):
    """A call that yields events and can be ended from another thread."""

    def events(self) -> Iterator[Event]:
        """Make the call."""
        ...

    def close(self) -> None:
        """End the call."""
        ...


class _End:
    """The call is over, with an error or without."""

    def __init__(self, error: ApiError | None) -> None:
        self.error = error


class Upstream:
    """One call, read by a thread of its own.

    The reader may wait for the model as long as it takes; whoever iterates gets a
    :class:`~gateway.reply.Heartbeat` after each ``heartbeat_seconds`` of silence, and the error of
    the deadline on time. The queue has no bound because the answer has: ``max_tokens``.
    """

    def __init__(
        self,
        call: Call,
        *,
        deadline: float,
        heartbeat_seconds: float,
        clock: Clock = time.monotonic,
    ) -> None:
        self._call = call
        self._deadline = deadline
        self._heartbeat_seconds = heartbeat_seconds
        self._clock = clock
        self._queue: queue.SimpleQueue[Event | _End] = queue.SimpleQueue()
        self._ahead: list[Event] = []
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="upstream", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        error: ApiError | None = None
        try:
            for event in self._call.events():
                self._queue.put(event)
        except ApiError as problem:
            error = problem
        except Exception as problem:  # A reader that dies silently would hang its client.
            error = ModelError("The answer could not be read. Send the request again.")
            error.__cause__ = problem
        self._queue.put(_End(error))

    def begin(self, patience_seconds: float) -> None:
        """Wait for the first sign of an answer, so that a fault before it can have a status.

        Returns without one after ``patience_seconds``: by then the client needs the headers more.

        Raises:
            ApiError: the call failed before its first event.
        """
        until = min(self._deadline, self._clock() + patience_seconds)
        while not self._ahead and not self._ended:
            remaining = until - self._clock()
            if remaining <= 0:
                self._check_deadline()
                return
            # In pieces, so that the clock decides and not the length of one wait.
            event = self._next(min(self._heartbeat_seconds, remaining))
            if event is not None:
                self._ahead.append(event)

    def __iter__(self) -> Iterator[Event]:
        """Yield events until the answer is complete.

        Raises:
            ApiError: the call failed, or the deadline passed.
        """
        yield from self._ahead
        while not self._ended:
            self._check_deadline()
            remaining = self._deadline - self._clock()
            event = self._next(min(self._heartbeat_seconds, max(0.0, remaining)))
            if event is not None:
                yield event
            elif not self._ended:
                yield Heartbeat()

    def close(self) -> None:
        """End the call."""
        if not self._ended:
            self._call.close()

    def _next(self, timeout: float) -> Event | None:
        try:
            item = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, _End):
            self._ended = True
            if item.error:
                raise item.error
            return None
        return item

    def _check_deadline(self) -> None:
        if self._clock() >= self._deadline:
            self.close()
            raise TimedOutError(
                "The answer took longer than the gateway waits. Ask for fewer tokens, or stream."
            )
