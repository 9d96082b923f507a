"""Keys, models, budgets and idempotency, as clients meet them."""

import json
import socket
from typing import Any

import anthropic
import openai
import pytest

from gateway.governance.administration import Team
from gateway.governance.budget import Limits
from ops.fake_bedrock.reply import Reply, text_steps
from tests.lambdas.gateway.stack import PATIENCE_SECONDS, GatewayStack

HELLO: Any = [{"role": "user", "content": "Hello"}]


def used(gateway: GatewayStack, key: str, dimension: str) -> tuple[int, int]:
    """Return what the key has used and what is held, this month."""
    with gateway.http(key) as http:
        lines = http.get("/v1/usage").json()["lines"]
    (line,) = [
        line
        for line in lines
        if (line["scope"], line["window"], line["dimension"]) == ("key", "month", dimension)
    ]
    return line["used"], line["held"]


class TestKeys:
    @pytest.mark.parametrize("key", ["lp_nobody_nothing", "sk-other", "x.y.z"])
    def test_an_unknown_key_is_refused(self, gateway: GatewayStack, key: str) -> None:
        with gateway.openai(key) as client, pytest.raises(openai.AuthenticationError) as refusal:
            client.chat.completions.create(model="smart", messages=HELLO)
        assert refusal.value.code == "invalid_api_key"
        assert key not in str(refusal.value)
        assert gateway.bedrock.calls == []

    def test_a_request_without_a_key_is_refused(self, gateway: GatewayStack) -> None:
        with gateway.http() as http:
            del http.headers["Authorization"]
            response = http.post("/v1/chat/completions", json={})
        assert response.status_code == 401

    def test_an_expired_key_is_refused(self, gateway: GatewayStack) -> None:
        key = gateway.new_key(valid_until=1)
        with gateway.openai(key) as client, pytest.raises(openai.AuthenticationError):
            client.models.list()

    def test_a_suspended_team_is_told_so(self, gateway: GatewayStack) -> None:
        gateway.administration.put_team(Team(name="late", suspended=True))
        with (
            gateway.openai(gateway.new_key("late")) as client,
            pytest.raises(openai.PermissionDeniedError),
        ):
            client.models.list()

    def test_anthropics_header_is_taken(
        self, gateway: GatewayStack, claude: anthropic.Anthropic
    ) -> None:
        claude.messages.create(model="smart", max_tokens=9, messages=HELLO)
        assert gateway.sent().operation == "Converse"


class TestModels:
    def test_a_key_sees_its_models_only(self, gateway: GatewayStack) -> None:
        with gateway.openai(gateway.new_key(models=["smart", "titan"])) as client:
            assert sorted(model.id for model in client.models.list()) == ["smart", "titan"]
            assert client.models.retrieve("titan").id == "titan"
            with pytest.raises(openai.PermissionDeniedError):
                client.models.retrieve("plain")

    def test_a_model_outside_the_key_is_refused(self, gateway: GatewayStack) -> None:
        with (
            gateway.openai(gateway.new_key(models=["plain"])) as client,
            pytest.raises(openai.PermissionDeniedError),
        ):
            client.chat.completions.create(model="smart", messages=HELLO)
        assert gateway.bedrock.calls == []

    @pytest.mark.parametrize(
        "model", ["gpt-4", "", "titan", "eu.anthropic.claude-sonnet-4-6", "../x", "arn:aws:bedrock"]
    )
    def test_only_aliases_of_chat_models_can_be_called(
        self, gateway: GatewayStack, client: openai.OpenAI, model: str
    ) -> None:
        with pytest.raises(openai.NotFoundError) as refusal:
            client.chat.completions.create(model=model, messages=HELLO)
        assert refusal.value.code == "model_not_found"
        assert gateway.bedrock.calls == []


