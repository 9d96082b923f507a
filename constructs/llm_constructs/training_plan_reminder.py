"""A reminder before a training plan ends, for HyperPod takes its nodes away without a word."""

import json
from collections.abc import Sequence
from typing import Final

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from llm_constructs.alarm import AlarmDescription, Severity
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.training_plan import TrainingPlan

NAMESPACE: Final = "LlmPlatform/Training"
METRIC: Final = "TrainingPlanEnding"


class TrainingPlanReminder(Construct):
    """EventBridge Scheduler reports the end of each of ``plans`` in advance, as a metric.

    Only plans whose end is known are watched, and at least one must be.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster_name: str,
        plans: Sequence[TrainingPlan],
    ) -> None:
        super().__init__(scope, construct_id)
        self._cluster_name = cluster_name
        role = ServiceRole(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"),
            description=f"Reports that a training plan of {cluster_name} ends",
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["cloudwatch:PutMetricData"],
                # CloudWatch knows no resource for it; the condition names the one namespace.
                resources=["*"],
                conditions={"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
            )
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            reason="CloudWatch knows no resource for PutMetricData; a condition names the one "
            "namespace that may be written to.",
        )
        for plan in plans:
            self._remind(plan, role)

    def _remind(self, plan: TrainingPlan, role: iam.IRole) -> None:
        name = plan.arn.rpartition("/")[2]
        schedule = scheduler.CfnSchedule(
            self,
            f"Plan-{name}",
            description=f"The training plan {name} ends on {plan.end:%Y-%m-%d %H:%M} UTC",
            schedule_expression=f"at({plan.notice_at:%Y-%m-%dT%H:%M:%S})",
            schedule_expression_timezone="UTC",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=f"arn:{Aws.PARTITION}:scheduler:::aws-sdk:cloudwatch:putMetricData",
                role_arn=role.role_arn,
                # In the names of the service's model, which begin with a capital:
                # https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
                input=json.dumps(
                    {
                        "Namespace": NAMESPACE,
                        "MetricData": [
                            {
                                "MetricName": METRIC,
                                "Dimensions": [
                                    {"Name": "ClusterName", "Value": self._cluster_name}
                                ],
                                "Value": 1,
                            }
                        ],
                    }
                ),
            ),
        )
        schedule.node.add_dependency(role)

    @property
    def alarms(self) -> tuple[AlarmDescription, ...]:
        """A plan that is about to end."""
        ending = AlarmDescription(
            name="TrainingPlanEnding",
            summary=f"A training plan of {self._cluster_name} ends in three days, and its nodes go "
            "with it.",
            metric=cloudwatch.Metric(
                namespace=NAMESPACE,
                metric_name=METRIC,
                dimensions_map={"ClusterName": self._cluster_name},
                statistic="Sum",
                period=Duration.hours(1),
            ).attach_to(self),
            threshold=0,
            comparison=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            severity=Severity.TICKET,
            runbook="training-plan-expired",
            evaluation_periods=1,
            datapoints_to_alarm=1,
            momentary=True,
        )
        return (ending,)
