"""Which endpoints a VPC needs for what runs in it, and what may pass through them."""

from collections.abc import Iterable

from aws_cdk import Aws
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam

from llm_constructs.specs.network import Capability

_Service = ec2.InterfaceVpcEndpointAwsService

_EVERYWHERE = ("KMS", "SECRETS_MANAGER", "STS", "CLOUDWATCH_LOGS", "CLOUDWATCH_MONITORING")
_SESSIONS = ("SSM", "SSM_MESSAGES", "EC2_MESSAGES")
_IMAGES = ("ECR", "ECR_DOCKER")

_NEEDS: dict[Capability, tuple[str, ...]] = {
    # Worker nodes without internet: https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html
    # Lambda, because of the two functions that apply objects, both in the VPC, one calls the other.
    Capability.EKS: (
        *_IMAGES,
        *_SESSIONS,
        *("EC2", "EKS", "EKS_AUTH", "ELASTIC_LOAD_BALANCING", "LAMBDA_", "SQS", "FSX"),
    ),
    # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-prerequisites.html; FSx,
    # because a node that cannot describe its file system falls back to TCP without saying so.
    Capability.TRAINING: (
        *_IMAGES,
        *_SESSIONS,
        *("EC2", "EKS_AUTH", "FSX", "SAGEMAKER_API"),
    ),
    # https://docs.aws.amazon.com/batch/latest/userguide/vpc-interface-endpoints.html
    Capability.CURATION: (*_IMAGES, "BATCH", "ECS", "ECS_AGENT", "ECS_TELEMETRY", "STEP_FUNCTIONS"),
    Capability.ENDPOINTS: (*_IMAGES, "SAGEMAKER_API", "SAGEMAKER_RUNTIME"),
    # Jobs of Bedrock's and SageMaker's reach S3 through its gateway endpoint, and nothing else.
    Capability.FINE_TUNING: ("BEDROCK_RUNTIME",),
    Capability.GATEWAY: ("BEDROCK_RUNTIME",),
    # Tasks on Fargate call ECS through no endpoint of the VPC's:
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html
    Capability.GATEWAY_SERVICE: _IMAGES,
    Capability.KNOWLEDGE: ("BEDROCK_RUNTIME", "BEDROCK_AGENT_RUNTIME"),
    Capability.OBSERVABILITY: ("PROMETHEUS_WORKSPACES", "XRAY"),
}

_WITHOUT_POLICY = frozenset(
    {"EC2_MESSAGES", "SSM_MESSAGES", "ECS", "ECS_AGENT", "ECS_TELEMETRY", "EKS_AUTH"}
)
"""Services whose documentation shows no endpoint policy, or says that none is supported.

An endpoint that does not take its policy fails the deployment, so doubt leaves the policy out; see
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/vpc-endpoints.html for one that refuses.
"""


def services_for(capabilities: Iterable[Capability]) -> tuple[str, ...]:
    """Return the names in ``InterfaceVpcEndpointAwsService`` of the services to reach, sorted.

    Every VPC can reach keys, secrets, tokens, logs and metrics.
    """
    needed = {*_EVERYWHERE}
    for capability in capabilities:
        needed.update(_NEEDS[capability])
    return tuple(sorted(needed))


def service_called(name: str) -> ec2.InterfaceVpcEndpointAwsService:
    """Return the service that the CDK calls ``name``."""
    service: ec2.InterfaceVpcEndpointAwsService = getattr(_Service, name)
    return service


def accepts_policy(name: str) -> bool:
    """Say whether the service's endpoint takes an endpoint policy."""
    return name not in _WITHOUT_POLICY


def own_principals_only() -> iam.PolicyStatement:
    """Return a statement that lets only this account's principals pass.

    It keeps credentials that somebody carried in from elsewhere out. What a principal may do is
    still decided by its own policies, so actions and resources are not narrowed here.
    """
    return iam.PolicyStatement(
        sid="OwnPrincipalsOnly",
        principals=[iam.AnyPrincipal()],
        actions=["*"],
        resources=["*"],
        conditions={"StringEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID}},
    )


def s3_statements(region: str) -> tuple[iam.PolicyStatement, ...]:
    """Return what may pass through the S3 gateway endpoint of a VPC in ``region``.

    This account's principals reach this account's buckets, so that data cannot be copied to a
    bucket elsewhere; and anybody reads the public buckets that nodes cannot work without. Functions
    in the VPC that CloudFormation calls answer it through a bucket of its own.
    """
    return (
        iam.PolicyStatement(
            sid="OwnBucketsOnly",
            principals=[iam.AnyPrincipal()],
            actions=["s3:*"],
            resources=["*"],
            conditions={
                "StringEquals": {
                    "aws:PrincipalAccount": Aws.ACCOUNT_ID,
                    "aws:ResourceAccount": Aws.ACCOUNT_ID,
                }
            },
        ),
        iam.PolicyStatement(
            sid="PublicBuckets",
            principals=[iam.AnyPrincipal()],
            actions=["s3:GetObject"],
            resources=[f"arn:{Aws.PARTITION}:s3:::{name}/*" for name in _public_buckets(region)],
        ),
        # By addresses that CloudFormation signs, so the principal is its own:
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/vpc-interface-endpoints.html
        iam.PolicyStatement(
            sid="AnswersToCloudFormation",
            principals=[iam.AnyPrincipal()],
            actions=["s3:PutObject"],
            resources=[
                (
                    f"arn:{Aws.PARTITION}:s3:::cloudformation-custom-resource-response-"
                    f"{region.replace('-', '')}/*"
                )
            ],
        ),
    )


def _public_buckets(region: str) -> tuple[str, ...]:
    return (
        # Image layers: https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
        f"prod-{region}-starport-layer-bucket",
        # Packages of Amazon Linux: https://docs.aws.amazon.com/linux/al2023/ug/deterministic-upgrades-usage.html
        f"al2023-repos-{region}-de612dc2",
        # Systems Manager's agent: https://docs.aws.amazon.com/systems-manager/latest/userguide/ssm-agent-technical-details.html
        f"aws-ssm-{region}",
        f"amazon-ssm-{region}",
        # Layers of images from registry.k8s.io, which sends clients in AWS to a bucket nearby:
        # https://github.com/kubernetes/registry.k8s.io/blob/main/cmd/archeio/docs/request-handling.md
        f"prod-registry-k8s-io-{region}",
    )