class TestBudgets:
    def test_what_was_used_is_settled(self, gateway: GatewayStack) -> None:
        key = gateway.new_key()
        usage = {"inputTokens": 100, "outputTokens": 10, "totalTokens": 110}
        gateway.bedrock.script(Reply(text_steps("x", usage=usage)))
        with gateway.openai(key) as client:
            client.chat.completions.create(model="smart", messages=HELLO)
        # An output token weighs five; input costs 3 and output 15 micro-USD.
        assert used(gateway, key, "tokens") == (150, 0)
        assert used(gateway, key, "micro_usd") == (450, 0)
        assert used(gateway, key, "requests") == (1, 0)

    def test_a_stream_is_settled_too(self, gateway: GatewayStack) -> None:
        key = gateway.new_key()
        usage = {"inputTokens": 100, "outputTokens": 10, "totalTokens": 110}
        gateway.bedrock.script(Reply(text_steps("x", usage=usage)))
        with gateway.openai(key) as client:
            list(client.chat.completions.create(model="smart", messages=HELLO, stream=True))
        assert used(gateway, key, "tokens") == (150, 0)

    def test_embeddings_are_settled(self, gateway: GatewayStack) -> None:
        key = gateway.new_key()
        with gateway.openai(key) as client:
            client.embeddings.create(model="titan", input=["two words", "one"])
        assert used(gateway, key, "tokens") == (3, 0)

    @pytest.mark.parametrize("code", ["ThrottlingException", "ValidationException"])
    def test_a_call_that_failed_costs_nothing(self, gateway: GatewayStack, code: str) -> None:
        key = gateway.new_key()
        gateway.bedrock.script(*[Reply(error={"code": code, "message": ""})] * 2)
        with gateway.openai(key) as client, pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model="smart", messages=HELLO)
        assert used(gateway, key, "requests") == (0, 0)

    def test_an_answer_that_broke_off_is_settled_with_an_upper_bound(
        self, gateway: GatewayStack
    ) -> None:
        key = gateway.new_key()
        gateway.bedrock.script(Reply(text_steps("a", "b", "c")[:3]))
        with gateway.openai(key) as client, pytest.raises(openai.APIError):
            list(client.chat.completions.create(model="smart", messages=HELLO, stream=True))
        tokens, held = used(gateway, key, "tokens")
        assert held == 0
        assert 2 * 5 < tokens < 100

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_exhausted_budget_is_openais_insufficient_quota(
        self, gateway: GatewayStack, stream: bool
    ) -> None:
        key = gateway.new_key(limits=Limits(requests_per_month=1))
        with gateway.openai(key, max_retries=3) as client:
            client.chat.completions.create(model="plain", messages=HELLO)
            with pytest.raises(openai.RateLimitError) as refusal:
                client.chat.completions.create(model="plain", messages=HELLO, stream=stream)
        assert refusal.value.code == "insufficient_quota"
        assert refusal.value.type == "insufficient_quota"
        assert int(refusal.value.response.headers["retry-after"]) > 0
        assert len(gateway.bedrock.calls) == 1

    def test_an_exhausted_budget_is_anthropics_rate_limit_error(
        self, gateway: GatewayStack
    ) -> None:
        key = gateway.new_key(limits=Limits(micro_usd_per_month=0))
        with gateway.anthropic(key) as client, pytest.raises(anthropic.RateLimitError) as refusal:
            client.messages.create(model="smart", max_tokens=9, messages=HELLO)
        body: Any = refusal.value.body
        assert body["error"]["type"] == "rate_limit_error"
        assert gateway.bedrock.calls == []

    def test_embeddings_need_a_budget(self, gateway: GatewayStack) -> None:
        key = gateway.new_key(limits=Limits(tokens_per_month=0))
        with gateway.openai(key) as client, pytest.raises(openai.RateLimitError):
            client.embeddings.create(model="titan", input="x")
        assert gateway.bedrock.calls == []

    def test_the_output_that_may_come_must_fit(self, gateway: GatewayStack) -> None:
        key = gateway.new_key(limits=Limits(tokens_per_minute=1000))
        with gateway.openai(key) as client:
            with pytest.raises(openai.RateLimitError, match="max_tokens"):
                client.chat.completions.create(model="plain", messages=HELLO, max_tokens=2000)
            client.chat.completions.create(model="plain", messages=HELLO, max_tokens=100)
        assert len(gateway.bedrock.calls) == 1


