"""AWS on loopback, for the operations that a test answers.

It speaks every protocol of botocore's service models: requests are parsed and answers written by
them (with moto's generic parsers and serialisers), and both are refused when they break a shape, so
that neither the code under test nor a test can invent an API.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from botocore.model import Shape
from botocore.validate import ParamValidator
from moto.core.model import ListShape, OperationModel, ServiceModel, StructureShape
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import SERIALIZERS
from moto.core.utils import get_service_model
from werkzeug.datastructures import Headers, MultiDict

from tests.loopback_server import LoopbackHandler, LoopbackServer

REGION = "us-east-2"
ACCOUNT = "333333333333"

Parameters = Mapping[str, Any]
Answer = Mapping[str, Any] | Callable[[Parameters], Mapping[str, Any]]

# Names under which requests are signed, where they are not the service's own; s3 is here only for
# the account-wide operations.
_SIGNED_AS = {"servicequotas": "service-quotas", "s3": "s3control"}


class FaultError(Exception):
    """An error of the service that a test orders."""

    def __init__(self, code: str, message: str = "No.", status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass
class AwsOnLoopback:
    """What answers calls. ``calls`` holds every one as (service, operation, parameters), and
    ``surprises`` what no test foresaw or what breaks a model; assert that it is empty.
    """

    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    _answers: dict[tuple[str, str], Callable[[Parameters], Mapping[str, Any]]] = field(
        default_factory=dict
    )

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    def reset(self) -> None:
        """Forget every answer and call."""
        self.calls.clear()
        self.surprises.clear()
        self._answers.clear()

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which the SDK finds this AWS and nothing else."""
        return {
            # As a proxy, because S3 Control puts the account into the host's name.
            "http_proxy": self._server.url,
            "no_proxy": "",
            "AWS_ENDPOINT_URL": "http://aws.test",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "COLUMNS": "300",
        }

    def answer(self, service: str, operation: str, answer: Answer) -> None:
        """Answer every call of an operation."""
        fixed = answer if callable(answer) else lambda _: answer
        self._answers[service, operation] = fixed

    def page(
        self, service: str, operation: str, key: str, pages: Sequence[Sequence[Any]], token: str
    ) -> None:
        """Answer with one page after the other, by the tokens that the caller sends back."""

        def turned(parameters: Parameters) -> Mapping[str, Any]:
            number = int(parameters.get(token, "0"))
            more = {token: str(number + 1)} if number + 1 < len(pages) else {}
            return {key: list(pages[number]), **more}

        self._answers[service, operation] = turned

    def fail(
        self, service: str, operation: str, code: str, *, times: int = 1_000, message: str = "No."
    ) -> None:
        """Refuse the next calls of an operation, and answer as before after them."""
        before = self._answers.get((service, operation))
        left = [times]

        def refused(parameters: Parameters) -> Mapping[str, Any]:
            left[0] -= 1
            if left[0] >= 0 or before is None:
                raise FaultError(code, message)
            return before(parameters)

        self._answers[service, operation] = refused

    def called(self, operation: str) -> list[dict[str, Any]]:
        """Return the parameters of every call of ``operation``."""
        return [parameters for _, name, parameters in self.calls if name == operation]

    def respond(self, operation: OperationModel, parameters: dict[str, Any]) -> Any:
        """Return the answer to a call, or raise :class:`FaultError`."""
        service = operation.service_model.service_name
        self.calls.append((service, operation.name, parameters))
        problems = [*_problems(parameters, operation.input_shape, operation.name)]
        if problems:
            raise self._surprise("; ".join(problems))
        answer = self._answers.get((service, operation.name))
        if answer is None:
            raise self._surprise(f"Nobody answers {service} {operation.name}.")
        result = dict(answer(parameters))
        problems = [*_problems(result, operation.output_shape, f"answer of {operation.name}")]
        if problems:
            raise self._surprise("; ".join(problems))
        return result

    def _surprise(self, sentence: str) -> FaultError:
        self.surprises.append(sentence)
        return FaultError("ValidationException", sentence)


