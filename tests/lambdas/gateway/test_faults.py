"""What clients see when Bedrock fails, before the first token and after it."""

import json
from typing import Any

import anthropic
import openai
import pytest

from gateway.breaker import FAILURES_TO_OPEN
from ops.fake_bedrock.reply import Reply, text_steps
from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.gateway.stack import PATIENCE_SECONDS, GatewayStack

HELLO: Any = [{"role": "user", "content": "Hello"}]
PARTIAL = text_steps("par", "tial")[:2]
BEFORE = [
    ("ThrottlingException", 429, "rate_limit_exceeded", 2),
    ("ModelNotReadyException", 429, "rate_limit_exceeded", 2),
    ("AccessDeniedException", 403, "access_denied", 1),
    ("ResourceNotFoundException", 404, "model_not_found", 1),
    ("ValidationException", 400, None, 1),
    ("ModelTimeoutException", 504, "timeout", 1),
    ("ModelErrorException", 502, "model_error", 1),
    ("ServiceUnavailableException", 503, "service_unavailable", 2),
    ("InternalServerException", 503, "service_unavailable", 2),
]


def failing(code: str, times: int = 2) -> list[Reply]:
    return [Reply(error={"code": code, "message": "Because."})] * times


@pytest.mark.parametrize(("code", "status", "error_code", "attempts"), BEFORE)
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_before_the_first_token_has_a_status(
    gateway: GatewayStack,
    code: str,
    status: int,
    error_code: str | None,
    attempts: int,
    stream: bool,
) -> None:
    gateway.bedrock.script(*failing(code))
    with (
        gateway.openai() as client,
        pytest.raises(openai.APIStatusError, match=r"Because\.") as fault,
    ):
        client.chat.completions.create(model="smart", messages=HELLO, stream=stream)
    assert fault.value.status_code == status
    assert fault.value.code == error_code
    assert len(gateway.bedrock.calls) == attempts


@pytest.mark.parametrize("stream", [False, True])
def test_throttling_says_when_to_come_back(gateway: GatewayStack, stream: bool) -> None:
    gateway.bedrock.script(*failing("ThrottlingException"))
    body = {"model": "smart", "messages": HELLO, "stream": stream}
    with gateway.http() as http:
        response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert len(gateway.bedrock.calls) == 2


def test_one_throttled_attempt_is_retried(gateway: GatewayStack, client: openai.OpenAI) -> None:
    gateway.bedrock.script(*failing("ThrottlingException", times=1), Reply(text_steps("fine")))
    answer = client.chat.completions.create(model="smart", messages=HELLO)
    assert answer.choices[0].message.content == "fine"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"fault": {"throttlingException": "slow"}}, "rate_limit_exceeded"),
        ({"fault": {"modelStreamErrorException": "broke"}}, "model_error"),
        ({"fault": {"internalServerException": "oops"}}, "service_unavailable"),
        ({"fault": {"serviceUnavailableException": "gone"}}, "service_unavailable"),
        ({"fault": {"validationException": "no"}}, None),
        ({"corrupt": True}, "model_error"),
        ({"cut": True}, "model_error"),
    ],
)
def test_a_fault_in_mid_stream_is_an_event_and_no_done(
    gateway: GatewayStack, fault: dict[str, Any], code: str | None
) -> None:
    gateway.bedrock.script(Reply([*PARTIAL, fault]))
    body = {"model": "smart", "messages": HELLO, "stream": True}
    with gateway.http() as http:
        response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    assert '"par"' in response.text
    assert f'"code":{json.dumps(code)}' in response.text
    assert '"finish_reason":"stop"' not in response.text
    assert "[DONE]" not in response.text


def test_openais_client_raises_a_fault_in_mid_stream(
    client: openai.OpenAI, bedrock: FakeBedrock
) -> None:
    bedrock.script(Reply([*PARTIAL, {"fault": {"throttlingException": "slow"}}]))
    stream = client.chat.completions.create(model="smart", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="fewer requests"):
        list(stream)


def test_anthropics_client_raises_a_fault_in_mid_stream(
    claude: anthropic.Anthropic, bedrock: FakeBedrock
) -> None:
    bedrock.script(Reply([*PARTIAL, {"fault": {"modelStreamErrorException": "broke"}}]))
    with (
        pytest.raises(anthropic.APIStatusError, match="broke off"),
        claude.messages.stream(model="smart", messages=HELLO, max_tokens=9) as stream,
    ):
        stream.get_final_message()


def test_a_truncated_stream_does_not_look_finished(
    client: openai.OpenAI, bedrock: FakeBedrock
) -> None:
    bedrock.script(Reply(PARTIAL))
    stream = client.chat.completions.create(model="smart", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="broke off before its end"):
        list(stream)


