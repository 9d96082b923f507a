"""What to watch on a model server."""

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_elasticloadbalancingv2 as elbv2

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.specs.model_server import ModelServer

SERVER_ERROR_SHARE: Final = 0.02
"""The share of failed requests from which users notice more than single failures."""

SLOW_FACTOR: Final = 6
"""How much longer than the first token may take, the first bytes of an answer take at the most.

Streams begin with their first token; other answers begin when they are complete.
"""

_FIVE_MINUTES: Final = Duration.minutes(5)
_ABOVE: Final = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD


def describe_alarms(
    server: ModelServer,
    balancer: elbv2.ApplicationLoadBalancer,
    targets: elbv2.ApplicationTargetGroup,
) -> tuple[AlarmDescription, ...]:
    """Describe a model's alarms; one that sleeps is not missed by the one for its absence."""
    title = pascal_case(server.name)
    absence = (_no_target(server, title, targets),) if server.scaling.minimum else ()
    return (
        AlarmDescription(
            name=f"ModelServerErrors{title}",
            summary=f"More than {SERVER_ERROR_SHARE:.0%} of the calls to {server.name} fail.",
            metric=error_share(server, balancer, targets),
            threshold=SERVER_ERROR_SHARE,
            comparison=_ABOVE,
            severity=Severity.PAGE,
            runbook="serving-server-errors",
        ),
        AlarmDescription(
            name=f"ModelSlow{title}",
            summary=f"{server.name} takes long to begin its answers.",
            metric=targets.metrics.target_response_time(statistic="p90", period=_FIVE_MINUTES),
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


def _no_target(
    server: ModelServer, title: str, targets: elbv2.ApplicationTargetGroup
) -> AlarmDescription:
    return AlarmDescription(
        name=f"ModelUnavailable{title}",
        summary=f"No copy of {server.name} answers.",
        metric=targets.metrics.healthy_host_count(statistic="Maximum", period=Duration.minutes(1)),
        threshold=1,
        comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        severity=Severity.PAGE,
        runbook="serving-unavailable",
        treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
        missing_data_reason="A target group without any target reports nothing at all.",
    )


def error_share(
    server: ModelServer,
    balancer: elbv2.ApplicationLoadBalancer,
    targets: elbv2.ApplicationTargetGroup,
) -> cloudwatch.IMetric:
    """Return the share of calls that failed; the 503 that wakes a sleeping model is no failure."""
    failed = {"target": targets.metrics.http_code_target(elbv2.HttpCodeTarget.TARGET_5XX_COUNT)}
    if server.scaling.minimum:
        failed["balancer"] = balancer.metrics.http_code_elb(elbv2.HttpCodeElb.ELB_5XX_COUNT)
    errors = " + ".join(f"FILL({name}, 0)" for name in failed)
    return cloudwatch.MathExpression(
        # Calls that reach no target are not among its requests.
        expression=f"({errors}) / ({errors} + FILL(answered, 0) + 1)",
        using_metrics={
            **failed,
            "answered": targets.metrics.http_code_target(elbv2.HttpCodeTarget.TARGET_2XX_COUNT),
        },
        label=f"Failed share of {server.name}",
        period=_FIVE_MINUTES,
    )
