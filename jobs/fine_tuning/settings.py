"""What a fine-tune depends on, and what is refused before a device is touched."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from fine_tuning.errors import FineTuningError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the state of a run depends on. All of it is written into each checkpoint.

    Raises :class:`FineTuningError` for numbers that are not positive.
    """

    model: str
    """Folder of the base model, or its name on the Hugging Face Hub."""
    batch: int = 64
    """Sequences of each step, over all ranks."""
    learning_rate: float = 2e-4
    """Once warmed up."""
    warm_up: int = 20
    """Steps in which the learning rate grows to what it stays at."""
    adapter_rank: int = 16
    """Of LoRA's two matrices."""
    adapter_alpha: int = 32
    """LoRA's scale, by the rank: https://arxiv.org/abs/2106.09685."""
    seed: int = 1
    """Of the adapters and of the order of sequences."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("model", "seed") and not value > 0:
                raise FineTuningError(f"{field.name} = {value}: It must be more than 0.")

    def check_ranks(self, ranks: int) -> None:
        """Raise :class:`FineTuningError` unless ``ranks`` can share a batch evenly."""
        if self.batch % ranks:
            raise FineTuningError(
                f"batch = {self.batch}: {ranks} ranks cannot share it evenly. Take a multiple of "
                f"{ranks}, or other nodes."
            )

    def with_dataset(self, run: str) -> dict[str, Any]:
        """Return them as JSON's types, with the run of the curation that made the dataset."""
        return {**asdict(self), "dataset": run}
