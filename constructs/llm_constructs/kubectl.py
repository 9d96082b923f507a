"""What applies Kubernetes objects and Helm charts to a cluster during a deployment."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aws_cdk import ArnFormat, AssetHashType, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct, IConstruct, IDependable

from llm_constructs.image_mirror import ImageMirror
from llm_constructs.kubectl_layers import KubectlLayer
from llm_constructs.nag import acknowledge
from llm_constructs.service_role import ServiceRole
from llm_constructs.specs.helm_chart import HelmChart, merged

HTTPS = 443

KubernetesObject = Mapping[str, Any]
"""A Kubernetes object, as its YAML would parse."""

HELM_TIMEOUT = Duration.minutes(10)
"""How long Helm may wait. The function that runs it ends after 15 minutes, whatever Helm is doing,
and a release that it leaves behind is stuck: https://github.com/aws/aws-cdk/issues/22257
"""


class Kubectl(Construct):
    """The CDK's kubectl functions for one cluster, in subnets from which charts can be fetched.

    They are administrators of the cluster, and their role may do nothing else but write logs and
    read charts. The cluster's own functions would run in the subnets of its control plane, which
    reach no registry.

    Whatever is applied waits for what :meth:`after` was told, and is deleted before it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: eks.ICluster,
        version: str,
        vpc: ec2.IVpc,
        subnets: Sequence[ec2.ISubnet],
        log_key: kms.IKey,
        log_retention_days: int,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        role = self._role = self._make_role()
        group = self._make_security_group(vpc)
        provider = eks.KubectlProvider(
            self,
            "Provider",
            cluster=cluster,
            kubectl_layer=KubectlLayer(self, "Layer", kubernetes_version=version),
            private_subnets=list(subnets),
            security_groups=[group],
            # Without this the CDK adds three managed policies that read every repository.
            role=role.without_policy_updates(),
        )
        # The condition of one of those policies, which nothing refers to any more.
        self.node.try_remove_child("HasEcrPublic")
        role.add_to_policy(
            iam.PolicyStatement(actions=["eks:DescribeCluster"], resources=[cluster.cluster_arn])
        )
        self._cluster = eks.Cluster.from_cluster_attributes(
            self, "Cluster", cluster_name=cluster.cluster_name, kubectl_provider=provider
        )
        access = eks.AccessEntry(
            self,
            "Access",
            cluster=cluster,
            principal=role.role_arn,
            access_policies=[
                eks.AccessPolicy.from_access_policy_name(
                    "AmazonEKSClusterAdminPolicy", access_scope_type=eks.AccessScopeType.CLUSTER
                )
            ],
        )
        # L1, because everything that is applied waits for the rule.
        admission = ec2.CfnSecurityGroupIngress(
            self,
            "Admission",
            group_id=cluster.cluster_security_group_id,
            source_security_group_id=group.security_group_id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            description="Functions that apply Kubernetes objects",
        )
        self._after: list[IDependable] = [access, admission, role, provider]
        self._mirror: ImageMirror | None = None
        _acknowledge_framework(provider)
        for function in _functions(provider):
            _keep_logs(function, log_key, log_retention_days, removal_policy)

    def after(self, *others: IDependable) -> None:
        """Apply everything from now on after ``others``, and delete it before them."""
        self._after.extend(others)

    def take_from(self, mirror: ImageMirror) -> None:
        """Take charts and images from ``mirror`` from now on, instead of their registries."""
        self._mirror = mirror

    def apply(
        self,
        scope: Construct,
        construct_id: str,
        kubernetes_object: KubernetesObject,
        *,
        after: Sequence[IDependable] = (),
    ) -> eks.KubernetesManifest:
        """Create or update one object, and delete it when it leaves the stack.

        Each object is a resource of its own, so CloudFormation knows what to delete. kubectl's
        pruning, which the CDK offers for lists of objects, passes over custom resources.
        """
        manifest = eks.KubernetesManifest(
            scope,
            construct_id,
            cluster=self._cluster,
            manifest=[self._mirror.rewritten(kubernetes_object)]
            if self._mirror
            else [kubernetes_object],
            # `kubectl create` would fail on what a rolled-back deployment left behind.
            overwrite=True,
            prune=False,
        )
        manifest.node.add_dependency(*self._after, *after)
        return manifest

    def install(
        self,
        scope: Construct,
        construct_id: str,
        chart: HelmChart,
        *,
        values: Mapping[str, Any] | None = None,
        after: Sequence[IDependable] = (),
        wait: bool = False,
    ) -> eks.HelmChart:
        """Install or upgrade one chart at its pinned version.

        ``wait`` is for charts whose webhooks must answer before anything that comes ``after`` them
        can be applied. All others wait for no pods, for a release is stuck when time runs out.
        """
        mirror = self._mirror
        asset = mirror.chart(chart) if mirror else None
        if asset is not None:
            self._allow_reading(asset)
        release = eks.HelmChart(
            scope,
            construct_id,
            cluster=self._cluster,
            chart=None if asset else chart.name,
            chart_asset=asset,
            repository=None if asset else chart.repository,
            version=None if asset else chart.version,
            release=chart.release,
            namespace=chart.namespace,
            values=merged(values or {}, mirror.values(chart.images)) if mirror else values,
            create_namespace=True,
            wait=wait,
            timeout=HELM_TIMEOUT,
        )
        release.node.add_dependency(*self._after, *after)
        return release

    def install_folder(
        self,
        scope: Construct,
        construct_id: str,
        *,
        folder: Path,
        digest: str,
        release: str,
        namespace: str,
        values: Mapping[str, Any],
        images: Mapping[str, str],
        after: Sequence[IDependable] = (),
    ) -> eks.HelmChart:
        """Install or upgrade the chart in ``folder``, which is uploaded with the stack.

        ``digest`` is a checksum of its files, and ``images`` the values that name images, as
        :class:`HelmChart` has them. Nothing waits for its pods.
        """
        asset = s3_assets.Asset(
            scope,
            f"{construct_id}Asset",
            path=str(folder),
            asset_hash=hashlib.sha256(digest.encode()).hexdigest(),
            asset_hash_type=AssetHashType.CUSTOM,
        )
        self._allow_reading(asset)
        made = eks.HelmChart(
            scope,
            construct_id,
            cluster=self._cluster,
            chart_asset=asset,
            release=release,
            namespace=namespace,
            values=merged(values, self._mirror.values(images)) if self._mirror else values,
            create_namespace=True,
            wait=False,
            timeout=HELM_TIMEOUT,
        )
        made.node.add_dependency(*self._after, *after)
        return made

    def _allow_reading(self, asset: s3_assets.Asset) -> None:
        # This one file. The CDK's own grant is refused with all others that it adds to the role,
        # and would be for everything in the bucket.
        self._role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:GetObject"],
                resources=[asset.bucket.arn_for_objects(asset.s3_object_key)],
            )
        )

    def _make_security_group(self, vpc: ec2.IVpc) -> ec2.SecurityGroup:
        # Not the cluster's own group, which the CDK would take: Lambda gives its interfaces back
        # only minutes after the functions are gone, and EKS would leave the group behind.
        group = ec2.SecurityGroup(
            self,
            "SecurityGroup",
            vpc=vpc,
            description="Functions that apply Kubernetes objects",
            allow_all_outbound=False,
        )
        group.add_egress_rule(
            ec2.Peer.any_ipv4(),
            ec2.Port.tcp(HTTPS),
            "The cluster, AWS, and registries of charts",
        )
        return group

    def _make_role(self) -> ServiceRole:
        role = ServiceRole(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description="Applies Kubernetes objects and charts during deployments",
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::*]",
            reason="Interfaces of a Lambda function in a VPC have no id before Lambda makes them. "
            "Tokens of ECR's public registry support no resource-level permission, and admit only "
            "to what is public.",
        )
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
        role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "ec2:CreateNetworkInterface",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSubnets",
                    "ec2:DeleteNetworkInterface",
                    "ec2:AssignPrivateIpAddresses",
                    "ec2:UnassignPrivateIpAddresses",
                ],
                resources=["*"],
            )
        )
        stack = Stack.of(self)
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::arn:...:log-group:/aws/lambda/...-*]",
            reason="The function's name ends in characters that CloudFormation chooses, and its "
            "log group is named after it; all of them are groups of this stack's functions.",
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[
                    stack.format_arn(
                        service="logs",
                        resource="log-group",
                        resource_name=f"/aws/lambda/{stack.stack_name}-*",
                        arn_format=ArnFormat.COLON_RESOURCE_NAME,
                    )
                ],
            )
        )
        # https://docs.aws.amazon.com/AmazonECR/latest/public/public-registry-auth.html
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"],
                resources=["*"],
            )
        )
        return role


