"""How a new version of the gateway takes over from the one before."""

from collections.abc import Iterable

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from llm_constructs.alarm import AlarmDescription
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.gateway import Deployment, ProvisionedConcurrency

ALIAS = "live"

_CONFIGURATIONS = {
    Deployment.CANARY: codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
    Deployment.AT_ONCE: codedeploy.LambdaDeploymentConfig.ALL_AT_ONCE,
}


class GatewayDeployment(Construct):
    """CodeDeploy moves ``alias`` to a new version, and back on one of ``alarms``.

    The alarms are in this stack, because a deployment reads them while it runs; they tell nobody.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        alias: lambda_.Alias,
        deployment: Deployment,
        alarms: Iterable[AlarmDescription],
    ) -> None:
        super().__init__(scope, construct_id)
        codedeploy.LambdaDeploymentGroup(
            self,
            "Group",
            alias=alias,
            deployment_config=_CONFIGURATIONS[deployment],
            alarms=[self._make_alarm(description) for description in alarms],
            # CodeDeploy's L2 would add a managed policy for all functions of the account.
            role=self._make_role(alias).without_policy_updates(),
        )

    def _make_alarm(self, description: AlarmDescription) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            description.name,
            alarm_description=f"Rolls a deployment back. {description.summary}",
            metric=description.metric,
            threshold=description.threshold,
            comparison_operator=description.comparison,
            evaluation_periods=description.evaluation_periods,
            datapoints_to_alarm=description.datapoints_to_alarm,
            treat_missing_data=description.treat_missing_data,
        )
        acknowledge(
            alarm,
            "HIPAA.Security-CloudWatchAlarmAction",
            "NIST.800.53.R5-CloudWatchAlarmAction",
            reason="CodeDeploy reads the alarm's state while it deploys; that is its action. The "
            "alarms that tell people are built from the same description by the stack that "
            "watches.",
        )
        return alarm

    def _make_role(self, alias: lambda_.Alias) -> iam.Role:
        """Make a role with what CodeDeploy needs for this one function.

        https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCodeDeployRoleForLambdaLimited.html
        """
        role = ServiceRole(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"),
            description="Moves the gateway's alias between versions",
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "lambda:GetAlias",
                    "lambda:GetProvisionedConcurrencyConfig",
                    "lambda:UpdateAlias",
                ],
                resources=[alias.function_arn, alias.version.lambda_.function_arn],
            )
        )
        role.add_to_policy(
            # CodeDeploy asks for all alarms of the group in one call, which names no alarm's ARN.
            iam.PolicyStatement(actions=["cloudwatch:DescribeAlarms"], resources=["*"])
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            reason="cloudwatch:DescribeAlarms only reads. The alarms watch the deployment that the "
            "role moves, so they are made after it and their names are not known here.",
        )
        return role


def keep_ready(alias: lambda_.Alias, concurrency: ProvisionedConcurrency) -> None:
    """Keep instances of ``alias`` ready, more of them while they are in use."""
    scaling = alias.add_auto_scaling(
        min_capacity=concurrency.minimum, max_capacity=concurrency.maximum
    )
    scaling.scale_on_utilization(utilization_target=concurrency.target_percent / 100)
