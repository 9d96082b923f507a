"""The calls of fine-tuning's functions against their own roles."""

import json
import os
from collections.abc import Iterator, Mapping
from unittest import mock

import boto3
import pytest

from ops.fake_bedrock.server import FakeBedrock
from tests.assembly import Assembly
from tests.lambdas.tuning_quality.invocation import Context
from tests.permissions.calls import CallRecorder, recorder
from tests.permissions.role import FunctionRole, Request, resolution_of
from tests.permissions.test_functions import (
    IN_A_VPC,
    LAMBDAS_OWN,
    Grants,
    account_of,
    credentials,
    judge,
)
from tests.s3_on_loopback import s3_on_loopback
from tuning_quality import evaluator, validator

KEYS = {name: f"team/{name}.jsonl" for name in ("training", "validation", "evaluation")}
RECORD = {
    "schemaVersion": "bedrock-conversation-2024",
    "messages": [
        {"role": "user", "content": [{"text": "Is it so?"}]},
        {"role": "assistant", "content": [{"text": "Yes."}]},
    ],
}

OF_THE_LAKE: Grants = {
    **{
        f"s3:{name}": "The CDK's grants to read and to put add it."
        for name in (
            *("Abort*", "GetBucket*", "List*", "PutObjectLegalHold", "PutObjectRetention"),
            *("PutObjectTagging", "PutObjectVersionTagging"),
        )
    },
    **{
        f"kms:{name}": "S3 asks KMS in the caller's name, for objects with the lake's keys."
        for name in ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*", "ReEncrypt*")
    },
}


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with s3_on_loopback() as address:
        yield address


def requests_of(role: FunctionRole, made: CallRecorder) -> list[Request]:
    account = account_of(role)
    return [request for call in made.calls for request in account.requests(call)]


def bucket(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[0]


def prepare(told: Mapping[str, str]) -> None:
    """Make the buckets that the function is told of, and put the datasets there."""
    client = boto3.client("s3", region_name="us-east-1")
    for variable in ("DATASETS", "REPORTS"):
        client.create_bucket(Bucket=bucket(told[variable]))
    for key in KEYS.values():
        client.put_object(
            Bucket=bucket(told["DATASETS"]),
            Key=f"datasets/{key}",
            Body=f"{json.dumps(RECORD)}\n".encode(),
        )


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_validator_reads_datasets_and_writes_its_report(
    environment: str, assembly: Assembly, storage: str
) -> None:
    stack = f"llm-{environment}-fine-tuning"
    role = FunctionRole(resolution_of(assembly), stack, "tuning_quality.validator.handler")
    told = role.variables
    region = account_of(role).region
    with (
        recorder() as calls,
        mock.patch.dict(os.environ, {**credentials(region, S3=storage), **told}),
    ):
        prepare(told)
        validator._client.cache_clear()
        with calls.recording():
            answer = validator.handler({"name": "run-1", **KEYS}, None)
        validator._client.cache_clear()
    assert answer["report"].startswith(told["REPORTS"])
    judge(role, requests_of(role, calls), {**LAMBDAS_OWN, **IN_A_VPC, **OF_THE_LAKE})


def test_the_evaluator_asks_both_models_and_writes_its_report(
    assembly: Assembly, storage: str
) -> None:
    role = FunctionRole(
        resolution_of(assembly), "llm-dev-fine-tuning", "tuning_quality.evaluator.handler"
    )
    told, account = role.variables, account_of(role)
    tuned = account.arn("bedrock", "custom-model-deployment/abcdefghijkl")
    event = {"name": "run-1", "evaluation": KEYS["evaluation"], "deployment": tuned}
    with recorder() as calls, FakeBedrock() as bedrock:
        endpoints = {"S3": storage, "BEDROCK_RUNTIME": bedrock.endpoint_url}
        with mock.patch.dict(os.environ, {**credentials(account.region, **endpoints), **told}):
            prepare(told)
            evaluator._client.cache_clear()
            with calls.recording():
                answer = evaluator.handler(event, Context())
            evaluator._client.cache_clear()
        assert {call.model_id for call in bedrock.calls} == {told["BASE_MODEL"], tuned}
    assert answer["report"].startswith(told["REPORTS"])
    streams = {
        "bedrock:InvokeModelWithResponseStream": "The model's grant is for both ways to ask."
    }
    judge(role, requests_of(role, calls), {**LAMBDAS_OWN, **IN_A_VPC, **OF_THE_LAKE, **streams})
