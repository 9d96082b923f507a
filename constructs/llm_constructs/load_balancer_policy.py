"""What the AWS Load Balancer Controller may do, most of it only with its own cluster's things.

The statements follow the controller's own
(https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/installation/), less
Cognito, WAF and Shield, which the chart's values turn off, and narrowed to one cluster and VPC.
"""

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from llm_constructs.nag import acknowledge

_TAG = "elbv2.k8s.aws/cluster"

_DESCRIBED = (
    *(
        f"ec2:Describe{name}"
        for name in (
            *("AccountAttributes", "Addresses", "AvailabilityZones", "CoipPools", "Instances"),
            *("InternetGateways", "IpamPools", "NetworkInterfaces", "RouteTables"),
            *("SecurityGroups", "Subnets", "Tags", "VpcPeeringConnections", "Vpcs"),
        )
    ),
    "ec2:GetCoipPoolUsage",
    "ec2:GetSecurityGroupsForVpc",
    *(
        f"elasticloadbalancing:Describe{name}"
        for name in (
            *("CapacityReservation", "ListenerAttributes", "ListenerCertificates", "Listeners"),
            *("LoadBalancerAttributes", "LoadBalancers", "Rules", "SSLPolicies", "Tags"),
            *("TargetGroupAttributes", "TargetGroups", "TargetHealth", "TrustStores"),
        )
    ),
    "acm:DescribeCertificate",
    "acm:ListCertificates",
)

_CHANGED = (
    *("DeleteLoadBalancer", "DeleteTargetGroup", "ModifyCapacityReservation"),
    *("ModifyIpPools", "ModifyListenerAttributes", "ModifyLoadBalancerAttributes"),
    *("ModifyTargetGroup", "ModifyTargetGroupAttributes", "SetIpAddressType"),
    *("SetSecurityGroups", "SetSubnets"),
)
_LISTENING = (
    *("AddListenerCertificates", "CreateListener", "CreateRule", "DeleteListener", "DeleteRule"),
    *("ModifyListener", "ModifyRule", "RemoveListenerCertificates", "SetRulePriorities"),
)
_BALANCERS = ("loadbalancer/app/*", "loadbalancer/net/*")
_LISTENERS = ("listener/app/*", "listener/net/*")
_RULES = ("listener-rule/app/*", "listener-rule/net/*")


