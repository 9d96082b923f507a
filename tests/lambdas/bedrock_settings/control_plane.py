"""Bedrock's control plane on loopback, for its two account-wide settings.

It speaks rest-json as botocore's own service model describes it: paths and methods come from the
model, requests are refused when they break a shape, and faults carry the model's status codes.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from typing import Any, Self

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

from tests.lambdas.bedrock_settings.service_model import OPERATIONS
from tests.loopback_server import LoopbackHandler, LoopbackServer

Configuration = dict[str, Any]


@cache
def model() -> ServiceModel:
    """Return the installed botocore's model, not the part that the function carries."""
    return botocore.session.get_session().get_service_model("bedrock")


class ControlPlane:
    """One account and region. ``logging`` and ``mode`` are in force; both may be set from outside.

    ``fail`` sets answers for the next calls of an operation. Use as a context manager.
    """

    def __init__(self) -> None:
        self.logging: Configuration | None = None
        self.mode = "inherit"
        self.calls: list[str] = []
        self._faults: dict[str, deque[tuple[str, str]]] = {name: deque() for name in OPERATIONS}
        self._server = _Server(self)

    @property
    def url(self) -> str:
        return self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    def fail(self, operation: str, code: str, message: str = "No.", times: int = 1) -> None:
        self._faults[operation].extend([(code, message)] * times)

    def answer(self, operation: OperationModel, params: dict[str, Any]) -> tuple[int, Any, str]:
        """Return the status, body and error code for one call."""
        self.calls.append(operation.name)
        refused = list(problems(operation, params))
        if refused:
            return self._error("ValidationException", " ".join(refused))
        if self._faults[operation.name]:
            return self._error(*self._faults[operation.name].popleft())
        return 200, self._carry_out(operation.name, params), ""

    def _carry_out(self, name: str, params: dict[str, Any]) -> dict[str, Any]:
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
            return {"mode": self.mode, "updatedAt": "2026-11-22T12:00:00Z"}
        return {}

    @staticmethod
    def _error(code: str, message: str) -> tuple[int, Any, str]:
        status = model().shape_for(code).metadata["error"]["httpStatusCode"]
        return status, {"message": message}, code


def problems(operation: OperationModel, params: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for everything that the service would refuse in a call."""
    shape = operation.input_shape
    if shape is None:
        return
    report = ParamValidator().validate(params, shape)
    if report.has_errors():
        yield str(report.generate_report())
        return
    yield from _breaches(params, shape, operation.name)


def _breaches(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        for key, item in value.items():
            if key not in shape.members:
                yield f"{path} has no member {key}."
            else:
                yield from _breaches(item, shape.members[key], f"{path}.{key}")
    elif shape.type_name == "string":
        allowed, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
        if allowed and value not in allowed:
            yield f"{path} is {value!r}, and not one of {', '.join(allowed)}."
        if pattern and not re.fullmatch(pattern, value):
            yield f"{path} is {value!r}, which does not match {pattern}."
        if len(value) > shape.metadata.get("max", len(value)):
            yield f"{path} is longer than {shape.metadata['max']} characters."


class _Server(LoopbackServer):
    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        super().__init__(_Handler)


class _Handler(LoopbackHandler):
    server: _Server

    def answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operations = (model().operation_model(name) for name in OPERATIONS)
        called = next(
            o
            for o in operations
            if (o.http["method"], o.http["requestUri"]) == (self.command, self.path)
        )
        status, body, code = self.server.plane.answer(called, json.loads(raw or b"{}"))
        error = {"x-amzn-ErrorType": code} if code else {}
        self.send(status, json.dumps(body).encode(), {"Content-Type": "application/json", **error})
