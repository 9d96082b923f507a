"""The pipeline that makes datasets of raw text, and the machines that it runs on."""

import re
from dataclasses import dataclass, field
from typing import Final

from llm_constructs.specs.accelerators import known_families, known_types
from llm_constructs.specs.container_image import check_image
from llm_constructs.specs.curation_rules import CurationRules
from llm_constructs.specs.instance_type import DeviceKind, InstanceType
from llm_constructs.specs.log_retention import check_log_retention
from llm_constructs.specs.problem import Problems

MOST_WORKERS: Final = 10_000
"""Jobs of an array; the fewest are 2.

https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
"""

MOST_ATTEMPTS: Final = 10
"""Of a Batch job. https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html"""

MEMORY_SHARE: Final = 0.9
"""Part of an instance's memory that is left for jobs after the system and the ECS agent.

https://docs.aws.amazon.com/batch/latest/userguide/memory-management.html
"""

_FOLDER = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*/)+")
_KEY = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*/)*[A-Za-z0-9][A-Za-z0-9._-]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SCHEDULE = re.compile(r"(rate|cron)\(.+\)")


@dataclass(frozen=True, kw_only=True)
class JobSize:
    """What one job asks of an instance."""

    vcpus: int
    """Virtual CPUs."""
    memory_mib: int
    """MiB of memory; an instance keeps about a tenth of its own for itself."""

    def __post_init__(self) -> None:
        problems = Problems("job size")
        for name in ("vcpus", "memory_mib"):
            value = getattr(self, name)
            problems.require(value >= 1, name, value, "A job needs some.", "Give at least 1.")
        problems.raise_if_any()

    def fits(self, row: InstanceType) -> bool:
        """Say whether an instance of this type has room for it."""
        memory = row.memory_gib * 1024 * MEMORY_SHARE
        return self.vcpus <= row.vcpus and self.memory_mib <= memory


