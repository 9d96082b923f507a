"""What to watch on a VPC: its NAT gateways and its flow logs."""

from collections.abc import Mapping
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.signal import LogQuery, Signal
from llm_constructs.specs.observability import Audience

_SECTION: Final = "Network"


class NatMetrics:
    """The metrics of NAT gateways, whose ids are given by their zones.

    https://docs.aws.amazon.com/vpc/latest/userguide/metrics-dimensions-nat-gateway.html
    """

    def __init__(self, gateways: Mapping[str, str]) -> None:
        self._gateways = gateways

    def of_each(self, name: str) -> list[cloudwatch.Metric]:
        """Return a metric of each gateway, summed over five minutes."""
        return [
            cloudwatch.Metric(
                namespace="AWS/NATGateway",
                metric_name=name,
                dimensions_map={"NatGatewayId": gateway},
                statistic="Sum",
                period=Duration.minutes(5),
                label=zone,
            )
            for zone, gateway in self._gateways.items()
        ]

    def of_all(self, name: str) -> cloudwatch.MathExpression:
        """Return a metric summed over all gateways and five minutes."""
        using = {f"nat{place}": metric for place, metric in enumerate(self.of_each(name))}
        return cloudwatch.MathExpression(
            # A gateway that a zone has newly got has no data yet, which is no zero to CloudWatch.
            expression=" + ".join(f"FILL({label}, 0)" for label in using),
            using_metrics=using,
            label=name,
            period=Duration.minutes(5),
        )


def describe_nat_alarms(metrics: NatMetrics) -> tuple[AlarmDescription, ...]:
    """Describe the alarms of NAT gateways."""
    return (
        AlarmDescription(
            name="NatPortsExhausted",
            summary="NAT gateways refused connections, because too many go to one destination.",
            metric=metrics.of_all("ErrorPortAllocation"),
            threshold=0,
            comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            severity=Severity.TICKET,
            runbook="network-nat-ports",
        ),
    )


def describe_nat_signals(metrics: NatMetrics) -> tuple[Signal, ...]:
    """Describe what passes NAT gateways, which is paid for by the gigabyte, and what does not."""
    return (
        Signal(
            title="Through NAT gateways to the internet",
            audience=Audience.COST,
            section=_SECTION,
            metrics=metrics.of_each("BytesOutToDestination"),
            unit="bytes per five minutes",
            stacked=True,
        ),
        Signal(
            title="Through NAT gateways from the internet",
            audience=Audience.COST,
            section=_SECTION,
            metrics=metrics.of_each("BytesInFromDestination"),
            unit="bytes per five minutes",
            stacked=True,
        ),
        Signal(
            title="Connections that NAT gateways refused",
            audience=Audience.CAPACITY,
            section=_SECTION,
            metrics=[metrics.of_all("ErrorPortAllocation").with_(label="connections")],
            unit="per five minutes",
            alarm="NatPortsExhausted",
        ),
    )


def describe_flow_log_alarms(log_group: logs.ILogGroup) -> tuple[AlarmDescription, ...]:
    """Describe the alarm of flow logs that no longer arrive."""
    return (
        AlarmDescription(
            name="FlowLogsStopped",
            summary="No flow log has arrived for an hour: what happens in the VPC leaves no trace.",
            metric=_incoming(log_group),
            threshold=1,
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            severity=Severity.TICKET,
            runbook="network-flow-logs",
            evaluation_periods=4,
            datapoints_to_alarm=4,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
            missing_data_reason="Every network interface writes a line in each interval, with "
            "NODATA when nothing passed: no data is no flow log.",
        ),
    )


def describe_flow_log_queries(log_group: logs.ILogGroup) -> tuple[LogQuery, ...]:
    """Describe what people ask of flow logs."""
    return (
        LogQuery(
            name="refused connections",
            log_groups=[log_group],
            statements=(
                'filter action = "REJECT"',
                "stats sum(packets) as packets by srcAddr, dstAddr, dstPort, protocol",
                "sort packets desc",
                "limit 50",
            ),
        ),
        LogQuery(
            name="who sends most",
            log_groups=[log_group],
            statements=(
                'filter action = "ACCEPT"',
                "stats sum(bytes) as sent by srcAddr, dstAddr",
                "sort sent desc",
                "limit 50",
            ),
        ),
    )


def _incoming(log_group: logs.ILogGroup) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/Logs",
        metric_name="IncomingLogEvents",
        dimensions_map={"LogGroupName": log_group.log_group_name},
        statistic="Sum",
        period=Duration.minutes(15),
    )
