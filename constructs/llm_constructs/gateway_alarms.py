"""What to watch on the gateway."""

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from llm_constructs.alarm import AlarmDescription, Anomaly, Severity

NAMESPACE: Final = "LLMPlatform/Gateway"
"""The namespace of the metrics that the application writes into its log."""

SERVER_ERROR_SHARE: Final = 0.02
"""The share of failed requests from which users notice more than single failures."""

THROTTLED_SHARE: Final = 0.05
"""The share of calls that Bedrock refuses from which fallbacks no longer hide it."""

SLOW_FIRST_TOKEN: Final = Duration.seconds(10)
"""From here on people take a chat for broken."""

MOST_TOKENS_PER_MINUTE: Final = 2_000_000
"""Several times what one team's default quotas at Bedrock allow; set your own in the environment's
file (https://docs.aws.amazon.com/bedrock/latest/userguide/quotas.html)."""

MOST_USD_PER_HOUR: Final = 100
"""A month at this rate costs 73,000 USD; set your own in the environment's file."""

MICRO: Final = 1_000_000
"""Millionths of a dollar in a dollar: the metric counts the former."""

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

    def of_model(
        self, name: str, alias: str, statistic: str = "Sum", minutes: int = 5
    ) -> cloudwatch.Metric:
        """Return one of the application's metrics for one model."""
        return self._own(name, statistic, minutes, Model=alias)

    def of_all_models(
        self, name: str, statistic: str = "Sum", minutes: int = 5
    ) -> cloudwatch.Metric:
        """Return one of the application's metrics over all models."""
        return self._own(name, statistic, minutes)

    def _own(self, name: str, statistic: str, minutes: int, **dimensions: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=name,
            dimensions_map={**dimensions, "Environment": self.environment},
            statistic=statistic,
            period=Duration.minutes(minutes),
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
        *_describe_use(metrics),
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


def _describe_use(metrics: GatewayMetrics) -> tuple[AlarmDescription, ...]:
    """Describe what has no right value: a threshold for the worst, and a band for the unusual."""
    return (
        AlarmDescription(
            name="GatewayFirstTokenSlow",
            summary=f"One in twenty answers takes over {SLOW_FIRST_TOKEN.to_seconds():.0f} s to "
            "begin.",
            metric=metrics.of_all_models("TimeToFirstToken", "p95"),
            threshold=SLOW_FIRST_TOKEN.to_milliseconds(),
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="gateway-slow",
            anomaly=Anomaly.ABOVE,
        ),
        AlarmDescription(
            name="GatewayTokensPerMinute",
            summary=f"Over {MOST_TOKENS_PER_MINUTE:,} tokens pass in a minute.",
            metric=metrics.of_all_models("Tokens", minutes=1),
            threshold=MOST_TOKENS_PER_MINUTE,
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="gateway-tokens",
            evaluation_periods=15,
            datapoints_to_alarm=15,
            # Too few is a fault as well: callers that cannot reach the gateway are silent.
            anomaly=Anomaly.EITHER,
        ),
        AlarmDescription(
            name="GatewaySpend",
            summary=f"Models cost over {MOST_USD_PER_HOUR} USD in an hour.",
            metric=metrics.of_all_models("CostMicroUsd", minutes=60),
            threshold=MOST_USD_PER_HOUR * MICRO,
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="gateway-spend",
            evaluation_periods=1,
            datapoints_to_alarm=1,
            anomaly=Anomaly.ABOVE,
        ),
    )


def _pascal_case(alias: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in alias).split()
    return "".join(word.capitalize() for word in words)
