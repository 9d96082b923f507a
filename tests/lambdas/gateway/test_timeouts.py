"""Heartbeats and deadlines of whole requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import openai
import pytest

from ops.fake_bedrock.reply import Reply, text_steps
from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.gateway.stack import PATIENCE_SECONDS, GatewayStack, running_gateway
from tests.lambdas.gateway.test_chat import hello
from tests.lambdas.governance.emulator import Emulator

FIRST, *REST = text_steps("first", "second")[1:]
START = {"messageStart": {"role": "assistant"}}
NEVER = {"wait": "never"}


@pytest.fixture(scope="module")
def beating_gateway(emulator: Emulator) -> Iterator[GatewayStack]:
    variables = {"GATEWAY_HEARTBEAT_SECONDS": "0.1", "GATEWAY_FIRST_EVENT_SECONDS": "0.1"}
    with FakeBedrock() as bedrock, running_gateway(emulator, bedrock, variables) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def hasty_gateway(emulator: Emulator) -> Iterator[GatewayStack]:
    variables = {"GATEWAY_HEARTBEAT_SECONDS": "0.02", "GATEWAY_FIRST_EVENT_SECONDS": "0.1"}
    with FakeBedrock() as bedrock, running_gateway(emulator, bedrock, variables) as gateway:
        yield gateway


@pytest.fixture
def beating(beating_gateway: GatewayStack) -> GatewayStack:
    beating_gateway.reset()
    return beating_gateway


@pytest.fixture
def hasty(hasty_gateway: GatewayStack) -> Iterator[GatewayStack]:
    hasty_gateway.reset()
    yield hasty_gateway
    # Calls that were given up still wait.
    hasty_gateway.reset()


@contextmanager
def deadline_passing(gateway: GatewayStack) -> Iterator[None]:
    """Let the deadline pass once the model has the call, and not before."""
    model_has_it = gateway.bedrock.reached("never")

    def pass_deadline() -> None:
        if model_has_it.wait(PATIENCE_SECONDS):
            gateway.clock.move(gateway.settings.timeouts.deadline_seconds)

    passing = threading.Thread(target=pass_deadline)
    passing.start()
    yield
    passing.join()


def test_a_gap_is_bridged_by_comments_that_clients_skip(beating: GatewayStack) -> None:
    beating.bedrock.script(Reply([START, FIRST, {"wait": "gap"}, *REST]))
    body = {"model": "plain", "messages": hello(), "stream": True}
    with beating.http() as http, http.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = []
        for line in response.iter_lines():
            lines.append(line)
            if line == ": heartbeat":
                beating.bedrock.gate("gap").set()
    assert ": heartbeat" in lines
    assert lines[-2:] == ["data: [DONE]", ""]


def test_anthropics_heartbeat_is_a_ping(beating: GatewayStack) -> None:
    beating.bedrock.script(Reply([START, FIRST, {"wait": "gap"}, *REST]))
    body = {"model": "plain", "messages": hello(), "stream": True, "max_tokens": 9}
    kinds = []
    with beating.http() as http, http.stream("POST", "/v1/messages", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
            if line == "event: ping":
                beating.bedrock.gate("gap").set()
    assert "ping" in kinds
    assert kinds[-1] == "message_stop"


def test_anthropics_client_skips_the_heartbeats(beating: GatewayStack) -> None:
    beating.bedrock.script(Reply([START, FIRST, {"pause": 0.5}, *REST]))
    with (
        beating.anthropic() as client,
        client.messages.stream(model="plain", max_tokens=9, messages=hello()) as stream,
    ):
        assert stream.get_final_text() == "firstsecond"


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_does_not_begin_ends_at_the_deadline(
    hasty: GatewayStack, stream: bool
) -> None:
    hasty.bedrock.script(Reply([NEVER, *text_steps("late")]))
    with (
        deadline_passing(hasty),
        hasty.openai() as client,
        pytest.raises(openai.APIError, match="longer than the gateway"),
    ):
        list(client.chat.completions.create(model="plain", messages=hello(), stream=stream))


def test_a_stream_that_stalls_ends_at_the_deadline_without_done(hasty: GatewayStack) -> None:
    hasty.bedrock.script(Reply([START, FIRST, NEVER, *REST]))
    body = {"model": "plain", "messages": hello(), "stream": True}
    text = ""
    with hasty.http() as http, http.stream("POST", "/v1/chat/completions", json=body) as response:
        for line in response.iter_lines():
            text += line
            if '"first"' in line:
                hasty.clock.move(hasty.settings.timeouts.deadline_seconds)
    assert '"first"' in text
    assert '"code":"timeout"' in text
    assert "[DONE]" not in text


def test_what_a_late_answer_may_have_used_counts_in_full(hasty: GatewayStack) -> None:
    key = hasty.new_key()
    hasty.bedrock.script(Reply([NEVER, *text_steps("late")]))
    with deadline_passing(hasty), hasty.openai(key) as client, pytest.raises(openai.APIError):
        client.chat.completions.create(model="plain", messages=hello(), max_tokens=500)
    with hasty.http(key) as http:
        lines = http.get("/v1/usage").json()["lines"]
    tokens = [x for x in lines if (x["scope"], x["dimension"]) == ("key", "tokens")]
    assert tokens[0]["used"] >= 500
    assert tokens[0]["held"] == 0
