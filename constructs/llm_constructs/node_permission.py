"""A permission of HyperPod nodes, what it is about, and which kinds of nodes have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from aws_cdk import aws_iam as iam

from llm_constructs.s3_location import S3Location
from llm_constructs.specs.slurm import AccountingDatabase

_GRANTED_TO_VOLUMES = (
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "RetireGrant",
)


class NodeKind(StrEnum):
    """What a node is, as far as permissions go."""

    CONTROLLER = "controller"
    LOGIN = "login"
    COMPUTE = "compute"
    EKS = "eks"
    """Any node that EKS orchestrates. Its pods have roles of their own by Pod Identity."""


ALL_NODES: Final = frozenset(NodeKind)


@dataclass(frozen=True, kw_only=True)
class NodeResources:
    """What the nodes of one cluster use. ARNs and names may be tokens."""

    cluster_name: str
    scripts: S3Location
    """Under which every version of the life-cycle scripts lies."""
    scripts_key_arn: str
    volume_key_arn: str
    subnet_ids: Sequence[str]
    security_group_ids: Sequence[str]
    has_file_system: bool = False
    readable: Sequence[S3Location] = ()
    """Places in S3 that jobs read."""
    writable: Sequence[S3Location] = ()
    """Places in S3 that jobs read and write."""
    lustre_client: str | None = None
    """``s3://bucket/key`` of AWS's package for Lustre over EFA."""
    lustre_client_key_arn: str | None = None
    undone_by_alarms: frozenset[NodeKind] = frozenset()
    """Kinds of nodes whose updates alarms can undo, beside those of EKS."""
    accounting: AccountingDatabase | None = None
    eks_cluster_arn: str | None = None


@dataclass(frozen=True, kw_only=True)
class Permission:
    """One statement, and the kinds of nodes that have it.

    ``wildcards`` are cdk-nag's names of the resources that end in a wildcard, with ``reason``.
    """

    sid: str
    kinds: frozenset[NodeKind]
    actions: Sequence[str]
    resources: Sequence[str]
    conditions: Mapping[str, Any] = field(default_factory=dict)
    wildcards: Sequence[str] = ()
    reason: str = ""

    def statement(self) -> iam.PolicyStatement:
        """Return it for a policy."""
        return iam.PolicyStatement(
            sid=self.sid,
            actions=list(self.actions),
            resources=list(self.resources),
            conditions=dict(self.conditions),
        )


def volume_key_use(region: str, key_arn: str) -> tuple[Permission, ...]:
    """Return what lets HyperPod attach volumes under a customer-managed key."""
    # https://docs.aws.amazon.com/sagemaker/latest/dg/smcluster-cmk.html
    through_sagemaker = {"StringEquals": {"kms:ViaService": f"sagemaker.{region}.amazonaws.com"}}
    return (
        Permission(
            sid="GrantVolumesTheirKey",
            kinds=ALL_NODES,
            actions=("kms:CreateGrant",),
            resources=(key_arn,),
            conditions={
                **through_sagemaker,
                "Bool": {"kms:GrantIsForAWSResource": "true"},
                "ForAllValues:StringEquals": {"kms:GrantOperations": list(_GRANTED_TO_VOLUMES)},
            },
        ),
        # Apart from the grant: a request without one would never meet its conditions.
        Permission(
            sid="SeeTheKeyOfVolumes",
            kinds=ALL_NODES,
            actions=("kms:DescribeKey",),
            resources=(key_arn,),
            conditions=through_sagemaker,
        ),
    )
