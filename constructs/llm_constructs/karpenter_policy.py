"""What Karpenter may do in AWS: with what carries its cluster's tags, and nothing else.

The statements follow Karpenter's own
(https://karpenter.sh/docs/reference/cloudformation/), less what makes instance profiles: nodes use
one that is made with the cluster.
"""

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from llm_constructs.nag import acknowledge

_MADE = ("fleet", "instance", "launch-template", "network-interface")
_MADE_FOR_NODES = (*_MADE, "spot-instances-request", "volume")
_USED = ("capacity-reservation", "placement-group", "security-group", "subnet")
_DESCRIBED = (
    "AvailabilityZones",
    "CapacityReservations",
    "Images",
    "InstanceStatus",
    "InstanceTypeOfferings",
    "InstanceTypes",
    "Instances",
    "LaunchTemplates",
    "PlacementGroups",
    "SecurityGroups",
    "SpotPriceHistory",
    "Subnets",
)
_NODE_POOL = "karpenter.sh/nodepool"
_CLUSTER_NAME = "eks:eks-cluster-name"


class KarpenterStatements:
    """The statements for the Karpenter of one cluster, in the stack of ``scope``."""

    def __init__(self, scope: IConstruct, *, cluster_name: str) -> None:
        self._stack = Stack.of(scope)
        self._cluster_name = cluster_name
        self._owned = f"kubernetes.io/cluster/{cluster_name}"

    def all(
        self, *, cluster_arn: str, node_role: iam.IRole, instance_profile_arn: str
    ) -> Sequence[iam.PolicyStatement]:
        """Return every statement."""
        return (
            *self._launching(),
            *self._tagging(),
            self._deleting(),
            self._discovering(),
            self._prices(),
            iam.PolicyStatement(
                sid="ReadImageParameters",
                actions=["ssm:GetParameter"],
                resources=[
                    self._stack.format_arn(
                        service="ssm",
                        account="",
                        resource="parameter",
                        resource_name="aws/service/*",
                    )
                ],
            ),
            iam.PolicyStatement(
                sid="FindTheCluster", actions=["eks:DescribeCluster"], resources=[cluster_arn]
            ),
            iam.PolicyStatement(
                sid="PassTheNodeRole",
                actions=["iam:PassRole"],
                resources=[node_role.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
            ),
            iam.PolicyStatement(
                # It looks for profiles of its own making to delete, even where it makes none.
                sid="ListInstanceProfiles",
                actions=["iam:ListInstanceProfiles"],
                resources=["*"],
            ),
            iam.PolicyStatement(
                sid="ReadTheInstanceProfile",
                actions=["iam:GetInstanceProfile"],
                resources=[instance_profile_arn],
            ),
        )

    def _launching(self) -> Sequence[iam.PolicyStatement]:
        launch = ["ec2:CreateFleet", "ec2:RunInstances"]
        return (
            iam.PolicyStatement(
                sid="LaunchWithWhatExists",
                actions=launch,
                resources=[
                    *self._ec2("image", "snapshot", account=""),
                    *self._ec2(*_USED),
                ],
            ),
            iam.PolicyStatement(
                sid="LaunchWithOwnTemplates",
                actions=launch,
                resources=self._ec2("launch-template"),
                conditions=self._tagged("aws:ResourceTag"),
            ),
            iam.PolicyStatement(
                sid="LaunchTagged",
                actions=[*launch, "ec2:CreateLaunchTemplate"],
                resources=self._ec2(*_MADE_FOR_NODES),
                conditions=self._tagged("aws:RequestTag", _CLUSTER_NAME),
            ),
        )

    def _tagging(self) -> Sequence[iam.PolicyStatement]:
        creation = self._tagged("aws:RequestTag", _CLUSTER_NAME)
        creation["StringEquals"]["ec2:CreateAction"] = [
            *("CreateFleet", "CreateLaunchTemplate", "RunInstances")
        ]
        return (
            iam.PolicyStatement(
                sid="TagWhatIsMade",
                actions=["ec2:CreateTags"],
                resources=self._ec2(*_MADE_FOR_NODES),
                conditions=creation,
            ),
            iam.PolicyStatement(
                sid="NameOwnInstances",
                actions=["ec2:CreateTags"],
                resources=self._ec2("instance"),
                conditions={
                    **self._tagged("aws:ResourceTag"),
                    "StringEqualsIfExists": {f"aws:RequestTag/{_CLUSTER_NAME}": self._cluster_name},
                    "ForAllValues:StringEquals": {
                        "aws:TagKeys": [_CLUSTER_NAME, "karpenter.sh/nodeclaim", "Name"]
                    },
                },
            ),
        )

    def _deleting(self) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            sid="DeleteWhatWasMade",
            actions=["ec2:DeleteLaunchTemplate", "ec2:TerminateInstances"],
            resources=self._ec2("instance", "launch-template"),
            conditions=self._tagged("aws:ResourceTag"),
        )

    def _discovering(self) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            sid="Discover",
            actions=[f"ec2:Describe{name}" for name in _DESCRIBED],
            # EC2 supports no resources in any of them.
            resources=["*"],
            conditions={"StringEquals": {"aws:RequestedRegion": self._stack.region}},
        )

    def _prices(self) -> iam.PolicyStatement:
        # The price list has no resources, and its endpoint is in one region.
        return iam.PolicyStatement(
            sid="ReadPrices", actions=["pricing:GetProducts"], resources=["*"]
        )

    def _tagged(self, key: str, *named: str) -> dict[str, dict[str, str | list[str]]]:
        return {
            "StringEquals": {
                f"{key}/{self._owned}": "owned",
                **{f"{key}/{name}": self._cluster_name for name in named},
            },
            "StringLike": {f"{key}/{_NODE_POOL}": "*"},
        }

    def _ec2(self, *kinds: str, account: str | None = None) -> list[str]:
        return [
            self._stack.format_arn(
                service="ec2",
                account=self._stack.account if account is None else account,
                resource=kind,
                resource_name="*",
            )
            for kind in kinds
        ]


def acknowledge_wildcards(role: iam.IRole) -> None:
    """Accept the wildcards that :class:`KarpenterStatements` cannot do without."""
    acknowledge(
        role,
        "AwsSolutions-IAM5[Resource::*]",
        reason="Describing EC2, listing instance profiles and reading the price list support no "
        "resource-level permission; they only read, and EC2 only in the cluster's region.",
    )
    acknowledge(
        role,
        *(f"AwsSolutions-IAM5[Resource::arn:...:ec2:...:{kind}/*]" for kind in _MADE_FOR_NODES),
        reason="What is launched has no id beforehand. Conditions on the tags of the cluster and "
        "of a node pool limit the statements to this Karpenter's own instances and templates.",
    )
    acknowledge(
        role,
        *(
            f"AwsSolutions-IAM5[Resource::arn:...:ec2:...:{kind}/*]"
            for kind in ("image", "snapshot", *_USED)
        ),
        reason="Launching an instance needs permission on everything it uses, which the node class "
        "names. What results must carry the cluster's tags, by another statement.",
    )
    acknowledge(
        role,
        "AwsSolutions-IAM5[Resource::arn:...:ssm:...parameter/aws/service/*]",
        reason="AWS publishes the ids of its images there, and everybody may read them.",
    )