@cache
def service_model(name: str) -> ServiceModel:
    # moto's classes over the installed botocore's models; its serialisers take no others.
    return get_service_model(name)


def _problems(value: Any, shape: Shape | None, path: str) -> Iterator[str]:
    if shape is None:
        return
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        yield f"{path}: {report.generate_report()}"
        return
    yield from _breaches(value, shape, path)


def _breaches(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        for key, item in value.items():
            if key not in shape.members:
                yield f"{path} has no member {key}."
            else:
                yield from _breaches(item, shape.members[key], f"{path}.{key}")
    elif isinstance(shape, ListShape):
        for item in value:
            yield from _breaches(item, shape.member, path)
    elif shape.type_name == "string":
        yield from _text_breaches(value, shape, path)


def _text_breaches(value: str, shape: Shape, path: str) -> Iterator[str]:
    allowed, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
    if allowed and value not in allowed:
        yield f"{path} is {value!r}, which is not in the enumeration {shape.name}."
    # Some patterns are Java's: \p{L} is unknown to Python.
    if pattern and "\\p{" not in pattern and not re.search(pattern, value):
        yield f"{path} is {value!r}, which does not match {pattern}."


class _Server(LoopbackServer):
    def __init__(self, aws: AwsOnLoopback) -> None:
        self.aws = aws
        super().__init__(_Handler)


class _Handler(LoopbackHandler):
    server: _Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation, labels = self._operation(body)
        protocol = operation.service_model.metadata["protocol"]
        parameters = PROTOCOL_PARSERS[protocol](operation).parse(self._request(body, labels))
        serializer = SERIALIZERS[protocol](operation)
        try:
            answer = serializer.serialize(self.server.aws.respond(operation, dict(parameters)))
        except FaultError as fault:
            with warnings.catch_warnings():
                # Models list few of the errors that services send, AccessDenied among the missing.
                warnings.simplefilter("ignore", UserWarning)
                answer = serializer.serialize(fault)
            answer["status_code"] = fault.status
        content: str | bytes = answer["body"]
        self.send(
            answer["status_code"],
            content.encode() if isinstance(content, str) else content,
            {k: v for k, v in answer["headers"].items() if k.lower() != "content-length"},
        )

    def _request(self, body: bytes, labels: dict[str, str]) -> Any:
        query = parse_qsl(urlsplit(self.path).query, keep_blank_values=True)
        form = parse_qsl(body.decode(), keep_blank_values=True) if b"Action=" in body else []
        return {
            "body": body,
            "headers": Headers(self.headers.items()),
            "method": self.command,
            "url_params": labels,
            "url_path": urlsplit(self.path).path,
            "values": MultiDict([*query, *form]),
        }

    def _operation(self, body: bytes) -> tuple[OperationModel, dict[str, str]]:
        scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", self.headers["Authorization"])
        assert scope is not None
        model = service_model(_SIGNED_AS.get(scope.group(1), scope.group(1)))
        if target := self.headers.get("X-Amz-Target"):
            return model.operation_model(target.rpartition(".")[2]), {}
        if action := dict(parse_qsl(body.decode())).get("Action"):
            return model.operation_model(action), {}
        path = urlsplit(self.path).path
        for name in model.operation_names:
            operation = model.operation_model(name)
            template = operation.http["requestUri"].partition("?")[0]
            pattern = re.sub(r"\\{(\w+)(\\\+)?\\}", r"(?P<\1>[^/]+)", re.escape(template))
            if operation.http["method"] == self.command and (match := re.fullmatch(pattern, path)):
                return operation, {key: unquote(value) for key, value in match.groupdict().items()}
        raise AssertionError(f"{self.command} {self.path} is no operation of {model.service_name}.")
