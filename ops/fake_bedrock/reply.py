"""What the fake answers: a script for one call, or a small deterministic model without a script.

A script is JSON, so that a test and the local cloud's control route write the same thing:

``{"error": {"code": "ThrottlingException", "message": "Too many tokens."}}``
    An HTTP error before any event.
``{"steps": [...]}``
    The events of a stream in order, each ``{"<event name>": <payload>}``, and between them
    ``{"fault": {"<exception>": "<message>"}}`` (a modelled fault in mid-stream),
    ``{"pause": <seconds>}``, ``{"wait": "<gate>"}`` (until the gate is opened),
    ``{"corrupt": true}`` (a message with a wrong checksum) and ``{"cut": true}`` (the connection
    breaks). A stream ends after its last step, whether or not that is a ``messageStop``.
    The answer of a call without a stream is put together from the same events.
``{"embedding": [[...], ...]}``, ``{"masks": {"<text>": "<mask>"}}``, ``{"blocked": "<text>"}``
    The vectors of an embedding model, what a guardrail masks, and what it says as it blocks.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Step = dict[str, Any]
USAGE = {"inputTokens": 10, "outputTokens": 20, "totalTokens": 30}


@dataclass(frozen=True)
class Reply:
    """The scripted answer to one call; see this module's description."""

    steps: list[Step] = field(default_factory=list)
    error: dict[str, str] | None = None
    embedding: list[list[float]] | None = None
    masks: dict[str, str] = field(default_factory=dict)
    blocked: str = ""


def text_steps(
    *parts: str, stop: str = "end_turn", usage: dict[str, Any] | None = None
) -> list[Step]:
    """Return the events of an answer of one text block, a delta for each part."""
    return [
        {"messageStart": {"role": "assistant"}},
        *({"contentBlockDelta": {"delta": {"text": p}, "contentBlockIndex": 0}} for p in parts),
        {"contentBlockStop": {"contentBlockIndex": 0}},
        *end_steps(stop, usage),
    ]


def tool_steps(index: int, tool_use_id: str, name: str, *arguments: str) -> list[Step]:
    """Return the events of one tool call block, its JSON arguments in pieces."""
    start = {"toolUse": {"toolUseId": tool_use_id, "name": name}}
    return [
        {"contentBlockStart": {"start": start, "contentBlockIndex": index}},
        *(
            {
                "contentBlockDelta": {
                    "delta": {"toolUse": {"input": part}},
                    "contentBlockIndex": index,
                }
            }
            for part in arguments
        ),
        {"contentBlockStop": {"contentBlockIndex": index}},
    ]


def end_steps(stop: str, usage: dict[str, Any] | None = None) -> list[Step]:
    """Return the last two events of a complete stream."""
    return [
        {"messageStop": {"stopReason": stop}},
        {"metadata": {"usage": usage or USAGE, "metrics": {"latencyMs": 5}}},
    ]


def default_reply(params: dict[str, Any]) -> Reply:
    """Answer as a small deterministic model: call the required tool, fill the schema, or echo."""
    tools = params.get("toolConfig", {})
    choice = tools.get("toolChoice", {})
    if "any" in choice or "tool" in choice:
        name = choice.get("tool", {}).get("name") or tools["tools"][0]["toolSpec"]["name"]
        call = tool_steps(0, "tooluse_1", name, "{}")
        return Reply([{"messageStart": {"role": "assistant"}}, *call, *end_steps("tool_use")])
    words = _prompt(params).split()
    text_format = params.get("outputConfig", {}).get("textFormat")
    if text_format:
        schema = json.loads(text_format["structure"]["jsonSchema"]["schema"])
        words = [json.dumps(_example(schema))]
    usage = _usage(params, words)
    limit = params.get("inferenceConfig", {}).get("maxTokens", len(words))
    stop = "max_tokens" if len(words) > limit else "end_turn"
    return Reply(text_steps(*(f"{word} " for word in words[:limit]), stop=stop, usage=usage))


def _prompt(params: dict[str, Any]) -> str:
    last = params["messages"][-1]["content"]
    # What a guardrail is to look at stands in a block of its own kind.
    inner = [block.get("guardContent", {}).get("text", block) for block in last]
    texts = [block["text"] for block in inner if "text" in block]
    return "You said: " + " ".join(texts)


def _usage(params: dict[str, Any], words: list[str]) -> dict[str, int]:
    read = max(1, len(json.dumps(params.get("messages", []), default=str)) // 4)
    return {
        "inputTokens": read,
        "outputTokens": len(words),
        "totalTokens": read + len(words),
    }


def _example(schema: dict[str, Any]) -> Any:
    """Return a value that the schema describes, with its required properties."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {
            key: _example(sub)
            for key, sub in schema.get("properties", {}).items()
            if key in schema.get("required", [])
        }
    return {"array": [], "integer": 1, "number": 1.5, "boolean": True}.get(str(kind), "text")


def whole_answer(steps: list[Step]) -> dict[str, Any]:
    """Return the body of a call without a stream, put together from the events of a stream."""
    blocks: dict[int, dict[str, Any]] = {}
    body: dict[str, Any] = {}
    for name, payload in _events(steps):
        if name == "contentBlockStart":
            blocks[payload["contentBlockIndex"]] = {"toolUse": {**payload["start"]["toolUse"]}}
        elif name == "contentBlockDelta":
            _extend(blocks.setdefault(payload["contentBlockIndex"], {}), payload["delta"])
        elif name == "messageStop":
            body["stopReason"] = payload["stopReason"]
        elif name == "metadata":
            body.update(payload)
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"].get("input") or "{}")
    content = [blocks[index] for index in sorted(blocks)]
    return {"output": {"message": {"role": "assistant", "content": content}}, **body}


def _events(steps: list[Step]) -> Iterator[tuple[str, dict[str, Any]]]:
    for step in steps:
        for name, payload in step.items():
            if isinstance(payload, dict):
                yield name, payload


def _extend(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        tool = block["toolUse"]
        tool["input"] = tool.get("input", "") + delta["toolUse"]["input"]
    elif "reasoningContent" in delta:
        reasoning = delta["reasoningContent"]
        if "redactedContent" in reasoning:
            block["reasoningContent"] = reasoning
        else:
            text = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {})
            for key, value in reasoning.items():
                text[key] = text.get(key, "") + value