class TestIdempotency:
    def test_a_repeated_request_is_answered_once(
        self, gateway: GatewayStack, client: openai.OpenAI
    ) -> None:
        headers = {"Idempotency-Key": f"once-{gateway.new_key()}"}
        gateway.bedrock.script(Reply(text_steps("first")), Reply(text_steps("second")))
        answers = [
            client.chat.completions.create(model="smart", messages=HELLO, extra_headers=headers)
            for _ in range(2)
        ]
        assert answers[0].id == answers[1].id
        assert answers[1].choices[0].message.content == "first"
        assert len(gateway.bedrock.calls) == 1

    def test_a_key_for_another_request_is_a_conflict(
        self, gateway: GatewayStack, client: openai.OpenAI
    ) -> None:
        headers = {"Idempotency-Key": f"twice-{gateway.new_key()}"}
        client.chat.completions.create(model="smart", messages=HELLO, extra_headers=headers)
        with pytest.raises(openai.ConflictError):
            client.chat.completions.create(model="plain", messages=HELLO, extra_headers=headers)
        assert len(gateway.bedrock.calls) == 1

    def test_a_failed_request_can_be_tried_again(
        self, gateway: GatewayStack, client: openai.OpenAI
    ) -> None:
        headers = {"Idempotency-Key": f"again-{gateway.new_key()}"}
        error = {"code": "ModelErrorException", "message": ""}
        gateway.bedrock.script(Reply(error=error), Reply(text_steps("fine")))
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="smart", messages=HELLO, extra_headers=headers)
        answer = client.chat.completions.create(
            model="smart", messages=HELLO, extra_headers=headers
        )
        assert answer.choices[0].message.content == "fine"

    def test_streams_are_not_kept(self, gateway: GatewayStack, client: openai.OpenAI) -> None:
        headers = {"Idempotency-Key": f"stream-{gateway.new_key()}"}
        for _ in range(2):
            stream = client.chat.completions.create(
                model="smart", messages=HELLO, stream=True, extra_headers=headers
            )
            assert list(stream)[-1].choices[0].finish_reason == "stop"
        assert len(gateway.bedrock.calls) == 2


class TestWrongInput:
    @pytest.mark.parametrize(
        ("body", "code", "param"),
        [
            (b"", "invalid_json", None),
            (b"{", "invalid_json", None),
            (b"\xff\xfe", "invalid_json", None),
            (b'{"model": "\xff"}', "invalid_json", None),
            (b"[" * 5000, None, None),
            (b"[]", None, None),
            (b"null", None, None),
            (b"{}", None, None),
            (b'{"model": 5, "messages": []}', None, "model"),
            (b'{"model": "smart", "messages": []}', None, "messages"),
            (b'{"model": "smart", "messages": [{"role": "wizard"}]}', None, "messages[0].role"),
            (
                b'{"model": "smart", "messages": [{"role": "user", "content": 5}]}',
                None,
                "messages[0].content",
            ),
            (
                b'{"model": "smart", "messages": [{"role": "user", "content": " "}]}',
                None,
                "messages",
            ),
        ],
    )
    def test_a_body_that_cannot_be_read_is_a_400(
        self, gateway: GatewayStack, body: bytes, code: str | None, param: str | None
    ) -> None:
        with gateway.http() as http:
            response = http.post("/v1/chat/completions", content=body)
        assert response.status_code == 400
        error = response.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert error["code"] == code
        assert error["param"] == param
        assert gateway.bedrock.calls == []

    @pytest.mark.parametrize("size", [150_000, 1_000_000])
    def test_a_body_that_is_too_large_is_a_413(self, gateway: GatewayStack, size: int) -> None:
        with gateway.http() as http:
            response = http.post("/v1/chat/completions", content=b" " * size)
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "request_too_large"

    def test_an_unknown_route_is_a_404_and_a_wrong_method_a_405(
        self, gateway: GatewayStack
    ) -> None:
        with gateway.http() as http:
            assert http.get("/v1/nothing").json()["error"]["code"] == "not_found"
            wrong = http.get("/v1/chat/completions")
        assert wrong.status_code == 405
        assert wrong.json()["error"]["code"] == "method_not_allowed"

    def test_broken_http_is_answered_in_json(self, gateway: GatewayStack) -> None:
        host, port = gateway.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: nonsense\r\n\r\n")
            head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert json.loads(body)["error"]["type"] == "invalid_request_error"

    def test_every_answer_carries_its_request_id(self, gateway: GatewayStack) -> None:
        with gateway.http() as http:
            good, bad = http.get("/v1/models"), http.get("/v1/nothing")
        ids = [answer.headers["x-request-id"] for answer in (good, bad)]
        assert len(set(ids)) == 2
        assert bad.headers["request-id"] == ids[1]
