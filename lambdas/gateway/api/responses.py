"""OpenAI's Responses API, without memory: every request carries the whole conversation."""

import base64
import binascii
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway import media
from gateway.api import blocks
from gateway.api.body import SSE_HEARTBEAT, decode, encode, json_object, refuse, sse
from gateway.api.responses_body import (
    WITHOUT_EFFECT,
    FunctionCall,
    FunctionCallOutput,
    FunctionTool,
    InputFile,
    InputImage,
    InputItem,
    InputMessage,
    InputText,
    JsonSchemaFormat,
    NamedToolChoice,
    OutputText,
    Reasoning,
    Refusal,
    ResponsesBody,
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
)

FIELD_NAMES = {
    "document": "input.content.input_file",
    "effort": "reasoning.effort",
    "image": "input.content.input_image",
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "output_schema": "text.format",
    "sequential_tools": "parallel_tool_calls",
    "strict": "tools.strict",
    "system": "instructions",
    "thinking": "reasoning.effort",
    "unsigned_reasoning": "input.encrypted_content",
}
INCOMPLETE = {
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
}


ID_PREFIXES = {"text": "msg", "tool": "fc"}


class _Sealed(msgspec.Struct, omit_defaults=True):
    """What ``encrypted_content`` holds, so that clients which drop the text keep the reasoning."""

    text: str = ""
    signature: str = ""
    redacted: bytes = b""


def parse(body: bytes) -> tuple[Conversation, ResponsesBody]:
    """Read a request.

    Raises:
        InvalidRequestError: the body breaks the API's rules, or asks for what Bedrock has not.
    """
    request = decode(body, ResponsesBody)
    refuse(request, WITHOUT_EFFECT)
    named = {"user": request.user, "safety_identifier": request.safety_identifier}
    conversation = Conversation(
        model=request.model,
        system=blocks.text(request.instructions or ""),
        max_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        tools=[_tool(tool) for tool in request.tools or []],
        tools_forbidden=request.tool_choice == "none",
        tool_choice=_tool_choice(request.tool_choice),
        sequential_tools=request.parallel_tool_calls is False,
        output_schema=_output_schema(request),
        effort=request.reasoning.effort if request.reasoning else None,
        service_tier=None if request.service_tier == "auto" else request.service_tier,
        metadata={**(request.metadata or {}), **{k: v for k, v in named.items() if v}},
        field_names=FIELD_NAMES,
    )
    if isinstance(request.input, str):
        conversation.say("user", blocks.text(request.input))
    else:
        for number, item in enumerate(request.input):
            _add(conversation, _item(item, f"input[{number}]"), f"input[{number}]")
    return conversation, request


def _item(raw: dict[str, Any], path: str) -> InputItem:
    try:
        item: InputItem = msgspec.convert({"type": "message", **raw}, InputItem)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        raise InvalidRequestError(f"{message}.", param=path + where.rstrip("`")) from None
    return item


def _output_schema(request: ResponsesBody) -> OutputSchema | None:
    wanted = request.text.format if request.text else None
    if not isinstance(wanted, JsonSchemaFormat):
        return None
    return OutputSchema(wanted.schema, wanted.name, wanted.description)


def _tool(tool: FunctionTool) -> Tool:
    schema = tool.parameters or {"type": "object", "properties": {}}
    return Tool(tool.name, schema, tool.description, tool.strict)


def _tool_choice(choice: str | NamedToolChoice | None) -> Block | None:
    if isinstance(choice, NamedToolChoice):
        return {"tool": {"name": choice.name}}
    choices: dict[str | None, Block] = {"auto": {"auto": {}}, "required": {"any": {}}}
    return choices.get(choice)


