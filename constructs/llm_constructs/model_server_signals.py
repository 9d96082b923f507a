"""What the boards show of a model server."""

from typing import Final

from aws_cdk import aws_cloudwatch as cloudwatch

from llm_constructs.load_balancer_metrics import LoadBalancerMetrics
from llm_constructs.model_server_alarms import error_share, pascal_case
from llm_constructs.signal import Signal
from llm_constructs.specs.model_server import ModelServer
from llm_constructs.specs.observability import Audience

_SECTION: Final = "Models on the cluster"


def describe_signals(server: ModelServer, metrics: LoadBalancerMetrics) -> tuple[Signal, ...]:
    """Describe a model's calls, failures and delays, and how many of its copies answer."""
    title = pascal_case(server.name)
    requests = metrics.of_targets("RequestCount", "Sum")
    copies = metrics.of_targets("HealthyHostCount", "Maximum")
    delays = {
        statistic: metrics.of_targets("TargetResponseTime", statistic)
        for statistic in ("p50", "p90", "p99")
    }
    return (
        _service(f"Calls to {server.name}", "per minute", requests.with_(label="calls")),
        _service(
            f"Failed share of {server.name}",
            "share",
            error_share(server, metrics),
            alarm=f"ModelServerErrors{title}",
        ),
        _service(
            f"Time until {server.name} answers",
            "seconds",
            *(delay.with_(label=statistic) for statistic, delay in delays.items()),
            alarm=f"ModelSlow{title}",
        ),
        Signal(
            title=f"Targets of {server.name} that answer",
            audience=Audience.CAPACITY,
            section=_SECTION,
            metrics=[copies.with_(label="targets")],
            unit="targets",
        ),
    )


def _service(
    title: str, unit: str, *metrics: cloudwatch.IMetric, alarm: str | None = None
) -> Signal:
    return Signal(
        title=title,
        audience=Audience.SERVICE,
        section=_SECTION,
        metrics=list(metrics),
        unit=unit,
        alarm=alarm,
    )
