"""OpenAI's Chat Completions API."""

import base64
import time
from collections.abc import Iterator, Sequence
from typing import Any

from gateway import media
from gateway.api import blocks
from gateway.api.body import SSE_HEARTBEAT, decode, json_object, refuse, sse
from gateway.api.chat_body import (
    WITHOUT_EFFECT,
    AssistantMessage,
    CacheControl,
    ChatBody,
    ChatTool,
    EncryptedReasoning,
    FilePart,
    ImagePart,
    JsonSchemaFormat,
    Message,
    NamedToolChoice,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.conversation import Block, Conversation, OutputSchema, Tool
from gateway.errors import ApiError
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
    "effort": "reasoning_effort",
    "image": "messages.content.image_url",
    "document": "messages.content.file",
    "output_schema": "response_format",
    "sequential_tools": "parallel_tool_calls",
    "strict": "tools.function.strict",
    "system": "messages.role",
    "unsigned_reasoning": "messages.reasoning_content",
    "thinking": "reasoning_effort",
}
FINISH_REASONS = {
    "content_filtered": "content_filter",
    "end_turn": "stop",
    "guardrail_intervened": "content_filter",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
}


def parse(body: bytes) -> tuple[Conversation, ChatBody]:
    """Read a request.

    Raises:
        InvalidRequestError: the body breaks the API's rules, or asks for what Bedrock has not.
    """
    request = decode(body, ChatBody)
    refuse(request, WITHOUT_EFFECT)
    max_field = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
    conversation = Conversation(
        model=request.model,
        max_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=[request.stop] if isinstance(request.stop, str) else request.stop or [],
        tools=[_tool(tool) for tool in request.tools or []],
        tools_forbidden=request.tool_choice == "none",
        tool_choice=_tool_choice(request.tool_choice),
        sequential_tools=request.parallel_tool_calls is False,
        output_schema=_output_schema(request),
        effort=request.reasoning_effort,
        service_tier=None if request.service_tier == "auto" else request.service_tier,
        metadata=_metadata(request),
        field_names={**FIELD_NAMES, "max_tokens": max_field},
    )
    for number, message in enumerate(request.messages):
        _add_message(conversation, message, f"messages[{number}]")
    return conversation, request


def _metadata(request: ChatBody) -> dict[str, str]:
    named = {"user": request.user, "safety_identifier": request.safety_identifier}
    return {**(request.metadata or {}), **{k: v for k, v in named.items() if v}}


def _output_schema(request: ChatBody) -> OutputSchema | None:
    if not isinstance(request.response_format, JsonSchemaFormat):
        return None
    wanted = request.response_format.json_schema
    return OutputSchema(wanted.schema, wanted.name, wanted.description)


def _tool(tool: ChatTool) -> Tool:
    function = tool.function
    return Tool(
        name=function.name,
        schema=function.parameters or {"type": "object", "properties": {}},
        description=function.description,
        strict=function.strict,
        cache_point=_marker(tool.cache_control),
    )


def _tool_choice(choice: str | NamedToolChoice | None) -> Block | None:
    if isinstance(choice, NamedToolChoice):
        return {"tool": {"name": choice.function.name}}
    choices: dict[str | None, Block] = {"auto": {"auto": {}}, "required": {"any": {}}}
    return choices.get(choice)


def _marker(cache_control: CacheControl | None) -> Block | None:
    return blocks.cache_point(cache_control.ttl) if cache_control else None


def _add_message(conversation: Conversation, message: Message, path: str) -> None:
    if isinstance(message, AssistantMessage):
        conversation.say("assistant", list(_assistant_blocks(message, path)))
    elif isinstance(message, ToolMessage):
        content = _content(message.content, f"{path}.content")
        conversation.say("user", list(_tool_result(message, content)))
    elif isinstance(message, UserMessage):
        conversation.say("user", _content(message.content, f"{path}.content"))
    else:
        conversation.system.extend(_content(message.content, f"{path}.content"))


