"""What vLLM streams, as the events that every API of the gateway writes in its own form.

The wire is OpenAI's, with what vLLM adds to it (``reasoning``, errors as events):
https://docs.vllm.ai/en/stable/serving/openai_compatible_server/
"""

from collections.abc import Iterable, Iterator

import msgspec

from gateway.errors import ApiError, ModelError
from gateway.governance.budget import Usage
from gateway.reply import (
    BlockKind,
    BlockStarted,
    BlockStopped,
    Delta,
    Event,
    Metered,
    Stopped,
)
from gateway.vllm.faults import of_error

LONGEST_EVENT = 4 * 1024 * 1024
"""Bytes. A server that never ends a line would fill the memory."""

DONE = b"[DONE]"

STOP_REASONS = {
    "content_filter": "content_filtered",
    "length": "max_tokens",
    "stop": "end_turn",
    "tool_calls": "tool_use",
}


class Function(msgspec.Struct):
    """A piece of a tool call."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct):
    """A piece of the tool call with this index."""

    index: int = 0
    id: str | None = None
    function: Function | None = None


class ChoiceDelta(msgspec.Struct):
    """What is new. Older versions of vLLM say ``reasoning_content``."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(msgspec.Struct):
    """The one answer."""

    delta: ChoiceDelta
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class PromptDetails(msgspec.Struct):
    """What of the prompt was cached."""

    cached_tokens: int | None = None


class ChunkUsage(msgspec.Struct):
    """The tokens of the whole answer."""

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None


class Fault(msgspec.Struct):
    """A fault in mid-stream; ``code`` is an HTTP status."""

    message: str = ""
    code: int | str | None = None


class Chunk(msgspec.Struct):
    """One event of a stream."""

    choices: list[Choice] = []
    usage: ChunkUsage | None = None
    error: Fault | None = None


_decoder = msgspec.json.Decoder(Chunk)


def data_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Return the data of each server-sent event of a body that comes in pieces.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

    Raises:
        ModelError: an event has no end.
    """
    data: list[bytes] = []
    for line in _lines(pieces):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
    # An event without the blank line behind it was cut off, and is not one.


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(rest) > LONGEST_EVENT:
            raise ModelError("The model server's answer has no form that can be read.")


def of_chunks(stream: Iterable[bytes], *, discounts_cache: bool) -> Iterator[Event]:
    """Return the events of a chat completion's stream, from the data of its events.

    ``discounts_cache`` says that cached tokens have a price of their own.

    Raises:
        ModelError: the stream cannot be read, or ended before the answer did.
        ApiError: the server reports a fault.
    """
    reader = _StreamReader(discounts_cache=discounts_cache)
    for data in stream:
        if data == DONE:
            break
        yield from reader.read(_decoded(data))
    if not reader.complete:
        message = "The model's answer broke off before its end. Send the request again."
        raise ModelError(message, code="incomplete_answer")


def _decoded(data: bytes) -> Chunk:
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        message = "The model server's answer has no form that can be read."
        raise ModelError(message) from None


class _StreamReader:
    """Numbers the blocks, of which the wire knows only those of tools."""

    def __init__(self, *, discounts_cache: bool) -> None:
        self.complete = False
        self._discounts_cache = discounts_cache
        self._index = -1
        self._open: tuple[BlockKind, int] | None = None
        self._called = False

    def read(self, chunk: Chunk) -> Iterator[Event]:
        if chunk.error is not None:
            raise _fault(chunk.error)
        for choice in chunk.choices:
            yield from self._delta(choice.delta)
            if choice.finish_reason is not None:
                yield from self._finish(choice)
        if chunk.usage is not None and self.complete:
            yield self._metered(chunk.usage)

    def _delta(self, delta: ChoiceDelta) -> Iterator[Event]:
        thought = delta.reasoning or delta.reasoning_content
        if thought:
            yield from self._piece("reasoning", thought)
        if delta.content:
            yield from self._piece("text", delta.content)
        for call in delta.tool_calls or ():
            yield from self._call(call)

    def _piece(self, kind: BlockKind, text: str) -> Iterator[Event]:
        if self._open != (kind, 0):
            yield from self._start((kind, 0))
            yield BlockStarted(self._index, kind)
        yield Delta(self._index, kind, text)

    def _call(self, call: ToolCall) -> Iterator[Event]:
        function = call.function or Function()
        if self._open != ("tool", call.index):
            if not function.name or not call.id:
                raise ModelError("The model called a tool without naming it.")
            self._called = True
            yield from self._start(("tool", call.index))
            yield BlockStarted(self._index, "tool", call.id, function.name)
        if function.arguments:
            yield Delta(self._index, "tool", function.arguments)

    def _start(self, block: tuple[BlockKind, int]) -> Iterator[Event]:
        yield from self._stop()
        self._open = block
        self._index += 1

    def _stop(self) -> Iterator[Event]:
        if self._open is not None:
            yield BlockStopped(self._index)
            self._open = None

    def _finish(self, choice: Choice) -> Iterator[Event]:
        reason = STOP_REASONS.get(choice.finish_reason or "")
        if reason is None:
            message = f"The model ended with {choice.finish_reason!r}. Send the request again."
            raise ModelError(message)
        yield from self._stop()
        if reason == "end_turn" and self._called:
            # vLLM says `stop` where the client named the tool.
            reason = "tool_use"
        elif reason == "end_turn" and isinstance(choice.stop_reason, str):
            reason = "stop_sequence"
        self.complete = True
        yield Stopped(reason)

    def _metered(self, usage: ChunkUsage) -> Metered:
        details = usage.prompt_tokens_details
        cached = (details.cached_tokens or 0) if details and self._discounts_cache else 0
        return Metered(
            Usage(
                input_tokens=usage.prompt_tokens - cached,
                output_tokens=usage.completion_tokens,
                cache_read_tokens=cached,
            )
        )


def _fault(fault: Fault) -> ApiError:
    status = fault.code if isinstance(fault.code, int) else 500
    return of_error(status, fault.message)
