"""A model that the gateway offers, and what is known of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from llm_constructs.specs.problem import Problems
from llm_constructs.specs.residency import ModelReference


class ModelKind(StrEnum):
    """What a model does."""

    CHAT = "chat"
    EMBEDDING = "embedding"


class EmbeddingFormat(StrEnum):
    """Whose request body an embedding model takes."""

    TITAN = "titan"
    COHERE = "cohere"
    OPENAI = "openai"
    """Of a model that the environment serves itself."""


class ModelCapability(StrEnum):
    """What a model accepts; a request for anything else is refused with the field's name."""

    DOCUMENT = "document"
    GUARDED_IMAGES = "guarded_images"
    IMAGE = "image"
    JSON_SCHEMA = "json_schema"
    PROMPT_CACHE = "prompt_cache"
    PROMPT_CACHE_1H = "prompt_cache_1h"
    SEQUENTIAL_TOOLS = "sequential_tools"
    STOP = "stop"
    STRICT_TOOLS = "strict_tools"
    SYSTEM = "system"
    TEMPERATURE = "temperature"
    THINKING = "thinking"
    TOOL_CHOICE = "tool_choice"
    TOOLS = "tools"
    TOP_K = "top_k"
    TOP_P = "top_p"
    UNSIGNED_REASONING = "unsigned_reasoning"


class ServiceTier(StrEnum):
    """Bedrock's service tiers.

    https://docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html
    """

    DEFAULT = "default"
    PRIORITY = "priority"
    FLEX = "flex"
    RESERVED = "reserved"


@dataclass(frozen=True, kw_only=True)
class Price:
    """Micro-USD for a million tokens, so that every price is a whole number: 1 USD is 1000000."""

    input: int
    """For tokens that are read."""
    output: int = 0
    """For tokens that are written."""
    cache_read: int = 0
    """For tokens that are read from the prompt cache."""
    cache_write: int = 0
    """For tokens that are written to the prompt cache."""

    def __post_init__(self) -> None:
        problems = Problems("price")
        problems.require(
            self.input > 0,
            "input",
            self.input,
            "A model whose input costs nothing would pass every budget.",
            "Give micro-USD for a million tokens, for example 3000000 for 3 USD.",
        )
        for name in ("output", "cache_read", "cache_write"):
            value: int = getattr(self, name)
            problems.require(
                value >= 0, name, value, "A price is not negative.", "Give 0 or more micro-USD."
            )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class ReasoningEffort:
    """What one value of `reasoning_effort` becomes."""

    effort: str | None = None
    """The value of Converse's `outputConfig.effort`."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Members of Converse's `additionalModelRequestFields`."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is true of a foundation model, whatever alias it goes by. Counts are in tokens."""

    context_tokens: int
    price: Price
    geo_price: Price | None = None
    """The price through a geographic profile, where it differs."""
    kind: ModelKind = ModelKind.CHAT
    max_output_tokens: int = 4096
    capabilities: tuple[ModelCapability, ...] = ()
    efforts: Mapping[str, ReasoningEffort] = field(default_factory=dict)
    service_tiers: tuple[ServiceTier, ...] = ()
    additional_fields: Mapping[str, Any] = field(default_factory=dict)
    output_weight: int = 1
    cache_minimum_tokens: int = 1024
    embedding: EmbeddingFormat = EmbeddingFormat.TITAN
    dimensions: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelAlias:
    """A name that clients use, and what answers: a model on Bedrock, or one of `[serving]`.

    Of models in the table of docs/gateway-deployment.md the facts are known; what is given here
    replaces them. Any other model, and each of `[serving]`, needs at least its price,
    `context_tokens` and `max_output_tokens`.
    """

    alias: str
    """The name, as clients send it in `model`."""
    model_id: str | None = None
    """The id of a foundation model or of a system-defined inference profile, or the ARN of a custom
    model deployment."""
    served_by: str | None = None
    """The name of the model in `[[serving.models]]` that answers, in place of `model_id`."""
    fallbacks: tuple[str, ...] = ()
    """Aliases that answer instead, in this order, while the model throttles or fails."""
    default_output_tokens: int = 4096
    """The most tokens of an answer whose request does not say."""
    price: Price | None = None
    """What tokens cost."""
    context_tokens: int | None = None
    """The most tokens of input and output together."""
    max_output_tokens: int | None = None
    """The most tokens of an answer that clients may ask for."""
    kind: ModelKind | None = None
    """`chat` or `embedding`."""
    capabilities: tuple[ModelCapability, ...] | None = None
    """What the model accepts."""
    efforts: Mapping[str, ReasoningEffort] | None = None
    """What each value of `reasoning_effort` becomes."""
    service_tiers: tuple[ServiceTier, ...] | None = None
    """The service tiers that clients may ask for."""
    additional_fields: Mapping[str, Any] | None = None
    """Members of `additionalModelRequestFields` (or of an embedding's body) in every request."""
    output_weight: int | None = None
    """How many tokens of quota a token of output costs.
    https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html"""
    cache_minimum_tokens: int | None = None
    """The shortest prefix that Bedrock caches."""
    embedding: EmbeddingFormat | None = None
    """The body of an embedding model on Bedrock: `titan` or `cohere`."""
    dimensions: tuple[int, ...] | None = None
    """The lengths of vectors that an embedding model offers."""

    @property
    def reference(self) -> ModelReference | None:
        """The model on Bedrock; ``None`` where the environment serves the model itself.

        Raises :class:`~llm_constructs.specs.problem.SpecificationError` for an id that is none.
        """
        return None if self.model_id is None else ModelReference.parse(self.model_id)

    def overridden(self) -> dict[str, Any]:
        """Return the facts that the alias gives itself."""
        known = {fact.name for fact in fields(ModelFacts)}
        return {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.name in known and getattr(self, entry.name) is not None
        }


def catalogue_entry(
    alias: ModelAlias, facts: ModelFacts, price: Price, *, base_url: str | None = None
) -> dict[str, Any]:
    """Return the entry of the gateway's catalogue, as JSON takes it, without what is empty.

    ``base_url`` is where a model server answers.
    """
    entry = {
        "model_id": alias.served_by or alias.model_id,
        "base_url": base_url,
        "fallbacks": list(alias.fallbacks),
        "default_output_tokens": min(alias.default_output_tokens, facts.max_output_tokens),
        **asdict(facts),
        "price": asdict(price),
        "efforts": {name: _without_empty(asdict(it)) for name, it in facts.efforts.items()},
    }
    entry.pop("geo_price")
    if facts.kind is ModelKind.CHAT:
        entry.pop("embedding")
    return _without_empty(entry)


def _without_empty(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value not in (None, (), [], {})}
