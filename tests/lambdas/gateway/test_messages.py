"""The Messages API with Anthropic's own client."""

import base64
from typing import Any

import anthropic
import pytest

from ops.fake_bedrock.reply import Reply, end_steps, text_steps, tool_steps
from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.gateway.stack import GatewayStack
from tests.lambdas.gateway.test_chat import PNG, START, reasoning_steps, text_block

HELLO: Any = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
THOUGHTFUL = [
    START,
    *reasoning_steps(0, "thinking", "SIG"),
    {
        "contentBlockDelta": {
            "delta": {"reasoningContent": {"redactedContent": base64.b64encode(b"x").decode()}},
            "contentBlockIndex": 1,
        }
    },
    {"contentBlockStop": {"contentBlockIndex": 1}},
    *text_block(2, "Let me ", "check."),
    *tool_steps(3, "t1", "get_weather", '{"city":', '"Paris"}'),
    *end_steps("tool_use"),
]


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_text_and_tools_arrive_in_order(
    claude: Any, bedrock: FakeBedrock, stream: bool
) -> None:
    bedrock.script(Reply(THOUGHTFUL))
    options: Any = {"model": "smart", "messages": HELLO, "max_tokens": 99, "tools": [WEATHER]}
    if stream:
        with claude.messages.stream(**options) as events:
            message = events.get_final_message()
    else:
        message = claude.messages.create(**options)
    assert [block.to_dict() for block in message.content] == [
        {"type": "thinking", "thinking": "thinking", "signature": "SIG"},
        {"type": "redacted_thinking", "data": base64.b64encode(b"x").decode()},
        {"type": "text", "text": "Let me check."},
        {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Paris"}},
    ]
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (10, 20)


def test_what_was_answered_can_be_sent_back(claude: Any, bedrock: FakeBedrock) -> None:
    bedrock.script(Reply(THOUGHTFUL))
    options: Any = {"model": "smart", "max_tokens": 99, "tools": [WEATHER]}
    first = claude.messages.create(messages=HELLO, **options)
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "Rain", "is_error": True}
    claude.messages.create(
        messages=[
            *HELLO,
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result, {"type": "text", "text": "So?"}]},
        ],
        **options,
    )
    _, assistant, user = bedrock.calls[1].params["messages"]
    assert assistant["content"][0] == {
        "reasoningContent": {"reasoningText": {"text": "thinking", "signature": "SIG"}}
    }
    assert assistant["content"][3]["toolUse"]["input"] == {"city": "Paris"}
    assert user["content"][0]["toolResult"] == {
        "toolUseId": "t1",
        "content": [{"text": "Rain"}],
        "status": "error",
    }


def test_parameters_reach_their_places(gateway: GatewayStack, claude: Any) -> None:
    claude.messages.create(
        model="smart",
        max_tokens=4000,
        messages=HELLO,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["END"],
        thinking={"type": "enabled", "budget_tokens": 1024},
        metadata={"user_id": "u-7"},
        service_tier="standard_only",
        # Not in the client's signature any more, and still in the API.
        extra_body={"temperature": 1.0, "top_k": 5},
    )
    params = gateway.sent().params
    assert params["inferenceConfig"] == {
        "maxTokens": 4000,
        "temperature": 1.0,
        "stopSequences": ["END"],
    }
    assert params["additionalModelRequestFields"] == {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "top_k": 5,
    }
    assert params["system"] == [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}]
    assert params["requestMetadata"]["user_id"] == "u-7"
    assert params["serviceTier"] == {"type": "default"}


def test_cache_marks_stand_where_the_client_put_them(gateway: GatewayStack, claude: Any) -> None:
    mark: Any = {"type": "ephemeral"}
    claude.messages.create(
        model="smart",
        max_tokens=9,
        tools=[{**WEATHER, "cache_control": {**mark, "ttl": "1h"}}],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "one", "cache_control": mark},
                    {"type": "text", "text": "two"},
                ],
            }
        ],
    )
    params = gateway.sent().params
    assert params["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert params["messages"][0]["content"] == [
        {"text": "one"},
        {"cachePoint": {"type": "default"}},
        {"text": "two"},
    ]