def _add(conversation: Conversation, item: InputItem, path: str) -> None:
    if isinstance(item, InputMessage):
        content = _content(item.content, f"{path}.content")
        if item.role in {"system", "developer"}:
            conversation.system.extend(content)
        else:
            conversation.say(item.role, content)
    elif isinstance(item, FunctionCall):
        arguments = json_object(item.arguments, f"{path}.arguments")
        conversation.say("assistant", [blocks.tool_use(item.call_id, item.name, arguments)])
    elif isinstance(item, FunctionCallOutput):
        content = _content(item.output, f"{path}.output")
        conversation.say("user", [blocks.tool_result(item.call_id, content)])
    else:
        conversation.say("assistant", [_unseal(item, f"{path}.encrypted_content")])


def _content(content: str | list[Any], path: str) -> list[Block]:
    if isinstance(content, str):
        return blocks.text(content)
    return [
        block for number, part in enumerate(content) for block in _part(part, f"{path}[{number}]")
    ]


def _part(
    part: InputText | OutputText | Refusal | InputImage | InputFile, path: str
) -> list[Block]:
    if isinstance(part, InputImage):
        return [media.image_of_url(part.image_url, f"{path}.image_url")]
    if isinstance(part, InputFile):
        return [media.document_of_url(part.file_data, part.filename, f"{path}.file_data")]
    return blocks.text(part.refusal if isinstance(part, Refusal) else part.text)


def _unseal(item: Reasoning, param: str) -> Block:
    try:
        raw = base64.b64decode(item.encrypted_content, validate=True)
        sealed = msgspec.json.decode(raw, type=_Sealed)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        message = "This is not what the gateway answered with. Send reasoning items unchanged."
        raise InvalidRequestError(message, param=param) from None
    if sealed.redacted:
        return {"reasoningContent": {"redactedContent": sealed.redacted}}
    return blocks.reasoning(sealed.text, sealed.signature or None)


def _seal(block: ReplyBlock) -> str:
    sealed = _Sealed(block.text, block.signature, block.redacted)
    return base64.b64encode(encode(sealed)).decode()


def usage_body(usage: Usage) -> dict[str, Any]:
    """Return the usage as this API counts it: the input includes what the cache held."""
    read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "total_tokens": read + usage.output_tokens,
    }


