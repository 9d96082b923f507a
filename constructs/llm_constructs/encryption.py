"""Customer-managed keys."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

PENDING_WINDOW = Duration.days(30)
"""How long a deleted key can be brought back: the longest that KMS offers.

https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
"""

_USE = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*")


class CustomerKey(kms.Key):
    """A symmetric key of the account's own that rotates each year."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        description: str,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            description=description,
            enable_key_rotation=True,
            removal_policy=removal_policy,
            pending_window=PENDING_WINDOW,
        )

    def allow_log_groups(self) -> None:
        """Let CloudWatch Logs encrypt this account's log groups with the key.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        """
        stack = Stack.of(self)
        log_groups = stack.format_arn(
            service="logs", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME
        )
        self._allow_service(
            f"logs.{stack.region}.amazonaws.com",
            # Not kms:DescribeKey: it has no encryption context, so the condition never holds.
            _USE,
            {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": log_groups}},
        )

    def allow_log_delivery(self) -> None:
        """Let AWS write logs, such as a VPC's flow logs, to a bucket encrypted with the key.

        https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-cmk-policy.html
        """
        stack = Stack.of(self)
        self._allow_service(
            "delivery.logs.amazonaws.com",
            (*_USE, "kms:DescribeKey"),
            {
                "StringEquals": {"aws:SourceAccount": stack.account},
                "ArnLike": {
                    "aws:SourceArn": stack.format_arn(
                        service="logs", resource="*", arn_format=ArnFormat.NO_RESOURCE_NAME
                    )
                },
            },
        )

    def _allow_service(
        self, service: str, actions: Sequence[str], conditions: dict[str, dict[str, str]]
    ) -> None:
        self.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(service)],
                actions=list(actions),
                # In a key policy, `*` is the key that holds the policy.
                resources=["*"],
                conditions=conditions,
            )
        )
