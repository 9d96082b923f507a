"""Alarms described as data beside the resource; the observability stack builds them."""

from dataclasses import dataclass
from enum import StrEnum

from aws_cdk import aws_cloudwatch as cloudwatch

from llm_constructs.specs.problem import Problems


class Severity(StrEnum):
    """How soon a person must act."""

    PAGE = "page"
    """Now: users are hurt or data is at risk."""
    TICKET = "ticket"
    """Within working days."""


@dataclass(frozen=True)
class AlarmDescription:
    """What to watch and what to do about it.

    ``name`` is PascalCase and unique within the construct that describes it; ``runbook`` is the
    name of a page in ``docs/runbooks`` without its ending. Missing data is treated as
    ``treat_missing_data`` says: an idle resource emits nothing and must not page.
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

    def __post_init__(self) -> None:
        problems = Problems(f"alarm {self.name}")
        problems.require(
            1 <= self.datapoints_to_alarm <= self.evaluation_periods,
            "datapoints_to_alarm",
            self.datapoints_to_alarm,
            f"It must lie between 1 and evaluation_periods, which is {self.evaluation_periods}.",
            "Lower it, or raise evaluation_periods.",
        )
        problems.raise_if_any()
