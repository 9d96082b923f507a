"""Permissions of pods, by EKS Pod Identity."""

from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.eks_cluster import EksCluster
from llm_constructs.nag import acknowledge


class PodIdentityRole(iam.Role):
    """A role for the pods of one service account of one cluster, and of no other.

    EKS names the cluster, namespace and service account as session tags, and the trust policy asks
    for them: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html. The role is usable
    once :meth:`associate` was called, or an add-on of EKS names it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cluster: EksCluster,
        namespace: str,
        service_account: str,
        description: str,
    ) -> None:
        self.namespace = namespace
        self.service_account = service_account
        self._cluster = cluster
        tags = {
            "eks-cluster-name": cluster.name,
            "kubernetes-namespace": namespace,
            "kubernetes-service-account": service_account,
        }
        super().__init__(
            scope,
            construct_id,
            assumed_by=iam.ServicePrincipal("pods.eks.amazonaws.com")
            .with_conditions(
                {"StringEquals": {f"aws:RequestTag/{key}": value for key, value in tags.items()}}
            )
            .with_session_tags(),
            description=description,
        )

    def use_managed_policy(self, name: str) -> None:
        """Attach the AWS-managed policy ``name``, which AWS changes along with the pod's program.

        For add-ons of EKS alone: AWS publishes both, and the add-on's version is pinned.
        """
        self.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name(name))
        acknowledge(
            self,
            f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{name}]",
            reason="AWS publishes this policy together with the add-on and keeps the two in step. "
            "Only the add-on's own service account in this cluster can assume the role.",
        )

    def allow(self, *statements: iam.PolicyStatement) -> None:
        """Add ``statements`` to the role's one inline policy."""
        if not self.node.try_find_child("DefaultPolicy"):
            acknowledge(
                self,
                "HIPAA.Security-IAMNoInlinePolicy",
                "NIST.800.53.R5-IAMNoInlinePolicy",
                "PCI.DSS.321-IAMNoInlinePolicy",
                reason="The policy belongs to this role alone and goes with it; AWS advises inline "
                "policies for such one-to-one relationships.",
            )
        for statement in statements:
            self.add_to_policy(statement)

    def associate(self) -> eks.CfnPodIdentityAssociation:
        """Give the role to the pods of its service account."""
        return eks.CfnPodIdentityAssociation(
            self,
            "Association",
            cluster_name=self._cluster.cluster.cluster_name,
            namespace=self.namespace,
            service_account=self.service_account,
            role_arn=self.role_arn,
        )
