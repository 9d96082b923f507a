"""Fine-tuning: what is trained on which data, and how good the result must be."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from llm_constructs.specs.accelerators import known_types
from llm_constructs.specs.container_image import check_image
from llm_constructs.specs.customizable_models import (
    CUSTOMIZABLE_MODELS,
    CustomizableModel,
    RecordFormat,
)
from llm_constructs.specs.instance_type import DeviceKind, InstanceType, SageMakerUse
from llm_constructs.specs.log_retention import check_log_retention
from llm_constructs.specs.problem import Problems

LONGEST_TRAINING_HOURS: Final = 120
"""Five days: the default quota of a SageMaker training job, which also bounds the wait for Bedrock.

https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
"""

MOST_EVALUATED: Final = 1000
"""Records that the evaluating function puts to two models within its 15 minutes."""

LONGEST_PATTERN: Final = 500
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_MetricDefinition.html"""

_METRIC = re.compile(r"[A-Za-z0-9_:-]{1,255}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True, kw_only=True)
class DatasetRules:
    """What training, validation and evaluation data must be like."""

    format: RecordFormat = RecordFormat.CONVERSATION
    """`conversation` or `prompt-completion`."""
    least_records: int = 100
    """Fewest records of the training data; AWS advises a hundred for each task."""
    duplicate_percent: int = 5
    """Share of records that may say what another one says."""
    personal_data: bool = False
    """Whether records may hold what looks like personal data or secrets. A model repeats what it
    has learnt to whoever asks for it."""

    def __post_init__(self) -> None:
        problems = Problems("dataset rules")
        problems.require(
            self.least_records >= 1,
            "least_records",
            self.least_records,
            "A model learns nothing from nothing.",
            "Give at least 1.",
        )
        _check_percent(problems, "duplicate_percent", self.duplicate_percent)
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class QualityGate:
    """How the tuned model must answer the evaluation data beside the base model, in percent."""

    f1_percent: int = 50
    """The least mean overlap of words (F1) with the expected answers."""
    gain_points: int = 1
    """By how many percentage points that must exceed the base model's."""
    refusal_points: int = 2
    """By how many percentage points the share of refused records may exceed the base model's."""
    records: int = 200
    """How many records of the evaluation data are asked, from its beginning."""

    def __post_init__(self) -> None:
        problems = Problems("quality gate")
        for name in ("f1_percent", "gain_points", "refusal_points"):
            _check_percent(problems, name, getattr(self, name))
        problems.require(
            1 <= self.records <= MOST_EVALUATED,
            "records",
            self.records,
            "The function that asks them runs for 15 minutes at most.",
            f"Give 1 to {MOST_EVALUATED}.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class BedrockFineTuning:
    """A foundation model that Bedrock tunes, and then serves on demand."""

    base_model: str
    """The model's id as fine-tuning knows it, such as `amazon.nova-micro-v1:0:128k`."""
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    """Hyperparameters of the model, as strings. Left out: the model's defaults."""
    dataset: DatasetRules = field(default_factory=DatasetRules)
    """What the data must be like."""
    quality: QualityGate = field(default_factory=QualityGate)
    """How good the result must be to be published."""
    training_hours: int = 48
    """Hours after which a job that has not ended is stopped."""

    def __post_init__(self) -> None:
        problems = Problems("fine-tuning in Bedrock")
        known = CUSTOMIZABLE_MODELS.get(self.base_model)
        if known is None:
            problems.add(
                "base_model",
                self.base_model,
                "Bedrock does not tune it and serve it on demand afterwards.",
                f"Choose one of {', '.join(sorted(CUSTOMIZABLE_MODELS))}.",
            )
        else:
            self._check_model(problems, known)
        _check_hours(problems, "training_hours", self.training_hours)
        problems.raise_if_any()

    @property
    def model(self) -> CustomizableModel:
        """What is known of the base model."""
        return CUSTOMIZABLE_MODELS[self.base_model]

    def _check_model(self, problems: Problems, known: CustomizableModel) -> None:
        problems.require(
            self.dataset.format in known.formats,
            "dataset.format",
            str(self.dataset.format),
            f"{self.base_model} learns from other records.",
            f"Choose {' or '.join(sorted(known.formats))}.",
        )
        for name, value in self.hyperparameters.items():
            allowed = known.hyperparameters.get(name)
            problems.require(
                allowed is not None and allowed.holds(value),
                f"hyperparameters.{name}",
                value,
                "The model has no such hyperparameter."
                if allowed is None
                else f"It lies between {allowed.lowest:g} and {allowed.highest:g}.",
                f"The model takes {', '.join(sorted(known.hyperparameters))}.",
            )


@dataclass(frozen=True, kw_only=True)
class LoggedMetric:
    """A number that the training job measures on the evaluation data and writes into its log, and
    how good its last value must be for the weights to be published.

    Raises :class:`SpecificationError` for what SageMaker could not find in a log or compare.
    """

    pattern: str
    """A regular expression with one group, the number: `eval_loss=([0-9.]+)`."""
    name: str = "evaluation"
    """What SageMaker, the approvers and CloudWatch call it."""
    at_most: float | None = None
    """The highest value that is good enough. Either this or `at_least`."""
    at_least: float | None = None
    """The lowest value that is good enough."""

    def __post_init__(self) -> None:
        problems = Problems("quality of weights")
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            problems.add("pattern", self.pattern, f"{error}.", "Correct the regular expression.")
        else:
            problems.require(
                groups == 1 and len(self.pattern) <= LONGEST_PATTERN,
                "pattern",
                self.pattern,
                f"SageMaker takes the number out of its one group, within {LONGEST_PATTERN} "
                "letters.",
                "Write something like eval_loss=([0-9.]+).",
            )
        problems.require(
            _METRIC.fullmatch(self.name) is not None,
            "name",
            self.name,
            "It is no name that SageMaker and CloudWatch take.",
            "Use up to 255 letters, digits, '_', ':' and '-'.",
        )
        problems.require(
            (self.at_most is None) != (self.at_least is None),
            "at_most",
            self.at_most,
            "A value is compared with one bound.",
            "Give at_most for a loss, or at_least for an accuracy.",
        )
        problems.raise_if_any()

    @property
    def bound(self) -> float:
        """What the value is compared with."""
        return next(it for it in (self.at_most, self.at_least) if it is not None)

    @property
    def demand(self) -> str:
        """The comparison in words."""
        return f"at {'least' if self.at_most is None else 'most'} {self.bound:g}"


@dataclass(frozen=True, kw_only=True)
class SageMakerFineTuning:
    """A training job of SageMaker's on accelerators, with the team's own image and weights."""

    repository: str
    """The ECR repository of the training image, in the environment's account and region."""
    version: str
    """The image's tag or its digest, beginning with `sha256:`."""
    base_weights: str
    """The folder of the lake's models area that holds the weights to start from."""
    instance_type: str
    """A type of the catalogue with accelerators, such as `trn1.32xlarge` or `p5.48xlarge`."""
    instances: int = 1
    """Instances of the job."""
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    """What the image reads from `/opt/ml/input/config/hyperparameters.json`."""
    dataset: DatasetRules = field(default_factory=DatasetRules)
    """What the data must be like."""
    quality: LoggedMetric | None = None
    """How good the weights must be to be published. Left out: approvers decide alone."""
    record_tokens: int = 8192
    """The longest record."""
    most_records: int = 1_000_000
    """Most records of training and validation data together."""
    spot: bool = True
    """Whether to run on spot instances and go on from the last checkpoint when they are taken
    away."""
    training_hours: int = 24
    """Hours that the job may compute."""
    waiting_hours: int = 24
    """Hours that a spot job may wait for instances, beside those that it computes."""
    volume_gib: int = 500
    """The volume of instances that have no disks of their own, in GiB."""

    def __post_init__(self) -> None:
        problems = Problems("fine-tuning in SageMaker")
        check_image(problems, self.repository, self.version)
        problems.require(
            _FOLDER.fullmatch(self.base_weights) is not None,
            "base_weights",
            self.base_weights,
            "It is no folder of the models area.",
            "Write it as in qwen3-4b/2026-11-01/, with a slash at the end and none at the start.",
        )
        for row in known_types((self.instance_type,), problems, "instance_type"):
            problems.require(
                row.device_kind is not DeviceKind.NONE
                and SageMakerUse.TRAINING in row.sagemaker_uses,
                "instance_type",
                row.name,
                "It has no accelerator, or SageMaker has no training jobs on it.",
                "Choose a type with accelerators such as trn1.32xlarge or p5.48xlarge.",
            )
        for name, lowest in (
            ("instances", 1),
            ("record_tokens", 1),
            ("most_records", 1),
            ("waiting_hours", 0),
            ("volume_gib", 50),
        ):
            value: int = getattr(self, name)
            problems.require(
                value >= lowest, name, value, "The job could not run.", f"Give at least {lowest}."
            )
        _check_hours(problems, "training_hours", self.training_hours)
        problems.raise_if_any()

    @property
    def row(self) -> InstanceType:
        """The instance type, from the catalogue."""
        return known_types((self.instance_type,), Problems(""), "")[0]


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Pipelines that turn data of the lake into tuned models; see docs/fine-tuning.md."""

    bedrock: BedrockFineTuning | None = None
    """Tune a model of Bedrock's. Left out: no such pipeline."""
    sagemaker: SageMakerFineTuning | None = None
    """Tune a model of the team's own. Left out: no such pipeline."""
    approvers: tuple[str, ...] = ()
    """E-mail addresses of people of whom one must approve before a model is published. Left out:
    `quality` decides alone."""
    approval_hours: int = 72
    """Hours until an approval that nobody gave counts as refused."""
    log_retention_days: int = 90
    """Days until the pipelines' logs go."""

    def __post_init__(self) -> None:
        problems = Problems("fine-tuning")
        problems.require(
            self.bedrock is not None or self.sagemaker is not None,
            "bedrock",
            None,
            "Nothing would be tuned.",
            "Add [fine_tuning.bedrock], [fine_tuning.sagemaker] or both, or leave the table out.",
        )
        problems.require(
            self.sagemaker is None or self.sagemaker.quality is not None or bool(self.approvers),
            "sagemaker.quality",
            None,
            "Neither a measure nor a person would stand between a job that ended and weights that "
            "are published.",
            'Give it, for example { pattern = "eval_loss=([0-9.]+)", at_most = 1.2 }, or name '
            "approvers.",
        )
        wrong = [address for address in self.approvers if not _EMAIL.fullmatch(address)]
        problems.require(
            not wrong,
            "approvers",
            wrong,
            "They are no e-mail addresses.",
            "Write them as in ml-lead@example.com.",
        )
        problems.require(
            1 <= self.approval_hours <= 24 * 14,
            "approval_hours",
            self.approval_hours,
            "An approval that takes longer than two weeks is none.",
            "Give 1 to 336.",
        )
        check_log_retention(problems, self.log_retention_days)
        problems.raise_if_any()

    def check_region(self, problems: Problems, region: str) -> None:
        """Note what cannot be tuned in ``region``."""
        if self.bedrock is not None:
            regions = self.bedrock.model.regions
            problems.require(
                region in regions,
                "fine_tuning.bedrock.base_model",
                self.bedrock.base_model,
                f"Bedrock does not tune it in {region}.",
                f"It does in {', '.join(sorted(regions))}; elsewhere use [fine_tuning.sagemaker].",
            )
        if self.sagemaker is not None:
            problems.require(
                region in self.sagemaker.row.regions,
                "fine_tuning.sagemaker.instance_type",
                self.sagemaker.instance_type,
                f"It is not offered in {region}.",
                "Choose one that is offered there.",
            )


_FOLDER = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*/)+")


def _check_percent(problems: Problems, name: str, value: int) -> None:
    problems.require(0 <= value <= 100, name, value, "It is a percentage.", "Give 0 to 100.")


def _check_hours(problems: Problems, name: str, value: int) -> None:
    problems.require(
        1 <= value <= LONGEST_TRAINING_HOURS,
        name,
        value,
        "A job of SageMaker's runs for five days at most, and a longer one of Bedrock's is stuck.",
        f"Give 1 to {LONGEST_TRAINING_HOURS}.",
    )