def _content(
    content: str | Sequence[TextPart | ImagePart | FilePart | RefusalPart], path: str
) -> list[Block]:
    if isinstance(content, str):
        return blocks.text(content)
    return [
        block
        for number, part in enumerate(content)
        for block in _part_blocks(part, f"{path}[{number}]")
    ]


def _part_blocks(part: TextPart | ImagePart | FilePart | RefusalPart, path: str) -> Iterator[Block]:
    if isinstance(part, RefusalPart):
        yield from blocks.text(part.refusal)
        return
    if isinstance(part, TextPart):
        yield from blocks.text(part.text)
    elif isinstance(part, ImagePart):
        yield media.image_of_url(part.image_url.url, f"{path}.image_url.url")
    else:
        file = part.file
        yield media.document_of_url(file.file_data, file.filename, f"{path}.file.file_data")
    marker = _marker(part.cache_control)
    if marker:
        yield marker


def _tool_result(message: ToolMessage, content: list[Block]) -> Iterator[Block]:
    # A cache point stands beside the result: inside it there is no place for one.
    points = [block for block in content if "cachePoint" in block]
    rest = [block for block in content if "cachePoint" not in block]
    yield blocks.tool_result(message.tool_call_id, rest)
    yield from points


def _assistant_blocks(message: AssistantMessage, path: str) -> Iterator[Block]:
    yield from _reasoning_blocks(message, path)
    yield from _content(message.content or "", f"{path}.content")
    yield from blocks.text(message.refusal or "")
    for number, call in enumerate(message.tool_calls or []):
        yield _tool_use(call, f"{path}.tool_calls[{number}].function.arguments")


def _tool_use(call: ToolCall, param: str) -> Block:
    arguments = json_object(call.function.arguments, param)
    return blocks.tool_use(call.id, call.function.name, arguments)


def _reasoning_blocks(message: AssistantMessage, path: str) -> Iterator[Block]:
    if message.reasoning_details is None and message.reasoning_content:
        yield blocks.reasoning(message.reasoning_content, None)
    for number, detail in enumerate(message.reasoning_details or []):
        if isinstance(detail, EncryptedReasoning):
            param = f"{path}.reasoning_details[{number}].data"
            yield blocks.redacted_reasoning(detail.data, param)
        else:
            yield blocks.reasoning(detail.text, detail.signature)


def usage_body(usage: Usage) -> dict[str, Any]:
    """Return the usage as this API counts it: the prompt includes what the cache held."""
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
    }


def finish_reason(stop_reason: str | None) -> str:
    """Return this API's word for one of Converse's reasons."""
    return FINISH_REASONS.get(stop_reason or "", "stop")