class ResponsesWriter:
    """Writes replies as responses, whole or as events."""

    def __init__(self, request_id: str, model: str, request: ResponsesBody) -> None:
        self._request_id = request_id
        self._model = model
        self._request = request
        self._created = int(time.time())
        self._sequence = 0
        self._numbers: dict[int, int] = {}
        self._reply = Reply()

    def whole(self, reply: Reply) -> dict[str, Any]:
        """Return a whole answer."""
        items = [
            self._item(number, reply.blocks[index], "completed")
            for number, index in enumerate(sorted(reply.blocks))
        ]
        reason = INCOMPLETE.get(reply.stop_reason or "")
        body = self._body("incomplete" if reason else "completed", items)
        body["incomplete_details"] = {"reason": reason} if reason else None
        if reply.usage:
            body["usage"] = usage_body(reply.usage)
        if reply.service_tier:
            body["service_tier"] = reply.service_tier
        return body

    def opening(self) -> Iterator[bytes]:
        """Yield what stands before the first event."""
        for name in ("response.created", "response.in_progress"):
            yield self._event(name, response=self._body("in_progress", []))

    def event(self, event: Event) -> Iterator[bytes]:
        """Yield the events of one event."""
        if isinstance(event, Heartbeat):
            yield SSE_HEARTBEAT
            return
        self._reply.add(event)
        if isinstance(event, BlockStarted):
            yield from self._start(event)
        elif isinstance(event, Delta):
            yield self._delta(event)
        elif isinstance(event, BlockStopped):
            yield from self._stop(event.index)

    def closing(self, reply: Reply) -> Iterator[bytes]:
        """Yield what ends a complete answer."""
        body = self.whole(reply)
        yield self._event(f"response.{body['status']}", response=body)

    def error(self, error: ApiError) -> Iterator[bytes]:
        """Yield a fault in mid-stream."""
        body = self._body("failed", [])
        body["error"] = {"code": error.code or "server_error", "message": error.message}
        yield self._event("response.failed", response=body)

    def _body(self, status: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        request = msgspec.to_builtins(self._request)
        return {
            "id": f"resp_{self._request_id}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": request.get("instructions"),
            "max_output_tokens": request.get("max_output_tokens"),
            "metadata": request.get("metadata") or {},
            "model": self._model,
            "output": items,
            "parallel_tool_calls": request.get("parallel_tool_calls", True),
            "previous_response_id": None,
            "reasoning": request.get("reasoning"),
            "store": False,
            "temperature": request.get("temperature"),
            "text": request.get("text") or {"format": {"type": "text"}},
            "tool_choice": request.get("tool_choice", "auto"),
            "tools": request.get("tools") or [],
            "top_p": request.get("top_p"),
            "truncation": "disabled",
            "usage": None,
        }

    def _item(self, number: int, block: ReplyBlock, status: str) -> dict[str, Any]:
        if block.kind == "tool":
            return {
                "id": self._id(number, block),
                "type": "function_call",
                "call_id": block.tool_use_id,
                "name": block.name,
                "arguments": block.arguments if status == "completed" else block.text,
                "status": status,
            }
        if block.kind == "text":
            return {
                "id": self._id(number, block),
                "type": "message",
                "role": "assistant",
                "status": status,
                "content": [_text_part(block.text)] if status == "completed" else [],
            }
        content = [{"type": "reasoning_text", "text": block.text}] if block.text else []
        return {
            "id": self._id(number, block),
            "type": "reasoning",
            "summary": [],
            "content": content,
            "encrypted_content": _seal(block),
            "status": status,
        }

    def _start(self, event: BlockStarted) -> Iterator[bytes]:
        number = self._numbers[event.index] = len(self._numbers)
        item = self._item(number, self._reply.blocks[event.index], "in_progress")
        yield self._event("response.output_item.added", output_index=number, item=item)
        if event.kind == "text":
            yield self._event(
                "response.content_part.added",
                **self._place(event.index),
                content_index=0,
                part=_text_part(""),
            )

    def _delta(self, event: Delta) -> bytes:
        place = self._place(event.index)
        if event.kind == "tool":
            name = "response.function_call_arguments.delta"
            return self._event(name, **place, delta=event.text)
        if event.kind == "text":
            place["logprobs"] = []
        name = "output_text" if event.kind == "text" else "reasoning_text"
        return self._event(f"response.{name}.delta", **place, content_index=0, delta=event.text)

    def _stop(self, index: int) -> Iterator[bytes]:
        place = self._place(index)
        number, block = self._numbers[index], self._reply.blocks[index]
        item = self._item(number, block, "completed")
        if block.kind == "tool":
            name = "response.function_call_arguments.done"
            yield self._event(name, **place, name=block.name, arguments=block.arguments)
        elif block.kind == "text":
            done = {**place, "content_index": 0}
            name = "response.output_text.done"
            yield self._event(name, **done, text=block.text, logprobs=[])
            yield self._event("response.content_part.done", **done, part=_text_part(block.text))
        elif block.kind == "reasoning":
            name = "response.reasoning_text.done"
            yield self._event(name, **place, content_index=0, text=block.text)
        yield self._event("response.output_item.done", output_index=number, item=item)

    def _place(self, index: int) -> dict[str, Any]:
        number = self._numbers[index]
        return {"item_id": self._id(number, self._reply.blocks[index]), "output_index": number}

    def _id(self, number: int, block: ReplyBlock) -> str:
        return f"{ID_PREFIXES.get(block.kind, 'rs')}_{self._request_id}_{number}"

    def _event(self, event_type: str, /, **data: Any) -> bytes:
        number = self._sequence
        self._sequence += 1
        return sse({"type": event_type, "sequence_number": number, **data}, event_type)


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
