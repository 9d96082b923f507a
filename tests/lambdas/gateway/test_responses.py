"""The Responses API with OpenAI's own client."""

from typing import Any

import openai
import pytest

from ops.fake_bedrock.reply import Reply, end_steps, text_steps, tool_steps
from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.gateway.stack import GatewayStack
from tests.lambdas.gateway.test_chat import PNG, START, reasoning_steps, text_block

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
THOUGHTFUL = [
    START,
    *reasoning_steps(0, "thinking", "SIG"),
    *text_block(1, "Let me ", "check."),
    *tool_steps(2, "t1", "get_weather", '{"city":', '"Paris"}'),
    *tool_steps(3, "t2", "get_weather"),
    *end_steps("tool_use"),
]


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_text_and_calls_are_items_in_order(
    client: Any, bedrock: FakeBedrock, stream: bool
) -> None:
    bedrock.script(Reply(THOUGHTFUL))
    if stream:
        with client.responses.stream(model="smart", input="Hello", tools=[WEATHER]) as events:
            response: Any = events.get_final_response()
    else:
        response = client.responses.create(model="smart", input="Hello", tools=[WEATHER])
    assert response.status == "completed"
    assert response.output_text == "Let me check."
    assert [item.type for item in response.output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert response.output[0].content[0].text == "thinking"
    assert [item.arguments for item in response.output[2:]] == ['{"city":"Paris"}', "{}"]
    assert response.usage.total_tokens == 30


def test_events_are_numbered_and_begin_and_end_their_items(
    client: Any, bedrock: FakeBedrock
) -> None:
    bedrock.script(Reply(THOUGHTFUL))
    events: Any = list(
        client.responses.create(model="smart", input="Hello", tools=[WEATHER], stream=True)
    )
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds.count("response.output_item.added") == 4
    assert kinds.count("response.output_item.done") == 4
    assert kinds[-1] == "response.completed"
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert deltas == ["Let me ", "check."]


def test_the_output_can_be_the_next_input(client: Any, bedrock: FakeBedrock) -> None:
    bedrock.script(Reply(THOUGHTFUL))
    first = client.responses.create(model="smart", input="Hello", tools=[WEATHER])
    sent: Any = [
        {"role": "user", "content": "Hello"},
        *(item.model_dump(exclude_none=True) for item in first.output),
        {"type": "function_call_output", "call_id": "t1", "output": "Rain"},
        {"type": "function_call_output", "call_id": "t2", "output": "Sun"},
    ]
    # Some clients send no more of a reasoning item than this.
    sent[1].pop("content")
    client.responses.create(model="smart", input=sent, tools=[WEATHER], store=False)
    _, assistant, user = bedrock.calls[1].params["messages"]
    assert assistant["content"][0] == {
        "reasoningContent": {"reasoningText": {"text": "thinking", "signature": "SIG"}}
    }
    assert assistant["content"][1] == {"text": "Let me check."}
    assert [b["toolUse"]["toolUseId"] for b in assistant["content"][2:]] == ["t1", "t2"]
    assert [b["toolResult"]["toolUseId"] for b in user["content"]] == ["t1", "t2"]


def test_parameters_reach_their_places(gateway: GatewayStack, client: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    response = client.responses.create(
        model="smart",
        instructions="Be brief.",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {
                        "type": "input_image",
                        "image_url": f"data:image/png;base64,{PNG}",
                        "detail": "auto",
                    },
                ],
            }
        ],
        max_output_tokens=50,
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "n", "schema": schema}},
        metadata={"ticket": "A-1"},
        include=["reasoning.encrypted_content"],
        truncation="disabled",
    )
    params = gateway.sent().params
    assert params["system"] == [{"text": "Be brief."}]
    assert params["inferenceConfig"] == {"maxTokens": 50}
    assert params["outputConfig"]["effort"] == "low"
    assert params["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["name"] == "n"
    assert params["messages"][0]["content"][1]["image"]["source"] == {"bytes": PNG}
    assert params["requestMetadata"]["ticket"] == "A-1"
    assert response.metadata == {"ticket": "A-1"}


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("max_tokens", "max_output_tokens"),
        ("guardrail_intervened", "content_filter"),
        ("model_context_window_exceeded", "max_output_tokens"),
    ],
)
def test_an_answer_that_was_cut_short_is_incomplete(
    client: Any, bedrock: FakeBedrock, stop: str, reason: str
) -> None:
    bedrock.script(Reply(text_steps("x", stop=stop)))
    response = client.responses.create(model="smart", input="Hello")
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == reason


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"store": True}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"max_output_tokens": 1_000_000}, "max_output_tokens"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": []}, "input"),
        (
            {"input": [{"type": "reasoning", "encrypted_content": "bm8=", "summary": []}]},
            "input[0].encrypted_content",
        ),
        ({"reasoning": {"summary": "detailed"}}, "reasoning.summary"),
    ],
)
def test_what_bedrock_cannot_do_is_refused_by_name(
    gateway: GatewayStack, client: Any, members: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.responses.create(model="smart", input="Hello", extra_body=members)
    assert refusal.value.param == param
    assert gateway.bedrock.calls == []