class ChatWriter:
    """Writes replies as chat completions, whole or in chunks."""

    def __init__(self, request_id: str, model: str, request: ChatBody) -> None:
        self._head = {"id": f"chatcmpl-{request_id}", "created": int(time.time()), "model": model}
        options = request.stream_options
        self._include_usage = bool(options and options.include_usage)
        self._tool_numbers: dict[int, int] = {}
        self._reasoning_numbers: dict[int, int] = {}
        self._without_arguments: set[int] = set()

    def whole(self, reply: Reply) -> dict[str, Any]:
        """Return a whole answer."""
        calls = [
            {
                "id": block.tool_use_id,
                "type": "function",
                "function": {"name": block.name, "arguments": block.arguments},
            }
            for block in reply.of_kind("tool")
        ]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": reply.text if reply.of_kind("text") else None,
            "refusal": None,
        }
        if calls:
            message["tool_calls"] = calls
        message.update(_reasoning(reply.of_kind("reasoning", "redacted")))
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": finish_reason(reply.stop_reason),
        }
        body: dict[str, Any] = {**self._head, "object": "chat.completion", "choices": [choice]}
        if reply.usage:
            body["usage"] = usage_body(reply.usage)
        if reply.service_tier:
            body["service_tier"] = reply.service_tier
        return body

    def opening(self) -> Iterator[bytes]:
        """Yield what stands before the first event."""
        yield self._chunk({"role": "assistant", "content": ""})

    def event(self, event: Event) -> Iterator[bytes]:
        """Yield the chunks of one event."""
        if isinstance(event, Heartbeat):
            yield SSE_HEARTBEAT
        elif isinstance(event, BlockStarted):
            yield from self._start(event)
        elif isinstance(event, Delta):
            yield self._delta(event)
        elif isinstance(event, Signed):
            yield self._signed(event)
        elif isinstance(event, BlockStopped) and event.index in self._without_arguments:
            # Clients read the arguments as JSON, which an empty string is not.
            yield self._arguments(event.index, "{}")

    def closing(self, reply: Reply) -> Iterator[bytes]:
        """Yield what ends a complete answer."""
        yield self._chunk({}, finish_reason(reply.stop_reason))
        if self._include_usage and reply.usage:
            usage = usage_body(reply.usage)
            yield sse(
                {
                    **self._head,
                    "object": "chat.completion.chunk",
                    "choices": [],
                    "usage": usage,
                }
            )
        yield b"data: [DONE]\n\n"

    def error(self, error: ApiError) -> Iterator[bytes]:
        """Yield a fault in mid-stream; no ``[DONE]`` follows it."""
        yield sse(error.openai_body())

    def _start(self, event: BlockStarted) -> Iterator[bytes]:
        if event.kind == "tool":
            number = self._tool_numbers[event.index] = len(self._tool_numbers)
            self._without_arguments.add(event.index)
            call = {
                "index": number,
                "id": event.tool_use_id,
                "type": "function",
                "function": {"name": event.name, "arguments": ""},
            }
            yield self._chunk({"tool_calls": [call]})
        elif event.kind != "text":
            self._reasoning_numbers[event.index] = len(self._reasoning_numbers)
        if event.kind == "redacted":
            data = base64.b64encode(event.redacted).decode()
            detail = {"type": "reasoning.encrypted", "data": data}
            yield self._chunk({"reasoning_details": [self._detail(event.index, detail)]})

    def _delta(self, event: Delta) -> bytes:
        if event.kind == "text":
            return self._chunk({"content": event.text})
        if event.kind == "tool":
            return self._arguments(event.index, event.text)
        detail = self._detail(event.index, {"type": "reasoning.text", "text": event.text})
        return self._chunk({"reasoning_content": event.text, "reasoning_details": [detail]})

    def _arguments(self, index: int, text: str) -> bytes:
        if text:
            self._without_arguments.discard(index)
        call = {"index": self._tool_numbers[index], "function": {"arguments": text}}
        return self._chunk({"tool_calls": [call]})

    def _signed(self, event: Signed) -> bytes:
        detail = {"type": "reasoning.text", "signature": event.signature}
        return self._chunk({"reasoning_details": [self._detail(event.index, detail)]})

    def _detail(self, index: int, detail: dict[str, Any]) -> dict[str, Any]:
        return {**detail, "index": self._reasoning_numbers[index]}

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        body: dict[str, Any] = {
            **self._head,
            "object": "chat.completion.chunk",
            "choices": [choice],
        }
        if self._include_usage:
            body["usage"] = None
        return sse(body)


def _reasoning(found: list[ReplyBlock]) -> dict[str, Any]:
    if not found:
        return {}
    details: list[dict[str, Any]] = []
    for block in found:
        if block.kind == "redacted":
            data = base64.b64encode(block.redacted).decode()
            details.append({"type": "reasoning.encrypted", "data": data})
        else:
            signed = {"signature": block.signature} if block.signature else {}
            details.append({"type": "reasoning.text", "text": block.text, **signed})
    return {
        "reasoning_content": "".join(block.text for block in found),
        "reasoning_details": details,
    }
