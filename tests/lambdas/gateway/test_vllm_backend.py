"""A model that vLLM serves, behind the same API: unmodified clients, a real server, its faults."""

import json
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
from botocore.exceptions import EndpointConnectionError

from gateway.breaker import FAILURES_TO_OPEN
from gateway.governance.administration import Team
from gateway.governance.budget import Dimension, Limits, Scope, Window
from gateway.vllm.client import VllmClient
from gateway.vllm.keys import ServerKeys
from ops.fake_bedrock.reply import Reply
from ops.fake_bedrock.server import FakeBedrock
from tests.fake_vllm import Answer, FakeVllm, refusal, text_steps
from tests.lambdas.gateway.stack import (
    PATIENCE_SECONDS,
    GatewayStack,
    chat_model,
    running_gateway,
)
from tests.lambdas.gateway.test_chat import PNG, WEATHER, hello
from tests.lambdas.governance.emulator import Emulator

KEY = "k" * 48
SERVED = "qwen3-8b"
CAPABILITIES = [
    *("image", "json_schema", "sequential_tools", "stop", "system", "temperature"),
    *("tool_choice", "tools", "top_k", "top_p", "unsigned_reasoning"),
]


def catalogue(base_url: str, nowhere: str) -> dict[str, Any]:
    served: dict[str, Any] = {
        "model_id": SERVED,
        "base_url": base_url,
        "price": {"input": 50_000, "output": 400_000, "cache_read": 10_000},
        "context_tokens": 32_768,
        "max_output_tokens": 16_384,
    }
    return {
        "own": {
            **served,
            "capabilities": CAPABILITIES,
            "efforts": {"low": {"fields": {"chat_template_kwargs": {"enable_thinking": False}}}},
        },
        "plain": served,
        "full-price": {**served, "price": {"input": 50_000, "output": 400_000}},
        "own-first": {**served, "fallbacks": ["bedrock"]},
        "away": {**served, "base_url": nowhere, "fallbacks": ["bedrock"]},
        "bedrock": chat_model(model_id="eu.amazon.nova-lite-v1:0"),
        "bedrock-first": chat_model(model_id="eu.amazon.nova-pro-v1:0", fallbacks=["plain"]),
        "vectors": {
            "model_id": SERVED,
            "base_url": base_url,
            "kind": "embedding",
            "embedding": "openai",
            "price": {"input": 10_000},
            "context_tokens": 8192,
            "dimensions": [256],
        },
    }


@dataclass
class Served:
    """A gateway with both backends, and the secret that holds the server's key."""

    gateway: GatewayStack
    vllm: FakeVllm
    emulator: Emulator
    secret: str

    @property
    def bedrock(self) -> FakeBedrock:
        return self.gateway.bedrock

    def sent(self) -> dict[str, Any]:
        (call,) = self.vllm.calls
        return call

    def reset(self) -> None:
        self.gateway.reset()
        self.vllm.reset()
        for alias in catalogue("", ""):
            self.gateway.breaker.succeeded(alias)


