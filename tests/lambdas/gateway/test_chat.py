"""Chat Completions with OpenAI's own client, over the real protocol of Bedrock."""

import base64
import json
from typing import Any

import httpx2 as httpx
import openai
import pytest

from ops.fake_bedrock.reply import Reply, end_steps, text_steps, tool_steps
from ops.fake_bedrock.server import FakeBedrock
from tests.lambdas.gateway.stack import PATIENCE_SECONDS, GatewayStack

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n....").decode()
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
START = {"messageStart": {"role": "assistant"}}


def hello(content: Any = "Hello") -> list[Any]:
    return [{"role": "user", "content": content}]


def reasoning_steps(index: int, text: str, signature: str) -> list[dict[str, Any]]:
    def delta(content: dict[str, str]) -> dict[str, Any]:
        return {
            "contentBlockDelta": {
                "delta": {"reasoningContent": content},
                "contentBlockIndex": index,
            }
        }

    return [
        delta({"text": text}),
        delta({"signature": signature}),
        {"contentBlockStop": {"contentBlockIndex": index}},
    ]


def text_block(index: int, *parts: str) -> list[dict[str, Any]]:
    return [
        *({"contentBlockDelta": {"delta": {"text": p}, "contentBlockIndex": index}} for p in parts),
        {"contentBlockStop": {"contentBlockIndex": index}},
    ]


class TestWholeAnswers:
    def test_an_answer_has_text_usage_and_the_alias_of_its_model(
        self, client: Any, bedrock: FakeBedrock
    ) -> None:
        usage = {
            "inputTokens": 7,
            "outputTokens": 2,
            "totalTokens": 14,
            "cacheReadInputTokens": 4,
            "cacheWriteInputTokens": 1,
        }
        bedrock.script(Reply(text_steps("Hello ", "world", usage=usage)))
        answer = client.chat.completions.create(model="smart", messages=hello())
        assert answer.choices[0].message.content == "Hello world"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.model == "smart"
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == 12
        assert answer.usage.completion_tokens == 2
        assert answer.usage.prompt_tokens_details is not None
        assert answer.usage.prompt_tokens_details.cached_tokens == 4

    def test_text_beside_tool_calls_is_kept(self, client: Any, bedrock: FakeBedrock) -> None:
        bedrock.script(
            Reply(
                [
                    START,
                    *text_block(0, "Let me "),
                    *text_block(1, "check."),
                    *tool_steps(2, "t1", "get_weather", '{"city":"Paris"}'),
                    *end_steps("tool_use"),
                ]
            )
        )
        answer = client.chat.completions.create(model="smart", messages=hello(), tools=[WEATHER])
        message = answer.choices[0].message
        assert message.content == "Let me check."
        assert message.tool_calls is not None
        assert message.tool_calls[0].function.arguments == '{"city":"Paris"}'
        assert answer.choices[0].finish_reason == "tool_calls"

    @pytest.mark.parametrize(
        ("stop", "reason"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("guardrail_intervened", "content_filter"),
            ("content_filtered", "content_filter"),
        ],
    )
    def test_every_stop_reason_has_openais_word(
        self, client: Any, bedrock: FakeBedrock, stop: str, reason: str
    ) -> None:
        bedrock.script(Reply(text_steps("x", stop=stop)))
        answer = client.chat.completions.create(model="smart", messages=hello())
        assert answer.choices[0].finish_reason == reason


