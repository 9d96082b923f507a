"""A circuit breaker per model, so that a failing model is not waited for by every request."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.errors import ApiError, ModelError, ThrottledError, TimedOutError, UnavailableError

FAILURES_TO_OPEN = 5
COOLDOWN_SECONDS = 30.0
# Faults of the model or the service; a request's own faults say nothing about the next one.
COUNTED = (ModelError, ThrottledError, TimedOutError, UnavailableError)


@dataclass
class _Circuit:
    failures: int = 0
    opened_at: float = 0.0
    trying: bool = False
    error: ApiError | None = None


class CircuitBreaker:
    """Opens for a model after consecutive failures, and lets one call try after a time.

    ``failures`` in a row open it for ``cooldown_seconds``. It lives in one process: what it saves
    are the waits of this process's own requests.
    """

    def __init__(
        self,
        *,
        failures: int = FAILURES_TO_OPEN,
        cooldown_seconds: float = COOLDOWN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._cooldown = cooldown_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._circuits: dict[str, _Circuit] = {}

    def check(self, model: str) -> None:
        """Let a call through.

        Raises:
            ApiError: the circuit is open; a copy in kind of the last failure, with the time left.
        """
        with self._lock:
            circuit = self._circuits.get(model)
            if circuit is None or circuit.failures < self._limit:
                return
            left = circuit.opened_at + self._cooldown - self._clock()
            if left <= 0 and not circuit.trying:
                circuit.trying = True
                return
            raise _refusal(model, circuit.error, max(1, round(left)))

    def succeeded(self, model: str) -> None:
        """Close the circuit: the model answers."""
        with self._lock:
            self._circuits.pop(model, None)

    def failed(self, model: str, error: ApiError) -> None:
        """Count a failure, when it is one of the model's and not of the request."""
        with self._lock:
            if not isinstance(error, COUNTED):
                # The model did answer, if only with a refusal.
                self._circuits.pop(model, None)
                return
            circuit = self._circuits.setdefault(model, _Circuit())
            circuit.failures += 1
            circuit.trying = False
            circuit.opened_at = self._clock()
            circuit.error = error

    def cancelled(self, model: str) -> None:
        """Forget a call that its client gave up: it says nothing of the model."""
        with self._lock:
            circuit = self._circuits.get(model)
            if circuit is not None:
                circuit.trying = False


def _refusal(model: str, error: ApiError | None, seconds: int) -> ApiError:
    message = f"The model {model!r} keeps failing, and is left alone for {seconds} seconds."
    kind = type(error) if isinstance(error, ThrottledError) else UnavailableError
    return kind(message, retry_after=seconds)
