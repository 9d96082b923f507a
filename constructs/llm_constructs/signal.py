"""Signals described as data beside the resource; the observability stack draws them on boards."""

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs

from llm_constructs.specs.observability import Audience
from llm_constructs.specs.problem import Problems


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One graph: what it shows, to whom, and from where on it is bad.

    Signals of one ``section`` stand together on the board of their ``audience``. ``unit`` labels
    the axis. ``threshold`` draws a line; name an alarm with ``alarm`` instead and the line is drawn
    where that alarm of the same construct rings. ``region`` is where the metrics are, when it is
    not that of the construct.
    """

    title: str
    audience: Audience
    section: str
    metrics: Sequence[cloudwatch.IMetric]
    unit: str
    threshold: float | None = None
    alarm: str | None = None
    stacked: bool = False
    region: str | None = None

    def __post_init__(self) -> None:
        problems = Problems(f"signal {self.title}")
        problems.require(
            bool(self.metrics),
            "metrics",
            [],
            "A graph without metrics shows nothing.",
            "Name at least one, or leave the signal out.",
        )
        problems.require(
            self.threshold is None or self.alarm is None,
            "threshold",
            self.threshold,
            f"The line is that of the alarm {self.alarm} already.",
            "Give one of the two.",
        )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class LogQuery:
    """A query of CloudWatch Logs Insights that is kept for people to run.

    ``statements`` are its commands in order. With an ``audience``, its answer also stands as a
    table on that board, in ``section``; each look at the board then scans the log groups, which is
    paid for by the gigabyte.
    """

    name: str
    log_groups: Sequence[logs.ILogGroup]
    statements: Sequence[str]
    audience: Audience | None = None
    section: str = ""

    def __post_init__(self) -> None:
        problems = Problems(f"query {self.name}")
        problems.require(
            bool(self.log_groups) and bool(self.statements),
            "log_groups",
            [],
            "A query needs log groups and statements.",
            "Give both, or leave the query out.",
        )
        problems.require(
            self.audience is None or bool(self.section),
            "section",
            self.section,
            "A table on a board stands in a section.",
            "Name the section.",
        )
        problems.raise_if_any()

    @property
    def text(self) -> str:
        """The query as Logs Insights takes it."""
        return "\n| ".join(self.statements)
