"""Bedrock's control plane, as far as it is settings of a whole account and region."""

import threading
from collections import deque
from functools import cache
from typing import Any

from ops.fake_bedrock.validation import CONTROL_PLANE, problems, service_model

Configuration = dict[str, Any]

OPERATIONS = (
    "DeleteModelInvocationLoggingConfiguration",
    "GetAccountDataRetention",
    "GetModelInvocationLoggingConfiguration",
    "PutAccountDataRetention",
    "PutModelInvocationLoggingConfiguration",
)
CHANGED_AT = "2026-11-22T12:00:00Z"
"""What the fake answers for the moment of the last change: it keeps none."""


class AccountSettings:
    """The settings of one account. ``logging`` and ``mode`` are in force, and may be set.

    Every request is checked against botocore's service model. ``calls`` are the operations as they
    came in.
    """

    def __init__(self) -> None:
        self.logging: Configuration | None = None
        self.mode = "inherit"
        self.calls: list[str] = []
        self._faults: dict[str, deque[tuple[str, str]]] = {name: deque() for name in OPERATIONS}
        self._lock = threading.Lock()

    def fail(self, operation: str, code: str, message: str = "No.", times: int = 1) -> None:
        """Refuse the next calls of an operation that are in order."""
        self._faults[operation].extend([(code, message)] * times)

    def answer(self, name: str, params: Configuration) -> tuple[int, Any, str]:
        """Carry one call out; return the status, the body, and the error's code where it fails."""
        with self._lock:
            self.calls.append(name)
            refused = problems(name, params, service=CONTROL_PLANE)
            if refused:
                return _error("ValidationException", " ".join(refused))
            if self._faults[name]:
                return _error(*self._faults[name].popleft())
            return 200, self._carry_out(name, params), ""

    def _carry_out(self, name: str, params: Configuration) -> Configuration:
        match name:
            case "PutModelInvocationLoggingConfiguration":
                self.logging = params["loggingConfig"]
            case "DeleteModelInvocationLoggingConfiguration":
                self.logging = None
            case "GetModelInvocationLoggingConfiguration":
                return {"loggingConfig": self.logging} if self.logging else {}
            case "PutAccountDataRetention":
                self.mode = params["mode"]
        if name.endswith("AccountDataRetention"):
            return {"mode": self.mode, "updatedAt": CHANGED_AT}
        return {}


@cache
def routes() -> dict[tuple[str, str], str]:
    """Return the operations by method and path, as botocore's service model has them."""
    model = service_model(CONTROL_PLANE)
    found = {name: model.operation_model(name).http for name in OPERATIONS}
    return {(http["method"], http["requestUri"]): name for name, http in found.items()}


def _error(code: str, message: str) -> tuple[int, Any, str]:
    shape = service_model(CONTROL_PLANE).shape_for(code)
    return shape.metadata["error"]["httpStatusCode"], {"message": message}, code
