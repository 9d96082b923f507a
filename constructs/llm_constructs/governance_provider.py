"""What makes HyperPod's policies and quotas where CloudFormation has no resource for them."""

from pathlib import Path

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.encryption import CustomerKey
from llm_constructs.nag import acknowledge
from llm_constructs.resource_provider import ResourceProvider, package_code
from llm_constructs.specs.hyperpod_regions import GovernanceKind

RESOURCE_TYPE = "Custom::HyperPodGovernance"

_PACKAGE = "task_governance"
# An object settles within 9 minutes or fails, and one that failed is deleted.
_TIMEOUT = Duration.minutes(14)
_VERBS = ("Create", "Delete", "Describe", "Update")
_RESOURCES = {
    GovernanceKind.SCHEDULING_POLICY: "cluster-scheduler-config",
    GovernanceKind.QUOTA: "compute-quota",
}


def governance_code(lambdas: Path) -> lambda_.Code:
    """Return the function's code: the package ``task_governance`` in the folder ``lambdas``."""
    return package_code(lambdas, _PACKAGE)


class GovernanceProvider(Construct):
    """The function behind resources of :data:`RESOURCE_TYPE`, as ``service_token``.

    ``code`` is what :func:`governance_code` returns. It may do with policies and quotas of the
    account what CloudFormation's own resources would, and give SageMaker its own policies in
    ``cluster``.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: lambda_.Code,
        cluster: EksCluster,
        cluster_arn: str,
        encryption_key: CustomerKey,
    ) -> None:
        super().__init__(scope, construct_id)
        provider = ResourceProvider(
            self,
            "Provider",
            code=code,
            package=_PACKAGE,
            purpose="Makes HyperPod's scheduling policies and compute quotas",
            timeout=_TIMEOUT,
            encryption_key=encryption_key,
        )
        self._allow(provider.function, cluster, cluster_arn)
        self.service_token = provider.service_token

    def _allow(self, function: lambda_.Function, cluster: EksCluster, cluster_arn: str) -> None:
        # As the schemas of CloudFormation's own resources list them for their handlers:
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
        stack = Stack.of(self)
        for kind, resource in _RESOURCES.items():
            function.add_to_role_policy(
                iam.PolicyStatement(
                    actions=[f"sagemaker:{verb}{kind}" for verb in _VERBS],
                    resources=[
                        stack.format_arn(service="sagemaker", resource=resource, resource_name="*"),
                        cluster_arn,
                    ],
                )
            )
        function.add_to_role_policy(
            iam.PolicyStatement(actions=["sagemaker:DescribeCluster"], resources=[cluster_arn])
        )
        function.add_to_role_policy(
            iam.PolicyStatement(actions=["eks:DescribeCluster"], resources=[cluster.arn])
        )
        entries = stack.format_arn(
            service="eks", resource="access-entry", resource_name=f"{cluster.name}/*"
        )
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["eks:DescribeAccessEntry", "eks:ListAssociatedAccessPolicies"],
                resources=[entries],
            )
        )
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["eks:AssociateAccessPolicy", "eks:DisassociateAccessPolicy"],
                resources=[entries],
                # Otherwise it could make anybody with an entry the cluster's administrator.
                conditions={
                    "ArnLike": {
                        "eks:policyArn": f"arn:{stack.partition}:eks::aws:cluster-access-policy/"
                        "AmazonSagemakerHyperpod*"
                    }
                },
            )
        )
        acknowledge(
            function.role or function,
            "AwsSolutions-IAM5[Resource::arn:...:cluster-scheduler-config/*]",
            "AwsSolutions-IAM5[Resource::arn:...:compute-quota/*]",
            f"AwsSolutions-IAM5[Resource::arn:...:access-entry/{cluster.name}/*]",
            reason="SageMaker chooses the ids of policies and quotas as it makes them, and EKS "
            "those of the access entry that SageMaker has in this one cluster.",
        )
