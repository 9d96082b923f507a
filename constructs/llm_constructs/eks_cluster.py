"""An EKS cluster whose API is reached from inside the VPC only."""

from typing import Final, cast

from aws_cdk import Annotations, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from llm_constructs.alarm import AlarmDescription
from llm_constructs.eks_watch import (
    ClusterMetrics,
    describe_alarms,
    describe_queries,
    describe_signals,
)
from llm_constructs.encryption import CustomerKey
from llm_constructs.fabric_security_group import FabricSecurityGroup
from llm_constructs.kubectl import Kubectl
from llm_constructs.log_retention import retention_of
from llm_constructs.nag import acknowledge
from llm_constructs.specs.eks import Cluster

ADMIN_POLICY: Final = "AmazonEKSClusterAdminPolicy"
"""Everything, in every namespace."""

AUTO_MODE_POLICIES: Final = (
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
"""What EKS needs to run nodes, volumes and load balancers itself.

https://docs.aws.amazon.com/eks/latest/userguide/auto-cluster-iam-role.html
"""

VIEWER_POLICY: Final = "AmazonEKSViewPolicy"
"""Most objects of every namespace, but no secrets.

https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
"""


class EksCluster(Construct):
    """A cluster without nodes and add-ons, which :mod:`node_groups` and its neighbours bring.

    Its endpoint is private, its secrets are encrypted with a key of its own, all of its logs go to
    a log group that is kept, and it cannot be deleted unless ``removal_policy`` destroys. The
    interfaces of the control plane lie in isolated subnets where the VPC has them. Pods get their
    permissions by EKS Pod Identity alone: there is no OIDC provider.

    ``name`` is the cluster's name, for the permissions of its controllers are limited by tags that
    hold it. Members of ``node_security_group`` reach each other over EFA. ``alarms``, ``signals``
    and ``queries`` say what to watch; those of nodes need the CloudWatch add-on. Where the cluster
    ``is_automatic``, EKS Auto Mode runs the nodes of pools with their network, devices, block
    storage and load balancers; the pools that EKS would bring are left out.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        vpc: ec2.IVpc,
        cluster: Cluster,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        self.name = name
        self.vpc = vpc
        self.version = cluster.version
        self.is_automatic = cluster.is_automatic
        self._removal_policy = removal_policy
        self.key = CustomerKey(
            self,
            "Key",
            description=f"Encrypts the secrets and logs of the cluster {name}",
            removal_policy=removal_policy,
        )
        self.key.allow_log_groups()
        log_group = self._make_log_group(cluster.log_retention_days)
        metrics = ClusterMetrics(name)
        self.alarms: tuple[AlarmDescription, ...] = describe_alarms(metrics, cluster.gpu_monitoring)
        self.signals = describe_signals(metrics, cluster.gpu_monitoring)
        self.queries = describe_queries(log_group)
        self.cluster = self._make_cluster(cluster)
        self.cluster.node.add_dependency(log_group)
        self.security_group_id = self.cluster.cluster_security_group_id
        self.node_security_group = self._make_node_security_group()
        self.kubectl = Kubectl(
            self,
            "Kubectl",
            cluster=self.cluster,
            version=cluster.version,
            vpc=vpc,
            subnets=vpc.private_subnets,
            log_key=self.key,
            log_retention_days=cluster.log_retention_days,
            removal_policy=removal_policy,
        )
        for number, arn in enumerate(cluster.admin_role_arns, start=1):
            self._admit(f"Admin{number}", arn, ADMIN_POLICY)
        for number, arn in enumerate(cluster.viewer_role_arns, start=1):
            self._admit(f"Viewer{number}", arn, VIEWER_POLICY)

    @property
    def arn(self) -> str:
        """The cluster's ARN, which its name decides."""
        return Stack.of(self).format_arn(service="eks", resource="cluster", resource_name=self.name)

    def _make_log_group(self, retention_days: int) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            "Logs",
            # EKS writes to the group of this name, and makes it without key and end if need be:
            # https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html
            log_group_name=f"/aws/eks/{self.name}/cluster",
            encryption_key=self.key,
            retention=retention_of(retention_days),
            removal_policy=self._removal_policy,
        )

    def _make_cluster(self, spec: Cluster) -> eks.ICluster:
        cluster = eks.Cluster(
            self,
            "Cluster",
            cluster_name=self.name,
            version=eks.KubernetesVersion.of(spec.version),
            vpc=self.vpc,
            # Left out, the control plane gets interfaces in public subnets as well.
            vpc_subnets=[
                ec2.SubnetSelection(subnets=self.vpc.isolated_subnets or self.vpc.private_subnets)
            ],
            endpoint_access=eks.EndpointAccess.PRIVATE,
            security_group=ec2.SecurityGroup(
                self,
                "ControlPlaneSecurityGroup",
                vpc=self.vpc,
                description=f"Control plane of {self.name}",
                # What it needs, it has from the cluster's security group.
                allow_all_outbound=False,
            ),
            role=self._make_role(spec),
            secrets_encryption_key=self.key,
            cluster_logging=list(eks.ClusterLoggingTypes),
            # Never nodes of the CDK's or of EKS's choice.
            default_capacity_type=eks.DefaultCapacityType.AUTOMODE
            if spec.is_automatic
            else eks.DefaultCapacityType.NODEGROUP,
            default_capacity=None if spec.is_automatic else 0,
            compute=eks.ComputeConfig(node_pools=[]) if spec.is_automatic else None,
            bootstrap_cluster_creator_admin_permissions=False,
            # The add-ons are pinned; see cluster_addons.
            bootstrap_self_managed_addons=False,
        )
        resource = cluster.node.default_child
        assert isinstance(resource, eks.CfnCluster)  # noqa: S101
        # The L2 has neither: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-eks-cluster.html
        resource.deletion_protection = self._removal_policy is not RemovalPolicy.DESTROY
        resource.upgrade_policy = eks.CfnCluster.UpgradePolicyProperty(
            support_type=spec.upgrade_policy.value
        )
        _acknowledge_warnings(cluster)
        # The CDK's Python types say that its Cluster lacks a member of its own interface.
        return cast("eks.ICluster", cluster)

    def _make_role(self, spec: Cluster) -> iam.Role:
        policies = ("AmazonEKSClusterPolicy", *(AUTO_MODE_POLICIES if spec.is_automatic else ()))
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("eks.amazonaws.com"),
            description=f"Lets the control plane of {self.name} manage what it makes",
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name(name) for name in policies
            ],
        )
        acknowledge(
            role,
            *(
                f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{name}]"
                for name in policies
            ),
            reason="AWS runs the control plane and keeps these policies in step with it; a copy "
            "would break the cluster when a version needs more.",
        )
        return role

    def _make_node_security_group(self) -> ec2.SecurityGroup:
        # Other traffic leaves by the cluster's group.
        return FabricSecurityGroup(
            self,
            "NodeSecurityGroup",
            vpc=self.vpc,
            description=f"Nodes of {self.name}",
            traffic="EFA between nodes",
        )

    def _admit(self, construct_id: str, role_arn: str, policy: str) -> None:
        eks.AccessEntry(
            self,
            construct_id,
            cluster=self.cluster,
            principal=role_arn,
            access_policies=[
                eks.AccessPolicy.from_access_policy_name(
                    policy, access_scope_type=eks.AccessScopeType.CLUSTER
                )
            ],
        )


def _acknowledge_warnings(cluster: eks.Cluster) -> None:
    warnings = Annotations.of(cluster)
    warnings.acknowledge_warning(
        "@aws-cdk/aws-eks:isolatedSubnetsForKubectlPrivateSubnets",
        "The cluster's own kubectl functions, which would run there, are not used: Kubectl runs in "
        "private subnets.",
    )
    warnings.acknowledge_warning(
        "@aws-cdk/aws-eks:clusterMustManuallyTagSubnet",
        "The owner of an existing VPC tags its subnets; docs/eks.md says how.",
    )
