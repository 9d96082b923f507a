"""What to watch on an EKS cluster."""

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.signal import LogQuery, Signal
from llm_constructs.specs.eks import GpuMonitoring
from llm_constructs.specs.observability import Audience

FAILED_REQUESTS_SHARE: Final = 0.02
"""The share of failed requests from which controllers and kubectl notice more than retries."""

BUSY_PERCENT: Final = 5
"""Average use of all accelerators under which they do no work that anybody waits for."""

IDLE_HOURS: Final = 6
"""Longer than a night shift's break or the start of a large job takes."""

_ABOVE: Final = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_NODES: Final = "Nodes of the cluster"
_ACCELERATORS: Final = "Accelerators of the cluster"
_CONTROL_PLANE: Final = "Cluster"

_ACCELERATOR_GRAPHS: Final = (
    ("GPUs in use", "percent", ("node_gpu_utilization", "node_gpu_memory_utilization")),
    ("GPU power", "W", ("node_gpu_power_draw",)),
    ("Neuron cores in use", "percent", ("node_neuroncore_utilization",)),
    (
        "Neuron errors",
        "per minute",
        ("node_neuron_execution_errors_total", "node_neurondevice_hw_ecc_events_total"),
    ),
    (
        "EFA traffic of nodes",
        "bytes per second",
        ("node_efa_rx_bytes", "node_efa_tx_bytes", "node_efa_rdma_read_bytes"),
    ),
    ("EFA packets dropped", "per second", ("node_efa_rx_dropped",)),
)


class ClusterMetrics:
    """The metrics of the cluster called ``cluster``, over one minute.

    EKS publishes those of the control plane without being asked
    (https://docs.aws.amazon.com/eks/latest/userguide/cloudwatch.html); those of nodes come from the
    CloudWatch add-on, and those of accelerators and EFA only where it runs DCGM.
    """

    def __init__(self, cluster: str) -> None:
        self._dimensions = {"ClusterName": cluster}

    def of_control_plane(self, name: str) -> cloudwatch.Metric:
        """Return a sum that EKS publishes; it allows no other statistic."""
        return self._metric("AWS/EKS", name, "Sum")

    def of_nodes(self, name: str, statistic: str) -> cloudwatch.Metric:
        """Return a metric of Container Insights over all nodes."""
        return self._metric("ContainerInsights", name, statistic)

    def failed_requests(self) -> cloudwatch.MathExpression:
        """Return the share of requests to the API server that failed on its side."""
        return cloudwatch.MathExpression(
            expression="errors / requests",
            using_metrics={
                "errors": self.of_control_plane("apiserver_request_total_5XX"),
                "requests": self.of_control_plane("apiserver_request_total"),
            },
            label="server errors",
            period=Duration.minutes(1),
        )

    def _metric(self, namespace: str, name: str, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=namespace,
            metric_name=name,
            dimensions_map=self._dimensions,
            statistic=statistic,
            period=Duration.minutes(1),
        )


def describe_alarms(
    metrics: ClusterMetrics, monitoring: GpuMonitoring
) -> tuple[AlarmDescription, ...]:
    """Describe the alarms of a cluster; idle accelerators only where something measures them."""
    idle = (
        (
            _idle(metrics, "EksGpusIdle", "GPUs", "node_gpu_utilization"),
            _idle(metrics, "EksNeuronCoresIdle", "Neuron cores", "node_neuroncore_utilization"),
        )
        if monitoring is GpuMonitoring.METRICS
        else ()
    )
    return (*_faults(metrics), *idle)


def _idle(metrics: ClusterMetrics, name: str, what: str, metric: str) -> AlarmDescription:
    # Over all nodes: an alarm can neither search for nodes nor know their names beforehand.
    return AlarmDescription(
        name=name,
        summary=f"The cluster's {what} have been less than {BUSY_PERCENT} % busy for "
        f"{IDLE_HOURS} hours, and are paid for.",
        metric=metrics.of_nodes(metric, "Average").with_(period=Duration.hours(1)),
        threshold=BUSY_PERCENT,
        comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        severity=Severity.TICKET,
        runbook="idle-accelerators",
        evaluation_periods=IDLE_HOURS,
        datapoints_to_alarm=IDLE_HOURS,
        missing_data_reason="Without a node that has any, nothing is emitted, and nothing idles.",
    )


def _faults(metrics: ClusterMetrics) -> tuple[AlarmDescription, ...]:
    return (
        AlarmDescription(
            name="EksNodesFailed",
            summary="A node has been broken for a quarter of an hour, and nothing replaced it.",
            metric=metrics.of_nodes("cluster_failed_node_count", "Maximum"),
            threshold=0,
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="eks-nodes-failed",
            evaluation_periods=15,
            datapoints_to_alarm=15,
        ),
        AlarmDescription(
            name="EksNodesUnseen",
            summary="No node reports, or the CloudWatch add-on does not run.",
            metric=metrics.of_nodes("cluster_node_count", "Maximum"),
            threshold=1,
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            severity=Severity.TICKET,
            runbook="eks-nodes-failed",
            evaluation_periods=15,
            datapoints_to_alarm=15,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
            missing_data_reason="The cluster always has system nodes, and the agent on them counts "
            "every minute: no data is no agent, and without it no other alarm of nodes rings.",
        ),
        AlarmDescription(
            name="EksPodsUnschedulable",
            summary="Pods have waited half an hour for a node that fits them.",
            metric=metrics.of_control_plane("scheduler_pending_pods_UNSCHEDULABLE"),
            threshold=0,
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="eks-pods-unschedulable",
            evaluation_periods=30,
            datapoints_to_alarm=30,
        ),
        AlarmDescription(
            name="EksServerErrors",
            summary=f"More than {FAILED_REQUESTS_SHARE:.0%} of the requests to the cluster's API "
            "fail.",
            metric=metrics.failed_requests(),
            threshold=FAILED_REQUESTS_SHARE,
            comparison=_ABOVE,
            severity=Severity.TICKET,
            runbook="eks-server-errors",
            evaluation_periods=15,
            datapoints_to_alarm=10,
        ),
    )