def _functions(provider: Construct) -> list[lambda_.Function]:
    found: list[IConstruct] = provider.node.find_all()
    return [construct for construct in found if isinstance(construct, lambda_.Function)]


def _keep_logs(
    function: lambda_.Function, key: kms.IKey, retention_days: int, removal_policy: RemovalPolicy
) -> None:
    # The provider takes no log groups, and those that it makes are not encrypted with our key.
    group = function.node.find_child("LogGroup").node.default_child
    assert isinstance(group, logs.CfnLogGroup)  # noqa: S101
    group.kms_key_id = key.key_arn
    group.retention_in_days = retention_days
    group.apply_removal_policy(removal_policy)


def _acknowledge_framework(provider: eks.KubectlProvider) -> None:
    for pack in ("HIPAA.Security", "NIST.800.53.R5"):
        acknowledge(
            provider,
            f"{pack}-LambdaConcurrency",
            reason="CloudFormation calls the functions, a few at a time and only in deployments. A "
            "reservation would take concurrency from the account's other functions all the time.",
        )
    acknowledge(
        provider,
        "HIPAA.Security-LambdaDLQ",
        "NIST.800.53.R5-LambdaDLQ",
        "Serverless-LambdaDLQ",
        reason="A failure is answered to CloudFormation, which rolls back and shows it; nobody "
        "would read a queue of calls whose deployment is over.",
    )
    acknowledge(
        provider,
        "Serverless-LambdaTracing",
        reason="The functions run in deployments only, and the deployment's events already say how "
        "long each resource took.",
    )
    framework = "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/..."
    acknowledge(
        provider,
        f"{framework}AWSLambdaBasicExecutionRole]",
        f"{framework}AWSLambdaVPCAccessExecutionRole]",
        reason="The CDK's framework makes this function and its role, which writes its own logs "
        "and has interfaces in the VPC. It takes no role of ours.",
    )
    acknowledge(
        provider,
        "AwsSolutions-IAM5[Resource::...Handler....Arn>:*]",
        reason="`:*` is every version of the one function that the framework calls.",
    )
    acknowledge(
        provider,
        "HIPAA.Security-IAMNoInlinePolicy",
        "NIST.800.53.R5-IAMNoInlinePolicy",
        "PCI.DSS.321-IAMNoInlinePolicy",
        reason="The CDK's framework makes the role and its policy, which names the one function "
        "that it may call and goes with it.",
    )
    acknowledge(
        provider,
        "AwsSolutions-L1",
        "Serverless-LambdaLatestVersion",
        reason="The CDK chooses the runtime that its own handler was tested with, and raises it "
        "with its releases.",
    )
    acknowledge(
        provider,
        "Serverless-LambdaDefaultMemorySize",
        reason="The framework passes one event on; Lambda's default of 128 MB is what the CDK "
        "tests it with.",
    )