class TestStreams:
    def test_a_stream_has_the_text_in_pieces_then_the_usage(
        self, client: Any, bedrock: FakeBedrock
    ) -> None:
        bedrock.script(Reply(text_steps("Hello ", "world")))
        chunks = list(
            client.chat.completions.create(
                model="smart",
                messages=hello(),
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        texts = [c.choices[0].delta.content for c in chunks if c.choices]
        assert [text for text in texts if text] == ["Hello ", "world"]
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == 30

    def test_no_usage_chunk_comes_unasked(self, client: Any, bedrock: FakeBedrock) -> None:
        bedrock.script(Reply(text_steps("x")))
        chunks = client.chat.completions.create(model="smart", messages=hello(), stream=True)
        assert all(chunk.choices and chunk.usage is None for chunk in chunks)

    def test_tool_indices_start_at_zero_after_reasoning_and_text(
        self, client: Any, bedrock: FakeBedrock
    ) -> None:
        bedrock.script(
            Reply(
                [
                    START,
                    *reasoning_steps(0, "thinking", "SIG"),
                    *text_block(1, "Let me check."),
                    *tool_steps(2, "t1", "get_weather", '{"city":', '"Paris"}'),
                    *tool_steps(3, "t2", "get_weather"),
                    *end_steps("tool_use"),
                ]
            )
        )
        with client.chat.completions.stream(
            model="smart", messages=hello(), tools=[WEATHER]
        ) as stream:
            message = stream.get_final_completion().choices[0].message
        calls = message.tool_calls
        assert calls is not None
        assert message.content == "Let me check."
        assert [(c.id, c.function.name, c.function.arguments) for c in calls] == [
            ("t1", "get_weather", '{"city":"Paris"}'),
            ("t2", "get_weather", "{}"),
        ]

    def test_raw_tool_indices_are_those_of_the_tools(
        self, client: Any, bedrock: FakeBedrock
    ) -> None:
        bedrock.script(
            Reply([START, *tool_steps(0, "t1", "get_weather", "{}"), *end_steps("tool_use")])
        )
        chunks = client.chat.completions.create(
            model="smart", messages=hello(), tools=[WEATHER], stream=True
        )
        indices = {call.index for c in chunks for call in c.choices[0].delta.tool_calls or []}
        assert indices == {0}

    def test_a_stream_is_sent_as_it_comes(self, client: Any, bedrock: FakeBedrock) -> None:
        first, *rest = text_steps("first ", "second")[1:]
        bedrock.script(Reply([START, first, {"wait": "second"}, *rest]))
        stream = client.chat.completions.create(model="smart", messages=hello(), stream=True)
        texts = []
        for chunk in stream:
            texts.append(chunk.choices[0].delta.content)
            if chunk.choices[0].delta.content == "first ":
                bedrock.gate("second").set()
        assert "second" in texts


class TestReasoning:
    def test_reasoning_and_its_signature_survive_a_tool_turn(
        self, client: Any, bedrock: FakeBedrock
    ) -> None:
        bedrock.script(
            Reply(
                [
                    START,
                    *reasoning_steps(0, "thinking", "SIG"),
                    *tool_steps(1, "t1", "get_weather", "{}"),
                    *end_steps("tool_use"),
                ]
            )
        )
        first = client.chat.completions.create(model="smart", messages=hello(), tools=[WEATHER])
        message = first.choices[0].message.model_dump()
        assert message["reasoning_content"] == "thinking"
        client.chat.completions.create(
            model="smart",
            messages=[
                *hello(),
                message,
                {"role": "tool", "tool_call_id": "t1", "content": "Rain"},
            ],
            tools=[WEATHER],
        )
        assistant = bedrock.calls[1].params["messages"][1]["content"]
        assert assistant[0] == {
            "reasoningContent": {"reasoningText": {"text": "thinking", "signature": "SIG"}}
        }
        assert assistant[1]["toolUse"]["toolUseId"] == "t1"

    def test_streamed_reasoning_can_be_sent_back(self, client: Any, bedrock: FakeBedrock) -> None:
        redacted = base64.b64encode(b"sealed").decode()
        delta = {"reasoningContent": {"redactedContent": redacted}}
        bedrock.script(
            Reply(
                [
                    START,
                    *reasoning_steps(0, "thinking", "SIG"),
                    {"contentBlockDelta": {"delta": delta, "contentBlockIndex": 1}},
                    {"contentBlockStop": {"contentBlockIndex": 1}},
                    *text_block(2, "Done."),
                    *end_steps("end_turn"),
                ]
            )
        )
        with client.chat.completions.stream(model="smart", messages=hello()) as stream:
            message = stream.get_final_completion().choices[0].message.model_dump()
        message.pop("parsed", None)
        client.chat.completions.create(
            model="smart",
            messages=[*hello(), message, *hello("And?")],
        )
        assistant = bedrock.calls[1].params["messages"][1]["content"]
        assert assistant == [
            {"reasoningContent": {"reasoningText": {"text": "thinking", "signature": "SIG"}}},
            {"reasoningContent": {"redactedContent": redacted}},
            {"text": "Done."},
        ]


class TestRequests:
    def test_max_tokens_is_always_sent(self, gateway: GatewayStack, client: Any) -> None:
        client.chat.completions.create(model="smart", messages=hello())
        assert gateway.sent().params["inferenceConfig"] == {"maxTokens": 4096}

    def test_parameters_reach_their_places(self, gateway: GatewayStack, client: Any) -> None:
        client.chat.completions.create(
            model="smart",
            messages=hello(),
            max_completion_tokens=100,
            temperature=0.5,
            top_p=0.9,
            stop=["END"],
            service_tier="flex",
            metadata={"ticket": "A-1"},
            user="u-7",
        )
        call = gateway.sent()
        assert call.model_id == "eu.anthropic.claude-sonnet-4-6"
        assert call.params["inferenceConfig"] == {
            "maxTokens": 100,
            "temperature": 0.5,
            "topP": 0.9,
            "stopSequences": ["END"],
        }
        assert call.params["serviceTier"] == {"type": "flex"}
        metadata = call.params["requestMetadata"]
        assert metadata["ticket"] == "A-1"
        assert metadata["user"] == "u-7"
        assert metadata["team"] == "research"

    def test_a_caller_cannot_pretend_to_be_another_team(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        client.chat.completions.create(model="smart", messages=hello(), metadata={"team": "other"})
        assert gateway.sent().params["requestMetadata"]["team"] == "research"

    def test_system_content_may_be_a_list(self, gateway: GatewayStack, client: Any) -> None:
        client.chat.completions.create(
            model="smart",
            messages=[
                {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "developer", "content": "In French."},
                *hello(),
            ],
        )
        assert gateway.sent().params["system"] == [{"text": "Be brief."}, {"text": "In French."}]

    def test_images_and_documents_are_sent_as_bytes(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        pdf = base64.b64encode(b"%PDF-1.7").decode()
        content = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {
                "type": "file",
                "file": {
                    "filename": "a: report.pdf",
                    "file_data": f"data:application/pdf;base64,{pdf}",
                },
            },
        ]
        client.chat.completions.create(model="smart", messages=hello(content))
        blocks = gateway.sent().params["messages"][0]["content"]
        assert blocks[1] == {"image": {"format": "png", "source": {"bytes": PNG}}}
        assert blocks[2]["document"]["name"] == "a report"
        assert blocks[2]["document"]["source"] == {"bytes": pdf}

    def test_parallel_calls_and_results_become_one_message_each(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        call = {"type": "function", "function": {"name": "get_weather", "arguments": ""}}
        client.chat.completions.create(
            model="smart",
            tools=[WEATHER],
            messages=[
                *hello(),
                {"role": "assistant", "tool_calls": [{"id": "a", **call}, {"id": "b", **call}]},
                {"role": "tool", "tool_call_id": "a", "content": "Rain"},
                {"role": "tool", "tool_call_id": "b", "content": ""},
                *hello("Thanks"),
            ],
        )
        messages = gateway.sent().params["messages"]
        assert [message["role"] for message in messages] == ["user", "assistant", "user"]
        uses = [block["toolUse"] for block in messages[1]["content"]]
        assert [(use["toolUseId"], use["input"]) for use in uses] == [("a", {}), ("b", {})]
        results = [b["toolResult"] for b in messages[2]["content"] if "toolResult" in b]
        assert [result["toolUseId"] for result in results] == ["a", "b"]

    @pytest.mark.parametrize(
        ("choice", "sent"),
        [
            ("auto", {"auto": {}}),
            ("required", {"any": {}}),
            (
                {"type": "function", "function": {"name": "get_weather"}},
                {"tool": {"name": "get_weather"}},
            ),
        ],
    )
    def test_tool_choices_have_counterparts(
        self, gateway: GatewayStack, client: Any, choice: Any, sent: dict[str, Any]
    ) -> None:
        client.chat.completions.create(
            model="smart", messages=hello(), tools=[WEATHER], tool_choice=choice
        )
        assert gateway.sent().params["toolConfig"]["toolChoice"] == sent

    def test_tool_choice_none_leaves_no_tool_to_call(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
        client.chat.completions.create(
            model="smart",
            tools=[WEATHER],
            tool_choice="none",
            messages=[
                *hello(),
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "a", "content": "Rain"},
            ],
        )
        params = gateway.sent().params
        assert "toolConfig" not in params
        assert "Rain" in json.dumps(params["messages"])
        assert '{\\"x\\": 1}' in json.dumps(params["messages"])

    def test_one_call_at_a_time_is_claudes_own_member(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        client.chat.completions.create(
            model="smart", messages=hello(), tools=[WEATHER], parallel_tool_calls=False
        )
        fields = gateway.sent().params["additionalModelRequestFields"]
        assert fields["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}

    def test_one_forced_call_gives_the_choice_once(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        client.chat.completions.create(
            model="smart",
            messages=hello(),
            tools=[WEATHER],
            tool_choice="required",
            parallel_tool_calls=False,
        )
        params = gateway.sent().params
        assert params["additionalModelRequestFields"]["tool_choice"] == {
            "disable_parallel_tool_use": True
        }
        assert params["toolConfig"]["toolChoice"] == {"any": {}}

    def test_a_response_format_becomes_a_text_format(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        schema = {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        }
        answer = client.chat.completions.create(
            model="smart",
            messages=hello(),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "place", "schema": schema, "strict": True},
            },
        )
        text_format = gateway.sent().params["outputConfig"]["textFormat"]
        sent = text_format["structure"]["jsonSchema"]
        assert text_format["type"] == "json_schema"
        assert json.loads(sent["schema"]) == schema
        assert sent["name"] == "place"
        assert json.loads(answer.choices[0].message.content or "") == {"city": "text"}

    def test_an_effort_is_what_the_catalogue_says(self, client: Any, bedrock: FakeBedrock) -> None:
        client.chat.completions.create(model="smart", messages=hello(), reasoning_effort="low")
        client.chat.completions.create(model="smart", messages=hello(), reasoning_effort="high")
        low, high = (call.params for call in bedrock.calls)
        assert low["outputConfig"] == {"effort": "low"}
        assert high["additionalModelRequestFields"] == {
            "thinking": {"type": "enabled", "budget_tokens": 2048}
        }

    def test_fields_that_ask_for_what_happens_anyway_are_taken(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        client.chat.completions.create(
            model="plain",
            messages=hello(),
            n=1,
            store=False,
            logprobs=False,
            presence_penalty=0,
            frequency_penalty=0.0,
            logit_bias={},
            response_format={"type": "text"},
            prompt_cache_key="k",
        )
        assert set(gateway.sent().params) == {"messages", "inferenceConfig", "requestMetadata"}


class TestCaching:
    LONG = "word " * 2000

    def test_tools_system_and_the_last_two_user_turns_are_marked(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        client.chat.completions.create(
            model="smart",
            tools=[
                {
                    "type": "function",
                    "function": {**WEATHER["function"], "description": self.LONG},
                }
            ],
            messages=[
                {"role": "system", "content": "Be brief."},
                *hello("one"),
                {"role": "assistant", "content": "1"},
                *hello("two"),
                {"role": "assistant", "content": "2"},
                *hello("three"),
            ],
        )
        params = gateway.sent().params
        point = {"cachePoint": {"type": "default"}}
        assert params["toolConfig"]["tools"][-1] == point
        assert params["system"][-1] == point
        marked = [message["content"][-1] == point for message in params["messages"]]
        assert marked == [False, False, True, False, True]

    def test_short_prompts_are_not_marked(self, gateway: GatewayStack, client: Any) -> None:
        client.chat.completions.create(
            model="smart", messages=[{"role": "system", "content": "Be brief."}, *hello()]
        )
        assert "cachePoint" not in json.dumps(gateway.sent().params)

    def test_a_clients_own_marks_replace_ours(self, gateway: GatewayStack, client: Any) -> None:
        part = {
            "type": "text",
            "text": self.LONG,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        }
        client.chat.completions.create(
            model="smart",
            messages=[{"role": "system", "content": self.LONG}, *hello([part])],
        )
        params = gateway.sent().params
        assert params["messages"][0]["content"][-1] == {
            "cachePoint": {"type": "default", "ttl": "1h"}
        }
        assert len(params["system"]) == 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("members", "param"),
        [
            ({"n": 2}, "n"),
            ({"seed": 1}, "seed"),
            ({"logprobs": True}, "logprobs"),
            ({"store": True}, "store"),
            ({"temperature": 1.5}, "temperature"),
            ({"max_tokens": 1_000_000}, "max_tokens"),
            ({"max_completion_tokens": 1_000_000}, "max_completion_tokens"),
            ({"reasoning_effort": "extreme"}, "reasoning_effort"),
            ({"metadata": {"a": "ü"}}, "metadata"),
            ({"metadata": {str(n): "x" for n in range(16)}}, "metadata"),
            ({"unheard_of": 1}, "unheard_of"),
            ({"response_format": {"type": "json_object"}}, "response_format.type"),
            ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools"),
        ],
    )
    def test_what_bedrock_cannot_do_is_refused_by_name(
        self, gateway: GatewayStack, client: Any, members: dict[str, Any], param: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as refusal:
            client.chat.completions.create(model="smart", messages=hello(), extra_body=members)
        assert refusal.value.param == param
        assert gateway.bedrock.calls == []

    @pytest.mark.parametrize(
        ("members", "param"),
        [
            ({"tools": [WEATHER]}, "tools"),
            ({"temperature": 0.5}, "temperature"),
            ({"top_p": 0.5}, "top_p"),
            ({"stop": ["x"]}, "stop"),
            ({"reasoning_effort": "low"}, "reasoning_effort"),
            ({"service_tier": "priority"}, "service_tier"),
            (
                {
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "x", "schema": {}},
                    }
                },
                "response_format",
            ),
            ({"messages": [{"role": "system", "content": "x"}, *hello()]}, "messages.role"),
            (
                {
                    "messages": hello(
                        [
                            {
                                "type": "image_url",
                                "image_url": {"url": f"data:image/png;base64,{PNG}"},
                            }
                        ]
                    )
                },
                "messages.content.image_url",
            ),
            (
                {
                    "messages": [
                        *hello(),
                        {"role": "assistant", "content": "x", "reasoning_content": "y"},
                        *hello(),
                    ]
                },
                "messages.reasoning_content",
            ),
        ],
    )
    def test_what_the_model_cannot_do_is_refused_by_name(
        self, gateway: GatewayStack, members: dict[str, Any], param: str
    ) -> None:
        body = {"model": "plain", "messages": hello(), **members}
        with gateway.http() as http:
            response = http.post("/v1/chat/completions", json=body)
        assert response.status_code == 400
        assert response.json()["error"]["param"] == param
        assert gateway.bedrock.calls == []

    @pytest.mark.parametrize(
        "url",
        [
            "http://169.254.169.254/latest/meta-data/",
            "https://example.com/a.png",
            "file:///etc/passwd",
            "data:image/png,notbase64",
            "data:image/svg+xml;base64,PHN2Zy8+",
            "data:image/png;base64,",
        ],
    )
    def test_no_address_is_ever_fetched(self, gateway: GatewayStack, client: Any, url: str) -> None:
        content = [{"type": "image_url", "image_url": {"url": url}}]
        with pytest.raises(openai.BadRequestError) as refusal:
            client.chat.completions.create(model="smart", messages=hello(content))
        assert refusal.value.param == "messages[0].content[0].image_url.url"
        assert gateway.bedrock.calls == []

    def test_an_image_url_that_serves_is_not_visited(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        visited = f"{gateway.bedrock.endpoint_url}/model/internal/converse"
        content = [{"type": "image_url", "image_url": {"url": visited}}]
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="smart", messages=hello(content))
        told = httpx.get(gateway.bedrock.endpoint_url, timeout=PATIENCE_SECONDS)
        assert told.json() == {"calls": []}

    def test_unreadable_tool_arguments_name_the_call(
        self, gateway: GatewayStack, client: Any
    ) -> None:
        call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{oops"}}
        with pytest.raises(openai.BadRequestError) as refusal:
            client.chat.completions.create(
                model="smart",
                tools=[WEATHER],
                messages=[*hello(), {"role": "assistant", "tool_calls": [call]}],
            )
        assert refusal.value.param == "messages[1].tool_calls[0].function.arguments"
        assert gateway.bedrock.calls == []
