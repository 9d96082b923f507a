"""Constructs that describe themselves, for the tests of what watches them."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs
from constructs import Construct

from llm_constructs.alarm import AlarmDescription, Anomaly, Severity
from llm_constructs.signal import LogQuery, Signal
from llm_constructs.specs.observability import Audience


def metric(name: str = "Errors", *, region: str | None = None) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="Test",
        metric_name=name,
        dimensions_map={"Thing": "one"},
        statistic="Sum",
        period=Duration.minutes(1),
        region=region,
    )


def alarm(
    name: str = "ThingFails",
    severity: Severity = Severity.PAGE,
    *,
    watching: cloudwatch.IMetric | None = None,
    anomaly: Anomaly | None = None,
    comparison: cloudwatch.ComparisonOperator = (
        cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
    ),
) -> AlarmDescription:
    return AlarmDescription(
        name=name,
        summary="The thing fails.",
        metric=watching or metric(),
        threshold=5,
        comparison=comparison,
        severity=severity,
        runbook="gateway-server-errors",
        anomaly=anomaly,
    )


def signal(title: str = "Errors", **parts: object) -> Signal:
    given: dict[str, object] = {
        "audience": Audience.SERVICE,
        "section": "Things",
        "metrics": [metric().with_(label="errors")],
        "unit": "per minute",
    }
    return Signal(title=title, **{**given, **parts})  # type: ignore[arg-type]


class Thing(Construct):
    """A construct that describes what it was given."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        alarms: Sequence[AlarmDescription] = (),
        signals: Sequence[Signal] = (),
        queries: Sequence[LogQuery] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        self.alarms = tuple(alarms)
        self.signals = tuple(signals)
        self.queries = tuple(queries)


def query(scope: Construct, **parts: object) -> LogQuery:
    group = logs.LogGroup.from_log_group_name(scope, "Group", "things")
    given: dict[str, object] = {
        "name": "slow things",
        "log_groups": [group],
        "statements": ("fields @message", "limit 5"),
    }
    return LogQuery(**{**given, **parts})  # type: ignore[arg-type]
