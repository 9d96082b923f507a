"""The fake speaks what botocore's real client understands, and refuses what Bedrock would."""

import http.client
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from botocore.exceptions import ClientError, EventStreamError
from hypothesis import given, settings, strategies

from ops.fake_bedrock import eventstream
from ops.fake_bedrock.reply import Reply, text_steps, tool_steps
from ops.fake_bedrock.server import FakeBedrock
from ops.fake_bedrock.validation import MAXIMUM_CACHE_POINTS, problems

MODEL = "eu.amazon.nova-lite-v1:0"
USER = {"role": "user", "content": [{"text": "Hello"}]}
CALL = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}
RESULT = {"toolResult": {"toolUseId": "t1", "content": [{"text": "x"}]}}
TOOLS = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}


def client_of(endpoint: str, service: str = "bedrock-runtime") -> Any:
    return botocore.session.get_session().create_client(
        service,
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    with FakeBedrock() as fake:
        yield fake


@pytest.fixture
def client(fake: FakeBedrock) -> Any:
    return client_of(fake.endpoint_url)


@settings(deadline=None)
@given(
    name=strategies.text(strategies.characters(codec="ascii"), min_size=1, max_size=50),
    text=strategies.text(),
)
def test_botocore_reads_what_was_encoded(name: str, text: str) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(eventstream.event(name, {"text": text}))
    messages: Any = list(buffer)
    (message,) = messages
    assert message.headers[":event-type"] == name
    assert json.loads(message.payload) == {"text": text}


@settings(deadline=None)
@given(position=strategies.integers(min_value=0, max_value=60))
def test_botocore_notices_a_flipped_bit(position: int) -> None:
    data = bytearray(eventstream.event("contentBlockStop", {"contentBlockIndex": 0}))
    # The first four bytes are a length: with another one the message never ends.
    data[4 + position] ^= 1
    buffer = EventStreamBuffer()
    buffer.add_data(bytes(data))
    with pytest.raises(ChecksumMismatch):
        list(buffer)


def test_a_stream_and_a_whole_answer_say_the_same(fake: FakeBedrock, client: Any) -> None:
    fake.script(Reply(text_steps("a", "b")), Reply(text_steps("a", "b")))
    whole = client.converse(modelId=MODEL, messages=[USER])
    events = list(client.converse_stream(modelId=MODEL, messages=[USER])["stream"])
    deltas = [e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e]
    assert whole["output"]["message"]["content"] == [{"text": "".join(deltas)}]
    assert whole["usage"] == events[-1]["metadata"]["usage"]
    assert [call.operation for call in fake.calls] == ["Converse", "ConverseStream"]


def test_a_fault_in_mid_stream_is_raised_by_botocore(fake: FakeBedrock, client: Any) -> None:
    fake.script(Reply([*text_steps("a")[:2], {"fault": {"throttlingException": "slow"}}]))
    with pytest.raises(EventStreamError, match="slow"):
        list(client.converse_stream(modelId=MODEL, messages=[USER])["stream"])


def test_an_error_has_its_modelled_status(fake: FakeBedrock, client: Any) -> None:
    fake.script(Reply(error={"code": "ModelTimeoutException", "message": "slow"}))
    with pytest.raises(client.exceptions.ModelTimeoutException) as fault:
        client.converse(modelId=MODEL, messages=[USER])
    assert fault.value.response["ResponseMetadata"]["HTTPStatusCode"] == 408


def test_without_a_script_it_calls_the_tool_it_must(client: Any) -> None:
    config = {**TOOLS, "toolChoice": {"tool": {"name": "f"}}}
    answer = client.converse(modelId=MODEL, messages=[USER], toolConfig=config)
    assert answer["output"]["message"]["content"][0]["toolUse"]["name"] == "f"
    assert answer["stopReason"] == "tool_use"


def test_without_a_script_it_keeps_to_max_tokens(client: Any) -> None:
    answer = client.converse(modelId=MODEL, messages=[USER], inferenceConfig={"maxTokens": 2})
    assert answer["output"]["message"]["content"] == [{"text": "You said: "}]
    assert answer["stopReason"] == "max_tokens"


def test_a_tool_block_is_put_together(fake: FakeBedrock, client: Any) -> None:
    fake.script(Reply([*tool_steps(0, "t1", "f", '{"a":', "1}"), *text_steps("x")[-2:]]))
    answer = client.converse(modelId=MODEL, messages=[USER], toolConfig=TOOLS)
    assert answer["output"]["message"]["content"][0]["toolUse"]["input"] == {"a": 1}


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"messages": []}, "start with a user message"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "start with a user"),
        ({"messages": [USER, USER]}, "alternate"),
        ({"messages": [{"role": "user", "content": []}]}, "is empty"),
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "blank"),
        ({"messages": [{"role": "wizard", "content": [{"text": "x"}]}]}, "wizard"),
        ({"messages": [USER], "inferenceConfig": {"maxTokens": 0}}, "maxTokens"),
        ({"messages": [USER], "unknown": 1}, "unknown"),
        ({"messages": [USER], "serviceTier": {"type": "gold"}}, "gold"),
        ({"messages": [USER], "requestMetadata": {str(n): "" for n in range(17)}}, "at most 16"),
        ({"messages": [USER], "requestMetadata": {"user": "ü"}}, "requestMetadata"),
        ({"messages": [USER, {"role": "assistant", "content": [CALL]}]}, "toolConfig"),
        (
            {
                "messages": [USER, {"role": "assistant", "content": [CALL]}, USER],
                "toolConfig": TOOLS,
            },
            "Expected toolResult",
        ),
        (
            {"messages": [{"role": "user", "content": [RESULT]}], "toolConfig": TOOLS},
            "Expected toolResult",
        ),
        (
            {
                "messages": [USER],
                "system": [{"cachePoint": {"type": "default"}}] * (MAXIMUM_CACHE_POINTS + 1),
            },
            "cache points",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"image": {"format": "png", "source": {"bytes": "?"}}}],
                    }
                ]
            },
            "base64",
        ),
        ({"messages": [{"role": "user", "content": [{"text": "x", **RESULT}]}]}, "union"),
    ],
)
def test_what_bedrock_would_refuse_is_refused(params: dict[str, Any], sentence: str) -> None:
    found = problems("Converse", {"modelId": MODEL, **params})
    assert sentence.lower() in " ".join(found).lower()