def test_a_truncated_stream_fails_a_response(client: openai.OpenAI, bedrock: FakeBedrock) -> None:
    bedrock.script(Reply(PARTIAL))
    events = list(client.responses.create(model="smart", input="Hello", stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.error is not None


@pytest.mark.parametrize("stop", ["malformed_model_output", "malformed_tool_use"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_malformed_answer_is_an_error(
    client: openai.OpenAI, bedrock: FakeBedrock, stop: str, stream: bool
) -> None:
    bedrock.script(Reply(text_steps("x", stop=stop)))
    with pytest.raises(openai.APIError, match="cannot be used"):
        list(client.chat.completions.create(model="smart", messages=HELLO, stream=stream))


def test_a_block_that_the_api_cannot_express_is_an_error(
    client: openai.OpenAI, bedrock: FakeBedrock
) -> None:
    delta = {"delta": {"citation": {"title": "Source"}}, "contentBlockIndex": 0}
    bedrock.script(Reply([*PARTIAL, {"contentBlockDelta": delta}]))
    with pytest.raises(openai.APIError, match="cannot express"):
        list(client.chat.completions.create(model="smart", messages=HELLO, stream=True))


class TestFallbacks:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("code", ["ThrottlingException", "ServiceUnavailableException"])
    def test_the_next_model_answers_before_the_first_token(
        self, gateway: GatewayStack, code: str, stream: bool
    ) -> None:
        gateway.bedrock.script(*failing(code), Reply(text_steps("from the second")))
        body = {"model": "first", "messages": HELLO, "stream": stream}
        with gateway.http() as http:
            response = http.post("/v1/chat/completions", json=body)
        assert response.status_code == 200
        assert "from the second" in response.text
        assert '"model":"second"' in response.text.replace(" ", "")
        assert gateway.bedrock.calls[-1].model_id == "eu.amazon.nova-lite-v1:0"

    def test_no_model_takes_over_after_the_first_token(self, gateway: GatewayStack) -> None:
        gateway.bedrock.script(Reply([*PARTIAL, {"fault": {"throttlingException": "slow"}}]))
        body = {"model": "first", "messages": HELLO, "stream": True}
        with gateway.http() as http:
            response = http.post("/v1/chat/completions", json=body)
        assert "rate_limit_exceeded" in response.text
        assert len(gateway.bedrock.calls) == 1

    def test_a_request_that_is_wrong_is_not_tried_elsewhere(
        self, gateway: GatewayStack, client: openai.OpenAI
    ) -> None:
        gateway.bedrock.script(*failing("ValidationException"))
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="first", messages=HELLO)
        assert len(gateway.bedrock.calls) == 1

    def test_a_fallback_that_cannot_do_it_leaves_the_first_error(
        self, gateway: GatewayStack, client: openai.OpenAI
    ) -> None:
        gateway.bedrock.script(*failing("ThrottlingException"))
        tool: Any = {"type": "function", "function": {"name": "f"}}
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="first", messages=HELLO, tools=[tool])
        assert {call.model_id for call in gateway.bedrock.calls} == {"eu.amazon.nova-pro-v1:0"}

    def test_a_key_without_the_fallback_does_not_reach_it(self, gateway: GatewayStack) -> None:
        key = gateway.new_key(models=["first"])
        gateway.bedrock.script(*failing("ThrottlingException"))
        with gateway.openai(key) as client, pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="first", messages=HELLO)
        assert {call.model_id for call in gateway.bedrock.calls} == {"eu.amazon.nova-pro-v1:0"}

    def test_a_model_that_keeps_failing_is_left_alone(
        self, gateway: GatewayStack, client: openai.OpenAI
    ) -> None:
        gateway.bedrock.script(*failing("ModelErrorException", times=FAILURES_TO_OPEN))
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(openai.InternalServerError):
                client.chat.completions.create(model="smart", messages=HELLO)
        calls = len(gateway.bedrock.calls)
        with pytest.raises(openai.InternalServerError, match="left alone") as fault:
            client.chat.completions.create(model="smart", messages=HELLO)
        assert fault.value.status_code == 503
        assert len(gateway.bedrock.calls) == calls


class TestClosedConnections:
    def test_a_client_that_leaves_ends_the_call_to_bedrock(
        self, gateway: GatewayStack, client: openai.OpenAI
    ) -> None:
        piece = PARTIAL[1]
        gateway.bedrock.script(Reply([*PARTIAL, *([{"pause": 0.01}, piece] * 20_000)]))
        stream = client.chat.completions.create(model="smart", messages=HELLO, stream=True)
        next(iter(stream))
        stream.close()
        assert gateway.bedrock.disconnects.acquire(timeout=PATIENCE_SECONDS)

    def test_one_silent_stream_does_not_hold_up_others(
        self, gateway: GatewayStack, client: openai.OpenAI
    ) -> None:
        gateway.bedrock.script(Reply([*PARTIAL, {"wait": "end"}, *text_steps("x")[1:]]))
        stream = client.chat.completions.create(model="smart", messages=HELLO, stream=True)
        next(iter(stream))
        with gateway.http() as http:
            assert http.get("/health").json() == {"status": "ok"}
        answer = client.chat.completions.create(model="smart", messages=HELLO)
        assert answer.choices[0].finish_reason == "stop"
        gateway.bedrock.gate("end").set()
        assert [c.choices[0].finish_reason for c in stream][-1] == "stop"
