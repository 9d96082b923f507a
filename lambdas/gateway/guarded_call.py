"""The guardrail around a call that does not go to Bedrock, which applies it by itself.

ApplyGuardrail reads the prompt before the call is made, and the answer piece by piece before the
client sees it. https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-independent-api.html
"""

import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import msgspec

from gateway.bedrock import BEDROCK_ERRORS, BedrockRuntime, fault
from gateway.conversation import Block, Conversation
from gateway.converse_request import Guardrail
from gateway.governance.anonymizer import CHARACTERS_PER_CALL, is_blocked, parts_of
from gateway.governance.budget import Usage
from gateway.reply import BlockKind, BlockStarted, BlockStopped, Delta, Event, Metered, Stopped
from gateway.upstream import Call

# What Converse's guardrail waits for in a stream is about as long: a sentence or two.
CHARACTERS_PER_CHECK = 500
BLOCKED_MESSAGE = "This request or its answer is against the rules of use."


class _Blocked(Exception):  # noqa: N818 - a verdict, no defect
    """The text must not pass; ``message`` stands in its place."""

    def __init__(self, message: str) -> None:
        super().__init__("The guardrail blocks the text.")
        self.message = message


@dataclass(frozen=True)
class TextGuard:
    """Has texts checked."""

    client: BedrockRuntime
    guardrail: Guardrail

    def passed(self, texts: list[str], source: str) -> list[str]:
        """Return the texts as the guardrail lets them pass, with masks where it wants them.

        ``source`` is INPUT or OUTPUT.

        Raises:
            _Blocked: one of them must not pass.
            ApiError: the guardrail could not be asked.
        """
        parts = [(number, part) for number, text in enumerate(texts) for part in parts_of(text)]
        checked = [""] * len(texts)
        for batch in _batches(parts):
            found = self._apply([part for _, part in batch], source)
            for (number, _), part in zip(batch, found, strict=True):
                checked[number] += part
        return checked

    def _apply(self, parts: list[str], source: str) -> list[str]:
        try:
            answer = self.client.apply_guardrail(
                guardrailIdentifier=self.guardrail.identifier,
                guardrailVersion=self.guardrail.version,
                source=source,
                content=[{"text": {"text": part}} for part in parts],
            )
        except BEDROCK_ERRORS as error:
            raise fault(error) from error
        if answer["action"] == "NONE":
            return parts
        outputs = [output["text"] for output in answer.get("outputs", [])]
        if is_blocked(answer.get("assessments", [])) or not outputs:
            raise _Blocked("\n".join(outputs) or BLOCKED_MESSAGE)
        if len(parts) == 1:
            return ["".join(outputs)]
        if len(outputs) == len(parts):
            return outputs
        # Which mask is whose cannot be told: each is asked about by itself.
        return [masked for part in parts for masked in self._apply([part], source)]


def _batches(parts: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    batch: list[tuple[int, str]] = []
    size = 0
    for number, part in parts:
        if batch and size + len(part) > CHARACTERS_PER_CALL:
            yield batch
            batch, size = [], 0
        batch.append((number, part))
        size += len(part)
    if batch:
        yield batch


class GuardedCall:
    """A call whose prompt and answer pass a guardrail.

    ``begin`` makes the call of a conversation, which may hold masks by then. What users and tools
    say is checked, as in calls to Bedrock; images are not. A ``stream`` is checked a sentence or
    two at a time, a whole answer in pieces as large as the guardrail takes.
    """

    def __init__(
        self,
        client: BedrockRuntime,
        guardrail: Guardrail,
        conversation: Conversation,
        begin: Callable[[Conversation], Call],
        *,
        stream: bool,
    ) -> None:
        self._guard = TextGuard(client, guardrail)
        self._conversation = conversation
        self._begin = begin
        self._piece = CHARACTERS_PER_CHECK if stream else CHARACTERS_PER_CALL
        self._lock = threading.Lock()
        self._call: Call | None = None
        self._is_closed = False

    def events(self) -> Iterator[Event]:
        """Check the prompt, make the call, and return the events of what passes.

        Raises:
            ApiError: the call failed, or the guardrail could not be asked.
        """
        try:
            call = self._begin(self._checked())
        except _Blocked as verdict:
            yield from _intervention(0, verdict.message)
            yield Metered(Usage(0, 0))
            return
        with self._lock:
            self._call = call
            if self._is_closed:
                return
        answer = _GuardedAnswer(self._guard, self._piece)
        for event in call.events():
            try:
                yield from answer.read(event)
            except _Blocked as verdict:
                call.close()
                yield from answer.replace(verdict.message)
                return

    def close(self) -> None:
        """End the call."""
        with self._lock:
            self._is_closed = True
            if self._call is not None:
                self._call.close()

    def _checked(self) -> Conversation:
        messages = copy.deepcopy(self._conversation.messages)
        blocks = [
            block
            for message in messages
            if message["role"] == "user"
            for outer in message["content"]
            for block in _text_blocks(outer)
        ]
        texts = self._guard.passed([block["text"] for block in blocks], "INPUT")
        for block, text in zip(blocks, texts, strict=True):
            block["text"] = text
        return replace(self._conversation, messages=messages)


def _text_blocks(block: Block) -> list[Block]:
    inner = block["toolResult"]["content"] if "toolResult" in block else [block]
    return [part for part in inner if "text" in part]


def _intervention(index: int, message: str) -> Iterator[Event]:
    yield BlockStarted(index, "text")
    yield Delta(index, "text", message)
    yield BlockStopped(index)
    yield Stopped("guardrail_intervened")


class _GuardedAnswer:
    """Holds each piece back until it is checked, and a tool call until all of it is."""

    def __init__(self, guard: TextGuard, piece: int) -> None:
        self._guard = guard
        self._piece = piece
        self._held = ""
        self._start: BlockStarted | None = None
        self._index = 0
        self._kind: BlockKind = "text"
        self._shown = False

    def read(self, event: Event) -> Iterator[Event]:
        """Yield what may be shown by now; raises :class:`_Blocked`."""
        if isinstance(event, BlockStarted):
            self._start, self._index, self._kind = event, event.index, event.kind
        elif isinstance(event, Delta):
            self._held += event.text
            if self._kind != "tool" and len(self._held) >= self._piece:
                cut = max(self._held.rfind(" "), self._held.rfind("\n")) + 1 or len(self._held)
                ready, self._held = self._held[:cut], self._held[cut:]
                yield from self._show(self._passed(ready))
        elif isinstance(event, BlockStopped):
            held, self._held = self._held, ""
            yield from self._show(self._passed(held))
            yield event
            self._shown = False
        else:
            yield event

    def replace(self, message: str) -> Iterator[Event]:
        """Yield what stands in place of the rest of the answer."""
        if not self._shown:
            yield from _intervention(self._index, message)
            return
        # What was shown stays; the message is a block of its own behind it.
        yield BlockStopped(self._index)
        yield from _intervention(self._index + 1, message)

    def _passed(self, text: str) -> str:
        if not text:
            return ""
        (passed,) = self._guard.passed([text], "OUTPUT")
        if self._kind == "tool" and passed != text and not _is_json(passed):
            raise _Blocked(BLOCKED_MESSAGE)
        return passed

    def _show(self, text: str) -> Iterator[Event]:
        if self._start is not None:
            yield self._start
            self._start, self._shown = None, True
        if text:
            yield Delta(self._index, self._kind, text)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True
