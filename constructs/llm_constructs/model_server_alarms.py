"""What to watch on a model server."""

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.load_balancer_metrics import LoadBalancerMetrics
from llm_constructs.specs.model_server import ModelServer

SERVER_ERROR_SHARE: Final = 0.02
"""The share of failed requests from which users notice more than single failures."""

SLOW_FACTOR: Final = 6
"""How much longer than the first token may take, the first bytes of an answer take at the most.

Streams begin with their first token; other answers begin when they are complete.
"""

_ABOVE: Final = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD


def describe_alarms(
    server: ModelServer, metrics: LoadBalancerMetrics
) -> tuple[AlarmDescription, ...]:
    """Describe a model's alarms; one that sleeps is not missed by the one for its absence."""
    title = pascal_case(server.name)
    absence = (_no_target(server, title, metrics),) if server.scaling.minimum else ()
    return (
        AlarmDescription(
            name=f"ModelServerErrors{title}",
            summary=f"More than {SERVER_ERROR_SHARE:.0%} of the calls to {server.name} fail.",
            metric=error_share(server, metrics),
            threshold=SERVER_ERROR_SHARE,
            comparison=_ABOVE,
            severity=Severity.PAGE,
            runbook="serving-server-errors",
        ),
        AlarmDescription(
            name=f"ModelSlow{title}",
            summary=f"{server.name} takes long to begin its answers.",
            metric=metrics.of_targets("TargetResponseTime", "p90", minutes=5),
            threshold=server.scaling.first_token_seconds * SLOW_FACTOR,
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="serving-slow",
        ),
        *absence,
    )


def pascal_case(name: str) -> str:
    """Return ``name`` without hyphens, each of its words with a capital."""
    return "".join(word.capitalize() for word in name.split("-"))


def _no_target(server: ModelServer, title: str, metrics: LoadBalancerMetrics) -> AlarmDescription:
    return AlarmDescription(
        name=f"ModelUnavailable{title}",
        summary=f"No {'router' if server.prefix_routing else 'copy'} of {server.name} answers.",
        metric=metrics.of_targets("HealthyHostCount", "Maximum"),
        threshold=1,
        comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        severity=Severity.PAGE,
        runbook="serving-unavailable",
        treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
        missing_data_reason="A target group without any target reports nothing at all.",
    )


def error_share(server: ModelServer, metrics: LoadBalancerMetrics) -> cloudwatch.IMetric:
    """Return the share of calls that failed; the 503 that wakes a sleeping model is no failure."""
    failed = {"target": metrics.of_targets("HTTPCode_Target_5XX_Count", "Sum", minutes=5)}
    if server.scaling.minimum:
        failed["balancer"] = metrics.of_balancer("HTTPCode_ELB_5XX_Count", "Sum", minutes=5)
    errors = " + ".join(f"FILL({name}, 0)" for name in failed)
    return cloudwatch.MathExpression(
        # Calls that reach no target are not among its requests.
        expression=f"({errors}) / ({errors} + FILL(answered, 0) + 1)",
        using_metrics={
            **failed,
            "answered": metrics.of_targets("HTTPCode_Target_2XX_Count", "Sum", minutes=5),
        },
        label=f"Failed share of {server.name}",
        period=Duration.minutes(5),
    )
