"""When HyperPod gives the nodes of an instance group a new image."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from llm_constructs.specs.problem import Problems

MOST_ROLLBACK_ALARMS: Final = 10
"""https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeploymentConfiguration.html"""

LONGEST_WAIT: Final = 3_600
"""Seconds between two batches. Same source."""

WHOLE: Final = 100
"""Per cent."""

# As CloudFormation's schema of AWS::SageMaker::Cluster has it, less the fields that it lets empty.
_CRON = re.compile(
    r"cron\([0-5]?\d ([01]?\d|2[0-3]) ([1-9]|0[1-9]|[12]\d|3[01]|\?) "
    r"([1-9]|0[1-9]|1[0-2]|\*|\*/([1-9]|1[0-2])) "
    r"(MON|TUE|WED|THU|FRI|SAT|SUN|[1-7]|\?|L|[1-7]#[1-5]|[1-7]L) (20[2-9]\d|\*)\)"
)


class PatchingStrategy(StrEnum):
    """Which nodes get a security patch when; ``PatchingStrategy`` of the API."""

    WHEN_IDLE = "WhenIdle"
    """Each node as soon as no job runs on it."""
    WHEN_ALL_IDLE = "WhenAllIdle"
    """All nodes at once, as soon as no job runs on any of them: jobs never see two images."""


@dataclass(frozen=True, kw_only=True)
class ImageUpdates:
    """Updates on a schedule, or patches when nodes are idle.

    An update wipes the root volume and runs the life-cycle scripts again.

    Raises :class:`SpecificationError` for what CloudFormation refuses.
    """

    schedule: str | None = None
    """Start in UTC as `cron(0 3 ? * SUN *)`: minute, hour, day, month, weekday, year. Running jobs
    are ended."""
    patching: PatchingStrategy | None = None
    """`WhenIdle` or `WhenAllIdle`: patches only, and never under a running job."""
    batch_percent: int = WHOLE
    """Share of the nodes that are updated at a time, on a schedule."""
    wait_seconds: int = 0
    """Seconds between two batches on a schedule, up to 3600."""
    rollback_alarms: tuple[str, ...] = ()
    """Names of CloudWatch alarms that undo a scheduled update when they go off, at most 10."""

    def __post_init__(self) -> None:
        problems = Problems("image updates")
        problems.require(
            (self.schedule is None) != (self.patching is None),
            "schedule",
            self.schedule,
            "A group is updated on a schedule or patched when idle: exactly one of them.",
            "Give schedule or patching.",
        )
        problems.require(
            self.schedule is None or _CRON.fullmatch(self.schedule) is not None,
            "schedule",
            self.schedule,
            "It is no cron expression that SageMaker takes: one minute, one hour, no lists.",
            "Write it as cron(0 3 ? * SUN *).",
        )
        problems.require(
            self.patching is None or self.patching in tuple(PatchingStrategy),
            "patching",
            self.patching,
            "CloudFormation has no such strategy.",
            f"Choose from {', '.join(PatchingStrategy)}.",
        )
        self._check_batches(problems)
        problems.raise_if_any()

    def _check_batches(self, problems: Problems) -> None:
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ClusterAutoPatchConfig.html
        rolling = self.batch_percent != WHOLE or self.wait_seconds or self.rollback_alarms
        problems.require(
            self.patching is None or not rolling,
            "patching",
            self.patching,
            "Nodes are patched as they become idle, in no batches.",
            "Leave batch_percent, wait_seconds and rollback_alarms out, or give a schedule.",
        )
        problems.require(
            1 <= self.batch_percent <= WHOLE,
            "batch_percent",
            self.batch_percent,
            "It is a share of the nodes.",
            "Give 1 to 100.",
        )
        problems.require(
            0 <= self.wait_seconds <= LONGEST_WAIT,
            "wait_seconds",
            self.wait_seconds,
            f"SageMaker waits for at most {LONGEST_WAIT} seconds between batches.",
            f"Give 0 to {LONGEST_WAIT}.",
        )
        problems.require(
            len(self.rollback_alarms) <= MOST_ROLLBACK_ALARMS,
            "rollback_alarms",
            len(self.rollback_alarms),
            f"SageMaker watches at most {MOST_ROLLBACK_ALARMS} alarms.",
            "Name the few that tell a bad image, or join them in a composite alarm.",
        )
