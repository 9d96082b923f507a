"""What every node of a cluster may do itself."""

from typing import Final

from aws_cdk import aws_iam as iam
from constructs import Construct

from llm_constructs.nag import acknowledge

NODE_POLICIES: Final = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
)
"""To join the cluster, to pull images, and to be reached by Session Manager instead of SSH.

The policy of the network plugin is missing on purpose: the plugin's pod has it by Pod Identity.
https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html
"""


AUTO_MODE_POLICIES: Final = (
    "AmazonEKSWorkerNodeMinimalPolicy",
    "AmazonEC2ContainerRegistryPullOnly",
)
"""The same where EKS Auto Mode runs the nodes, which nobody logs in to.

https://docs.aws.amazon.com/eks/latest/userguide/auto-create-node-role.html
"""


class NodeRole(iam.Role):
    """The role of nodes, ``automatic`` ones of EKS Auto Mode or others.

    Pods on them have roles of their own and cannot reach this one.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        description: str,
        automatic: bool = False,
    ) -> None:
        policies = AUTO_MODE_POLICIES if automatic else NODE_POLICIES
        super().__init__(
            scope,
            construct_id,
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            description=description,
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name(name) for name in policies
            ],
        )
        acknowledge(
            self,
            *(
                f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{name}]"
                for name in policies
            ),
            reason="AWS makes the agents that run on nodes and keeps these policies in step with "
            "them: joining the cluster, pulling images, Session Manager. Pods cannot use them, "
            "for their requests are a hop too far from the instance metadata.",
        )
