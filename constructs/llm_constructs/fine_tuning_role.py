"""The roles with which Bedrock and SageMaker read datasets and write what they learn."""

from collections.abc import Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.data_lake import DataLake
from llm_constructs.lake_access import acknowledge_lake_access
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.data_lake import LakeArea

OUTPUT = "fine-tuning/"
"""The folder of the models area that gets reports, losses and weights."""


FOLDERS_REASON = (
    "Which dataset is learnt from, and what a run is called, is said when an execution starts, so "
    "the role is given whole folders of the lake."
)
"""Why roles of fine-tuning have patterns in their policies."""


def allow_output(role: iam.IRole, lake: DataLake) -> None:
    """Let ``role`` add objects below :data:`OUTPUT`, but neither read nor delete any."""
    models = lake.location(LakeArea.MODELS)
    models.bucket.grant_put(role, f"{models.prefix}{OUTPUT}*")


class CustomizationRole(ServiceRole):
    """What Bedrock's customisation jobs may do: read datasets, write their output, use the VPC.

    https://docs.aws.amazon.com/bedrock/latest/userguide/custom-model-job-access-security.html
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        lake: DataLake,
        subnets: Sequence[ec2.ISubnet],
        security_group: ec2.ISecurityGroup,
    ) -> None:
        stack = Stack.of(scope)
        self._jobs = stack.format_arn(
            service="bedrock", resource="model-customization-job", resource_name="*"
        )
        super().__init__(
            scope,
            construct_id,
            assumed_by=iam.ServicePrincipal(
                "bedrock.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": stack.account},
                    "ArnLike": {"aws:SourceArn": self._jobs},
                },
            ),
            description="Lets Bedrock tune models on data of the lake",
        )
        lake.grant_read(LakeArea.DATASETS, self)
        allow_output(self, lake)
        acknowledge_lake_access(
            self, LakeArea.DATASETS.prefix, f"models/{OUTPUT}", reason=FOLDERS_REASON
        )
        self._allow_network_interfaces(subnets, security_group)

    def _allow_network_interfaces(
        self, subnets: Sequence[ec2.ISubnet], security_group: ec2.ISecurityGroup
    ) -> None:
        stack = Stack.of(self)
        interfaces = stack.format_arn(
            service="ec2", resource="network-interface", resource_name="*"
        )
        subnet_arns = [_ec2_arn(stack, "subnet", subnet.subnet_id) for subnet in subnets]
        group_arn = _ec2_arn(stack, "security-group", security_group.security_group_id)
        for statement in (
            iam.PolicyStatement(
                actions=[
                    "ec2:DescribeDhcpOptions",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcs",
                ],
                resources=["*"],
            ),
            iam.PolicyStatement(
                actions=["ec2:CreateNetworkInterface"],
                resources=[interfaces],
                conditions={
                    "StringEquals": {"aws:RequestTag/BedrockManaged": "true"},
                    "ArnLike": {"aws:RequestTag/BedrockModelCustomizationJobArn": self._jobs},
                },
            ),
            # Only what is made can have tags in the request, not what it is made in.
            iam.PolicyStatement(
                actions=["ec2:CreateNetworkInterface"], resources=[*subnet_arns, group_arn]
            ),
            iam.PolicyStatement(
                actions=[
                    "ec2:CreateNetworkInterfacePermission",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DeleteNetworkInterfacePermission",
                ],
                resources=[interfaces],
                conditions={
                    "ArnEquals": {"ec2:Subnet": subnet_arns},
                    "ArnLike": {"ec2:ResourceTag/BedrockModelCustomizationJobArn": self._jobs},
                    "StringEquals": {"ec2:ResourceTag/BedrockManaged": "true"},
                },
            ),
            iam.PolicyStatement(
                actions=["ec2:CreateTags"],
                resources=[interfaces],
                conditions={
                    "StringEquals": {"ec2:CreateAction": "CreateNetworkInterface"},
                    "ForAllValues:StringEquals": {
                        "aws:TagKeys": ["BedrockManaged", "BedrockModelCustomizationJobArn"]
                    },
                },
            ),
        ):
            self.add_to_policy(statement)
        acknowledge(
            self,
            "AwsSolutions-IAM5[Resource::*]",
            "AwsSolutions-IAM5[Resource::arn:...:ec2:...:network-interface/*]",
            reason="EC2's actions to describe know no resources. An interface has no id before it "
            "is made; the conditions admit those alone that carry the tags of a customisation job "
            "of this account, in the given subnets.",
        )


def _ec2_arn(stack: Stack, resource: str, name: str) -> str:
    return stack.format_arn(
        service="ec2",
        resource=resource,
        resource_name=name,
        arn_format=ArnFormat.SLASH_RESOURCE_NAME,
    )
