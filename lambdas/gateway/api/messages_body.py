"""The body of ``POST /v1/messages``. https://docs.anthropic.com/en/api/messages"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from gateway.api.body import Part
from gateway.api.chat_body import CacheControl

ToolUseId = Annotated[str, Meta(pattern="^[a-zA-Z0-9_.:-]{1,64}$")]


class TextBlock(Part, tag_field="type", tag="text"):
    """Text."""

    text: str
    cache_control: CacheControl | None = None
    citations: list[Any] | None = None


class Base64Source(Part, tag_field="type", tag="base64"):
    """Content in base64."""

    media_type: str
    data: str


class UrlSource(Part, tag_field="type", tag="url"):
    """Content as a data URL; an address is never fetched."""

    url: str


class PlainTextSource(Part, tag_field="type", tag="text"):
    """A document that is plain text."""

    data: str
    media_type: Literal["text/plain"] = "text/plain"


class ImageBlock(Part, tag_field="type", tag="image"):
    """An image."""

    source: Base64Source | UrlSource
    cache_control: CacheControl | None = None


class Citations(Part):
    """Whether the answer cites the document, which this gateway cannot express."""

    enabled: Literal[False] = False


class DocumentBlock(Part, tag_field="type", tag="document"):
    """A document."""

    source: Base64Source | UrlSource | PlainTextSource
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None
    cache_control: CacheControl | None = None


class ThinkingBlock(Part, tag_field="type", tag="thinking"):
    """Reasoning with the signature that proves it is the model's own."""

    thinking: str
    signature: str


class RedactedThinkingBlock(Part, tag_field="type", tag="redacted_thinking"):
    """Reasoning that only the model can read, in base64."""

    data: str


class ToolUseBlock(Part, tag_field="type", tag="tool_use"):
    """A tool call of the assistant."""

    id: ToolUseId
    name: str
    input: dict[str, Any]
    cache_control: CacheControl | None = None


class ToolResultBlock(Part, tag_field="type", tag="tool_result"):
    """The result of a tool call."""

    tool_use_id: ToolUseId
    content: str | list[TextBlock | ImageBlock | DocumentBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


ContentBlock = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
)


class Message(Part):
    """One turn."""

    role: Literal["user", "assistant"]
    content: str | list[ContentBlock]


class ToolDefinition(Part):
    """A function that the model may call."""

    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


class ToolChoice(Part):
    """Which tools the model may or must call."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class JsonFormat(Part, tag_field="type", tag="json_schema"):
    """JSON that satisfies a schema."""

    schema: dict[str, Any]


class OutputConfig(Part):
    """The form and the effort of the answer."""

    effort: str | None = None
    format: JsonFormat | None = None


class RequestMetadata(Part):
    """Who asks, as an opaque identifier."""

    user_id: str | None = None


class Thinking(Part):
    """Whether, and how far, the model reasons first."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Meta(ge=1024)] | None = None


class MessagesBody(Part):
    """A Messages request."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)]
    system: str | list[TextBlock] | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=500)] | None = None
    stop_sequences: list[str] | None = None
    tools: list[ToolDefinition] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    metadata: RequestMetadata | None = None
    cache_control: CacheControl | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    container: Any = None
    context_management: Any = None
    diagnostics: Any = None
    inference_geo: Any = None
    mcp_servers: Any = None
    speed: str | None = None


WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "container": (),
    "context_management": (),
    "diagnostics": (),
    "inference_geo": (),
    "mcp_servers": ([],),
    "speed": ("standard",),
}
"""The values of these fields that ask for what happens anyway; see :func:`body.refuse`."""
