"""What to watch on the gateway's containers."""

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.gateway_alarms import SERVER_ERROR_SHARE
from llm_constructs.load_balancer_metrics import LoadBalancerMetrics
from llm_constructs.signal import Signal
from llm_constructs.specs.observability import Audience

BUSY_PERCENT: Final = 90
"""Above what scaling aims at, so that it is only reached when no more tasks may start."""

_SECTION: Final = "Gateway: containers"
_ABOVE: Final = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD


class ServiceMetrics(LoadBalancerMetrics):
    """The metrics of the load balancer ``balancer``, its targets and the tasks of ``service``.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html
    """

    def __init__(
        self,
        *,
        balancer: elbv2.ApplicationLoadBalancer,
        targets: elbv2.ApplicationTargetGroup,
        service: ecs.FargateService,
    ) -> None:
        super().__init__(balancer, targets)
        self._tasks = {
            "ClusterName": service.cluster.cluster_name,
            "ServiceName": service.service_name,
        }

    def of_tasks(self, name: str, statistic: str) -> cloudwatch.Metric:
        """Return a metric of the tasks, over one minute."""
        return cloudwatch.Metric(
            namespace="AWS/ECS",
            metric_name=name,
            dimensions_map=self._tasks,
            statistic=statistic,
            period=Duration.minutes(1),
        )

    def server_errors(self) -> cloudwatch.MathExpression:
        """Return the share of requests that the tasks or the load balancer failed."""
        return cloudwatch.MathExpression(
            # A code that did not occur has no data, which is no zero to CloudWatch.
            expression="(FILL(targets, 0) + FILL(balancer, 0)) / requests",
            using_metrics={
                "targets": self.of_balancer("HTTPCode_Target_5XX_Count", "Sum"),
                "balancer": self.of_balancer("HTTPCode_ELB_5XX_Count", "Sum"),
                "requests": self.of_balancer("RequestCount", "Sum"),
            },
            label="server errors",
            period=Duration.minutes(1),
        )


def describe_alarms(metrics: ServiceMetrics) -> tuple[AlarmDescription, ...]:
    """Describe the alarms of the containers."""
    return (
        AlarmDescription(
            name="GatewayServiceServerErrors",
            summary=f"More than {SERVER_ERROR_SHARE:.0%} of the requests to the containers fail on "
            "our side.",
            metric=metrics.server_errors(),
            threshold=SERVER_ERROR_SHARE,
            comparison=_ABOVE,
            severity=Severity.PAGE,
            runbook="gateway-service-errors",
            evaluation_periods=5,
        ),
        AlarmDescription(
            name="GatewayServiceDown",
            summary="No container of the gateway is healthy.",
            metric=metrics.of_targets("HealthyHostCount", "Maximum"),
            threshold=1,
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            severity=Severity.PAGE,
            runbook="gateway-service-unhealthy",
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
            missing_data_reason="The load balancer counts healthy targets every minute, as long as "
            "any is registered: no data is no target.",
        ),
        AlarmDescription(
            name="GatewayServiceUnhealthy",
            summary="A container of the gateway has failed its health checks for ten minutes.",
            metric=metrics.of_targets("UnHealthyHostCount", "Maximum"),
            threshold=0,
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="gateway-service-unhealthy",
            evaluation_periods=10,
            datapoints_to_alarm=10,
        ),
        AlarmDescription(
            name="GatewayServiceBusy",
            summary=f"The containers have used over {BUSY_PERCENT} % of their processors for a "
            "quarter of an hour; no more of them may start.",
            metric=metrics.of_tasks("CPUUtilization", "Average"),
            threshold=BUSY_PERCENT,
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="gateway-service-busy",
            evaluation_periods=15,
            datapoints_to_alarm=15,
        ),
    )


def describe_signals(metrics: ServiceMetrics, *, most_tasks: int) -> tuple[Signal, ...]:
    """Describe the golden signals of the containers, of which ``most_tasks`` may run."""

    def signal(
        title: str, unit: str, *shown: cloudwatch.IMetric, alarm: str = "", limit: float = 0
    ) -> Signal:
        return Signal(
            title=title,
            audience=Audience.SERVICE,
            section=_SECTION,
            metrics=shown,
            unit=unit,
            alarm=alarm or None,
            threshold=limit or None,
        )

    return (
        signal(
            "Requests to the containers",
            "per minute",
            metrics.of_balancer("RequestCount", "Sum").with_(label="requests"),
        ),
        signal(
            "Failed by the containers",
            "share",
            metrics.server_errors(),
            alarm="GatewayServiceServerErrors",
        ),
        signal(
            "Time to the first byte",
            "s",
            *(
                metrics.of_balancer("TargetResponseTime", percentile).with_(label=percentile)
                for percentile in ("p50", "p95", "p99")
            ),
        ),
        signal(
            "Containers",
            "containers",
            metrics.of_targets("HealthyHostCount", "Maximum").with_(label="healthy"),
            metrics.of_targets("UnHealthyHostCount", "Maximum").with_(label="unhealthy"),
            limit=most_tasks,
        ),
        signal(
            "Processors of the containers",
            "percent",
            metrics.of_tasks("CPUUtilization", "Average").with_(label="mean"),
            alarm="GatewayServiceBusy",
        ),
        signal(
            "Memory of the containers",
            "percent",
            metrics.of_tasks("MemoryUtilization", "Maximum").with_(label="fullest"),
        ),
    )
