"""The calls that code really makes through botocore, as requests that IAM would be asked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import botocore.handlers

from tests.permissions.role import Request


@dataclass(frozen=True)
class Call:
    """One call: the service as botocore names it, the operation, and its parameters."""

    service: str
    operation: str
    parameters: Mapping[str, Any]


@dataclass
class CallRecorder:
    """Keeps the calls of every session that is made inside :func:`recorder`, while it is on."""

    calls: list[Call] = field(default_factory=list)
    on: bool = False

    def record(self, *, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        if self.on:
            self.calls.append(Call(model.service_model.service_name, model.name, params))

    @contextmanager
    def recording(self) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False


@contextmanager
def recorder() -> Iterator[CallRecorder]:
    """Record through botocore's own event of every call, which carries the caller's parameters."""
    made = CallRecorder()
    handlers = [
        *botocore.handlers.BUILTIN_HANDLERS,
        ("before-parameter-build", made.record),
    ]
    with mock.patch.object(botocore.handlers, "BUILTIN_HANDLERS", handlers):
        yield made


@dataclass(frozen=True)
class Account:
    """Where the calls would go."""

    account: str
    region: str
    partition: str = "aws"

    def requests(self, call: Call) -> Iterator[Request]:
        """Yield what IAM would be asked for a call.

        The names of actions are those of operations except where the service authorisation
        reference says otherwise:
        https://docs.aws.amazon.com/service-authorization/latest/reference/
        """
        match call.service:
            case "dynamodb":
                yield from self._dynamodb(call)
            case "bedrock-runtime":
                yield from self._bedrock(call)
            case "bedrock":
                yield Request(f"bedrock:{call.operation}", "*")
            case "s3":
                key = f"{call.parameters['Bucket']}/{call.parameters['Key']}"
                yield Request(f"s3:{call.operation}", f"arn:{self.partition}:s3:::{key}")
            case "secretsmanager":
                yield Request(f"secretsmanager:{call.operation}", call.parameters["SecretId"])
            case "sagemaker":
                yield from self._sagemaker(call)
            case "ssm":
                name = call.parameters["Name"].removeprefix("/")
                yield Request(f"ssm:{call.operation}", self.arn("ssm", f"parameter/{name}"))
            case _:
                raise NotImplementedError(f"{call.service} is called for the first time: map it.")

    def _sagemaker(self, call: Call) -> Iterator[Request]:
        kinds = {
            "ComputeQuotaId": "compute-quota",
            "ClusterSchedulerConfigId": "cluster-scheduler-config",
        }
        named = [
            self.arn("sagemaker", f"{kinds[key]}/{value}")
            for key, value in call.parameters.items()
            if key in kinds
        ]
        for resource in named or [call.parameters["ClusterArn"]]:
            yield Request(f"sagemaker:{call.operation}", resource)

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def _dynamodb(self, call: Call) -> Iterator[Request]:
        if call.operation == "TransactWriteItems":
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
            names = {
                "Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem",
                "ConditionCheck": "ConditionCheckItem",
            }  # fmt: skip
            for item in call.parameters["TransactItems"]:
                for kind, entry in item.items():
                    yield Request(f"dynamodb:{names[kind]}", self._table(entry))
            return
        yield Request(f"dynamodb:{call.operation}", self._table(call.parameters))

    def _table(self, parameters: Mapping[str, Any]) -> str:
        index = parameters.get("IndexName")
        table = f"table/{parameters['TableName']}"
        return self.arn("dynamodb", f"{table}/index/{index}" if index else table)

    def _bedrock(self, call: Call) -> Iterator[Request]:
        """https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html"""
        if call.operation == "ApplyGuardrail":
            identifier = call.parameters["guardrailIdentifier"]
            yield Request("bedrock:ApplyGuardrail", self.arn("bedrock", f"guardrail/{identifier}"))
            return
        streams = "Stream" in call.operation
        action = "bedrock:InvokeModelWithResponseStream" if streams else "bedrock:InvokeModel"
        guard = call.parameters.get("guardrailConfig", {})
        context = {}
        if guard:
            guardrail = self.arn("bedrock", f"guardrail/{guard['guardrailIdentifier']}")
            context["bedrock:GuardrailIdentifier"] = f"{guardrail}:{guard['guardrailVersion']}"
            yield Request("bedrock:ApplyGuardrail", guardrail)
        model = call.parameters["modelId"]
        if model.startswith("arn:"):
            yield Request(action, model, context)
            return
        if model.split(".")[0] in {"us", "eu", "apac", "global"}:
            profile = self.arn("bedrock", f"inference-profile/{model}")
            yield Request(action, profile, context)
            context = {**context, "bedrock:InferenceProfileArn": profile}
            model = model.split(".", 1)[1]
        yield Request(
            action,
            f"arn:{self.partition}:bedrock:{self.region}::foundation-model/{model}",
            context,
        )
