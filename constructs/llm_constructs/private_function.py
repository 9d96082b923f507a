"""Lambda functions inside the VPC, as the platform makes every one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from llm_constructs.encryption import CustomerKey
from llm_constructs.function_asset import RUNTIME
from llm_constructs.log_protection import masked_secrets
from llm_constructs.log_retention import retention_of
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole

HTTPS = 443

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
_NETWORK_INTERFACES = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)


@dataclass(frozen=True, kw_only=True)
class FunctionShape:
    """What sets one function apart: ``memory_mib`` in MiB, the rest as Lambda names it."""

    description: str
    handler: str
    code: lambda_.Code
    memory_mib: int
    timeout: Duration
    reserved_concurrency: int
    environment: Mapping[str, str] = field(default_factory=dict)
    layers: Sequence[lambda_.ILayerVersion] = ()


class PrivateFunction(Construct):
    """An arm64 function in the private subnets, with a role and an encrypted log of its own.

    ``function`` is the function, ``role`` has no permission but to write ``log_group``, to be
    traced, and to be attached to the VPC. The log masks what CloudWatch recognises as a secret or
    as personal data, should anything get past the code.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        shape: FunctionShape,
        vpc: ec2.IVpc,
        encryption_key: CustomerKey,
        log_retention_days: int,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = ServiceRole(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=shape.description,
        )
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            encryption_key=encryption_key,
            retention=retention_of(log_retention_days),
            removal_policy=removal_policy,
            data_protection_policy=masked_secrets(),
        )
        self.log_group.grant_write(self.role)
        encryption_key.grant_decrypt(self.role)
        self._allow_network_interfaces()
        self.function = lambda_.Function(
            self,
            "Function",
            description=shape.description,
            code=shape.code,
            handler=shape.handler,
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=shape.memory_mib,
            timeout=shape.timeout,
            reserved_concurrent_executions=shape.reserved_concurrency,
            environment=dict(shape.environment),
            environment_encryption=encryption_key,
            layers=list(shape.layers),
            role=self.role,
            log_group=self.log_group,
            tracing=lambda_.Tracing.ACTIVE,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=vpc.private_subnets),
            security_groups=[self._make_security_group(vpc)],
        )
        self._acknowledge()

    def _make_security_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            description="HTTPS to AWS, nothing inwards",
            allow_all_outbound=False,
        )
        # DynamoDB is reached through a gateway endpoint, whose addresses are public ones.
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "HTTPS to AWS")
        return group

    def _allow_network_interfaces(self) -> None:
        self.role.add_to_policy(
            iam.PolicyStatement(actions=[*_NETWORK_INTERFACES], resources=["*"])
        )
        # Lambda itself attaches the interfaces; the function's code never needs to.
        self.role.add_to_policy(
            iam.PolicyStatement(
                sid="NotFromTheCode",
                effect=iam.Effect.DENY,
                actions=[*_NETWORK_INTERFACES],
                resources=["*"],
                conditions={
                    "ArnLike": {
                        "lambda:SourceFunctionArn": Stack.of(self).format_arn(
                            service="lambda",
                            resource="function",
                            resource_name="*",
                            arn_format=ArnFormat.COLON_RESOURCE_NAME,
                        )
                    }
                },
            )
        )

    def _acknowledge(self) -> None:
        acknowledge(
            self.role,
            "AwsSolutions-IAM5[Resource::*]",
            reason="X-Ray's actions know no resources. Those on network interfaces are Lambda's "
            "own, for interfaces that have no id yet, and the policy denies them to the "
            "function's code.",
        )
        acknowledge(
            self.function,
            "AwsSolutions-L1",
            "Serverless-LambdaLatestVersion",
            reason="The zip file holds bytecode, which only the Python version that compiled it "
            "reads, and the project's Python is 3.11, which Lambda maintains. "
            "docs/adr/0009 says how it moves on.",
        )
        acknowledge(
            self.function,
            "HIPAA.Security-LambdaDLQ",
            "NIST.800.53.R5-LambdaDLQ",
            "Serverless-LambdaDLQ",
            reason="A dead-letter queue takes failed asynchronous events. API Gateway or "
            "Step Functions calls the function synchronously, and is told of every failure.",
        )
