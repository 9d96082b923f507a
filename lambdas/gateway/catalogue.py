"""The models that the gateway offers: aliases, what each can do, costs, and falls back to.

The catalogue is a JSON document, so that a model's quirks are data and a new model needs no new
code. docs/gateway.md describes its fields.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from gateway.errors import NotFoundError, PermissionDeniedError
from gateway.governance.budget import ModelRates
from gateway.governance.identity import Caller

Capability = Literal[
    "document",
    "guarded_images",
    "image",
    "json_schema",
    "prompt_cache",
    "prompt_cache_1h",
    "sequential_tools",
    "stop",
    "strict_tools",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "unsigned_reasoning",
]


# What vLLM's API has no place for, or no answer to.
NOT_SERVED: frozenset[Capability] = frozenset(
    {"document", "guarded_images", "prompt_cache", "prompt_cache_1h", "thinking"}
)


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Micro-USD per million tokens, so that every price is an integer."""

    input: int
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0


class Effort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one reasoning effort becomes: ``outputConfig.effort`` or the model's own fields."""

    effort: str | None = None
    fields: dict[str, Any] = {}


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the catalogue.

    With ``base_url`` a model server answers at that address, and ``model_id`` is the name that it
    knows the model by; otherwise Bedrock does.
    """

    model_id: str
    price: Price
    context_tokens: int
    kind: Literal["chat", "embedding"] = "chat"
    max_output_tokens: int = 4096
    default_output_tokens: int = 4096
    capabilities: frozenset[Capability] = frozenset()
    efforts: dict[str, Effort] = {}
    service_tiers: frozenset[Literal["default", "priority", "flex", "reserved"]] = frozenset()
    additional_fields: dict[str, Any] = {}
    fallbacks: tuple[str, ...] = ()
    output_weight: int = 1
    # Tokenisers stay above two bytes a token on prose and code in the languages of the catalogue;
    # the ledger needs an upper bound, and settling returns the difference.
    bytes_per_token: int = 2
    media_tokens: int = 5000
    cache_minimum_tokens: int = 1024
    embedding: Literal["titan", "cohere", "openai"] = "titan"
    dimensions: frozenset[int] = frozenset()
    base_url: str | None = None

    @property
    def rates(self) -> ModelRates:
        """The prices and weights as the ledger takes them."""
        return ModelRates(
            input_price=self.price.input,
            output_price=self.price.output,
            cache_read_price=self.price.cache_read,
            cache_write_price=self.price.cache_write,
            output_weight=self.output_weight,
        )

    def tokens_of(self, characters_in_bytes: int, media: int = 0) -> int:
        """Return an upper bound for the tokens of an input, never above the context."""
        estimate = -(-characters_in_bytes // self.bytes_per_token) + media * self.media_tokens
        return min(max(1, estimate), self.context_tokens)


class Catalogue:
    """The models by alias."""

    def __init__(self, models: dict[str, Model]) -> None:
        self._models = models

    @classmethod
    def parse(cls, document: str | bytes) -> "Catalogue":
        """Read the JSON document ``{"<alias>": {...}}``.

        Raises:
            ValueError: the document is not JSON, breaks the schema, or contradicts itself; the
                message names every contradiction.
        """
        models = msgspec.json.decode(document, type=dict[str, Model])
        problems = [problem for alias in models for problem in _problems(alias, models)]
        if not models:
            problems.append("The catalogue has no model. Name at least one.")
        if problems:
            raise ValueError(" ".join(problems))
        return cls(models)

    @property
    def rates(self) -> dict[str, ModelRates]:
        """The rates of every model, by alias."""
        return {alias: model.rates for alias, model in self._models.items()}

    def entries(self) -> dict[str, Model]:
        """Return every model, by alias."""
        return dict(self._models)

    def visible(self, caller: Caller) -> dict[str, Model]:
        """Return the models that the caller may use."""
        return {
            alias: model
            for alias, model in self._models.items()
            if caller.models is None or alias in caller.models
        }

    def model(self, alias: str, caller: Caller, kind: str = "chat") -> Model:
        """Return one model.

        Raises:
            NotFoundError: there is none of that name and kind.
            PermissionDeniedError: the caller's key does not include it.
        """
        model = self._models.get(alias)
        if model is None or model.kind != kind:
            offered = sorted(a for a, m in self.visible(caller).items() if m.kind == kind)
            message = (
                f"There is no {kind} model {alias!r}. Use one of: {', '.join(offered) or 'none'}."
            )
            raise NotFoundError(message, param="model", code="model_not_found")
        if alias not in self.visible(caller):
            message = f"This key does not include the model {alias!r}. Ask for it to be added."
            raise PermissionDeniedError(message, param="model")
        return model

    def chain(self, alias: str, caller: Caller) -> list[str]:
        """Return the alias and those of its fallbacks that the caller may use, in order."""
        visible = self.visible(caller)
        first = self.model(alias, caller)
        return [alias, *(fallback for fallback in first.fallbacks if fallback in visible)]

    def entry(self, alias: str) -> Model:
        """Return the model of an alias that is known to exist."""
        return self._models[alias]


def _problems(alias: str, models: dict[str, Model]) -> list[str]:
    model = models[alias]
    found = [
        f"{alias}.fallbacks names {fallback!r}, which is no chat model of this catalogue. "
        "Remove it or add the model."
        for fallback in model.fallbacks
        if fallback not in models or models[fallback].kind != "chat" or fallback == alias
    ]
    if model.default_output_tokens > model.max_output_tokens:
        found.append(
            f"{alias}.default_output_tokens is {model.default_output_tokens}, more than "
            f"max_output_tokens, {model.max_output_tokens}. Lower it."
        )
    if min(model.bytes_per_token, model.context_tokens, model.max_output_tokens) < 1:
        found.append(f"{alias}: token counts and bytes_per_token must be 1 or more.")
    return [*found, *_server_problems(alias, model)]


def _server_problems(alias: str, model: Model) -> Iterator[str]:
    is_served = model.base_url is not None
    if model.base_url and not model.base_url.startswith(("https://", "http://127.0.0.1:")):
        yield f"{alias}.base_url must begin with https://: a key must not be sent in the clear."
    impossible = sorted(model.capabilities & NOT_SERVED) if is_served else []
    if impossible:
        yield f"{alias}.capabilities names {', '.join(impossible)}, which no model server has."
    if model.kind == "embedding" and is_served != (model.embedding == "openai"):
        yield f"{alias}.embedding is 'openai' for models with a base_url, and for no others."
