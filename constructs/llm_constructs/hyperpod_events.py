"""What HyperPod says of a cluster and its nodes: kept, counted and watched."""

from typing import Any, Final

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.encryption import CustomerKey
from llm_constructs.log_retention import retention_of
from llm_constructs.nag import acknowledge

# https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
_NODE_HEALTH: Final = "SageMaker HyperPod Cluster Node Health Event"
_CLUSTER_EVENT: Final = "SageMaker HyperPod Cluster Event"
_STATE_CHANGE: Final = "SageMaker HyperPod Cluster State Change"


class HyperPodEvents(Construct):
    """Rules for the events of a cluster, the log group that keeps them, and alarms.

    ``recovers`` says whether HyperPod replaces broken nodes by itself; if it does not, a broken
    node pages.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster_name: str,
        recovers: bool,
        encryption_key: CustomerKey,
        log_retention_days: int,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._cluster_name = cluster_name
        self._recovers = recovers
        encryption_key.allow_log_groups()
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            # EventBridge writes to groups of this prefix:
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
            log_group_name=f"/aws/events/hyperpod/{cluster_name}",
            encryption_key=encryption_key,
            retention=retention_of(log_retention_days),
            removal_policy=removal_policy,
        )
        self.log_group.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[
                    iam.ServicePrincipal("events.amazonaws.com"),
                    iam.ServicePrincipal("delivery.logs.amazonaws.com"),
                ],
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[self.log_group.log_group_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
            )
        )
        unhealthy = {"HealthSummary": {"HealthStatus": [{"anything-but": "Healthy"}]}}
        self._node_health = self._make_rule(
            "NodeHealth", _NODE_HEALTH, {"ClusterName": [cluster_name], **unhealthy}
        )
        self._errors = self._make_rule(
            "ClusterErrors",
            _CLUSTER_EVENT,
            {"EventDetails": {"ClusterName": [cluster_name], "EventLevel": ["Error"]}},
        )
        acknowledge(
            self,
            "Serverless-EventBusDLQ",
            reason="The target is a log for people to read. EventBridge tries for a day to write "
            "to it, and the alarms count the events themselves and not their way into the log.",
        )
        self._failures = self._make_rule(
            "ClusterFailures",
            _STATE_CHANGE,
            {"ClusterName": [cluster_name], "ClusterStatus": ["Failed", "RollingBack"]},
        )

    @property
    def alarms(self) -> tuple[AlarmDescription, ...]:
        """A broken node, an operation that failed, and a cluster that failed."""
        recovery = (
            "HyperPod is to replace it." if self._recovers else "Nobody replaces it by himself."
        )
        return (
            self._alarm(
                "HyperPodNodeUnhealthy",
                f"A node of {self._cluster_name} is not healthy. {recovery}",
                self._node_health,
                Severity.TICKET if self._recovers else Severity.PAGE,
                "training-replace-node",
            ),
            self._alarm(
                "HyperPodOperationFailed",
                f"A node of {self._cluster_name} could not be made, patched or set up.",
                self._errors,
                Severity.TICKET,
                "training-cluster-errors",
            ),
            self._alarm(
                "HyperPodClusterFailed",
                f"{self._cluster_name} failed, or an update of it is being undone.",
                self._failures,
                Severity.PAGE,
                "training-cluster-errors",
            ),
        )

    def _make_rule(self, construct_id: str, kind: str, detail: dict[str, Any]) -> events.CfnRule:
        # L1: the L2 target for log groups writes the resource policy by a function of its own.
        return events.CfnRule(
            self,
            construct_id,
            description=f"{kind}: {self._cluster_name}",
            event_pattern={
                "source": ["aws.sagemaker"],
                "detail-type": [kind],
                "detail": detail,
            },
            targets=[events.CfnRule.TargetProperty(arn=self._log_group_arn, id="Logs")],
        )

    @property
    def _log_group_arn(self) -> str:
        # EventBridge takes the ARN without the `:*` of the group's own.
        return Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=self.log_group.log_group_name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _alarm(
        self, name: str, summary: str, rule: events.CfnRule, severity: Severity, runbook: str
    ) -> AlarmDescription:
        return AlarmDescription(
            name=name,
            summary=summary,
            # For a rule; MatchedEvents is for the bus:
            # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
            metric=cloudwatch.Metric(
                namespace="AWS/Events",
                metric_name="TriggeredRules",
                dimensions_map={"RuleName": rule.ref},
                statistic="Sum",
                period=Duration.minutes(5),
            ).attach_to(rule),
            threshold=0,
            comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            severity=severity,
            runbook=runbook,
            evaluation_periods=1,
            datapoints_to_alarm=1,
        )