@contextmanager
def nowhere() -> Iterator[str]:
    """Give an address at which nothing listens, and at which nobody else can either."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}/v1"


@contextmanager
def serving(emulator: Emulator, settings: Mapping[str, str]) -> Iterator[Served]:
    """Run a gateway with ``settings`` before Bedrock and a model server."""
    with FakeVllm(SERVED, KEY) as vllm, FakeBedrock() as bedrock, nowhere() as away:
        secret = emulator.make_secret(KEY)
        models = catalogue(vllm.base_url, away)
        variables = {
            "GATEWAY_MODELS": json.dumps(models),
            "GATEWAY_SERVER_KEYS": f"{SERVED}={secret}",
            **settings,
        }
        with running_gateway(emulator, bedrock, variables) as gateway:
            yield Served(gateway, vllm, emulator, secret)


@pytest.fixture(scope="module")
def module_served(emulator: Emulator) -> Iterator[Served]:
    settings = {
        "GATEWAY_HEARTBEAT_SECONDS": "0.05",
        "GATEWAY_FIRST_EVENT_SECONDS": "0.2",
    }
    with serving(emulator, settings) as served:
        yield served


@pytest.fixture
def served(module_served: Served) -> Served:
    module_served.reset()
    return module_served


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with served.gateway.openai() as client:
        yield client


def test_a_whole_answer_comes_with_its_usage(served: Served, client: openai.OpenAI) -> None:
    served.vllm.script(Answer(text_steps("Hel", "lo", prompt=100, completion=2, cached=60)))
    answer = client.chat.completions.create(model="own", messages=hello())
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "own"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 100
    assert answer.usage.completion_tokens == 2
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 60


def test_tokens_arrive_as_they_are_made(served: Served, client: openai.OpenAI) -> None:
    first, *rest = text_steps("one", " two")[1:]
    served.vllm.script(Answer([first, {"wait": "second"}, *rest]))
    stream = client.chat.completions.create(
        model="own", messages=hello(), stream=True, stream_options={"include_usage": True}
    )
    texts = []
    usage = None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            if choice.delta.content:
                texts.append(choice.delta.content)
                # The server sends no more before the first piece is here.
                served.vllm.gate("second").set()
    assert texts == ["one", " two"]
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (7, 5)


def test_the_request_is_what_vllm_understands(served: Served, client: openai.OpenAI) -> None:
    client.chat.completions.create(
        model="own",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city":"Ulm"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "Rain"},
            {"role": "user", "content": "Thanks"},
        ],
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        parallel_tool_calls=False,
        temperature=1.5,
        top_p=0.9,
        stop=["END"],
        max_tokens=50,
        reasoning_effort="low",
        extra_body={"top_k": 20},
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": {"type": "object"}},
        },
    )
    sent = served.sent()
    call = {"id": "a", "type": "function"}
    function = {"name": "get_weather", "arguments": '{"city": "Ulm"}'}
    assert sent.pop("messages") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [{**call, "function": function}]},
        {"role": "tool", "tool_call_id": "a", "content": "Rain"},
        {"role": "user", "content": "Thanks"},
    ]
    assert [tool["function"]["name"] for tool in sent.pop("tools")] == ["get_weather"]
    assert sent == {
        "model": SERVED,
        "max_tokens": 50,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 1.5,
        "top_p": 0.9,
        "top_k": 20,
        "stop": ["END"],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": {"type": "object"}},
        },
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_an_image_goes_as_a_data_url(served: Served, client: openai.OpenAI) -> None:
    image: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    client.chat.completions.create(model="own", messages=hello([image]))
    assert served.sent()["messages"] == [{"role": "user", "content": [image]}]


@pytest.mark.parametrize("choice", ["none", "auto", "required"])
def test_every_choice_of_tools_is_vllms_own(
    served: Served, client: openai.OpenAI, choice: Any
) -> None:
    client.chat.completions.create(
        model="own", messages=hello(), tools=[WEATHER], tool_choice=choice
    )
    assert served.sent()["tool_choice"] == choice
    assert served.sent()["tools"]


def test_reasoning_and_parallel_calls_become_blocks(served: Served, client: openai.OpenAI) -> None:
    def call(index: int, **members: Any) -> dict[str, Any]:
        return {"delta": {"tool_calls": [{"index": index, **members}]}}

    begun = {"type": "function", "function": {"name": "get_weather", "arguments": ""}}
    served.vllm.script(
        Answer(
            [
                {"delta": {"reasoning": "Let me "}},
                {"delta": {"reasoning": "look."}},
                call(0, id="a", **begun),
                call(0, function={"arguments": '{"city":'}),
                call(0, function={"arguments": '"Ulm"}'}),
                call(1, id="b", **begun),
                call(1, function={"arguments": '{"city":"Bonn"}'}),
                {"finish": "tool_calls"},
                {"usage": {"prompt_tokens": 9, "completion_tokens": 9}},
                {"done": True},
            ]
        )
    )
    answer = client.chat.completions.create(model="own", messages=hello(), tools=[WEATHER])
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.model_extra is not None
    assert choice.message.model_extra["reasoning_content"] == "Let me look."
    assert [
        (c.id, c.function.arguments)
        for c in choice.message.tool_calls or []
        if c.type == "function"
    ] == [
        ("a", '{"city":"Ulm"}'),
        ("b", '{"city":"Bonn"}'),
    ]


def test_a_named_tool_that_ends_with_stop_is_a_tool_call(
    served: Served, client: openai.OpenAI
) -> None:
    function = {"name": "get_weather", "arguments": "{}"}
    piece = {"delta": {"tool_calls": [{"index": 0, "id": "a", "function": function}]}}
    served.vllm.script(Answer([piece, {"finish": "stop"}, {"done": True}]))
    answer = client.chat.completions.create(model="own", messages=hello(), tools=[WEATHER])
    assert answer.choices[0].finish_reason == "tool_calls"


def test_anthropics_client_and_the_responses_api_reach_it_too(served: Served) -> None:
    with served.gateway.anthropic() as claude, served.gateway.openai() as client:
        message = claude.messages.create(model="own", max_tokens=9, messages=hello())
        response = client.responses.create(model="own", input="Hello")
        with claude.messages.stream(model="own", max_tokens=9, messages=hello()) as stream:
            streamed = stream.get_final_message()
    assert isinstance(message.content[0], anthropic.types.TextBlock)
    assert message.content[0].text == "Hello"
    assert response.output_text == "Hello"
    assert streamed.usage.output_tokens == 5


def test_embeddings_come_in_the_order_of_the_texts(served: Served, client: openai.OpenAI) -> None:
    texts = ["a" * length for length in range(1, 71)]
    answer = client.embeddings.create(
        model="vectors", input=texts, dimensions=256, encoding_format="float"
    )
    assert [item.embedding[0] for item in answer.data] == [float(len(text)) for text in texts]
    assert answer.usage.prompt_tokens == 70
    assert [len(call["input"]) for call in served.vllm.calls] == [64, 6]
    assert {call["dimensions"] for call in served.vllm.calls} == {256}


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (refusal(400, "Too long."), 400, None),
        (refusal(429, "Busy.", Retry_After="7"), 429, "rate_limit_exceeded"),
        (refusal(500, "Boom."), 502, "model_error"),
        (Answer(status=503, body=b"<html>no targets</html>"), 503, "service_unavailable"),
        (Answer(status=504, body=b"<html>slow</html>"), 504, "timeout"),
        (refusal(404, "The model does not exist."), 503, "service_unavailable"),
        (Answer([{"cut": True}]), 502, "model_error"),
        (Answer([{"raw": b"data: {not json\n\n"}]), 502, "model_error"),
        (Answer([{"raw": b"data: [DONE]\n\n"}]), 502, "incomplete_answer"),
        (Answer([{"error": {"message": "Boom.", "code": 500}}]), 502, "model_error"),
        (Answer([{"finish": "error"}]), 502, "model_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_before_the_first_token_has_a_status(
    served: Served, answer: Answer, status: int, code: str | None, stream: bool
) -> None:
    served.vllm.script(answer)
    with served.gateway.http() as http:
        body = {"model": "plain", "messages": hello(), "stream": stream}
        response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    if status == 429:
        assert response.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    "fault",
    [
        {"cut": True},
        {"raw": b"data: {}x\n\n"},
        {"raw": b"garbage without an end"},
        {"error": {"message": "Internal server error", "type": "InternalServerError", "code": 500}},
        {"finish": "error"},
        {"finish": "abort"},
    ],
)
def test_a_fault_in_mid_stream_is_an_event_and_no_done(
    served: Served, fault: dict[str, Any]
) -> None:
    served.vllm.script(Answer([*text_steps("par", "tial")[:3], fault]))
    with served.gateway.http() as http:
        body = {"model": "plain", "messages": hello(), "stream": True}
        response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    assert '"par"' in response.text
    assert '"error"' in response.text
    assert "[DONE]" not in response.text


def test_a_whole_answer_that_broke_off_goes_on_to_the_fallback(
    served: Served, client: openai.OpenAI
) -> None:
    served.vllm.script(Answer([*text_steps("par", "tial")[:3], {"cut": True}]))
    answer = client.chat.completions.create(model="own-first", messages=hello())
    assert answer.model == "bedrock"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "answer", [refusal(429, "Busy."), refusal(503, "Full."), Answer(status=504)]
)
def test_bedrock_answers_while_the_server_cannot(
    served: Served, client: openai.OpenAI, answer: Answer, stream: bool
) -> None:
    served.vllm.script(answer)
    if stream:
        chunks = list(
            client.chat.completions.create(model="own-first", messages=hello(), stream=True)
        )
        model = chunks[0].model
    else:
        model = client.chat.completions.create(model="own-first", messages=hello()).model
    assert model == "bedrock"
    assert [call.model_id for call in served.bedrock.calls] == ["eu.amazon.nova-lite-v1:0"]


def test_bedrock_answers_where_nothing_listens(served: Served, client: openai.OpenAI) -> None:
    assert client.chat.completions.create(model="away", messages=hello()).model == "bedrock"


def test_the_server_answers_while_bedrock_throttles(served: Served, client: openai.OpenAI) -> None:
    throttled = Reply(error={"code": "ThrottlingException", "message": "slow"})
    served.bedrock.script(throttled, throttled)
    answer = client.chat.completions.create(model="bedrock-first", messages=hello())
    assert answer.model == "plain"
    assert answer.choices[0].message.content == "Hello"


def test_a_server_that_keeps_failing_is_left_alone(served: Served, client: openai.OpenAI) -> None:
    served.vllm.script(*[refusal(500, "Boom.")] * FAILURES_TO_OPEN)
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model="plain", messages=hello())
    with pytest.raises(openai.APIStatusError, match="keeps failing"):
        client.chat.completions.create(model="plain", messages=hello())
    assert len(served.vllm.calls) == FAILURES_TO_OPEN


def test_a_slow_first_byte_is_bridged_by_heartbeats(served: Served) -> None:
    served.vllm.script(Answer([{"early": "turn"}, *text_steps("late")]))
    body = {"model": "own", "messages": hello(), "stream": True}
    lines = []
    with served.gateway.http() as http, http.stream("POST", "/v1/chat/completions", json=body) as r:
        for line in r.iter_lines():
            lines.append(line)
            if line.startswith(":"):
                served.vllm.gate("turn").set()
    assert any(line.startswith(":") for line in lines)
    assert any('"late"' in line for line in lines)
    assert lines[-2:] == ["data: [DONE]", ""] or lines[-1] == "data: [DONE]"


@pytest.mark.parametrize("when", ["early", "wait"])
def test_a_client_that_leaves_stops_the_server(served: Served, when: str) -> None:
    first, *rest = text_steps("one", "two")[1:]
    held: list[dict[str, Any]] = [{when: "never"}]
    served.vllm.script(Answer([*held, first] if when == "early" else [first, *held, *rest]))
    body = {"model": "own", "messages": hello(), "stream": True}
    with served.gateway.http() as http, http.stream("POST", "/v1/chat/completions", json=body) as r:
        next(r.iter_lines())
    assert served.vllm.aborts.acquire(timeout=PATIENCE_SECONDS)
    metrics = urllib.request.urlopen(served.vllm.base_url.removesuffix("/v1") + "/metrics")  # noqa: S310 - loopback
    with metrics:
        assert b'finished_reason="abort"' in metrics.read()


def test_connections_are_used_again(served: Served, client: openai.OpenAI) -> None:
    for _ in range(3):
        client.chat.completions.create(model="own", messages=hello())
    assert len(set(served.vllm.peers)) == 1


def test_a_refused_key_is_the_platforms_fault_and_not_shown(
    served: Served, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.chat.completions.create(model="own", messages=hello())
    monkeypatch.setattr(served.vllm, "key", "n" * 48)
    with pytest.raises(openai.APIStatusError, match="does not accept the gateway's key") as fault:
        client.chat.completions.create(model="own", messages=hello())
    assert fault.value.status_code == 503
    assert KEY not in fault.value.response.text


def test_a_new_key_is_read_when_the_old_one_is_refused(served: Served) -> None:
    secrets = served.emulator.secrets_manager()
    name = served.emulator.make_secret("o" * 48)
    keys = ServerKeys(secrets, {SERVED: name}, seconds_between_renewals=0)
    vllm = VllmClient(keys, connections=1, read_timeout_seconds=PATIENCE_SECONDS)
    model = served.gateway.settings.catalogue.entry("own")
    assert keys.key(SERVED) == "o" * 48
    secrets.put_secret_value(SecretId=name, SecretString=KEY)
    body = json.dumps({"model": SERVED, "input": ["a"]}).encode()
    with vllm.post(model, "/embeddings", body) as answer:
        assert answer.status == 200
    assert keys.key(SERVED) == KEY


def test_a_known_key_outlives_secrets_manager(served: Served) -> None:
    class Away:
        answers = iter([{"SecretString": KEY}])

        def get_secret_value(self, **_: object) -> dict[str, str]:
            answer = next(self.answers, None)
            if answer is None:
                raise EndpointConnectionError(endpoint_url="https://secretsmanager")
            return answer

    keys = ServerKeys(Away(), {SERVED: "secret"}, seconds=0)
    assert keys.key(SERVED) == keys.key(SERVED) == KEY


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 0.5}, "temperature"),
        ({"tools": [WEATHER]}, "tools"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"max_tokens": 20_000}, "max_tokens"),
        ({"messages": [{"role": "assistant", "content": "Hm"}]}, "messages"),
    ],
)
def test_what_the_model_cannot_do_is_refused_before_it_is_called(
    served: Served, fields: dict[str, Any], param: str
) -> None:
    with served.gateway.http() as http:
        body = {"model": "plain", "messages": hello(), **fields}
        response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert not served.vllm.calls


@pytest.mark.parametrize(("alias", "micro_usd"), [("own", 3), ("full-price", 6)])
def test_budgets_are_settled_at_the_files_price(served: Served, alias: str, micro_usd: int) -> None:
    team = f"team-{alias}"
    served.gateway.administration.put_team(
        Team(name=team, limits=Limits(micro_usd_per_month=10**9))
    )
    key = served.gateway.new_key(team)
    served.vllm.script(Answer(text_steps("Hi", prompt=100, completion=1, cached=100)))
    with served.gateway.openai(key) as client, served.gateway.http(key) as http:
        client.chat.completions.create(model=alias, messages=hello())
        lines = http.get("/v1/usage").json()["lines"]
    (line,) = [
        it
        for it in lines
        if (it["scope"], it["window"], it["dimension"])
        == (Scope.TEAM, Window.MONTH, Dimension.MICRO_USD)
    ]
    # 100 tokens at 0.01 or 0.05 and one at 0.4, rounded up once.
    assert line["used"] == micro_usd - (alias == "own") * 1
    assert line["held"] == 0


def test_the_list_of_models_says_who_serves(client: openai.OpenAI) -> None:
    owners = {model.id: model.owned_by for model in client.models.list()}
    assert owners["own"] == "self-hosted"
    assert owners["bedrock"] == "amazon-bedrock"


def test_the_log_holds_no_key_and_no_personal_data(
    served: Served, client: openai.OpenAI, capfd: pytest.CaptureFixture[str]
) -> None:
    served.vllm.script(Answer(text_steps("Write to ada@example.com")))
    client.chat.completions.create(model="own", messages=hello("I am ada@example.com"))
    written = capfd.readouterr()
    assert "ada@example.com" not in written.out + written.err
    assert KEY not in written.out + written.err
    assert '"own"' in written.out
