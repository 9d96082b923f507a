"""Content blocks that more than one API writes."""

import base64
import binascii
from typing import Any

from gateway.conversation import Block
from gateway.errors import InvalidRequestError

# Bedrock refuses a blank text, and a result may well have none.
EMPTY_RESULT = "(empty)"


def text(value: str) -> list[Block]:
    """Return a text block; none for a blank text, which Bedrock refuses."""
    return [{"text": value}] if value.strip() else []


def cache_point(ttl: str | None) -> Block:
    """Return the marker of the end of a cached prefix, which lives 5 minutes or ``ttl``."""
    return {"cachePoint": {"type": "default", **({"ttl": ttl} if ttl else {})}}


def tool_use(tool_use_id: str, name: str, arguments: dict[str, Any]) -> Block:
    """Return a call of the assistant."""
    return {"toolUse": {"toolUseId": tool_use_id, "name": name, "input": arguments}}


def tool_result(tool_use_id: str, content: list[Block], *, failed: bool = False) -> Block:
    """Return the result of a call."""
    result: dict[str, Any] = {
        "toolUseId": tool_use_id,
        "content": content or [{"text": EMPTY_RESULT}],
    }
    if failed:
        result["status"] = "error"
    return {"toolResult": result}


def reasoning(text_: str, signature: str | None) -> Block:
    """Return reasoning of the assistant with its signature."""
    signed = {"signature": signature} if signature else {}
    return {"reasoningContent": {"reasoningText": {"text": text_, **signed}}}


def redacted_reasoning(data: str, param: str) -> Block:
    """Return reasoning that only the model can read, from base64."""
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        message = "The data is not the base64 that the gateway answered with. Send it unchanged."
        raise InvalidRequestError(message, param=param) from None
    return {"reasoningContent": {"redactedContent": content}}
