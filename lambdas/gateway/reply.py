"""What a model answers, as events that every API of the gateway writes in its own form.

A whole answer and a stream become the same events, so that there is one reader of each.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.errors import ModelError
from gateway.governance.budget import Usage

Block = dict[str, Any]
BlockKind = Literal["text", "reasoning", "redacted", "tool"]


@dataclass(frozen=True, slots=True)
class BlockStarted:
    """A block begins.

    ``tool_use_id`` and ``name`` are set for tools; ``redacted`` is all of a block of reasoning
    that only the model can read.
    """

    index: int
    kind: BlockKind
    tool_use_id: str = ""
    name: str = ""
    redacted: bytes = b""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a block: text, reasoning text, or JSON of a tool's arguments."""

    index: int
    kind: BlockKind
    text: str


@dataclass(frozen=True, slots=True)
class Signed:
    """The signature of a reasoning block, which proves to the model that it is its own."""

    index: int
    signature: str


@dataclass(frozen=True, slots=True)
class BlockStopped:
    """A block is complete."""

    index: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer is complete, for one of Converse's reasons."""

    reason: str


@dataclass(frozen=True, slots=True)
class Metered:
    """What the answer took."""

    usage: Usage
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing came for a while; the client's connection needs a sign of life."""


Event = BlockStarted | Delta | Signed | BlockStopped | Stopped | Metered | Heartbeat


@dataclass
class ReplyBlock:
    """One complete block of an answer."""

    kind: BlockKind
    text: str = ""
    tool_use_id: str = ""
    name: str = ""
    signature: str = ""
    redacted: bytes = b""

    @property
    def arguments(self) -> str:
        """The JSON of a tool's arguments; an empty object when the model sent none."""
        return self.text or "{}"


@dataclass
class Reply:
    """An answer as far as it has come; complete once ``stop_reason`` is set."""

    blocks: dict[int, ReplyBlock] = field(default_factory=dict)
    stop_reason: str | None = None
    usage: Usage | None = None
    service_tier: str | None = None

    def add(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, BlockStarted):
            self.blocks[event.index] = ReplyBlock(
                event.kind,
                tool_use_id=event.tool_use_id,
                name=event.name,
                redacted=event.redacted,
            )
        elif isinstance(event, Delta):
            self.blocks[event.index].text += event.text
        elif isinstance(event, Signed):
            self.blocks[event.index].signature += event.signature
        elif isinstance(event, Stopped):
            self.stop_reason = event.reason
        elif isinstance(event, Metered):
            self.usage = event.usage
            self.service_tier = event.service_tier

    def of_kind(self, *kinds: BlockKind) -> list[ReplyBlock]:
        """Return the blocks of some kinds, in order."""
        return [self.blocks[i] for i in sorted(self.blocks) if self.blocks[i].kind in kinds]

    @property
    def text(self) -> str:
        """All text blocks, joined."""
        return "".join(block.text for block in self.of_kind("text"))

    @property
    def everything(self) -> str:
        """Text, reasoning and tool arguments, for the request log."""
        return "\n".join(self.blocks[i].text for i in sorted(self.blocks))


def of_stream(stream: Iterable[dict[str, Any]]) -> Iterator[Event]:
    """Return the events of ConverseStream.

    Raises:
        ModelError: the stream ended without ``messageStop``, or holds a block that no API of the
            gateway can express.
    """
    reader = _StreamReader()
    for raw in stream:
        yield from reader.read(raw)
    if not reader.complete:
        message = "The model's answer broke off before its end. Send the request again."
        raise ModelError(message, code="incomplete_answer")


