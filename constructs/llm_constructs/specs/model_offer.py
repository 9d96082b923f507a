"""What holds of the models that a gateway offers, each by itself and all together."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from llm_constructs.specs.foundation_models import FOUNDATION_MODELS
from llm_constructs.specs.model import (
    EmbeddingFormat,
    ModelAlias,
    ModelCapability,
    ModelFacts,
    ModelKind,
    Price,
)
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.problem import Problems, SpecificationError
from llm_constructs.specs.residency import GLOBAL_PREFIX

NOT_SERVED: Final = frozenset(
    {
        ModelCapability.DOCUMENT,
        ModelCapability.GUARDED_IMAGES,
        ModelCapability.PROMPT_CACHE,
        ModelCapability.PROMPT_CACHE_1H,
        ModelCapability.THINKING,
    }
)
"""What vLLM's API has no place for. It caches what prompts share without being told."""

_ALIAS = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NEEDED = ("price", "context_tokens", "max_output_tokens")


def facts_of(alias: ModelAlias) -> ModelFacts:
    """Return what is known of the model behind ``alias``, with what the alias gives itself."""
    own = alias.overridden()
    known = _known(alias)
    facts = ModelFacts(**own) if known is None else replace(known, **own)
    is_served = alias.served_by is not None
    return replace(facts, embedding=EmbeddingFormat.OPENAI) if is_served else facts


def price_of(alias: ModelAlias) -> Price:
    """Return what tokens cost through ``alias``."""
    if alias.price is not None:
        return alias.price
    facts = facts_of(alias)
    prefix = alias.reference.prefix if alias.reference else None
    geographic = prefix is not None and prefix != GLOBAL_PREFIX
    return facts.geo_price if geographic and facts.geo_price else facts.price


def check_models(problems: Problems, models: Sequence[ModelAlias]) -> None:
    """Note everything that is wrong with the models of a gateway."""
    problems.require(
        bool(models),
        "models",
        [],
        "A gateway without a model answers nothing.",
        "Add at least one [[gateway.models]].",
    )
    for index, model in enumerate(models):
        field = f"models.{index}"
        problems.require(
            _ALIAS.fullmatch(model.alias) is not None,
            f"{field}.alias",
            model.alias,
            "Clients could not send it as a model's name.",
            "Use up to 63 lower-case letters, digits, dots, hyphens and underscores.",
        )
        _check_model(problems, field, model, models)
    for path in _cycles({model.alias: model.fallbacks for model in models}):
        problems.add(
            "models",
            " → ".join(path),
            "Fallbacks lead back to where they began.",
            "Remove one of them, so that the last model has none.",
        )


def check_served(
    problems: Problems,
    models: Sequence[ModelAlias],
    servers: Mapping[str, ModelServer],
    *,
    field: str,
) -> None:
    """Note every alias that asks for what no server of the environment does.

    ``servers`` are the models of ``[serving]`` by name; ``field`` is where ``models`` stand.
    """
    for index, model in enumerate(models):
        if model.served_by is None:
            continue
        server = servers.get(model.served_by)
        if server is None:
            problems.add(
                f"{field}.{index}.served_by",
                model.served_by,
                "[serving] has no model of this name.",
                f"Choose from {', '.join(servers) or 'nothing'}, or add the model.",
            )
            continue
        _check_server(problems, f"{field}.{index}", model, server)


def _check_server(problems: Problems, field: str, model: ModelAlias, server: ModelServer) -> None:
    problems.require(
        (model.context_tokens or 0) <= server.max_model_tokens,
        f"{field}.context_tokens",
        model.context_tokens,
        f"The server of {server.name} takes {server.max_model_tokens} tokens in all.",
        "Lower it, or raise max_model_tokens there.",
    )
    problems.require(
        ModelCapability.TOOLS not in (model.capabilities or ()) or server.tool_parser is not None,
        f"{field}.capabilities",
        "tools",
        f"The server of {server.name} would return calls of tools as plain text.",
        "Name the model's tool_parser there, or leave the capability out.",
    )


def _known(alias: ModelAlias) -> ModelFacts | None:
    reference = alias.reference
    return FOUNDATION_MODELS.get(reference.foundation_model) if reference else None


