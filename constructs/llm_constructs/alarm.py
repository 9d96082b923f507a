"""Alarms described as data beside the resource; the observability stack builds them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from llm_constructs.specs.problem import Problems

NO_DATA_IS_IDLE: Final = "Nothing is emitted while nothing happens, and that is no fault."
"""Why missing data does not ring, unless an alarm says otherwise."""


class Severity(StrEnum):
    """How soon a person must act."""

    PAGE = "page"
    """Now: users are hurt or data is at risk."""
    TICKET = "ticket"
    """Within working days."""


class Anomaly(StrEnum):
    """Which side of what CloudWatch expects is worth telling."""

    ABOVE = "above"
    EITHER = "either"


@dataclass(frozen=True)
class AlarmDescription:
    """What to watch and what to do about it.

    ``name`` is PascalCase and unique within the construct that describes it; ``runbook`` is the
    name of a page in ``docs/runbooks`` without its ending. Missing data is treated as
    ``treat_missing_data`` says: an idle resource emits nothing and must not page. Any other
    treatment needs its own ``missing_data_reason``.

    A ``momentary`` alarm is about a moment that leaves no state behind, such as the eve of an end:
    it is quiet again soon, whatever became of it, and nothing rings twice. It tells people by
    itself, for a message that another alarm keeps back would never come.

    With ``anomaly``, a second alarm of severity :attr:`Severity.TICKET` rings when the same metric
    leaves what CloudWatch expects of it. It never stands alone: until CloudWatch has seen some
    weeks, only the threshold says anything.
    """

    name: str
    summary: str
    metric: cloudwatch.IMetric
    threshold: float
    comparison: cloudwatch.ComparisonOperator
    severity: Severity
    runbook: str
    evaluation_periods: int = 3
    datapoints_to_alarm: int = 3
    treat_missing_data: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING
    missing_data_reason: str = NO_DATA_IS_IDLE
    anomaly: Anomaly | None = None
    momentary: bool = False

    def __post_init__(self) -> None:
        problems = Problems(f"alarm {self.name}")
        problems.require(
            1 <= self.datapoints_to_alarm <= self.evaluation_periods,
            "datapoints_to_alarm",
            self.datapoints_to_alarm,
            f"It must lie between 1 and evaluation_periods, which is {self.evaluation_periods}.",
            "Lower it, or raise evaluation_periods.",
        )
        problems.require(
            self.treat_missing_data is cloudwatch.TreatMissingData.NOT_BREACHING
            or self.missing_data_reason != NO_DATA_IS_IDLE,
            "missing_data_reason",
            self.missing_data_reason,
            "It explains why missing data does not ring, and here it is treated otherwise.",
            "Say what missing data means for this metric.",
        )
        problems.require(
            not self.momentary or self.anomaly is None,
            "momentary",
            True,
            "A band is about values that go on, and this alarm is about one moment.",
            "Leave momentary or anomaly out.",
        )
        problems.raise_if_any()
