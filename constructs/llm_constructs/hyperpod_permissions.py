"""What the nodes of a HyperPod cluster may do: one list, from which every role is made.

AWS's policy ``AmazonSageMakerClusterInstanceRolePolicy``, narrowed to one cluster, and what its
documentation adds for a VPC, for EKS and for keys:
https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-prerequisites-iam.html
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from aws_cdk import ArnFormat, Stack
from constructs import Construct

from llm_constructs.node_permission import (
    ALL_NODES,
    NodeKind,
    NodeResources,
    Permission,
    volume_key_use,
)
from llm_constructs.s3_location import S3Location
from llm_constructs.specs.slurm import AccountingDatabase

METRICS_NAMESPACE: Final = "/aws/sagemaker/Clusters"
"""The one namespace of CloudWatch that nodes write metrics to."""

_USERS: Final = frozenset({NodeKind.LOGIN, NodeKind.COMPUTE})


def node_permissions(scope: Construct, resources: NodeResources) -> tuple[Permission, ...]:
    """Return every permission of the nodes of one cluster, in the stack of ``scope``."""
    return tuple(_Definition(scope, resources))


class _Definition:
    """The list; iterating over it makes the permissions."""

    def __init__(self, scope: Construct, resources: NodeResources) -> None:
        self._stack = Stack.of(scope)
        self._use = resources

    def __iter__(self) -> Iterator[Permission]:
        yield from self._observing()
        yield from self._starting()
        yield from self._joining_the_vpc()
        if self._use.has_file_system:
            yield self._file_systems()
        yield from self._data()
        if self._use.accounting is not None:
            yield from self._accounting(self._use.accounting)
        yield self._updates()
        if self._use.eks_cluster_arn is not None:
            yield from self._orchestrated_by_eks(self._use.eks_cluster_arn)

    def _observing(self) -> Iterator[Permission]:
        group = self._stack.format_arn(
            service="logs",
            resource="log-group",
            resource_name=f"/aws/sagemaker/Clusters/{self._use.cluster_name}/*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        yield Permission(
            sid="WriteLogs",
            kinds=ALL_NODES,
            actions=(
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ),
            resources=(group,),
            wildcards=(f"arn:...:log-group:/aws/sagemaker/Clusters/{self._use.cluster_name}/*",),
            reason="HyperPod names the cluster's log group after an id that the cluster gets when "
            "it is created with this role, and streams after nodes.",
        )
        yield Permission(
            sid="WriteMetrics",
            kinds=ALL_NODES,
            actions=("cloudwatch:PutMetricData",),
            resources=("*",),
            conditions={"StringEquals": {"cloudwatch:namespace": METRICS_NAMESPACE}},
            wildcards=("*",),
            reason="CloudWatch knows no resource for it; the condition names the one namespace.",
        )
        yield Permission(
            sid="OpenSessions",
            kinds=ALL_NODES,
            actions=(
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
            ),
            resources=("*",),
            wildcards=("*",),
            reason="Session Manager knows no resource for channels, and a node opens only its own.",
        )

    def _starting(self) -> Iterator[Permission]:
        scripts = self._use.scripts
        yield Permission(
            sid="ListScripts",
            kinds=ALL_NODES,
            actions=("s3:ListBucket",),
            resources=(scripts.bucket.bucket_arn,),
            conditions={"StringLike": {"s3:prefix": f"{scripts.prefix}*"}},
        )
        yield Permission(
            sid="ReadScripts",
            kinds=ALL_NODES,
            actions=("s3:GetObject",),
            resources=(scripts.bucket.arn_for_objects(f"{scripts.prefix}*"),),
            wildcards=(f".../{scripts.prefix}*",),
            reason="Every version of the scripts: while a cluster changes from one to the next, "
            "its nodes start with either.",
        )
        yield Permission(
            sid="DecryptScripts",
            kinds=ALL_NODES,
            actions=("kms:Decrypt",),
            resources=(self._use.scripts_key_arn,),
            conditions=self._through("s3"),
        )
        if self._use.lustre_client is not None:
            bucket, _, key = self._use.lustre_client.removeprefix("s3://").partition("/")
            yield Permission(
                sid="FetchLustreClient",
                kinds=ALL_NODES,
                actions=("s3:GetObject",),
                resources=(f"arn:{self._stack.partition}:s3:::{bucket}/{key}",),
            )
        if self._use.lustre_client_key_arn is not None:
            yield Permission(
                sid="DecryptLustreClient",
                kinds=ALL_NODES,
                actions=("kms:Decrypt",),
                resources=(self._use.lustre_client_key_arn,),
                conditions=self._through("s3"),
            )
        yield from volume_key_use(self._stack.region, self._use.volume_key_arn)

    def _joining_the_vpc(self) -> Iterator[Permission]:
        interfaces = self._ec2("network-interface", "*")
        wildcard = "arn:...:network-interface/*"
        reason = (
            "Interfaces of nodes get their ids when they are made, in the subnets and with the "
            "security groups that CreateInterfaces names."
        )
        yield Permission(
            sid="CreateInterfaces",
            kinds=ALL_NODES,
            actions=("ec2:CreateNetworkInterface",),
            resources=(
                interfaces,
                *(self._ec2("subnet", subnet) for subnet in self._use.subnet_ids),
                *(self._ec2("security-group", group) for group in self._use.security_group_ids),
            ),
            wildcards=(wildcard,),
            reason=reason,
        )
        yield Permission(
            sid="HandInterfacesOver",
            kinds=ALL_NODES,
            actions=(
                "ec2:CreateNetworkInterfacePermission",
                "ec2:CreateTags",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ),
            resources=(interfaces,),
            wildcards=(wildcard,),
            reason=reason,
        )
        yield Permission(
            sid="FindTheNetwork",
            kinds=ALL_NODES,
            actions=(
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
                "ec2:DetachNetworkInterface",
            ),
            resources=("*",),
            wildcards=("*",),
            reason="EC2 knows no resource for Describe actions, and detaching also asks for the "
            "instance, which lies in an account of AWS.",
        )

    def _file_systems(self) -> Permission:
        return Permission(
            sid="SeeWhetherLustreHasEfa",
            kinds=ALL_NODES,
            actions=("fsx:DescribeFileSystems",),
            resources=("*",),
            wildcards=("*",),
            reason="FSx knows no resource for it; it returns configuration and never data. Without "
            "it, Lustre clients use TCP and say nothing.",
        )

    def _data(self) -> Iterator[Permission]:
        if self._use.readable:
            yield from self._objects("Read", self._use.readable, ("s3:GetObject",))
        if self._use.writable:
            yield from self._objects(
                "Write",
                self._use.writable,
                (
                    "s3:AbortMultipartUpload",
                    "s3:DeleteObject",
                    "s3:GetObject",
                    "s3:ListMultipartUploadParts",
                    "s3:PutObject",
                ),
            )

    def _objects(
        self, verb: str, places: Sequence[S3Location], actions: Sequence[str]
    ) -> Iterator[Permission]:
        prefixes = [place.prefix for place in places]
        yield Permission(
            sid=f"{verb}Data",
            kinds=_USERS,
            actions=actions,
            resources=tuple(place.bucket.arn_for_objects(f"{place.prefix}*") for place in places),
            wildcards=tuple(f".../{prefix}*" for prefix in prefixes),
            reason="Jobs name their objects themselves; the area of the lake is named here.",
        )
        yield Permission(
            sid=f"{verb}DataListing",
            kinds=_USERS,
            actions=("s3:ListBucket",),
            resources=tuple(dict.fromkeys(place.bucket.bucket_arn for place in places)),
            conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
        )
        keys = [place.bucket.encryption_key for place in places]
        use = ("kms:Decrypt", "kms:GenerateDataKey") if verb == "Write" else ("kms:Decrypt",)
        yield Permission(
            sid=f"{verb}DataKeys",
            kinds=_USERS,
            actions=use,
            resources=tuple(dict.fromkeys(key.key_arn for key in keys if key is not None)),
            conditions=self._through("s3"),
        )

    def _updates(self) -> Permission:
        return Permission(
            sid="WatchUpdates",
            kinds=self._use.undone_by_alarms | {NodeKind.EKS},
            actions=("cloudwatch:DescribeAlarms",),
            resources=("*",),
            wildcards=("*",),
            reason="A rollback of an image reads the state of alarms, and changes none.",
        )

    def _accounting(self, database: AccountingDatabase) -> Iterator[Permission]:
        only = frozenset({NodeKind.CONTROLLER})
        yield Permission(
            sid="ReadAccountingSecret",
            kinds=only,
            actions=("secretsmanager:GetSecretValue",),
            resources=(database.secret_arn,),
        )
        if database.key_arn is not None:
            yield Permission(
                sid="DecryptAccountingSecret",
                kinds=only,
                actions=("kms:Decrypt",),
                resources=(database.key_arn,),
                conditions=self._through("secretsmanager"),
            )

    def _orchestrated_by_eks(self, cluster_arn: str) -> Iterator[Permission]:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-prerequisites-iam.html
        only = frozenset({NodeKind.EKS})
        yield Permission(
            sid="GiveAddressesToPods",
            kinds=only,
            actions=(
                "ec2:AssignPrivateIpAddresses",
                "ec2:AttachNetworkInterface",
                "ec2:DescribeInstances",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeTags",
                "ec2:ModifyNetworkInterfaceAttribute",
                "ec2:UnassignPrivateIpAddresses",
            ),
            resources=("*",),
            wildcards=("*",),
            reason="EC2 knows no resource for Describe actions; interfaces belong to instances in "
            "an account of AWS, which cannot be named.",
        )
        yield Permission(
            sid="SignInToRegistries",
            kinds=only,
            actions=("ecr:GetAuthorizationToken",),
            resources=("*",),
            wildcards=("*",),
            reason="ECR knows no resource for signing in.",
        )
        repositories = self._stack.format_arn(
            service="ecr", account="*", resource="repository", resource_name="*"
        )
        yield Permission(
            sid="PullImages",
            kinds=only,
            actions=(
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ),
            resources=(repositories,),
            wildcards=("arn:...:ecr:...:repository/*",),
            reason="Images of EKS and HyperPod lie in accounts of AWS that differ by region, those "
            "of jobs in repositories that teams make; repositories' own policies decide.",
        )
        yield Permission(
            sid="GiveRolesToPods",
            kinds=only,
            actions=("eks-auth:AssumeRoleForPodIdentity",),
            resources=(cluster_arn,),
        )

    def _through(self, service: str) -> dict[str, Any]:
        return {"StringEquals": {"kms:ViaService": f"{service}.{self._stack.region}.amazonaws.com"}}

    def _ec2(self, resource: str, name: str) -> str:
        return self._stack.format_arn(service="ec2", resource=resource, resource_name=name)
