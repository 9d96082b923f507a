"""The log of the CDK's function that closes default security groups."""

from typing import Final

from aws_cdk import CfnResource, RemovalPolicy, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

RESTRICTION_PROVIDER: Final = "Custom::VpcRestrictDefaultSGCustomResourceProvider"
"""What the CDK calls the function with its role, once in a stack.

https://github.com/aws/aws-cdk/blob/main/packages/aws-cdk-lib/aws-ec2/lib/vpc.ts
"""


def keep_restriction_log(
    scope: Construct,
    construct_id: str,
    *,
    encryption_key: kms.IKey,
    removal_policy: RemovalPolicy,
) -> None:
    """Give the function a log group of ours, with a key and an end after a year.

    The CDK offers no log group for it, and Lambda would make one without either.
    """
    provider = Stack.of(scope).node.find_child(RESTRICTION_PROVIDER)
    handler = provider.node.find_child("Handler")
    assert isinstance(handler, CfnResource)  # noqa: S101
    group = logs.LogGroup(
        scope,
        construct_id,
        encryption_key=encryption_key,
        retention=logs.RetentionDays.ONE_YEAR,
        removal_policy=removal_policy,
    )
    handler.add_property_override("LoggingConfig", {"LogGroup": group.log_group_name})