@dataclass(frozen=True, kw_only=True)
class CurationSchedule:
    """When a part of the raw area is curated by itself."""

    expression: str
    """`rate(1 day)` or `cron(0 3 * * ? *)`, in UTC."""
    input: str
    """The folder of the raw area, as in `web/`."""

    def __post_init__(self) -> None:
        problems = Problems("schedule")
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
        problems.require(
            _SCHEDULE.fullmatch(self.expression) is not None,
            "expression",
            self.expression,
            "It is no schedule of EventBridge.",
            "Write rate(1 day) or cron(0 3 * * ? *).",
        )
        problems.require(
            _FOLDER.fullmatch(self.input) is not None,
            "input",
            self.input,
            "It is no folder of the raw area.",
            "Write it as in web/, with a slash at the end and none at the beginning.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class GpuDeduplication:
    """Another deduplicator, such as NeMo Curator's image, which runs on NVIDIA GPUs.

    docs/curation.md says what it finds in its environment and what it must write.
    """

    repository: str
    """The ECR repository of the image, in the environment's account and region."""
    version: str
    """The image's tag or its digest, beginning with `sha256:`."""
    command: tuple[str, ...]
    """What the image runs."""
    instance_types: tuple[str, ...] = ("g6e.2xlarge",)
    """Types with NVIDIA GPUs that it may run on; NeMo Curator wants 16 GB of their memory."""
    gpus: int = 1
    """GPUs of the job."""
    size: JobSize = JobSize(vcpus=8, memory_mib=56_000)
    """What the job asks of an instance."""

    def __post_init__(self) -> None:
        problems = Problems("GPU deduplication")
        check_image(problems, self.repository, self.version)
        problems.require(
            bool(self.command), "command", [], "Nothing would run.", "Name the program."
        )
        for row in known_types(self.instance_types, problems, "instance_types"):
            problems.require(
                row.device_kind is DeviceKind.NVIDIA and self.gpus <= row.accelerator_count,
                "instance_types",
                row.name,
                f"It has no {self.gpus} NVIDIA GPUs, and the deduplicator runs on nothing else.",
                "Choose a type of g5, g6, g6e or p5 with enough of them, or lower gpus.",
            )
            problems.require(
                self.size.fits(row),
                "instance_types",
                row.name,
                f"A job of {self.size.vcpus} vCPUs and {self.size.memory_mib} MiB does not fit.",
                "Choose a larger type, or lower size.",
            )
        problems.require(
            bool(self.instance_types) and self.gpus >= 1,
            "gpus",
            self.gpus,
            "The job needs a type to run on and a GPU.",
            "Name a type and give at least 1.",
        )
        problems.raise_if_any()

    @property
    def rows(self) -> tuple[InstanceType, ...]:
        """The types, from the catalogue."""
        return known_types(self.instance_types, Problems(""), "")


@dataclass(frozen=True, kw_only=True)
class Curation:
    """One pipeline from the lake's raw area to its datasets area.

    Raises :class:`SpecificationError` with everything that Batch would refuse or wait for forever.
    """

    repository: str
    """The ECR repository of the job's image, in the environment's account and region."""
    version: str
    """The image's tag, such as `1.4.0`, or its digest, beginning with `sha256:`."""
    tokenizer: str
    """The `tokenizer.json`, by its key below the lake's models area."""
    dataset: str = "pretraining"
    """The folder of the datasets area that gets the published runs."""
    rules: CurationRules = field(default_factory=CurationRules)
    """What a record must be like."""
    workers: int = 64
    """Jobs that share the shards while they are filtered and tokenised, 2 to 10000."""
    worker_size: JobSize = JobSize(vcpus=1, memory_mib=3_400)
    """What a worker asks of an instance."""
    deduplication_size: JobSize = JobSize(vcpus=4, memory_mib=28_000)
    """What deduplication asks: about 100 bytes of memory for each document."""
    gpu_deduplication: GpuDeduplication | None = None
    """Find similar documents on GPUs. Left out: MinHash on CPUs."""
    instance_families: tuple[str, ...] = ("m7i",)
    """CPU families of one architecture, which is the image's."""
    max_vcpus: int = 128
    """vCPUs of all instances together, for spot and on-demand each."""
    spot: bool = True
    """Whether to begin on spot instances; what they leave undone is done on demand."""
    attempts: int = 5
    """How often a job may start on spot instances that are taken away."""
    stage_hours: int = 24
    """Hours after which a job of any stage is stopped."""
    volume_gib: int = 200
    """Root volume of each instance: the files of its jobs, and 500 bytes for each document."""
    schedule: CurationSchedule | None = None
    """When to run by itself. Left out: when somebody starts an execution."""
    rejected_percent: int = 60
    """Share of rejected records of a run above which an alarm asks for a look."""
    log_retention_days: int = 90
    """Days until the jobs' logs go."""

    def __post_init__(self) -> None:
        problems = Problems("curation")
        check_image(problems, self.repository, self.version)
        self._check_names(problems)
        self._check_instances(problems)
        self._check_ranges(problems)
        problems.raise_if_any()

    @property
    def rows(self) -> tuple[InstanceType, ...]:
        """The CPU types that have room for a worker, from the catalogue.

        Batch launches those of them that the waiting jobs fit on.
        """
        rows = known_families(self.instance_families, Problems(""), "")
        return tuple(
            row for row in rows if self.worker_size.fits(row) and row.vcpus <= self.max_vcpus
        )

    def _check_names(self, problems: Problems) -> None:
        problems.require(
            _KEY.fullmatch(self.tokenizer) is not None and self.tokenizer.endswith(".json"),
            "tokenizer",
            self.tokenizer,
            "It is not the key of a tokenizer.json.",
            "Give it below models/, as in base/tokenizer.json.",
        )
        problems.require(
            _NAME.fullmatch(self.dataset) is not None,
            "dataset",
            self.dataset,
            "It is not the name of a folder.",
            "Use lower-case letters, digits and hyphens.",
        )

    def _check_instances(self, problems: Problems) -> None:
        found = known_families(self.instance_families, problems, "instance_families")
        problems.require(
            all(row.device_kind is DeviceKind.NONE for row in found),
            "instance_families",
            list(self.instance_families),
            "A family has accelerators, which these jobs do not use.",
            "Choose CPU families, or set gpu_deduplication.",
        )
        problems.require(
            len({row.architecture for row in found}) <= 1,
            "instance_families",
            list(self.instance_families),
            "They differ in architecture, and the image is built for one.",
            "Keep the families of one architecture.",
        )
        problems.require(
            any(self.deduplication_size.fits(row) for row in self.rows),
            "deduplication_size",
            f"{self.deduplication_size.vcpus} vCPUs, {self.deduplication_size.memory_mib} MiB",
            f"No type of {', '.join(self.instance_families) or 'no family'} has room for it and "
            f"for worker_size within max_vcpus = {self.max_vcpus}, so the job would never start.",
            "Choose another family, lower the sizes, or raise max_vcpus.",
        )

    def _check_ranges(self, problems: Problems) -> None:
        for name, lowest, highest, reason in (
            ("workers", 2, MOST_WORKERS, "An array of Batch has 2 to 10000 jobs."),
            ("attempts", 1, MOST_ATTEMPTS, "Batch starts a job 1 to 10 times."),
            ("stage_hours", 1, 14 * 24, "A stage ends within two weeks."),
            ("volume_gib", 30, 16_384, "The image needs 30 GiB, and gp3 has up to 16384."),
            ("rejected_percent", 1, 100, "It is a share of the records."),
        ):
            value: int = getattr(self, name)
            problems.require(
                lowest <= value <= highest,
                name,
                value,
                reason,
                f"Give a number from {lowest} to {highest}.",
            )
        check_log_retention(problems, self.log_retention_days)
