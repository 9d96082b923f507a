"""Anthropic's Messages API."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway import media
from gateway.api import blocks
from gateway.api.body import decode, json_object, refuse, sse
from gateway.api.chat_body import CacheControl
from gateway.api.messages_body import (
    WITHOUT_EFFECT,
    Base64Source,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    Message,
    MessagesBody,
    PlainTextSource,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolDefinition,
    ToolResultBlock,
    ToolUseBlock,
)
from gateway.conversation import Block, Conversation, OutputSchema, Tool
from gateway.errors import ApiError, InvalidRequestError
from gateway.governance.budget import Usage
from gateway.reply import (
    BlockStarted,
    BlockStopped,
    Delta,
    Event,
    Heartbeat,
    Reply,
    ReplyBlock,
    Signed,
)

FIELD_NAMES = {
    "document": "messages.content.document",
    "effort": "output_config.effort",
    "image": "messages.content.image",
    "metadata": "metadata.user_id",
    "output_schema": "output_config.format",
    "sequential_tools": "tool_choice.disable_parallel_tool_use",
    "stop": "stop_sequences",
    "strict": "tools.strict",
    "unsigned_reasoning": "messages.content.thinking",
}
STOP_REASONS = {"content_filtered": "refusal", "guardrail_intervened": "refusal"}


def parse(body: bytes) -> tuple[Conversation, MessagesBody]:
    """Read a request.

    Raises:
        InvalidRequestError: the body breaks the API's rules, or asks for what Bedrock has not.
    """
    request = decode(body, MessagesBody)
    refuse(request, WITHOUT_EFFECT)
    choice = request.tool_choice
    output = request.output_config
    conversation = Conversation(
        model=request.model,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=request.stop_sequences or [],
        tools=[_tool(tool) for tool in request.tools or []],
        tools_forbidden=bool(choice and choice.type == "none"),
        tool_choice=_tool_choice(request),
        sequential_tools=bool(choice and choice.disable_parallel_tool_use),
        output_schema=OutputSchema(output.format.schema) if output and output.format else None,
        effort=output.effort if output else None,
        thinking=_thinking(request),
        metadata=_metadata(request),
        service_tier="default" if request.service_tier == "standard_only" else None,
        field_names=FIELD_NAMES,
    )
    if isinstance(request.system, str):
        conversation.system.extend(blocks.text(request.system))
    for part in request.system if isinstance(request.system, list) else []:
        conversation.system.extend([*blocks.text(part.text), *_marker(part.cache_control)])
    for number, message in enumerate(request.messages):
        conversation.say(message.role, _message(message, f"messages[{number}].content"))
    if request.cache_control and conversation.messages:
        conversation.messages[-1]["content"].extend(_marker(request.cache_control))
    return conversation, request


def _tool(tool: ToolDefinition) -> Tool:
    marker = _marker(tool.cache_control)
    return Tool(
        name=tool.name,
        schema=tool.input_schema,
        description=tool.description,
        strict=tool.strict,
        cache_point=marker[0] if marker else None,
    )


def _tool_choice(request: MessagesBody) -> Block | None:
    choice = request.tool_choice
    if choice is None or choice.type == "none":
        return None
    if choice.type == "tool":
        if not choice.name:
            message = "The choice of one tool needs its name."
            raise InvalidRequestError(message, param="tool_choice.name")
        return {"tool": {"name": choice.name}}
    if choice.type == "auto" and choice.disable_parallel_tool_use:
        return None  # The model's own tool_choice says both.
    return {choice.type: {}}


def _thinking(request: MessagesBody) -> dict[str, Any] | None:
    thinking = request.thinking
    if thinking is None or thinking.type == "disabled":
        return None
    if thinking.budget_tokens and thinking.budget_tokens >= request.max_tokens:
        message = f"The budget must be below max_tokens, which is {request.max_tokens}."
        raise InvalidRequestError(message, param="thinking.budget_tokens")
    built: dict[str, Any] = msgspec.to_builtins(thinking)
    return built


def _metadata(request: MessagesBody) -> dict[str, str]:
    user = request.metadata.user_id if request.metadata else None
    return {"user_id": user} if user else {}


def _marker(cache_control: CacheControl | None) -> list[Block]:
    return [blocks.cache_point(cache_control.ttl)] if cache_control else []


def _message(message: Message, path: str) -> list[Block]:
    if isinstance(message.content, str):
        return blocks.text(message.content)
    return [
        block
        for number, part in enumerate(message.content)
        for block in [*_block(part, f"{path}[{number}]"), *_marker(_cache_control(part))]
    ]


def _cache_control(part: ContentBlock) -> CacheControl | None:
    if isinstance(part, ThinkingBlock | RedactedThinkingBlock):
        return None
    return part.cache_control


def _block(part: ContentBlock, path: str) -> list[Block]:
    if isinstance(part, ThinkingBlock):
        return [blocks.reasoning(part.thinking, part.signature)]
    if isinstance(part, RedactedThinkingBlock):
        return [blocks.redacted_reasoning(part.data, f"{path}.data")]
    if isinstance(part, ToolUseBlock):
        return [blocks.tool_use(part.id, part.name, part.input)]
    if isinstance(part, ToolResultBlock):
        return [_tool_result(part, path)]
    return _plain(part, path)


def _plain(part: TextBlock | ImageBlock | DocumentBlock, path: str) -> list[Block]:
    if isinstance(part, TextBlock):
        return blocks.text(part.text)
    param = f"{path}.source"
    if isinstance(part, DocumentBlock):
        return [_document(part, param)]
    if isinstance(part.source, Base64Source):
        return [media.image(part.source.media_type, part.source.data, param)]
    return [media.image_of_url(part.source.url, param)]


def _document(part: DocumentBlock, param: str) -> Block:
    name = part.title or "document"
    source = part.source
    if isinstance(source, PlainTextSource):
        named = media.document_name(name)
        content: dict[str, Any] = {"text": source.data}
        block: Block = {"document": {"format": "txt", "name": named, "source": content}}
    elif isinstance(source, Base64Source):
        block = media.document(source.media_type, source.data, name, param)
    else:
        block = media.document_of_url(source.url, name, param)
    if part.context:
        block["document"]["context"] = part.context
    return block


def _tool_result(part: ToolResultBlock, path: str) -> Block:
    content = part.content or ""
    if isinstance(content, str):
        parts = blocks.text(content)
    else:
        parts = [
            block
            for number, item in enumerate(content)
            for block in _plain(item, f"{path}.content[{number}]")
        ]
    return blocks.tool_result(part.tool_use_id, parts, failed=bool(part.is_error))


def usage_body(usage: Usage) -> dict[str, int]:
    """Return the usage as this API counts it: the input leaves the cache out."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }


def stop_reason(reason: str | None) -> str:
    """Return this API's word for one of Converse's reasons, which mostly are its own."""
    return STOP_REASONS.get(reason or "", reason or "end_turn")


class MessagesWriter:
    """Writes replies as messages, whole or as events."""

    def __init__(self, request_id: str, model: str) -> None:
        self._head: dict[str, Any] = {
            "id": f"msg_{request_id}",
            "type": "message",
            "role": "assistant",
            "model": model,
        }
        self._request_id = request_id
        self._numbers: dict[int, int] = {}

    def whole(self, reply: Reply) -> dict[str, Any]:
        """Return a whole answer."""
        body: dict[str, Any] = {
            **self._head,
            "content": [_content(reply.blocks[index]) for index in sorted(reply.blocks)],
            "stop_reason": stop_reason(reply.stop_reason),
            "stop_sequence": None,
        }
        if reply.usage:
            body["usage"] = usage_body(reply.usage)
        return body

    def opening(self) -> Iterator[bytes]:
        """Yield what stands before the first event; Bedrock tells the usage at the end."""
        message = {
            **self._head,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_body(Usage(0, 0)),
        }
        yield self._event("message_start", {"message": message})

    def event(self, event: Event) -> Iterator[bytes]:
        """Yield the events of one event."""
        if isinstance(event, Heartbeat):
            yield self._event("ping", {})
        elif isinstance(event, BlockStarted):
            number = self._numbers[event.index] = len(self._numbers)
            block = {"index": number, "content_block": _empty(event)}
            yield self._event("content_block_start", block)
        elif isinstance(event, Delta):
            yield self._delta(event.index, _delta(event))
        elif isinstance(event, Signed):
            signed = {"type": "signature_delta", "signature": event.signature}
            yield self._delta(event.index, signed)
        elif isinstance(event, BlockStopped):
            yield self._event("content_block_stop", {"index": self._numbers[event.index]})

    def closing(self, reply: Reply) -> Iterator[bytes]:
        """Yield what ends a complete answer."""
        delta = {"stop_reason": stop_reason(reply.stop_reason), "stop_sequence": None}
        usage = usage_body(reply.usage or Usage(0, 0))
        yield self._event("message_delta", {"delta": delta, "usage": usage})
        yield self._event("message_stop", {})

    def error(self, error: ApiError) -> Iterator[bytes]:
        """Yield a fault in mid-stream; no ``message_stop`` follows it."""
        yield sse(error.messages_body(self._request_id), "error")

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        return self._event("content_block_delta", {"index": self._numbers[index], "delta": delta})

    @staticmethod
    def _event(name: str, data: dict[str, Any]) -> bytes:
        return sse({"type": name, **data}, name)


def _empty(event: BlockStarted) -> dict[str, Any]:
    if event.kind == "tool":
        return {"type": "tool_use", "id": event.tool_use_id, "name": event.name, "input": {}}
    if event.kind == "redacted":
        data = base64.b64encode(event.redacted).decode()
        return {"type": "redacted_thinking", "data": data}
    if event.kind == "reasoning":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": ""}


def _delta(event: Delta) -> dict[str, Any]:
    if event.kind == "tool":
        return {"type": "input_json_delta", "partial_json": event.text}
    if event.kind == "reasoning":
        return {"type": "thinking_delta", "thinking": event.text}
    return {"type": "text_delta", "text": event.text}


def _content(block: ReplyBlock) -> dict[str, Any]:
    if block.kind == "tool":
        arguments = json_object(block.text, "content")
        use = {"type": "tool_use", "id": block.tool_use_id, "name": block.name}
        return {**use, "input": arguments}
    if block.kind == "redacted":
        data = base64.b64encode(block.redacted).decode()
        return {"type": "redacted_thinking", "data": data}
    if block.kind == "reasoning":
        return {"type": "thinking", "thinking": block.text, "signature": block.signature}
    return {"type": "text", "text": block.text}
