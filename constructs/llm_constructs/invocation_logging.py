"""Bedrock's model-invocation logging."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from llm_constructs.bedrock_setting import BedrockSetting
from llm_constructs.encryption import CustomerKey
from llm_constructs.log_protection import masked_secrets
from llm_constructs.log_retention import retention_of
from llm_constructs.private_bucket import AccessLogsBucket, NotReplicated, PrivateBucket
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.invocation_logging import InvocationLogs, LogDestination, LoggedData

SETTING = "invocation-logging"

_BEDROCK = "bedrock.amazonaws.com"
_LOG_STREAM = "aws/bedrock/modelinvocations"
_ACTIONS = (
    "bedrock:DeleteModelInvocationLoggingConfiguration",
    "bedrock:GetModelInvocationLoggingConfiguration",
    "bedrock:PutModelInvocationLoggingConfiguration",
)


class InvocationLogging(Construct):
    """Logs every call to a model in this account and region, in full and as it is.

    It is for audits and incidents, and off unless this construct is made: its logs hold the raw
    text of **every** caller of Bedrock, also of those that have nothing to do with the platform.
    ``logs`` says what is logged, where to and how long it is kept; ``bucket`` and ``log_group``
    are the destinations that were chosen, encrypted with ``key``.

    On deletion the earlier configuration is put back. If that wrote to a log group, its role must
    be among ``restorable_roles``, or the deployment stops before anything is changed. ``code`` is
    what :func:`~llm_constructs.bedrock_setting.setting_code` returns.

    The bucket's, key's and role's policies are those that Bedrock documents:
    https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: lambda_.Code,
        logs: InvocationLogs | None = None,
        restorable_roles: Sequence[iam.IRole] = (),
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self._spec = logs or InvocationLogs()
        self._removal_policy = removal_policy
        self.key = CustomerKey(
            self,
            "Key",
            description="Encrypts Bedrock's logs of model invocations",
            removal_policy=removal_policy,
        )
        self.key.allow_log_groups()
        chosen = self._spec.destinations
        self.bucket = self._make_bucket() if LogDestination.S3 in chosen else None
        self.log_group = self._make_log_group() if LogDestination.CLOUDWATCH in chosen else None
        role = self._make_role(self.log_group) if self.log_group else None
        setting = BedrockSetting(
            self,
            "Setting",
            code=code,
            setting=SETTING,
            configuration=self._configuration(role),
            actions=_ACTIONS,
            encryption_key=self.key,
            passed_roles=[role] if role else [],
            restorable_roles=restorable_roles,
        )
        # Bedrock tries the destinations when it is told of them, and must be told of others before
        # these go.
        for destination in (self.key, self.bucket, self.log_group, role):
            if destination is not None:
                setting.resource.node.add_dependency(destination)

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read the logs at every destination, and decrypt them."""
        grants = []
        if self.bucket is not None:
            grants.append(self.bucket.grant_read(grantee))
        if self.log_group is not None:
            # CloudWatch Logs decrypts for whoever may read the group.
            grants.append(self.log_group.grant_read(grantee))
        first, *others = grants
        return first.combine(others[0]) if others else first

    def _source(self) -> dict[str, Any]:
        """Return the condition that keeps Bedrock from acting here for other accounts."""
        stack = Stack.of(self)
        return {
            "StringEquals": {"aws:SourceAccount": stack.account},
            "ArnLike": {
                "aws:SourceArn": stack.format_arn(
                    service="bedrock", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME
                )
            },
        }

    def _make_bucket(self) -> s3.Bucket:
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(_BEDROCK)],
                actions=["kms:GenerateDataKey"],
                # In a key policy, `*` is the key that holds the policy.
                resources=["*"],
                conditions=self._source(),
            )
        )
        days = self._spec.retention_days
        bucket = PrivateBucket(
            self,
            "Bucket",
            encryption_key=self.key,
            access_logs=AccessLogsBucket(
                self, "AccessLogs", retention_days=days, removal_policy=self._removal_policy
            ),
            replication=NotReplicated(
                "The logs hold raw prompts and answers of this region and expire; copies in a "
                "second region would be one more place for them to leak from."
            ),
            # What has expired is gone: these logs are personal data that somebody decided to drop.
            noncurrent_days=1,
            lifecycle_rules=[
                s3.LifecycleRule(id="ExpireInvocationLogs", expiration=Duration.days(days))
            ],
            removal_policy=self._removal_policy,
        )
        account = Stack.of(self).account
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(_BEDROCK)],
                actions=["s3:PutObject"],
                resources=[
                    bucket.arn_for_objects(f"AWSLogs/{account}/BedrockModelInvocationLogs/*")
                ],
                conditions=self._source(),
            )
        )
        return bucket

    def _make_log_group(self) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            "LogGroup",
            encryption_key=self.key,
            retention=retention_of(self._spec.retention_days),
            # Whoever may `logs:Unmask` reads it as it was written.
            data_protection_policy=masked_secrets(),
            removal_policy=self._removal_policy,
        )

    def _make_role(self, log_group: logs.LogGroup) -> ServiceRole:
        role = ServiceRole(
            self,
            "LogGroupRole",
            assumed_by=iam.ServicePrincipal(_BEDROCK, conditions=self._source()),
            description="Lets Bedrock write its logs of model invocations",
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[
                    Stack.of(self).format_arn(
                        service="logs",
                        resource="log-group",
                        resource_name=f"{log_group.log_group_name}:log-stream:{_LOG_STREAM}",
                        arn_format=ArnFormat.COLON_RESOURCE_NAME,
                    )
                ],
            )
        )
        return role

    def _configuration(self, role: iam.IRole | None) -> dict[str, Any]:
        configuration: dict[str, Any] = {
            # Bedrock logs what is not mentioned, so each is.
            f"{kind}DataDeliveryEnabled": kind in self._spec.data
            for kind in LoggedData
        }
        bucket = {"bucketName": self.bucket.bucket_name} if self.bucket else None
        if bucket:
            configuration["s3Config"] = bucket
        if self.log_group and role:
            configuration["cloudWatchConfig"] = {
                "logGroupName": self.log_group.log_group_name,
                "roleArn": role.role_arn,
                **({"largeDataDeliveryS3Config": bucket} if bucket else {}),
            }
        return configuration
