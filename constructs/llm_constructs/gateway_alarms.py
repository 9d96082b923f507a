"""What to watch on the gateway."""

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from llm_constructs.alarm import AlarmDescription, Severity

NAMESPACE: Final = "LLMPlatform/Gateway"
"""The namespace of the metrics that the application writes into its log."""

SERVER_ERROR_SHARE: Final = 0.02
"""The share of failed requests from which users notice more than single failures."""

THROTTLED_SHARE: Final = 0.05
"""The share of calls that Bedrock refuses from which fallbacks no longer hide it."""

_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD


@dataclass(frozen=True, kw_only=True)
class GatewayMetrics:
    """The metrics that the alarms watch.

    ``environment`` is the dimension that the application writes, ``aliases`` are its models.
    """

    environment: str
    aliases: tuple[str, ...]
    server_errors: cloudwatch.IMetric
    function_errors: cloudwatch.IMetric
    function_throttles: cloudwatch.IMetric
    authorizer_errors: cloudwatch.IMetric

    def of_model(self, name: str, alias: str) -> cloudwatch.Metric:
        """Return one of the application's metrics for one model, summed over five minutes."""
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=name,
            dimensions_map={"Model": alias, "Environment": self.environment},
            statistic="Sum",
            period=Duration.minutes(5),
        )

    def of_all_models(self, name: str) -> cloudwatch.IMetric:
        """Return one of the application's metrics, summed over models and five minutes."""
        using = {f"m{place}": self.of_model(name, it) for place, it in enumerate(self.aliases)}
        # A model that was not called has no data, which is no zero to CloudWatch.
        terms = " + ".join(f"FILL({label}, 0)" for label in using)
        return cloudwatch.MathExpression(
            expression=terms, using_metrics=using, label=name, period=Duration.minutes(5)
        )

    def throttled_share(self, alias: str) -> cloudwatch.IMetric:
        """Return the share of a model's calls that Bedrock refused, between 0 and 1."""
        return cloudwatch.MathExpression(
            expression="throttles / requests",
            using_metrics={
                "throttles": self.of_model("Throttles", alias),
                "requests": self.of_model("Requests", alias),
            },
            label=f"Throttled share of {alias}",
            period=Duration.minutes(5),
        )


def describe_rollback_alarms(metrics: GatewayMetrics) -> tuple[AlarmDescription, ...]:
    """Describe the alarms on which a deployment goes back to the version before."""
    return (
        AlarmDescription(
            name="GatewayServerErrors",
            summary=f"More than {SERVER_ERROR_SHARE:.0%} of the requests fail on our side.",
            metric=metrics.server_errors,
            threshold=SERVER_ERROR_SHARE,
            comparison=_ABOVE,
            severity=Severity.PAGE,
            runbook="gateway-server-errors",
            evaluation_periods=5,
            datapoints_to_alarm=3,
        ),
        AlarmDescription(
            name="GatewayFunctionErrors",
            summary="The gateway's function crashes or runs out of time.",
            metric=metrics.function_errors,
            threshold=0,
            comparison=_ABOVE,
            severity=Severity.PAGE,
            runbook="gateway-server-errors",
            evaluation_periods=3,
            datapoints_to_alarm=2,
        ),
    )


def describe_alarms(metrics: GatewayMetrics) -> tuple[AlarmDescription, ...]:
    """Describe every alarm of the gateway."""
    return (
        *describe_rollback_alarms(metrics),
        AlarmDescription(
            name="GatewayAuthorizerErrors",
            summary="The authoriser fails, so that nobody without a cached answer can call.",
            metric=metrics.authorizer_errors,
            threshold=0,
            comparison=_ABOVE,
            severity=Severity.PAGE,
            runbook="gateway-authorizer-errors",
        ),
        AlarmDescription(
            name="GatewayConcurrencyExhausted",
            summary="Requests are refused because the function's concurrency is used up.",
            metric=metrics.function_throttles,
            threshold=0,
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="gateway-concurrency",
        ),
        AlarmDescription(
            name="GatewayRedactionFailures",
            summary="The redactor failed, and requests were logged without their text.",
            metric=metrics.of_all_models("RedactionFailures"),
            threshold=0,
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="gateway-redaction-failures",
            evaluation_periods=1,
            datapoints_to_alarm=1,
        ),
        *(
            AlarmDescription(
                name=f"GatewayModelThrottled{_pascal_case(alias)}",
                summary=f"Bedrock refuses over {THROTTLED_SHARE:.0%} of the calls to {alias}.",
                metric=metrics.throttled_share(alias),
                threshold=THROTTLED_SHARE,
                comparison=_ABOVE,
                severity=Severity.TICKET,
                runbook="gateway-model-throttled",
            )
            for alias in metrics.aliases
        ),
    )


def _pascal_case(alias: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in alias).split()
    return "".join(word.capitalize() for word in words)