def test_images_and_documents_are_sent_as_they_are(gateway: GatewayStack, claude: Any) -> None:
    pdf = base64.b64encode(b"%PDF-1.7").decode()
    content: Any = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {
            "type": "document",
            "title": "Report",
            "context": "Draft",
            "source": {"type": "base64", "media_type": "application/pdf", "data": pdf},
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Plain."},
        },
        {"type": "text", "text": "What is this?"},
    ]
    claude.messages.create(
        model="smart", max_tokens=9, messages=[{"role": "user", "content": content}]
    )
    blocks = gateway.sent().params["messages"][0]["content"]
    assert blocks[0] == {"image": {"format": "png", "source": {"bytes": PNG}}}
    assert blocks[1]["document"] == {
        "format": "pdf",
        "name": "Report",
        "context": "Draft",
        "source": {"bytes": pdf},
    }
    assert blocks[2]["document"]["source"] == {"text": "Plain."}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ({"type": "auto"}, {"auto": {}}),
        ({"type": "any"}, {"any": {}}),
        ({"type": "tool", "name": "get_weather"}, {"tool": {"name": "get_weather"}}),
    ],
)
def test_tool_choices_have_counterparts(
    gateway: GatewayStack, claude: Any, choice: Any, sent: dict[str, Any]
) -> None:
    claude.messages.create(
        model="smart", max_tokens=9, messages=HELLO, tools=[WEATHER], tool_choice=choice
    )
    assert gateway.sent().params["toolConfig"]["toolChoice"] == sent


def test_a_structured_answer_follows_its_schema(gateway: GatewayStack, claude: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answer = claude.messages.create(
        model="smart",
        max_tokens=9,
        messages=HELLO,
        output_config={"format": {"type": "json_schema", "schema": schema}, "effort": "low"},
    )
    config = gateway.sent().params["outputConfig"]
    assert config["effort"] == "low"
    assert config["textFormat"]["type"] == "json_schema"
    assert answer.content[0].to_dict()["text"].strip() == '{"n": 1}'


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end_turn", "end_turn"),
        ("max_tokens", "max_tokens"),
        ("stop_sequence", "stop_sequence"),
        ("guardrail_intervened", "refusal"),
        ("model_context_window_exceeded", "model_context_window_exceeded"),
    ],
)
def test_every_stop_reason_has_anthropics_word(
    claude: Any, bedrock: FakeBedrock, stop: str, reason: str
) -> None:
    bedrock.script(Reply(text_steps("x", stop=stop)))
    message = claude.messages.create(model="smart", max_tokens=9, messages=HELLO)
    assert message.stop_reason == reason


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"context_management": {"edits": []}}, "context_management"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.budget_tokens"),
        ({"tool_choice": {"type": "tool"}, "tools": [WEATHER]}, "tool_choice.name"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "image",
                                "source": {"type": "url", "url": "http://127.0.0.1/x.png"},
                            }
                        ],
                    }
                ]
            },
            "messages[0].content[0].source",
        ),
    ],
)
def test_what_bedrock_cannot_do_is_refused_by_name(
    gateway: GatewayStack, claude: Any, members: dict[str, Any], named: str
) -> None:
    with pytest.raises(anthropic.BadRequestError) as refusal:
        claude.messages.create(model="smart", max_tokens=9, messages=HELLO, extra_body=members)
    body: Any = refusal.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["message"].startswith(named)
    assert gateway.bedrock.calls == []


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("ThrottlingException", "rate_limit_error", 429),
        ("AccessDeniedException", "permission_error", 403),
        ("ServiceUnavailableException", "overloaded_error", 503),
        ("ModelTimeoutException", "timeout_error", 504),
        ("ModelErrorException", "api_error", 502),
    ],
)
def test_faults_have_anthropics_form(
    claude: Any, bedrock: FakeBedrock, code: str, kind: str, status: int
) -> None:
    bedrock.script(*[Reply(error={"code": code, "message": "Because."})] * 2)
    with pytest.raises(anthropic.APIStatusError) as fault:
        claude.messages.create(model="smart", max_tokens=9, messages=HELLO)
    body: Any = fault.value.body
    assert fault.value.status_code == status
    assert body["error"]["type"] == kind
    assert body["request_id"] == fault.value.request_id


def test_a_wrong_key_has_anthropics_form(gateway: GatewayStack) -> None:
    with (
        gateway.anthropic("lp_nobody_nothing") as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(model="smart", max_tokens=9, messages=HELLO)
