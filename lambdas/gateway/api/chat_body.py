"""The body of ``POST /v1/chat/completions``.

https://platform.openai.com/docs/api-reference/chat/create
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from gateway.api.body import Part


class CacheControl(Part):
    """Anthropic's marker of where a cached prefix ends, taken on parts and tools here as well."""

    type: Literal["ephemeral"] = "ephemeral"
    ttl: Literal["5m", "1h"] | None = None


class TextPart(Part, tag_field="type", tag="text"):
    """Text."""

    text: str
    cache_control: CacheControl | None = None


class ImageUrl(Part):
    """An image as a data URL."""

    url: str
    detail: Literal["auto"] | None = None


class ImagePart(Part, tag_field="type", tag="image_url"):
    """An image."""

    image_url: ImageUrl
    cache_control: CacheControl | None = None


class File(Part):
    """A document as a data URL."""

    file_data: str
    filename: str = "document"


class FilePart(Part, tag_field="type", tag="file"):
    """A document."""

    file: File
    cache_control: CacheControl | None = None


class RefusalPart(Part, tag_field="type", tag="refusal"):
    """A refusal that an assistant gave before."""

    refusal: str


class SystemMessage(Part, tag_field="role", tag="system"):
    """Instructions."""

    content: str | list[TextPart]
    name: str | None = None


class DeveloperMessage(Part, tag_field="role", tag="developer"):
    """Instructions, under their newer name."""

    content: str | list[TextPart]
    name: str | None = None


class UserMessage(Part, tag_field="role", tag="user"):
    """What the user says."""

    content: str | list[TextPart | ImagePart | FilePart]
    name: str | None = None


class FunctionCall(Part):
    """A call as the assistant wrote it; ``arguments`` is JSON in a string."""

    name: str
    arguments: str = ""


class ToolCall(Part):
    """A tool call of the assistant."""

    id: Annotated[str, Meta(pattern="^[a-zA-Z0-9_.:-]{1,64}$")]
    function: FunctionCall
    type: Literal["function"] = "function"
    index: int | None = None


class ReasoningText(Part, tag_field="type", tag="reasoning.text"):
    """Reasoning with the signature that proves it is the model's own."""

    text: str
    signature: str | None = None
    index: int | None = None


class EncryptedReasoning(Part, tag_field="type", tag="reasoning.encrypted"):
    """Reasoning that only the model can read, in base64."""

    data: str
    index: int | None = None


class AssistantMessage(Part, tag_field="role", tag="assistant"):
    """What the assistant said, as it was answered."""

    content: str | list[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningText | EncryptedReasoning] | None = None
    name: str | None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None


class ToolMessage(Part, tag_field="role", tag="tool"):
    """The result of a tool call."""

    tool_call_id: Annotated[str, Meta(pattern="^[a-zA-Z0-9_.:-]{1,64}$")]
    content: str | list[TextPart | ImagePart]
    name: str | None = None


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage


class FunctionTool(Part):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatTool(Part):
    """A tool; only functions exist on Bedrock."""

    function: FunctionTool
    type: Literal["function"] = "function"
    cache_control: CacheControl | None = None


class NamedFunction(Part):
    """The name of a function."""

    name: str


class NamedToolChoice(Part):
    """The one function to call."""

    function: NamedFunction
    type: Literal["function"] = "function"


class JsonSchema(Part):
    """The schema of an answer."""

    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextFormat(Part, tag_field="type", tag="text"):
    """Plain text."""


class JsonSchemaFormat(Part, tag_field="type", tag="json_schema"):
    """JSON that satisfies a schema."""

    json_schema: JsonSchema


class StreamOptions(Part):
    """What a stream holds beside the answer."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class ChatBody(Part):
    """A chat completion request."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=500)] | None = None
    stop: str | list[str] | None = None
    tools: list[ChatTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonSchemaFormat | None = None
    reasoning_effort: str | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    # Caching needs no key here: the prefix itself is the key.
    prompt_cache_key: str | None = None
    audio: Any = None
    frequency_penalty: float | None = None
    function_call: Any = None
    functions: Any = None
    logit_bias: dict[str, Any] | None = None
    logprobs: bool | None = None
    modalities: list[str] | None = None
    moderation: Any = None
    n: int | None = None
    prediction: Any = None
    presence_penalty: float | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    seed: int | None = None
    store: bool | None = None
    top_logprobs: int | None = None
    verbosity: str | None = None
    web_search_options: Any = None


WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": (),
    "functions": (),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "prediction": (),
    "presence_penalty": (0,),
    "prompt_cache_options": (),
    "prompt_cache_retention": ("in_memory", "in-memory"),
    "seed": (),
    "store": (False,),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}
"""The values of these fields that ask for what happens anyway; see :func:`body.refuse`."""
