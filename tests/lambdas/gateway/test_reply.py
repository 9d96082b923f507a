"""Properties of replies: a stream, cut up in any way, says what the whole answer says."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from gateway.api.chat import ChatWriter
from gateway.api.chat_body import ChatBody
from gateway.errors import ModelError
from gateway.media import LONGEST_NAME, document_name
from gateway.reply import Reply, of_answer, of_stream
from ops.fake_bedrock.reply import end_steps, whole_answer
from ops.fake_bedrock.validation import operation

TEXT = strategies.text(min_size=1, max_size=20)
PIECES = strategies.lists(TEXT, min_size=1, max_size=4)


def text_block(pieces: list[str]) -> list[dict[str, Any]]:
    return [{"contentBlockDelta": {"delta": {"text": piece}}} for piece in pieces]


def reasoning_block(pieces: list[str]) -> list[dict[str, Any]]:
    deltas = [{"text": piece} for piece in pieces] + [{"signature": "SIG"}]
    return [{"contentBlockDelta": {"delta": {"reasoningContent": delta}}} for delta in deltas]


def redacted_block(pieces: list[str]) -> list[dict[str, Any]]:
    content = "".join(pieces).encode()
    delta = {"reasoningContent": {"redactedContent": content}}
    return [{"contentBlockDelta": {"delta": delta}}]


def tool_block(pieces: list[str]) -> list[dict[str, Any]]:
    arguments = json.dumps({"pieces": pieces}, ensure_ascii=False, separators=(",", ":"))
    half = len(arguments) // 2
    start = {"start": {"toolUse": {"toolUseId": f"t-{len(pieces)}", "name": "f"}}}
    deltas = [arguments[:half], arguments[half:]]
    return [
        {"contentBlockStart": start},
        *({"contentBlockDelta": {"delta": {"toolUse": {"input": part}}}} for part in deltas),
    ]


BLOCKS = strategies.lists(
    strategies.one_of(
        *(PIECES.map(make) for make in (text_block, reasoning_block, redacted_block, tool_block))
    ),
    max_size=5,
)


def stream_of(blocks: list[list[dict[str, Any]]], *, stops: bool) -> list[dict[str, Any]]:
    """Number the blocks, and end each with a stop event or, as some models do, with none."""
    events: list[dict[str, Any]] = []
    for index, block in enumerate(blocks):
        for event in block:
            events.extend({name: {**p, "contentBlockIndex": index}} for name, p in event.items())
        if stops:
            events.append({"contentBlockStop": {"contentBlockIndex": index}})
    return [{"messageStart": {"role": "assistant"}}, *events, *end_steps("end_turn")]


def reply_of(events: Any) -> Reply:
    reply = Reply()
    for event in events:
        reply.add(event)
    return reply


@settings(deadline=None)
@given(blocks=BLOCKS, stops=strategies.booleans())
def test_a_stream_says_what_the_whole_answer_says(
    blocks: list[list[dict[str, Any]]], stops: bool
) -> None:
    steps = stream_of(blocks, stops=stops)
    assert reply_of(of_stream(steps)) == reply_of(of_answer(whole_answer(steps)))


@settings(deadline=None)
@given(blocks=BLOCKS)
def test_openais_client_puts_the_chunks_together_to_the_whole_answer(
    blocks: list[list[dict[str, Any]]],
) -> None:
    request = ChatBody(model="m", messages=[])
    steps = stream_of(blocks, stops=True)
    whole = ChatWriter("id", "m", request).whole(reply_of(of_stream(steps)))
    writer, reply = ChatWriter("id", "m", request), Reply()
    frames = list(writer.opening())
    for event in of_stream(steps):
        reply.add(event)
        frames.extend(writer.event(event))
    frames.extend(writer.closing(reply))
    state: Any = ChatCompletionStreamState()
    for frame in frames[:-1]:
        state.handle_chunk(ChatCompletionChunk(**json.loads(frame.removeprefix(b"data: "))))
    message = state.current_completion_snapshot.choices[0].message.to_dict()
    expected = whole["choices"][0]["message"]
    assert (message.get("content") or None) == expected["content"]
    assert [c["function"]["arguments"] for c in message.get("tool_calls") or []] == [
        c["function"]["arguments"] for c in expected.get("tool_calls", [])
    ]
    details = [
        {key: value for key, value in detail.items() if key != "index"}
        for detail in message.get("reasoning_details", [])
    ]
    assert details == expected.get("reasoning_details", [])


@settings(deadline=None)
@given(blocks=BLOCKS, cut=strategies.integers(min_value=1, max_value=2))
def test_a_stream_without_its_end_is_an_error(blocks: list[list[dict[str, Any]]], cut: int) -> None:
    steps = [step for step in stream_of(blocks, stops=True) if "messageStop" not in step]
    with pytest.raises(ModelError, match="broke off"):
        list(of_stream(steps[: len(steps) - cut + 1]))


@settings(deadline=None)
@given(name=strategies.text(max_size=300))
def test_a_documents_name_has_only_what_bedrock_allows(name: str) -> None:
    kept = document_name(name)
    assert 1 <= len(kept) <= LONGEST_NAME
    assert all(c.isascii() and (c.isalnum() or c in " -()[]") for c in kept)
    assert "  " not in kept


def test_every_event_of_the_service_model_is_read_or_refused() -> None:
    shape: Any = operation("ConverseStream").output_shape
    events = shape.members["stream"].members
    ignored = {"messageStart"}
    known = {
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    }
    faults = {name for name in events if name.endswith("Exception")}
    assert set(events) == ignored | known | faults