class _StreamReader:
    """Adds the block starts that ConverseStream sends for tools only."""

    def __init__(self) -> None:
        self.complete = False
        self._open: set[int] = set()
        self._redacted: dict[int, bytes] = {}

    def read(self, raw: dict[str, Any]) -> Iterator[Event]:
        name, payload = next(iter(raw.items()))
        if name == "contentBlockStart":
            yield self._start(payload["contentBlockIndex"], payload["start"])
        elif name == "contentBlockDelta":
            yield from self._delta(payload["contentBlockIndex"], payload["delta"])
        elif name == "contentBlockStop":
            yield from self._stop(payload["contentBlockIndex"])
        elif name == "messageStop":
            yield from self._finish(payload["stopReason"])
        elif name == "metadata":
            yield metered(payload)

    def _start(self, index: int, start: dict[str, Any]) -> Event:
        if "toolUse" not in start:
            raise _unexpected(start)
        self._open.add(index)
        use = start["toolUse"]
        return BlockStarted(index, "tool", use["toolUseId"], use["name"])

    def _delta(self, index: int, delta: dict[str, Any]) -> Iterator[Event]:
        redacted = delta.get("reasoningContent", {}).get("redactedContent")
        if redacted is not None:
            self._redacted[index] = self._redacted.get(index, b"") + redacted
            return
        piece = _piece(index, delta)
        if index not in self._open:
            self._open.add(index)
            yield BlockStarted(index, "reasoning" if isinstance(piece, Signed) else piece.kind)
        yield piece

    def _stop(self, index: int) -> Iterator[Event]:
        if index in self._redacted:
            yield BlockStarted(index, "redacted", redacted=self._redacted.pop(index))
            yield BlockStopped(index)
        if index in self._open:
            self._open.discard(index)
            yield BlockStopped(index)

    def _finish(self, reason: str) -> Iterator[Event]:
        for index in sorted(self._open | set(self._redacted)):
            yield from self._stop(index)
        self.complete = True
        yield _stopped(reason)


def _piece(index: int, delta: dict[str, Any]) -> Delta | Signed:
    if "text" in delta:
        return Delta(index, "text", delta["text"])
    if "toolUse" in delta:
        return Delta(index, "tool", delta["toolUse"]["input"])
    reasoning = delta.get("reasoningContent")
    if not reasoning:
        raise _unexpected(delta)
    if "signature" in reasoning:
        return Signed(index, reasoning["signature"])
    return Delta(index, "reasoning", reasoning["text"])


def _stopped(reason: str) -> Stopped:
    if reason.startswith("malformed_"):
        message = f"The model's answer cannot be used ({reason}). Send the request again."
        raise ModelError(message, code=reason)
    return Stopped(reason)


def _unexpected(content: dict[str, Any]) -> ModelError:
    member = next(iter(content), "nothing")
    message = f"The model answered with {member}, which this API cannot express."
    return ModelError(message, code="unsupported_answer")


def of_answer(response: dict[str, Any]) -> Iterator[Event]:
    """Return the events of a whole answer of Converse."""
    for index, block in enumerate(response["output"]["message"]["content"]):
        yield from _block_events(index, block)
    yield _stopped(response["stopReason"])
    yield metered(response)


def _block_events(index: int, block: Block) -> Iterator[Event]:
    if "toolUse" in block:
        use = block["toolUse"]
        yield BlockStarted(index, "tool", use["toolUseId"], use["name"])
        yield Delta(index, "tool", _compact_json(use["input"]))
    elif "reasoningContent" in block:
        yield from _reasoning_events(index, block["reasoningContent"])
    elif "text" in block:
        yield BlockStarted(index, "text")
        yield Delta(index, "text", block["text"])
    else:
        raise _unexpected(block)
    yield BlockStopped(index)


def _reasoning_events(index: int, reasoning: dict[str, Any]) -> Iterator[Event]:
    text = reasoning.get("reasoningText")
    if text is None:
        redacted = reasoning.get("redactedContent", b"")
        yield BlockStarted(index, "redacted", redacted=redacted)
        return
    yield BlockStarted(index, "reasoning")
    yield Delta(index, "reasoning", text["text"])
    if text.get("signature"):
        yield Signed(index, text["signature"])


def metered(payload: dict[str, Any]) -> Metered:
    """Return the usage that an answer's metadata reports."""
    usage = payload["usage"]
    return Metered(
        Usage(
            input_tokens=usage["inputTokens"],
            output_tokens=usage["outputTokens"],
            cache_read_tokens=usage.get("cacheReadInputTokens", 0),
            cache_write_tokens=usage.get("cacheWriteInputTokens", 0),
        ),
        payload.get("serviceTier", {}).get("type"),
    )


def _compact_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