def describe_signals(metrics: ClusterMetrics, monitoring: GpuMonitoring) -> tuple[Signal, ...]:
    """Describe nodes, control plane and, where something measures them, accelerators and EFA."""
    accelerators = _accelerators(metrics) if monitoring is GpuMonitoring.METRICS else ()
    return (*_nodes(metrics), *accelerators, *_control_plane(metrics))


def describe_queries(log_group: logs.ILogGroup) -> tuple[LogQuery, ...]:
    """Describe what people ask of the control plane's logs."""
    audit = "filter @logStream like /kube-apiserver-audit/"
    return (
        LogQuery(
            name="who changed what",
            log_groups=[log_group],
            statements=(
                audit,
                'filter verb in ["create", "update", "patch", "delete"]',
                'filter user.username not like "system:"',
                (
                    "fields @timestamp, user.username, verb, objectRef.resource, "
                    "objectRef.namespace, objectRef.name"
                ),
                "sort @timestamp desc",
                "limit 100",
            ),
        ),
        LogQuery(
            name="who was refused",
            log_groups=[log_group],
            statements=(
                audit,
                "filter responseStatus.code = 403",
                "stats count(*) as requests by user.username, verb, objectRef.resource",
                "sort requests desc",
                "limit 50",
            ),
        ),
    )


def _nodes(metrics: ClusterMetrics) -> tuple[Signal, ...]:
    return (
        Signal(
            title="Nodes",
            audience=Audience.TRAINING,
            section=_NODES,
            metrics=[
                metrics.of_nodes("cluster_node_count", "Maximum").with_(label="all"),
                metrics.of_nodes("cluster_failed_node_count", "Maximum").with_(label="failed"),
            ],
            unit="nodes",
        ),
        Signal(
            title="Processors and memory of nodes",
            audience=Audience.TRAINING,
            section=_NODES,
            metrics=[
                metrics.of_nodes("node_cpu_utilization", "Average").with_(label="processors"),
                metrics.of_nodes("node_memory_utilization", "Average").with_(label="memory"),
            ],
            unit="percent",
        ),
        Signal(
            title="Fullest disk of a node",
            audience=Audience.TRAINING,
            section=_NODES,
            metrics=[
                metrics.of_nodes("node_filesystem_utilization", "Maximum").with_(label="disk")
            ],
            unit="percent",
        ),
        Signal(
            title="Processors that pods have reserved",
            audience=Audience.CAPACITY,
            section=_CONTROL_PLANE,
            metrics=[
                metrics.of_nodes("node_cpu_reserved_capacity", "Average").with_(label="processors"),
                metrics.of_nodes("node_memory_reserved_capacity", "Average").with_(label="memory"),
            ],
            unit="percent",
        ),
        Signal(
            title="Nodes of the cluster",
            audience=Audience.CAPACITY,
            section=_CONTROL_PLANE,
            metrics=[metrics.of_nodes("cluster_node_count", "Maximum").with_(label="nodes")],
            unit="nodes",
        ),
    )


def _accelerators(metrics: ClusterMetrics) -> tuple[Signal, ...]:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-enhanced-EKS.html
    return tuple(
        Signal(
            title=title,
            audience=Audience.TRAINING,
            section=_ACCELERATORS,
            metrics=[
                metrics.of_nodes(name, "Average").with_(label=name.removeprefix("node_"))
                for name in names
            ],
            unit=unit,
        )
        for title, unit, names in _ACCELERATOR_GRAPHS
    )


def _control_plane(metrics: ClusterMetrics) -> tuple[Signal, ...]:
    waiting = metrics.of_control_plane("scheduler_pending_pods_UNSCHEDULABLE")
    return (
        Signal(
            title="Pods that fit no node",
            audience=Audience.TRAINING,
            section=_NODES,
            metrics=[waiting.with_(label="pods")],
            unit="pods",
            alarm="EksPodsUnschedulable",
        ),
        Signal(
            title="Pods that wait for capacity",
            audience=Audience.CAPACITY,
            section=_CONTROL_PLANE,
            metrics=[waiting.with_(label="pods")],
            unit="pods",
            alarm="EksPodsUnschedulable",
        ),
        Signal(
            title="Failed requests to the cluster's API",
            audience=Audience.SERVICE,
            section=_CONTROL_PLANE,
            metrics=[metrics.failed_requests()],
            unit="share",
            alarm="EksServerErrors",
        ),
        Signal(
            title="Requests to the cluster's API",
            audience=Audience.SERVICE,
            section=_CONTROL_PLANE,
            metrics=[
                metrics.of_control_plane("apiserver_request_total").with_(label="requests"),
                metrics.of_control_plane("apiserver_request_total_429").with_(label="throttled"),
            ],
            unit="per minute",
        ),
    )
