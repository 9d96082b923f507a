"""What the boards show of the gateway."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_

from llm_constructs.gateway_alarms import MICRO, GatewayMetrics
from llm_constructs.gateway_api import GatewayApi
from llm_constructs.gateway_firewall import GatewayFirewall
from llm_constructs.signal import Signal
from llm_constructs.specs.gateway import Gateway
from llm_constructs.specs.observability import Audience

_PERCENTILES: Final = ("p50", "p95", "p99")
_REQUESTS: Final = "Gateway: requests"
_MODELS: Final = "Gateway: models"
_SPEND: Final = "Spend on models"
_QUOTAS: Final = "Gateway: quotas"


def describe_signals(
    *,
    gateway: Gateway,
    metrics: GatewayMetrics,
    api: GatewayApi,
    function: lambda_.IFunction,
    firewall: GatewayFirewall,
    ledger: dynamodb.ITable,
) -> tuple[Signal, ...]:
    """Describe the golden signals of the gateway, its models, its spend and its quotas."""
    return (
        *_requests(metrics, api, firewall),
        *_saturation(gateway, function, ledger),
        *_models(metrics),
        *_spend(metrics),
        *_quotas(gateway, metrics),
    )


def _requests(
    metrics: GatewayMetrics, api: GatewayApi, firewall: GatewayFirewall
) -> tuple[Signal, ...]:
    def signal(title: str, unit: str, *shown: cloudwatch.IMetric, alarm: str = "") -> Signal:
        return Signal(
            title=title,
            audience=Audience.SERVICE,
            section=_REQUESTS,
            metrics=shown,
            unit=unit,
            alarm=alarm or None,
        )

    def percentiles(name: str) -> Sequence[cloudwatch.Metric]:
        return [
            metrics.of_all_models(name, percentile, 1).with_(label=percentile)
            for percentile in _PERCENTILES
        ]

    return (
        signal("Requests", "per minute", api.metric("Count", "Sum").with_(label="requests")),
        signal(
            "Failed on our side",
            "share",
            api.metric_server_errors().with_(label="server errors"),
            alarm="GatewayServerErrors",
        ),
        signal(
            "Refused",
            "per minute",
            api.metric("4XXError", "Sum").with_(label="client errors"),
            metrics.of_all_models("BudgetRefusals", minutes=1).with_(label="over budget"),
            firewall.metric_refused().with_(label="by the firewall"),
        ),
        signal(
            "Time to the first token",
            "ms",
            *percentiles("TimeToFirstToken"),
            alarm="GatewayFirstTokenSlow",
        ),
        signal("Time to the whole answer", "ms", *percentiles("Latency")),
        signal(
            "Tokens",
            "per minute",
            *(
                metrics.of_all_models(name, minutes=1).with_(label=label)
                for name, label in (
                    ("InputTokens", "input"),
                    ("OutputTokens", "output"),
                    ("CacheReadTokens", "read from the cache"),
                    ("CacheWriteTokens", "written to the cache"),
                )
            ),
        ),
    )


def _saturation(
    gateway: Gateway, function: lambda_.IFunction, ledger: dynamodb.ITable
) -> tuple[Signal, ...]:
    minute = Duration.minutes(1)
    running = function.metric("ConcurrentExecutions", statistic="Maximum", period=minute)
    return (
        Signal(
            title="Requests at the same time",
            audience=Audience.SERVICE,
            section=_REQUESTS,
            metrics=[running.with_(label="running")],
            unit="requests",
            threshold=gateway.reserved_concurrency,
        ),
        Signal(
            title="Refused for want of concurrency",
            audience=Audience.SERVICE,
            section=_REQUESTS,
            metrics=[function.metric_throttles(period=minute).with_(label="refused")],
            unit="per minute",
            alarm="GatewayConcurrencyExhausted",
        ),
        Signal(
            title="Ledger of budgets",
            audience=Audience.SERVICE,
            section=_REQUESTS,
            metrics=[
                _of_table(ledger, "TransactionConflict").with_(label="conflicts"),
                _of_table(ledger, "WriteThrottleEvents").with_(label="throttled writes"),
            ],
            unit="per minute",
        ),
    )


def _of_table(table: dynamodb.ITable, name: str) -> cloudwatch.Metric:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    return cloudwatch.Metric(
        namespace="AWS/DynamoDB",
        metric_name=name,
        dimensions_map={"TableName": table.table_name},
        statistic="Sum",
        period=Duration.minutes(1),
    )


def _models(metrics: GatewayMetrics) -> tuple[Signal, ...]:
    def by_model(title: str, name: str, unit: str = "per five minutes") -> Signal:
        return Signal(
            title=title,
            audience=Audience.SERVICE,
            section=_MODELS,
            metrics=[metrics.of_model(name, alias).with_(label=alias) for alias in metrics.aliases],
            unit=unit,
            stacked=True,
        )

    return (
        by_model("Requests by model", "Requests"),
        by_model("Refused by Bedrock", "Throttles"),
        by_model("Answered by another model", "Fallbacks"),
        by_model("Stopped by the guardrail", "GuardrailInterventions"),
        Signal(
            title="Text kept out of the log because redaction failed",
            audience=Audience.SERVICE,
            section=_MODELS,
            metrics=[metrics.of_all_models("RedactionFailures").with_(label="requests")],
            unit="per five minutes",
            alarm="GatewayRedactionFailures",
        ),
    )


def _spend(metrics: GatewayMetrics) -> tuple[Signal, ...]:
    def dollars(metric: cloudwatch.Metric, name: str, label: str) -> cloudwatch.MathExpression:
        return cloudwatch.MathExpression(
            expression=f"{name} / {MICRO}",
            using_metrics={name: metric},
            label=label,
            period=metric.period,
        )

    return (
        Signal(
            title="Spend by model",
            audience=Audience.COST,
            section=_SPEND,
            metrics=[
                dollars(metrics.of_model("CostMicroUsd", alias, minutes=60), f"m{place}", alias)
                for place, alias in enumerate(metrics.aliases)
            ],
            unit="USD per hour",
            stacked=True,
        ),
        Signal(
            title="Spend on all models",
            audience=Audience.COST,
            section=_SPEND,
            metrics=[metrics.of_all_models("CostMicroUsd", minutes=60).with_(label="all models")],
            unit="millionths of a USD per hour",
            alarm="GatewaySpend",
        ),
        Signal(
            title="Price of a thousand tokens",
            audience=Audience.COST,
            section=_SPEND,
            metrics=[
                cloudwatch.MathExpression(
                    expression=f"cost / tokens * 1000 / {MICRO}",
                    using_metrics={
                        "cost": metrics.of_all_models("CostMicroUsd", minutes=60),
                        "tokens": metrics.of_all_models("Tokens", minutes=60),
                    },
                    label="mean over all models",
                    period=Duration.hours(1),
                )
            ],
            unit="USD",
        ),
    )


def _quotas(gateway: Gateway, metrics: GatewayMetrics) -> tuple[Signal, ...]:
    def of_bedrock(name: str, statistic: str) -> list[cloudwatch.IMetric]:
        # https://docs.aws.amazon.com/bedrock/latest/userguide/monitoring-runtime-metrics.html
        return [
            cloudwatch.Metric(
                namespace="AWS/Bedrock",
                metric_name=name,
                dimensions_map={"ModelId": model.model_id},
                statistic=statistic,
                period=Duration.minutes(5),
                label=model.alias,
            )
            for model in gateway.models
            if model.model_id is not None
        ]

    return (
        Signal(
            title="Tokens that count against Bedrock's quotas",
            audience=Audience.CAPACITY,
            section=_QUOTAS,
            metrics=of_bedrock("EstimatedTPMQuotaUsage", "Maximum"),
            unit="tokens in the busiest minute",
        ),
        Signal(
            title="Calls that Bedrock throttled",
            audience=Audience.CAPACITY,
            section=_QUOTAS,
            metrics=of_bedrock("InvocationThrottles", "Sum"),
            unit="per five minutes",
        ),
        Signal(
            title="Tokens of all models",
            audience=Audience.CAPACITY,
            section=_QUOTAS,
            metrics=[metrics.of_all_models("Tokens", minutes=1).with_(label="tokens")],
            unit="per minute",
            alarm="GatewayTokensPerMinute",
        ),
    )
