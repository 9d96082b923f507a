"""A chat request in Bedrock's terms, the same for every API that the gateway speaks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Block = dict[str, Any]
"""One content block, as Converse names it: ``{"text": ...}``, ``{"toolUse": ...}`` and so on."""


@dataclass(frozen=True)
class Tool:
    """A function that the model may call."""

    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None
    cache_point: Block | None = None


@dataclass(frozen=True)
class OutputSchema:
    """The JSON schema that the answer must satisfy."""

    schema: dict[str, Any]
    name: str | None = None
    description: str | None = None


@dataclass
class Conversation:
    """What a client asks for. ``None`` means that the request does not say.

    ``tool_choice`` is Converse's (``auto``, ``any``, ``tool``) or the word ``none``.
    ``field_names`` maps the names used here to those of the client's API, so that a refusal
    names the field that the client wrote.
    """

    model: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    system: list[Block] = field(default_factory=list)
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    tool_choice: Block | None = None
    tools_forbidden: bool = False
    sequential_tools: bool = False
    output_schema: OutputSchema | None = None
    effort: str | None = None
    thinking: dict[str, Any] | None = None
    service_tier: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    field_names: Mapping[str, str] = field(default_factory=dict)

    def name_of(self, field_name: str) -> str:
        """Return what the client calls a field."""
        return self.field_names.get(field_name, field_name)

    def say(self, role: str, blocks: list[Block]) -> None:
        """Add blocks; those of one role in a row become one message, as Converse demands."""
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"].extend(blocks)
        elif blocks:
            self.messages.append({"role": role, "content": list(blocks)})

    def prompt_texts(self) -> list[str]:
        """Return every text that the model reads, for the request log."""
        texts = [text for block in self.system for text in _texts(block)]
        for message in self.messages:
            for block in message["content"]:
                texts.extend(_texts(block))
        return texts

    def size(self) -> tuple[int, int]:
        """Return the bytes of all text and schemas, and the number of images and documents."""
        schema = len(repr(self.output_schema.schema).encode()) if self.output_schema else 0
        media = sum(sum(_media(block)) for message in self.messages for block in message["content"])
        # Roles and separators take a few tokens for each message.
        overhead = 16 * (len(self.messages) + len(self.system) + len(self.tools))
        texts = self.size_of_tools() + self.size_of_system() + self.size_of_messages()
        return texts + schema + overhead, media

    def size_of_tools(self) -> int:
        """Return the bytes of the tools' descriptions and schemas."""
        return sum(len(repr(tool).encode()) for tool in self.tools)

    def size_of_system(self) -> int:
        """Return the bytes of the system texts."""
        return sum(len(text.encode()) for block in self.system for text in _texts(block))

    def size_of_messages(self) -> int:
        """Return the bytes of the messages' texts."""
        return sum(
            len(text.encode())
            for message in self.messages
            for block in message["content"]
            for text in _texts(block)
        )


def _texts(block: Block) -> list[str]:
    if "text" in block:
        return [block["text"]]
    if "toolUse" in block:
        return [str(block["toolUse"]["input"])]
    if "toolResult" in block:
        return [t for part in block["toolResult"]["content"] for t in _texts(part)]
    if "reasoningContent" in block:
        return [block["reasoningContent"].get("reasoningText", {}).get("text", "")]
    return []


def _media(block: Block) -> list[bool]:
    if "toolResult" in block:
        return [kind for part in block["toolResult"]["content"] for kind in _media(part)]
    return ["image" in block or "document" in block]
