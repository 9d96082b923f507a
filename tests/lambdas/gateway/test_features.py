"""Every feature with every client: the table of docs/gateway.md, row by row.

What a client sends must become the same call to Converse, whichever API it speaks.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lambdas.gateway.stack import GatewayStack
from tests.lambdas.gateway.test_chat import PNG

Send = Callable[[GatewayStack], Any]
Found = Callable[[dict[str, Any]], Any]

PDF = base64.b64encode(b"%PDF-1.7").decode()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
LONG = "word " * 3000


def chat(**members: Any) -> Send:
    def send(gateway: GatewayStack) -> Any:
        body = {"model": "smart", "messages": [{"role": "user", "content": "Hello"}], **members}
        with gateway.openai() as client:
            return client.chat.completions.create(**body)

    return send


def responses(**members: Any) -> Send:
    def send(gateway: GatewayStack) -> Any:
        with gateway.openai() as client:
            return client.responses.create(**{"model": "smart", "input": "Hello", **members})

    return send


def messages(**members: Any) -> Send:
    def send(gateway: GatewayStack) -> Any:
        body = {
            "model": "smart",
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": "Hello"}],
            **members,
        }
        with gateway.anthropic() as client:
            return client.messages.create(**body)

    return send


def says(*content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


def chat_tool(**members: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", "parameters": SCHEMA, **members}}]


def responses_tool(**members: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "name": "f", "parameters": SCHEMA, **members}]


def messages_tool(**members: Any) -> list[dict[str, Any]]:
    return [{"name": "f", "input_schema": SCHEMA, **members}]


def at(*path: str | int) -> Found:
    def find(params: dict[str, Any]) -> Any:
        found: Any = params
        for step in path:
            found = found[step]
        return found

    return find


CHAT_CALLS = [
    {"role": "user", "content": "Hello"},
    {
        "role": "assistant",
        "content": "Let me check.",
        "tool_calls": [
            {"id": i, "type": "function", "function": {"name": "f", "arguments": '{"city":"X"}'}}
            for i in ("a", "b")
        ],
    },
    {"role": "tool", "tool_call_id": "a", "content": "Rain"},
    {"role": "tool", "tool_call_id": "b", "content": "Sun"},
]
RESPONSES_CALLS = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Let me check."},
    *(
        {"type": "function_call", "call_id": i, "name": "f", "arguments": '{"city":"X"}'}
        for i in ("a", "b")
    ),
    {"type": "function_call_output", "call_id": "a", "output": "Rain"},
    {"type": "function_call_output", "call_id": "b", "output": "Sun"},
]
MESSAGES_CALLS = [
    {"role": "user", "content": "Hello"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me check."},
            *({"type": "tool_use", "id": i, "name": "f", "input": {"city": "X"}} for i in "ab"),
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": "Rain"},
            {"type": "tool_result", "tool_use_id": "b", "content": "Sun"},
        ],
    },
]
CALLS = [
    {"role": "user", "content": [{"text": "Hello"}]},
    {
        "role": "assistant",
        "content": [
            {"text": "Let me check."},
            *({"toolUse": {"toolUseId": i, "name": "f", "input": {"city": "X"}}} for i in "ab"),
        ],
    },
    {
        "role": "user",
        "content": [
            {"toolResult": {"toolUseId": "a", "content": [{"text": "Rain"}]}},
            {"toolResult": {"toolUseId": "b", "content": [{"text": "Sun"}]}},
        ],
    },
]

# The row of the table, what each client sends, where it is found in the call, and what is there.
FEATURES: list[tuple[str, dict[str, Send], Found, Any]] = [
    (
        "text, whole and streamed",
        {"chat": chat(), "responses": responses(), "messages": messages()},
        at("messages"),
        [{"role": "user", "content": [{"text": "Hello"}]}],
    ),
    (
        "system text, as string or list",
        {
            "chat": chat(
                messages=[
                    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
                    {"role": "user", "content": "Hello"},
                ]
            ),
            "responses": responses(instructions="Be brief."),
            "messages": messages(system=[{"type": "text", "text": "Be brief."}]),
        },
        at("system"),
        [{"text": "Be brief."}],
    ),
    (
        "images (data URLs, base64)",
        {
            "chat": chat(
                messages=says(
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
                )
            ),
            "responses": responses(
                input=says({"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"})
            ),
            "messages": messages(
                messages=says(
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                    }
                )
            ),
        },
        at("messages", 0, "content", 0),
        {"image": {"format": "png", "source": {"bytes": PNG}}},
    ),
    (
        "documents",
        {
            "chat": chat(
                messages=says(
                    {
                        "type": "file",
                        "file": {
                            "filename": "report.pdf",
                            "file_data": f"data:application/pdf;base64,{PDF}",
                        },
                    },
                    {"type": "text", "text": "Read."},
                )
            ),
            "responses": responses(
                input=says(
                    {
                        "type": "input_file",
                        "filename": "report.pdf",
                        "file_data": f"data:application/pdf;base64,{PDF}",
                    },
                    {"type": "input_text", "text": "Read."},
                )
            ),
            "messages": messages(
                messages=says(
                    {
                        "type": "document",
                        "title": "report.pdf",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                    },
                    {"type": "text", "text": "Read."},
                )
            ),
        },
        at("messages", 0, "content"),
        [
            {"document": {"format": "pdf", "name": "report", "source": {"bytes": PDF}}},
            {"text": "Read."},
        ],
    ),
    (
        "tools, parallel calls and results",
        {
            "chat": chat(messages=CHAT_CALLS, tools=chat_tool()),
            "responses": responses(input=RESPONSES_CALLS, tools=responses_tool()),
            "messages": messages(messages=MESSAGES_CALLS, tools=messages_tool()),
        },
        at("messages"),
        CALLS,
    ),
    (
        "tool choice: auto, required, one, none",
        {
            "chat": chat(tools=chat_tool(), tool_choice="required"),
            "responses": responses(tools=responses_tool(), tool_choice="required"),
            "messages": messages(tools=messages_tool(), tool_choice={"type": "any"}),
        },
        at("toolConfig", "toolChoice"),
        {"any": {}},
    ),
    (
        "tool choice: auto, required, one, none",
        {
            "chat": chat(
                tools=chat_tool(), tool_choice={"type": "function", "function": {"name": "f"}}
            ),
            "responses": responses(
                tools=responses_tool(), tool_choice={"type": "function", "name": "f"}
            ),
            "messages": messages(tools=messages_tool(), tool_choice={"type": "tool", "name": "f"}),
        },
        at("toolConfig", "toolChoice"),
        {"tool": {"name": "f"}},
    ),
    (
        "tool choice: auto, required, one, none",
        {
            "chat": chat(tools=chat_tool(), tool_choice="none"),
            "responses": responses(tools=responses_tool(), tool_choice="none"),
            "messages": messages(tools=messages_tool(), tool_choice={"type": "none"}),
        },
        lambda params: "toolConfig" in params,
        False,
    ),
    (
        "one call at a time",
        {
            "chat": chat(tools=chat_tool(), parallel_tool_calls=False),
            "responses": responses(tools=responses_tool(), parallel_tool_calls=False),
            "messages": messages(
                tools=messages_tool(),
                tool_choice={"type": "auto", "disable_parallel_tool_use": True},
            ),
        },
        at("additionalModelRequestFields", "tool_choice"),
        {"type": "auto", "disable_parallel_tool_use": True},
    ),
    (
        "strict tools",
        {
            "chat": chat(tools=chat_tool(strict=True)),
            "responses": responses(tools=responses_tool(strict=True)),
            "messages": messages(tools=messages_tool(strict=True)),
        },
        at("toolConfig", "tools", 0, "toolSpec"),
        {"name": "f", "inputSchema": {"json": SCHEMA}, "strict": True},
    ),
    (
        "JSON schema",
        {
            "chat": chat(
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": SCHEMA},
                }
            ),
            "responses": responses(
                text={"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}
            ),
            "messages": messages(
                output_config={"format": {"type": "json_schema", "schema": SCHEMA}}
            ),
        },
        lambda params: json.loads(
            params["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]
        ),
        SCHEMA,
    ),
    (
        "reasoning effort",
        {
            "chat": chat(reasoning_effort="low"),
            "responses": responses(reasoning={"effort": "low"}),
            "messages": messages(output_config={"effort": "low"}),
        },
        at("outputConfig", "effort"),
        "low",
    ),
    (
        "prompt caching",
        {
            "chat": chat(
                messages=[
                    {"role": "system", "content": LONG},
                    {"role": "user", "content": "Hello"},
                ]
            ),
            "responses": responses(instructions=LONG),
            "messages": messages(system=LONG),
        },
        at("system", 1),
        {"cachePoint": {"type": "default"}},
    ),
    (
        "stop sequences",
        {"chat": chat(stop="END"), "messages": messages(stop_sequences=["END"])},
        at("inferenceConfig", "stopSequences"),
        ["END"],
    ),
    (
        "service tier",
        {
            "chat": chat(service_tier="default"),
            "responses": responses(service_tier="default"),
            "messages": messages(service_tier="standard_only"),
        },
        at("serviceTier"),
        {"type": "default"},
    ),
    (
        "metadata, user",
        {
            "chat": chat(user="u-7"),
            "responses": responses(user="u-7"),
            "messages": messages(metadata={"user_id": "u-7"}),
        },
        lambda params: "u-7" in params["requestMetadata"].values(),
        True,
    ),
]


@pytest.mark.parametrize(
    ("send", "find", "expected"),
    [
        pytest.param(send, find, expected, id=f"{feature}-{client}")
        for feature, clients, find, expected in FEATURES
        for client, send in clients.items()
    ],
)
def test_a_feature_becomes_the_same_call_for_every_client(
    gateway: GatewayStack, send: Send, find: Found, expected: Any
) -> None:
    send(gateway)
    assert find(gateway.sent().params) == expected


def test_the_table_has_a_row_for_every_feature() -> None:
    page = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in page.splitlines() if line.startswith("|")}
    for feature, clients, _, _ in FEATURES:
        assert rows[feature].count("✓") == len(clients), feature
