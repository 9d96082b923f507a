"""The log groups of a HyperPod cluster: encrypted, and not kept for ever."""

from typing import Any

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import custom_resources as cr
from constructs import Construct

from llm_constructs.deployment_function import SDK_CALL, accept_deployment_function
from llm_constructs.encryption import CustomerKey
from llm_constructs.log_retention import retention_of
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole


class HyperPodLogs(Construct):
    """Key and retention for what a cluster and its nodes log.

    ``node_log_group`` is for the agent on the nodes. HyperPod's own group is named after an id
    that the cluster gets when it is created, so that no template can make it beforehand;
    :meth:`protect` gives it key and retention as soon as the id is known.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster_name: str,
        encryption_key: CustomerKey,
        retention_days: int,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._cluster_name = cluster_name
        self._key = encryption_key
        self._retention_days = retention_days
        encryption_key.allow_log_groups()
        self.node_log_group = logs.LogGroup(
            self,
            "Nodes",
            log_group_name=f"/aws/sagemaker/Clusters/{cluster_name}/nodes",
            encryption_key=encryption_key,
            retention=retention_of(retention_days),
            removal_policy=removal_policy,
        )

    def protect(self, cluster_id: str) -> None:
        """Give the log group of the cluster with this id its key and retention.

        It is there already when a node has logged; otherwise it is made.
        """
        name = f"/aws/sagemaker/Clusters/{self._cluster_name}/{cluster_id}"
        role = self._make_role(name)
        functions_log = logs.LogGroup(
            self,
            "FunctionLogs",
            encryption_key=self._key,
            retention=logs.RetentionDays.ONE_YEAR,
            removal_policy=RemovalPolicy.DESTROY,
        )
        functions_log.grant_write(role)
        group = {"logGroupName": name}
        calls: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("Group", "createLogGroup", group),
            ("GroupKey", "associateKmsKey", {**group, "kmsKeyId": self._key.key_arn}),
            (
                "GroupRetention",
                "putRetentionPolicy",
                {**group, "retentionInDays": self._retention_days},
            ),
        )
        previous: cr.AwsCustomResource | None = None
        for construct_id, action, parameters in calls:
            call = cr.AwsSdkCall(
                service="CloudWatchLogs",
                action=action,
                parameters=parameters,
                physical_resource_id=cr.PhysicalResourceId.of(f"{name}:{action}"),
                ignore_error_codes_matching=(
                    "ResourceAlreadyExistsException" if action == "createLogGroup" else None
                ),
            )
            resource = cr.AwsCustomResource(
                self,
                construct_id,
                on_create=call,
                on_update=call,
                role=role,
                log_group=functions_log,
                install_latest_aws_sdk=False,
            )
            resource.node.add_dependency(previous or role)
            previous = resource
        accept_deployment_function(self, SDK_CALL, "Serverless-LambdaDefaultMemorySize")

    def _make_role(self, log_group_name: str) -> ServiceRole:
        role = ServiceRole(
            self,
            "FunctionRole",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"Sets key and retention of the logs of {self._cluster_name}",
        )
        group = Stack.of(self).format_arn(
            service="logs",
            resource="log-group",
            resource_name=log_group_name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="ProtectTheLogGroup",
                actions=["logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:PutRetentionPolicy"],
                # Some of these actions are checked against the group's ARN with `:*` at its end.
                resources=[group, f"{group}:*"],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="NameTheKey",
                actions=["kms:DescribeKey"],
                resources=[self._key.key_arn],
            )
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::arn:...:log-group:/aws/sagemaker/Clusters/...:*]",
            reason="The ARN of this one log group as IAM knows it for some of the actions, which "
            "is with `:*` for its streams at its end.",
        )
        return role
