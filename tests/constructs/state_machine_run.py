"""State machines, really executed by moto's interpreter, against services that the test plays."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from unittest.mock import patch

import boto3
import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from moto import mock_aws
from moto.stepfunctions.parser.utils import TMP_THREADS

_ASL = "moto.stepfunctions.parser.asl.component"
_TASKS = f"{_ASL}.state.exec.state_task"
_CALLERS = (
    f"{_TASKS}.lambda_eval_utils",
    f"{_TASKS}.service.state_task_service_aws_sdk",
    f"{_TASKS}.service.state_task_service_sns",
    f"{_TASKS}.service.state_task_service_unsupported",
)
LONGEST_SECONDS = 600

Answer = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """A call that the state machine made."""

    operation: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How an execution ended."""

    status: str
    error: str | None
    cause: str | None
    calls: tuple[Call, ...]

    @property
    def operations(self) -> list[str]:
        """The operations in order, each once in a row."""
        names = [call.operation for call in self.calls]
        return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]

    def only(self, operation: str) -> dict[str, Any]:
        """The parameters of the single call of an operation."""
        (call,) = [it for it in self.calls if it.operation == operation]
        return call.parameters


def problems_of(service: str, operation: str, parameters: Mapping[str, Any]) -> str:
    """Return what botocore's model of a service has against a call."""
    shape = service_model(service).operation_model(operation).input_shape
    assert shape is not None, f"{operation} takes no parameters"
    found = ParamValidator().validate(dict(parameters), shape)
    return str(found.generate_report())


def service_model(service: str) -> ServiceModel:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


def as_service(value: Any, shape: Any) -> Any:
    """Return parameters of an SDK integration, which begin with capitals, as the service has them.

    A name that the service does not have stays, so that botocore refuses it.
    https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """
    if isinstance(value, dict) and shape is not None and shape.type_name == "structure":
        members = {_capital(name): name for name in shape.members}
        return {
            members.get(key, key): as_service(it, shape.members.get(members.get(key, key)))
            for key, it in value.items()
        }
    if isinstance(value, list) and shape is not None:
        return [as_service(it, shape.member) for it in value]
    return value


def _as_states(value: Any, shape: Any) -> Any:
    if isinstance(value, dict) and shape is not None and shape.type_name == "structure":
        return {_capital(key): _as_states(it, shape.members.get(key)) for key, it in value.items()}
    return value


def _capital(name: str) -> str:
    return f"{name[0].upper()}{name[1:]}"


def refused(code: str) -> ClientError:
    """Return an error as a service answers it."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": code},
            "ResponseMetadata": {
                "HTTPStatusCode": 400,
                "RequestId": "1",
                "HTTPHeaders": {},
                "HostId": "1",
                "RetryAttempts": 0,
            },
        },
        "Any",
    )


class _Client:
    """A client whose calls are checked against the service's model, then answered by the test."""

    def __init__(self, service: str, answers: Mapping[str, Answer], calls: list[Call]) -> None:
        model = service_model(service)
        self._service = service
        self._operations = {xform_name(name): name for name in model.operation_names}
        self._answers = answers
        self._calls = calls

    def __getattr__(self, method: str) -> Callable[..., dict[str, Any]]:
        operation = self._operations[method]

        def call(**parameters: Any) -> dict[str, Any]:
            model = service_model(self._service).operation_model(operation)
            given = as_service(parameters, model.input_shape)
            problems = problems_of(self._service, operation, given)
            assert not problems, f"{operation}: {problems}"
            self._calls.append(Call(operation, given))
            answer: dict[str, Any] = _as_states(self._answers[operation](given), model.output_shape)
            return answer

        return call


def function(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Answer:
    """Return the answer of Lambda for a function."""

    def invoke(parameters: dict[str, Any]) -> dict[str, Any]:
        payload = parameters["Payload"]
        result = answer(json.loads(payload))
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(result).encode())}

    return invoke


@contextmanager
def _played(answers: Mapping[str, Answer], calls: list[Call]) -> Iterator[None]:
    def client(service: str, **_: Any) -> _Client:
        return _Client(service, answers, calls)

    with (
        patch.multiple(import_module(f"{_ASL}.common.retry.retrier_decl").time, sleep=_no_sleep),
        mock_aws(config={"stepfunctions": {"execute_state_machine": True}}),
    ):
        patches = [patch(f"{module}.boto_client_for", client) for module in _CALLERS]
        for it in patches:
            it.start()
        try:
            yield
        finally:
            for it in patches:
                it.stop()


def _no_sleep(_seconds: float) -> None:
    """Retries follow at once."""


def run(
    definition: dict[str, Any], given: dict[str, Any], answers: Mapping[str, Answer]
) -> Outcome:
    """Execute a definition without its waiting, and return how it ended."""
    calls: list[Call] = []
    for state in definition["States"].values():
        if state["Type"] == "Wait":
            state["Seconds"] = 0
    with _played(answers, calls):
        client = boto3.client("stepfunctions", region_name="us-east-1")
        machine = client.create_state_machine(
            name="test",
            definition=json.dumps(definition),
            roleArn="arn:aws:iam::123456789012:role/test",
        )["stateMachineArn"]
        execution = client.start_execution(
            stateMachineArn=machine, name="run-1", input=json.dumps(given)
        )["executionArn"]
        TMP_THREADS[-1].join(LONGEST_SECONDS)
        ended = client.describe_execution(executionArn=execution)
    return Outcome(ended["status"], ended.get("error"), ended.get("cause"), tuple(calls))
