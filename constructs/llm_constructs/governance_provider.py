"""What makes HyperPod's policies and quotas where CloudFormation has no resource for them."""

from pathlib import Path

from aws_cdk import Duration, IgnoreMode, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import custom_resources as cr
from constructs import Construct

from llm_constructs.deployment_function import accept_deployment
from llm_constructs.eks_cluster import EksCluster
from llm_constructs.encryption import CustomerKey
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.hyperpod_regions import GovernanceKind

RESOURCE_TYPE = "Custom::HyperPodGovernance"

_FOLDER = "task_governance"
# An object settles within 9 minutes or fails, and one that failed is deleted.
_TIMEOUT = Duration.minutes(14)
_MEMORY_MIB = 256
_VERBS = ("Create", "Delete", "Describe", "Update")
_RESOURCES = {
    GovernanceKind.SCHEDULING_POLICY: "cluster-scheduler-config",
    GovernanceKind.QUOTA: "compute-quota",
}


def governance_code(lambdas: Path) -> lambda_.Code:
    """Return the code of the function: the package ``task_governance`` in the folder ``lambdas``.

    It needs nothing but the SDK of Lambda's runtime, so no package is installed.
    """
    return lambda_.Code.from_asset(
        str(lambdas),
        ignore_mode=IgnoreMode.GIT,
        exclude=["*", f"!/{_FOLDER}", f"!/{_FOLDER}/**", "__pycache__"],
    )


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
        self._key = encryption_key
        function = self._make_function(code)
        self._allow(function, cluster, cluster_arn)
        self.service_token: str = self._make_provider(function).service_token

    def _make_function(self, code: lambda_.Code) -> lambda_.Function:
        group = self._make_log_group("FunctionLogs")
        function = lambda_.Function(
            self,
            "Function",
            description="Makes HyperPod's scheduling policies and compute quotas",
            code=code,
            handler=f"{_FOLDER}.handler.handler",
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=_MEMORY_MIB,
            timeout=_TIMEOUT,
            role=self._make_role("FunctionRole", "Makes policies and quotas of HyperPod", group),
            log_group=group,
            environment={"AWS_RETRY_MODE": "standard", "AWS_MAX_ATTEMPTS": "6"},
        )
        accept_deployment(function)
        return function

    def _make_provider(self, function: lambda_.Function) -> cr.Provider:
        group = self._make_log_group("ProviderLogs")
        role = self._make_role("ProviderRole", "Calls the function of policies and quotas", group)
        provider = cr.Provider(
            self,
            "Provider",
            on_event_handler=function,
            framework_on_event_role=role,
            log_group=group,
        )
        accept_deployment(provider)
        acknowledge(
            provider,
            "Serverless-LambdaDefaultMemorySize",
            reason="The function is the CDK's own, which fixes its memory; it waits for another "
            "function and passes the answer on, for which the smallest size is right.",
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::<...>:*]",
            reason="The provider framework of the CDK grants itself the versions and aliases of "
            "the one function that it calls, which the CDK does for every function.",
        )
        return provider

    def _make_log_group(self, construct_id: str) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            construct_id,
            encryption_key=self._key,
            retention=logs.RetentionDays.ONE_YEAR,
            removal_policy=RemovalPolicy.DESTROY,
        )

    def _make_role(self, construct_id: str, description: str, group: logs.LogGroup) -> ServiceRole:
        role = ServiceRole(
            self,
            construct_id,
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=description,
        )
        group.grant_write(role)
        return role

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
