"""Foundation models that Bedrock fine-tunes and serves on demand afterwards.

Source of regions and models:
https://docs.aws.amazon.com/bedrock/latest/userguide/deploy-custom-model-on-demand.html; of data:
https://docs.aws.amazon.com/bedrock/latest/userguide/model-customization-prepare.html and
https://docs.aws.amazon.com/nova/latest/userguide/fine-tune-prepare-data-understanding.html; of the
hyperparameters: https://docs.aws.amazon.com/bedrock/latest/userguide/custom-models-hp.html.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class RecordFormat(StrEnum):
    """What a line of a dataset looks like."""

    CONVERSATION = "conversation"
    """`schemaVersion` bedrock-conversation-2024 with `system` and `messages`, as Converse has
    them."""
    PROMPT_COMPLETION = "prompt-completion"
    """`prompt` and `completion`."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """The numbers that a hyperparameter may be, both ends included."""

    lowest: float
    highest: float
    whole: bool = False

    def holds(self, text: str) -> bool:
        """Say whether the API would take ``text``."""
        try:
            number = int(text) if self.whole else float(text)
        except ValueError:
            return False
        return self.lowest <= number <= self.highest


@dataclass(frozen=True, kw_only=True)
class CustomizableModel:
    """One base model. ``evaluated_as`` is what answers for it untuned, by its model id."""

    regions: frozenset[str]
    evaluated_as: str
    formats: frozenset[RecordFormat]
    record_tokens: int
    most_records: int
    hyperparameters: Mapping[str, Range]
    reserved_words: tuple[str, ...] = field(default=())


_NOVA_WORDS: Final = ("User:", "Bot:", "Assistant:", "System:", "<image>", "<video>", "[EOS]")

_NOVA_HYPERPARAMETERS: Final = {
    "epochCount": Range(lowest=1, highest=5, whole=True),
    "learningRate": Range(lowest=1e-6, highest=1e-4),
    "learningRateWarmupSteps": Range(lowest=0, highest=100, whole=True),
}

_LLAMA_HYPERPARAMETERS: Final = {
    "epochCount": Range(lowest=1, highest=10, whole=True),
    "batchSize": Range(lowest=1, highest=1, whole=True),
    "learningRate": Range(lowest=5e-6, highest=0.1),
}


def _nova(name: str) -> CustomizableModel:
    return CustomizableModel(
        regions=frozenset({"us-east-1"}),
        evaluated_as=f"amazon.nova-{name}-v1:0",
        formats=frozenset({RecordFormat.CONVERSATION}),
        record_tokens=32_000,
        most_records=20_000,
        hyperparameters=_NOVA_HYPERPARAMETERS,
        reserved_words=_NOVA_WORDS,
    )


CUSTOMIZABLE_MODELS: Final[dict[str, CustomizableModel]] = {
    "amazon.nova-micro-v1:0:128k": _nova("micro"),
    "amazon.nova-lite-v1:0:300k": _nova("lite"),
    "amazon.nova-pro-v1:0:300k": _nova("pro"),
    "meta.llama3-3-70b-instruct-v1:0:128k": CustomizableModel(
        regions=frozenset({"us-west-2"}),
        evaluated_as="us.meta.llama3-3-70b-instruct-v1:0",
        formats=frozenset(RecordFormat),
        record_tokens=16_000,
        most_records=10_000,
        hyperparameters=_LLAMA_HYPERPARAMETERS,
    ),
}
"""The models by the id that fine-tuning knows them by, which has the length of the context."""
