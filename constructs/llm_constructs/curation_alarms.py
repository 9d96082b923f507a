"""What to watch on the curation pipeline: alarms, and graphs for the board of who trains."""

from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.signal import Signal
from llm_constructs.specs.observability import Audience

_SECTION = "Curation"
_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD


@dataclass(frozen=True, kw_only=True)
class CurationMetrics:
    """The metrics that the alarms watch; ``not_started`` is one of a schedule."""

    failed: cloudwatch.IMetric
    published: cloudwatch.IMetric
    tokens: cloudwatch.IMetric
    rejected_percent: cloudwatch.IMetric
    unreadable_shards: cloudwatch.IMetric
    not_started: cloudwatch.IMetric | None = None


def describe_alarms(
    metrics: CurationMetrics, *, rejected_percent: int
) -> tuple[AlarmDescription, ...]:
    """Describe every alarm of the pipeline; a run has one value of each, so one is enough."""
    return (
        _alarm(
            "CurationFailed",
            "An execution of the pipeline failed, ran out of time or was stopped.",
            metrics.failed,
            0,
            "curation-failed",
        ),
        _alarm(
            "CurationQuarantineGrowth",
            f"A run rejected more than {rejected_percent} % of its records.",
            metrics.rejected_percent,
            rejected_percent,
            "curation-quarantine",
        ),
        _alarm(
            "CurationUnreadableShards",
            "A run could not read whole shards of its input.",
            metrics.unreadable_shards,
            0,
            "curation-quarantine",
        ),
        *([_not_started(metrics.not_started)] if metrics.not_started else []),
    )


def _not_started(metric: cloudwatch.IMetric) -> AlarmDescription:
    summary = "The schedule could not start the pipeline."
    return _alarm("CurationNotStarted", summary, metric, 0, "curation-failed")


def _alarm(
    name: str, summary: str, metric: cloudwatch.IMetric, threshold: float, runbook: str
) -> AlarmDescription:
    return AlarmDescription(
        name=name,
        summary=summary,
        metric=metric,
        threshold=threshold,
        comparison=_ABOVE,
        severity=Severity.TICKET,
        runbook=runbook,
        evaluation_periods=1,
        datapoints_to_alarm=1,
    )


def describe_signals(metrics: CurationMetrics) -> tuple[Signal, ...]:
    """Describe the graphs of the pipeline."""
    return (
        Signal(
            title="Runs of curation",
            audience=Audience.TRAINING,
            section=_SECTION,
            metrics=[metrics.published, metrics.failed],
            unit="executions",
            alarm="CurationFailed",
        ),
        Signal(
            title="Tokens published by curation",
            audience=Audience.TRAINING,
            section=_SECTION,
            metrics=[metrics.tokens],
            unit="tokens",
        ),
        Signal(
            title="Records that curation rejected",
            audience=Audience.TRAINING,
            section=_SECTION,
            metrics=[metrics.rejected_percent],
            unit="percent",
            alarm="CurationQuarantineGrowth",
        ),
    )