class LoadBalancerStatements:
    """The statements for the controller of one cluster in one VPC, in the stack of ``scope``."""

    def __init__(self, scope: IConstruct, *, cluster_name: str) -> None:
        self._stack = Stack.of(scope)
        self._owned = {"StringEquals": {f"aws:ResourceTag/{_TAG}": cluster_name}}
        self._tagged = {"StringEquals": {f"aws:RequestTag/{_TAG}": cluster_name}}

    def all(self, *, vpc_id: str, node_security_group_id: str) -> Sequence[iam.PolicyStatement]:
        """Return every statement.

        ``node_security_group_id`` is the group of nodes that carries the cluster's tag, and to
        which the controller opens its target ports.
        """
        return (
            iam.PolicyStatement(sid="Discover", actions=list(_DESCRIBED), resources=["*"]),
            iam.PolicyStatement(
                sid="MakeTheServiceLinkedRole",
                actions=["iam:CreateServiceLinkedRole"],
                resources=[
                    self._stack.format_arn(
                        service="iam",
                        region="",
                        resource="role",
                        resource_name="aws-service-role/elasticloadbalancing.amazonaws.com/*",
                    )
                ],
                conditions={
                    "StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}
                },
            ),
            *self._security_groups(vpc_id, node_security_group_id),
            *self._load_balancers(),
            *self._tags(),
        )

    def _security_groups(
        self, vpc_id: str, node_security_group_id: str
    ) -> Sequence[iam.PolicyStatement]:
        rules = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
        groups = self._ec2("security-group/*")
        return (
            iam.PolicyStatement(
                sid="OpenTheNodes",
                actions=rules,
                resources=[self._ec2(f"security-group/{node_security_group_id}")],
            ),
            iam.PolicyStatement(
                sid="MakeGroupsInTheVpc",
                actions=["ec2:CreateSecurityGroup"],
                resources=[self._ec2(f"vpc/{vpc_id}")],
            ),
            iam.PolicyStatement(
                sid="MakeTaggedGroups",
                actions=["ec2:CreateSecurityGroup"],
                resources=[groups],
                conditions=self._tagged,
            ),
            iam.PolicyStatement(
                sid="ChangeOwnGroups",
                actions=[*rules, "ec2:DeleteSecurityGroup"],
                resources=[groups],
                conditions=self._owned,
            ),
            iam.PolicyStatement(
                sid="TagNewGroups",
                actions=["ec2:CreateTags"],
                resources=[groups],
                conditions={
                    "StringEquals": {
                        **self._tagged["StringEquals"],
                        "ec2:CreateAction": "CreateSecurityGroup",
                    }
                },
            ),
            iam.PolicyStatement(
                sid="TagOwnGroups",
                actions=["ec2:CreateTags", "ec2:DeleteTags"],
                resources=[groups],
                conditions=self._owned,
            ),
        )

    def _load_balancers(self) -> Sequence[iam.PolicyStatement]:
        return (
            iam.PolicyStatement(
                sid="MakeTagged",
                actions=_elb("CreateLoadBalancer", "CreateTargetGroup"),
                resources=self._elb_arns(*_BALANCERS, "targetgroup/*"),
                conditions=self._tagged,
            ),
            iam.PolicyStatement(
                sid="ChangeOwn",
                actions=_elb(*_CHANGED),
                resources=self._elb_arns(*_BALANCERS, *_LISTENERS, "targetgroup/*"),
                conditions=self._owned,
            ),
            iam.PolicyStatement(
                sid="Listen",
                actions=_elb(*_LISTENING),
                resources=self._elb_arns(*_BALANCERS, *_LISTENERS, *_RULES),
            ),
            iam.PolicyStatement(
                sid="RegisterTargets",
                actions=_elb("DeregisterTargets", "RegisterTargets"),
                resources=self._elb_arns("targetgroup/*"),
            ),
        )

    def _tags(self) -> Sequence[iam.PolicyStatement]:
        return (
            iam.PolicyStatement(
                sid="TagNew",
                actions=_elb("AddTags"),
                resources=self._elb_arns(*_BALANCERS, "targetgroup/*"),
                conditions={
                    "StringEquals": {
                        **self._tagged["StringEquals"],
                        "elasticloadbalancing:CreateAction": [
                            "CreateLoadBalancer",
                            "CreateTargetGroup",
                        ],
                    }
                },
            ),
            iam.PolicyStatement(
                sid="TagOwn",
                actions=_elb("AddTags", "RemoveTags"),
                resources=self._elb_arns(*_BALANCERS, "targetgroup/*"),
                conditions=self._owned,
            ),
            iam.PolicyStatement(
                sid="TagListeners",
                actions=_elb("AddTags", "RemoveTags"),
                resources=self._elb_arns(*_LISTENERS, *_RULES),
            ),
        )

    def _ec2(self, resource: str) -> str:
        kind, name = resource.split("/", 1)
        return self._stack.format_arn(service="ec2", resource=kind, resource_name=name)

    def _elb_arns(self, *resources: str) -> list[str]:
        parted = (resource.split("/", 1) for resource in resources)
        return [
            self._stack.format_arn(
                service="elasticloadbalancing", resource=kind, resource_name=name
            )
            for kind, name in parted
        ]


def acknowledge_wildcards(role: iam.IRole) -> None:
    """Accept the wildcards that :class:`LoadBalancerStatements` cannot do without."""
    acknowledge(
        role,
        "AwsSolutions-IAM5[Resource::*]",
        reason="These actions only read, and for all but three AWS supports no resource-level "
        "permission. The three look up certificates, pools and security groups to find the ones "
        "that a service names, so their ids are not known here.",
    )
    acknowledge(
        role,
        "AwsSolutions-IAM5[Resource::arn:...:iam::...aws-service-role/...]",
        reason="The one role of Elastic Load Balancing, which AWS names; a condition allows no "
        "other service's.",
    )
    acknowledge(
        role,
        "AwsSolutions-IAM5[Resource::arn:...:ec2:...:security-group/*]",
        reason="What is made has no id beforehand. Conditions allow only groups that carry the tag "
        "of this cluster, or are given it as they are made.",
    )
    acknowledge(
        role,
        "AwsSolutions-IAM5[Resource::arn:...:elasticloadbalancing:...]",
        reason="What is made has no id beforehand. Load balancers and target groups must carry the "
        "tag of this cluster; listeners, rules and registrations are reached only through them, "
        "and a condition there would break the removal of older, untagged ones.",
    )


def _elb(*actions: str) -> list[str]:
    return [f"elasticloadbalancing:{action}" for action in actions]
