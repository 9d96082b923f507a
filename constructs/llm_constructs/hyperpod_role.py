"""The roles of a HyperPod cluster, made from the one list of its permissions."""

from collections.abc import Iterable

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.nag import acknowledge
from llm_constructs.node_permission import NodeKind, Permission, volume_key_use
from llm_constructs.service_role import ServiceRole


class HyperPodRole(ServiceRole):
    """The role of the nodes of one kind, with every permission of ``permissions`` for it."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        kind: NodeKind,
        cluster_name: str,
        permissions: Iterable[Permission],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            description=f"HyperPod cluster {cluster_name}: {kind} nodes",
        )
        reasons: dict[str, list[str]] = {}
        for permission in permissions:
            if kind not in permission.kinds:
                continue
            self.add_to_principal_policy(permission.statement())
            for wildcard in permission.wildcards:
                reasons.setdefault(wildcard, []).append(f"{permission.sid}: {permission.reason}")
        for wildcard, told in reasons.items():
            acknowledge(self, f"AwsSolutions-IAM5[Resource::{wildcard}]", reason=" ".join(told))


class AutoScalingRole(ServiceRole):
    """The role with which HyperPod's Karpenter adds and removes nodes of a cluster.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-eks-autoscaling-iam.html
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, cluster_name: str, volume_key_arn: str
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            assumed_by=iam.ServicePrincipal("hyperpod.sagemaker.amazonaws.com"),
            description=f"Adds and removes nodes of the HyperPod cluster {cluster_name}",
        )
        stack = Stack.of(self)
        clusters = stack.format_arn(service="sagemaker", resource="cluster", resource_name="*")
        self.add_to_principal_policy(
            iam.PolicyStatement(
                sid="ScaleClusters",
                actions=["sagemaker:BatchAddClusterNodes", "sagemaker:BatchDeleteClusterNodes"],
                resources=[clusters],
            )
        )
        for permission in volume_key_use(stack.region, volume_key_arn):
            self.add_to_principal_policy(permission.statement())
        acknowledge(
            self,
            "AwsSolutions-IAM5[Resource::arn:...:sagemaker:...:cluster/*]",
            reason="A cluster's ARN holds an id that it gets when it is created, and it is created "
            "with this role. The account and region are named.",
        )
