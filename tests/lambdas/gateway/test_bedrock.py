"""The calls to Bedrock themselves, with botocore's real client."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
import urllib3

from gateway.bedrock import (
    FAULTS,
    BedrockRuntime,
    ConverseCall,
    EmbeddingCall,
    create_client,
)
from gateway.errors import ApiError
from ops.fake_bedrock.reply import Reply, text_steps
from ops.fake_bedrock.server import FakeBedrock
from ops.fake_bedrock.validation import operation
from tests.lambdas.gateway.stack import PATIENCE_SECONDS

PARAMS = {
    "modelId": "eu.amazon.nova-lite-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
    "inferenceConfig": {"maxTokens": 10},
}


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    with FakeBedrock() as fake:
        yield fake


@pytest.fixture
def environment(fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", fake.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture
def runtime(environment: None) -> BedrockRuntime:
    return create_client(read_timeout_seconds=PATIENCE_SECONDS, connections=4)


@pytest.fixture
def hasty(environment: None, fake: FakeBedrock) -> BedrockRuntime:
    """A client that soon gives up its first attempt, and takes its time for the next one."""
    client: Any = create_client(read_timeout_seconds=0.2, connections=4)
    session = client._endpoint.http_session
    attempts = itertools.count()

    def begin_attempt(**_: object) -> None:
        if next(attempts):
            # The fake must not take the first attempt, late, for this one.
            assert fake.reached("never").wait(PATIENCE_SECONDS)
            session._manager.connection_pool_kw["timeout"] = urllib3.Timeout(PATIENCE_SECONDS)

    client.meta.events.register("before-send.bedrock-runtime", begin_attempt)
    return cast("BedrockRuntime", client)


def test_every_fault_that_botocore_knows_has_a_meaning() -> None:
    modelled = {shape.name.lower() for shape in operation("ConverseStream").error_shapes}
    assert modelled <= set(FAULTS)


def test_a_slow_answer_is_asked_for_twice_while_somebody_waits(
    fake: FakeBedrock, hasty: BedrockRuntime
) -> None:
    fake.script(Reply([{"wait": "never"}]), Reply(text_steps("fine")))
    events = list(ConverseCall(hasty, PARAMS, stream=False).events())
    assert len(events) > 2
    assert len(fake.calls) == 2


def test_an_abandoned_call_is_not_tried_again(fake: FakeBedrock, hasty: BedrockRuntime) -> None:
    fake.script(Reply([{"wait": "never"}]), Reply(text_steps("nobody waits for this")))
    call = ConverseCall(hasty, PARAMS, stream=False)
    failures: list[ApiError] = []

    def read() -> None:
        try:
            list(call.events())
        except ApiError as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    call.close()
    reader.join(PATIENCE_SECONDS)
    assert len(failures) == 1
    assert len(fake.calls) <= 1


def test_closing_ends_a_read_that_waits(fake: FakeBedrock, runtime: BedrockRuntime) -> None:
    fake.script(Reply([*text_steps("first", "second")[:2], {"wait": "never"}]))
    call = ConverseCall(runtime, PARAMS, stream=True)
    events = call.events()
    next(events)
    next(events)
    closer = threading.Timer(0.05, call.close)
    closer.start()
    with pytest.raises(ApiError):
        list(events)
    closer.join()
    assert not fake.gate("never").is_set()


def test_a_call_given_up_does_not_stop_the_next_one_of_its_thread(
    fake: FakeBedrock, runtime: BedrockRuntime
) -> None:
    fake.script(Reply([*text_steps("first", "second")[:2], {"wait": "never"}]))
    given_up = ConverseCall(runtime, PARAMS, stream=True)
    next(given_up.events())
    given_up.close()
    vector, _ = EmbeddingCall(runtime, {})("amazon.titan-embed-text-v2:0", {"inputText": "x"})
    assert vector["embedding"]
