"""What the data lake keeps, for how long, and where a copy of it lives."""

from dataclasses import dataclass
from enum import StrEnum

from llm_constructs.specs.problem import Problems


class DataClass(StrEnum):
    """Data with one owner, one sensitivity and so one key and one bucket."""

    CORPUS = "corpus"
    """Text to learn from, before and after curation."""
    ARTIFACTS = "artifacts"
    """What training makes: checkpoints and models."""
    LOGS = "logs"
    """What the platform's services record."""


class LakeArea(StrEnum):
    """A prefix of the lake with a purpose of its own; permissions are given by area."""

    RAW = "raw"
    CURATED = "curated"
    REJECTED = "rejected"
    DATASETS = "datasets"
    CHECKPOINTS = "checkpoints"
    MODELS = "models"
    LOGS = "logs"

    @property
    def data_class(self) -> DataClass:
        """The class whose bucket and key hold the area."""
        match self:
            case LakeArea.CHECKPOINTS | LakeArea.MODELS:
                return DataClass.ARTIFACTS
            case LakeArea.LOGS:
                return DataClass.LOGS
            case _:
                return DataClass.CORPUS

    @property
    def prefix(self) -> str:
        """The key prefix, with its slash."""
        return f"{self.value}/"


@dataclass(frozen=True, kw_only=True)
class LakeRetention:
    """Days until objects go. Raw, curated and dataset objects and models never go by age."""

    checkpoints_days: int = 90
    """Age at which checkpoints go; copy one to the models area to keep it."""
    rejected_days: int = 180
    """Age at which records that curation rejected go."""
    logs_days: int = 400
    """Age at which the services' logs go."""
    access_logs_days: int = 400
    """Age at which the buckets' own access logs go."""
    noncurrent_days: int = 30
    """Days for which anything deleted or overwritten can be brought back."""

    def __post_init__(self) -> None:
        problems = Problems("retention")
        for name in (
            "checkpoints_days",
            "rejected_days",
            "logs_days",
            "access_logs_days",
            "noncurrent_days",
        ):
            days: int = getattr(self, name)
            problems.require(
                days >= 1,
                name,
                days,
                "Objects cannot expire before they are a day old.",
                "Give a number of days of at least 1.",
            )
        problems.require(
            self.checkpoints_days >= self.noncurrent_days,
            "checkpoints_days",
            self.checkpoints_days,
            f"Checkpoints would expire sooner than what was deleted by mistake "
            f"(noncurrent_days = {self.noncurrent_days}).",
            f"Give at least {self.noncurrent_days}, or lower noncurrent_days.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class LakeReplication:
    """A second region that holds a copy, in the same jurisdiction.

    Deletions are not copied: the replica is what survives a mistake in the first region.
    """

    region: str
    """The second region."""
    data_classes: tuple[DataClass, ...] = (DataClass.CORPUS, DataClass.ARTIFACTS)
    """What to copy: `corpus`, `artifacts`, `logs`."""

    def __post_init__(self) -> None:
        problems = Problems("replication")
        problems.require(
            bool(self.data_classes) and len(set(self.data_classes)) == len(self.data_classes),
            "data_classes",
            [str(data_class) for data_class in self.data_classes],
            "The classes to copy must be named, each once.",
            f"Choose from {', '.join(DataClass)}, or leave the table out to copy nothing.",
        )
        problems.raise_if_any()