def test_a_good_conversation_has_no_problem() -> None:
    messages = [
        USER,
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [RESULT, {"text": "So?"}]},
    ]
    assert problems("Converse", {"modelId": MODEL, "messages": messages, "toolConfig": TOOLS}) == []


def test_a_refused_call_reaches_the_client_as_a_validation_error(client: Any) -> None:
    with pytest.raises(ClientError, match="alternate") as refusal:
        client.converse(modelId=MODEL, messages=[USER, USER])
    assert refusal.value.response["Error"]["Code"] == "ValidationException"


def test_embeddings_depend_on_the_text(client: Any) -> None:
    def embed(text: str) -> list[float]:
        body = json.dumps({"inputText": text, "dimensions": 16})
        answer = client.invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body)
        vector: list[float] = json.load(answer["body"])["embedding"]
        return vector

    assert len(embed("one")) == 16
    assert embed("one") == embed("one")
    assert embed("one") != embed("two")


def test_it_serves_as_a_process_of_its_own_and_takes_scripts() -> None:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "ops.fake_bedrock", "0"], cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        assert isinstance(process.stdout, io.TextIOBase)
        client = client_of(process.stdout.readline().strip())
        answer = client.converse(modelId=MODEL, messages=[USER])
        assert answer["output"]["message"]["content"] == [{"text": "You said: Hello "}]
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def test_the_accounts_settings_are_what_was_put_last(fake: FakeBedrock) -> None:
    client = client_of(fake.endpoint_url, "bedrock")
    assert "loggingConfig" not in client.get_model_invocation_logging_configuration()
    assert client.get_account_data_retention()["mode"] == "inherit"

    logging = {"s3Config": {"bucketName": "audit"}, "textDataDeliveryEnabled": True}
    client.put_model_invocation_logging_configuration(loggingConfig=logging)
    client.put_account_data_retention(mode="none")

    assert client.get_model_invocation_logging_configuration()["loggingConfig"] == logging
    assert client.get_account_data_retention()["mode"] == "none"
    client.delete_model_invocation_logging_configuration()
    assert "loggingConfig" not in client.get_model_invocation_logging_configuration()


@pytest.mark.parametrize(
    ("logging", "reason"),
    [
        ({"s3Config": {"bucketName": 64 * "a"}}, "takes at most 63"),
        ({"s3Config": {}}, "Missing required parameter"),
        ({"s3Config": {"bucketName": "audit"}, "textsDelivered": True}, "textsDelivered"),
        (
            {"cloudWatchConfig": {"logGroupName": "logs", "roleArn": "writer"}},
            "does not match",
        ),
    ],
)
def test_a_setting_that_breaks_the_service_model_is_refused(
    fake: FakeBedrock, logging: dict[str, Any], reason: str
) -> None:
    # By hand, for botocore's client checks some of it before it sends anything.
    connection = http.client.HTTPConnection(fake.endpoint_url.removeprefix("http://"))
    body = json.dumps({"loggingConfig": logging})
    connection.request("PUT", "/logging/modelinvocations", body)
    answer = connection.getresponse()
    assert answer.headers["x-amzn-ErrorType"] == "ValidationException"
    assert reason in json.loads(answer.read())["message"]
    assert fake.account.logging is None


def test_a_mode_that_does_not_exist_is_refused(fake: FakeBedrock) -> None:
    with pytest.raises(ClientError, match="the service takes default, none"):
        client_of(fake.endpoint_url, "bedrock").put_account_data_retention(mode="never")
    assert fake.account.mode == "inherit"
