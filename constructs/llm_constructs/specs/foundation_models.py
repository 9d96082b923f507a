"""Facts about foundation models that environments name most often.

Prices are list prices of US regions for the standard tier on 2026-11-22; a team with other terms
gives its own in the environment's file. Sources: the model cards below
https://docs.aws.amazon.com/bedrock/latest/userguide/model-cards.html and
https://aws.amazon.com/bedrock/pricing/.
"""

from typing import Final

from llm_constructs.specs.model import (
    EmbeddingFormat,
    ModelCapability,
    ModelFacts,
    ModelKind,
    Price,
    ReasoningEffort,
)

_C = ModelCapability

_CLAUDE = (
    *(_C.SYSTEM, _C.TEMPERATURE, _C.TOP_P, _C.TOP_K, _C.STOP),
    *(_C.TOOLS, _C.TOOL_CHOICE, _C.SEQUENTIAL_TOOLS, _C.STRICT_TOOLS, _C.JSON_SCHEMA),
    *(_C.IMAGE, _C.DOCUMENT, _C.PROMPT_CACHE, _C.THINKING),
)

_CLAUDE_OUTPUT_WEIGHT = 5
"""https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html"""


def _budget(tokens: int) -> ReasoningEffort:
    # https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html
    return ReasoningEffort(fields={"thinking": {"type": "enabled", "budget_tokens": tokens}})


def _adaptive(effort: str) -> ReasoningEffort:
    # https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html
    return ReasoningEffort(effort=effort, fields={"thinking": {"type": "adaptive"}})


def _nova(effort: str) -> ReasoningEffort:
    # https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html; `high` is
    # left out, because it takes no limit of tokens, and the gateway always sends one.
    return ReasoningEffort(
        fields={"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
    )


FOUNDATION_MODELS: Final[dict[str, ModelFacts]] = {
    "anthropic.claude-haiku-4-5-20251001-v1:0": ModelFacts(
        context_tokens=200_000,
        max_output_tokens=64_000,
        price=Price(input=1_000_000, output=5_000_000, cache_read=100_000, cache_write=1_250_000),
        geo_price=Price(
            input=1_100_000, output=5_500_000, cache_read=110_000, cache_write=1_375_000
        ),
        capabilities=(*_CLAUDE, _C.PROMPT_CACHE_1H),
        efforts={"low": _budget(1024), "medium": _budget(2048), "high": _budget(3072)},
        output_weight=_CLAUDE_OUTPUT_WEIGHT,
        cache_minimum_tokens=4096,
    ),
    "anthropic.claude-sonnet-4-6": ModelFacts(
        context_tokens=1_000_000,
        max_output_tokens=64_000,
        price=Price(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000),
        geo_price=Price(
            input=3_300_000, output=16_500_000, cache_read=330_000, cache_write=4_125_000
        ),
        capabilities=_CLAUDE,
        efforts={effort: _adaptive(effort) for effort in ("low", "medium", "high")},
        output_weight=_CLAUDE_OUTPUT_WEIGHT,
        cache_minimum_tokens=2048,
    ),
    "amazon.nova-2-lite-v1:0": ModelFacts(
        context_tokens=1_000_000,
        max_output_tokens=65_000,
        price=Price(input=300_000, output=2_500_000),
        geo_price=Price(input=330_000, output=2_750_000),
        # Its prompt cache takes no tools, which the gateway's automatic cache points include.
        capabilities=(
            *(_C.SYSTEM, _C.TEMPERATURE, _C.TOP_P, _C.STOP),
            *(_C.TOOLS, _C.TOOL_CHOICE, _C.IMAGE, _C.DOCUMENT),
        ),
        efforts={"low": _nova("low"), "medium": _nova("medium")},
    ),
    "amazon.titan-embed-text-v2:0": ModelFacts(
        kind=ModelKind.EMBEDDING,
        embedding=EmbeddingFormat.TITAN,
        context_tokens=8192,
        price=Price(input=20_000),
        dimensions=(256, 512, 1024),
        additional_fields={"normalize": True},
    ),
}
"""The facts by the id of the foundation model, without a profile's prefix."""