def _check_model(
    problems: Problems, field: str, model: ModelAlias, models: Sequence[ModelAlias]
) -> None:
    if (model.model_id is None) == (model.served_by is None):
        problems.add(
            f"{field}.model_id",
            model.model_id,
            "A model answers on Bedrock or on the environment's own server, and on one of them.",
            "Give either model_id or served_by.",
        )
        return
    try:
        known = _known(model)
    except SpecificationError as error:
        for problem in error.problems:
            problems.add(f"{field}.model_id", model.model_id, problem.reason, problem.remedy)
        return
    missing = [name for name in _NEEDED if not known and getattr(model, name) is None]
    for name in missing:
        problems.add(f"{field}.{name}", None, *_why_needed(model))
    if model.served_by is not None:
        _check_served_facts(problems, field, model)
    if missing:
        return
    _check_tokens(problems, field, model, known)
    _check_fallbacks(problems, field, model, models)


def _why_needed(model: ModelAlias) -> tuple[str, str]:
    if model.reference is None:
        return (
            f"It is not known of {model.served_by}, and budgets need it.",
            "Give it; docs/gateway-models.md says how to find a price for what nobody bills.",
        )
    name = model.reference.foundation_model or model.model_id
    return (
        f"It is not known of {name}, and budgets need it.",
        "Give it; the model's card and the price list of Bedrock have it.",
    )


def _check_served_facts(problems: Problems, field: str, model: ModelAlias) -> None:
    impossible = sorted(set(model.capabilities or ()) & NOT_SERVED)
    problems.require(
        not impossible,
        f"{field}.capabilities",
        impossible,
        "vLLM's API has no place for it.",
        "Leave it out; what prompts share is cached without it.",
    )
    given = [
        name
        for name in ("service_tiers", "embedding", "cache_minimum_tokens")
        if getattr(model, name) is not None
    ]
    problems.require(
        not given,
        f"{field}.served_by",
        model.served_by,
        f"{', '.join(given)} is Bedrock's, and means nothing to a server.",
        "Leave it out.",
    )


def _check_tokens(
    problems: Problems, field: str, model: ModelAlias, known: ModelFacts | None
) -> None:
    facts = facts_of(model)
    limit = known.max_output_tokens if known else facts.context_tokens
    problems.require(
        1 <= facts.max_output_tokens <= limit,
        f"{field}.max_output_tokens",
        facts.max_output_tokens,
        f"The model writes at most {limit} tokens.",
        f"Give 1 to {limit}.",
    )
    is_embedding = facts.kind is ModelKind.EMBEDDING
    problems.require(
        is_embedding or 1 <= model.default_output_tokens <= facts.max_output_tokens,
        f"{field}.default_output_tokens",
        model.default_output_tokens,
        f"It must lie between 1 and max_output_tokens, which is {facts.max_output_tokens}.",
        "Lower it, or raise max_output_tokens.",
    )
    problems.require(
        is_embedding or price_of(model).output > 0,
        f"{field}.price.output",
        0,
        "A model whose output costs nothing would pass every budget.",
        "Give micro-USD for a million tokens, for example 15000000 for 15 USD.",
    )


def _check_fallbacks(
    problems: Problems, field: str, model: ModelAlias, models: Sequence[ModelAlias]
) -> None:
    chat = {
        other.alias
        for other in models
        if other.kind is not ModelKind.EMBEDDING and not _is_known_embedding(other)
    }
    unknown = [alias for alias in model.fallbacks if alias not in chat]
    problems.require(
        not unknown,
        f"{field}.fallbacks",
        unknown,
        "No chat model of the gateway has this alias.",
        f"Choose from {', '.join(sorted(chat)) or 'nothing'}, or add the model.",
    )


def _is_known_embedding(model: ModelAlias) -> bool:
    model_id = model.model_id or ""
    _, _, rest = model_id.partition(".")
    known = FOUNDATION_MODELS.get(model_id) or FOUNDATION_MODELS.get(rest)
    return known is not None and model.kind is None and known.kind is ModelKind.EMBEDDING


def _cycles(fallbacks: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield each cycle once, beginning with the alias of it that sorts first."""
    pending: list[tuple[str, ...]] = [(alias,) for alias in sorted(fallbacks)]
    while pending:
        path = pending.pop()
        for following in fallbacks.get(path[-1], ()):
            if following == path[0]:
                yield (*path, following)
            elif following not in path and following > path[0]:
                pending.append((*path, following))
