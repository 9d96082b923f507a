"""The body of ``POST /v1/responses``.

https://platform.openai.com/docs/api-reference/responses/create
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from gateway.api.body import Part

CallId = Annotated[str, Meta(pattern="^[a-zA-Z0-9_.:-]{1,64}$")]


class InputText(Part, tag_field="type", tag="input_text"):
    """Text of a user."""

    text: str


class OutputText(Part, tag_field="type", tag="output_text"):
    """Text of the assistant, as it was answered."""

    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class Refusal(Part, tag_field="type", tag="refusal"):
    """A refusal of the assistant."""

    refusal: str


class InputImage(Part, tag_field="type", tag="input_image"):
    """An image as a data URL."""

    image_url: str
    detail: Literal["auto"] | None = None


class InputFile(Part, tag_field="type", tag="input_file"):
    """A document as a data URL."""

    file_data: str
    filename: str = "document"


class InputMessage(Part, tag_field="type", tag="message"):
    """A turn."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputText | OutputText | Refusal | InputImage | InputFile]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class FunctionCall(Part, tag_field="type", tag="function_call"):
    """A call of the assistant; ``arguments`` is JSON in a string."""

    call_id: CallId
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None


class FunctionCallOutput(Part, tag_field="type", tag="function_call_output"):
    """The result of a call."""

    call_id: CallId
    output: str | list[InputText | InputImage | InputFile]
    id: str | None = None
    status: str | None = None


class Reasoning(Part, tag_field="type", tag="reasoning"):
    """Reasoning of the assistant; ``encrypted_content`` holds all of it."""

    encrypted_content: str
    id: str | None = None
    summary: list[Any] | None = None
    content: list[Any] | None = None
    status: str | None = None


InputItem = InputMessage | FunctionCall | FunctionCallOutput | Reasoning


class FunctionTool(Part):
    """A function that the model may call."""

    name: str
    type: Literal["function"] = "function"
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedToolChoice(Part):
    """The one function to call."""

    name: str
    type: Literal["function"] = "function"


class TextFormat(Part, tag_field="type", tag="text"):
    """Plain text."""


class JsonSchemaFormat(Part, tag_field="type", tag="json_schema"):
    """JSON that satisfies a schema."""

    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextConfig(Part):
    """The form of the answer's text."""

    format: TextFormat | JsonSchemaFormat | None = None
    verbosity: Literal["medium"] | None = None


class ReasoningConfig(Part):
    """How far the model reasons first. The reasoning itself is answered, never a summary."""

    effort: str | None = None
    summary: Literal["auto"] | None = None
    generate_summary: None = None


class StreamOptions(Part):
    """What a stream holds beside the answer."""

    include_obfuscation: Literal[False] | None = None


class ResponsesBody(Part):
    """A Responses request."""

    model: str
    # Items need no `type` when they are messages, which a union with tags cannot say.
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    include: list[Literal["reasoning.encrypted_content"]] | None = None
    # Caching needs no key here: the prefix itself is the key.
    prompt_cache_key: str | None = None
    background: bool | None = None
    context_management: Any = None
    conversation: Any = None
    max_tool_calls: int | None = None
    moderation: Any = None
    previous_response_id: str | None = None
    prompt: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    store: bool | None = None
    top_logprobs: int | None = None
    truncation: str | None = None


WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "background": (False,),
    "context_management": (),
    "conversation": (),
    "max_tool_calls": (),
    "moderation": (),
    "previous_response_id": (),
    "prompt": (),
    "prompt_cache_options": (),
    "prompt_cache_retention": ("in_memory", "in-memory"),
    "store": (False,),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
}
"""The values of these fields that ask for what happens anyway; see :func:`body.refuse`."""
