"""Service-linked roles that something needs before it can make them itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from config import Environment
from llm_constructs.specs.karpenter_pool import CapacityType
from ops.aws_account import GLOBAL_REGION, Account, Call, RefusedError
from ops.preflight.check import Finding, Severity

GET_ROLE: Final = Call("iam", "GetRole")


@dataclass(frozen=True)
class ServiceLinkedRole:
    """One role. With ``by_hand``, whoever needs it may not make it."""

    name: str
    service: str
    by_hand: bool = False


# https://docs.aws.amazon.com/eks/latest/userguide/using-service-linked-roles.html
_EKS: Final = (
    ServiceLinkedRole("AWSServiceRoleForAmazonEKS", "eks.amazonaws.com"),
    ServiceLinkedRole("AWSServiceRoleForAmazonEKSNodegroup", "eks-nodegroup.amazonaws.com"),
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/autoscaling-service-linked-role.html
    ServiceLinkedRole("AWSServiceRoleForAutoScaling", "autoscaling.amazonaws.com"),
)
_SPOT: Final = ServiceLinkedRole("AWSServiceRoleForEC2Spot", "spot.amazonaws.com", by_hand=True)
"""Karpenter's role may not make it: https://karpenter.sh/docs/troubleshooting/"""
# https://docs.aws.amazon.com/fsx/latest/LustreGuide/using-service-linked-roles.html
_FSX: Final = ServiceLinkedRole("AWSServiceRoleForAmazonFSx", "fsx.amazonaws.com")
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html
_ECS: Final = ServiceLinkedRole("AWSServiceRoleForECS", "ecs.amazonaws.com")
# https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-service-linked-roles.html
_BALANCING: Final = ServiceLinkedRole(
    "AWSServiceRoleForElasticLoadBalancing", "elasticloadbalancing.amazonaws.com"
)


def needed_roles(environment: Environment) -> tuple[ServiceLinkedRole, ...]:
    """Return the roles that the environment's services act with."""
    roles: list[ServiceLinkedRole] = []
    if environment.eks is not None:
        roles += [*_EKS, _BALANCING]
        if any(CapacityType.SPOT in pool.capacity_types for pool in environment.eks.pools):
            roles.append(_SPOT)
    if environment.lustre is not None:
        roles.append(_FSX)
    if environment.gateway is not None and environment.gateway.service is not None:
        roles += [_ECS, _BALANCING]
    return tuple(dict.fromkeys(roles))


@dataclass(frozen=True)
class ServiceLinkedRolesCheck:
    """The service-linked roles exist."""

    title: str = "service-linked roles"
    group: str = "roles"
    calls: tuple[Call, ...] = (GET_ROLE,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where a service acts with one."""
        return bool(needed_roles(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Warn of those that the deployment makes if it may; the others are problems."""
        for role in needed_roles(environment):
            try:
                account.call(GET_ROLE, region=GLOBAL_REGION, RoleName=role.name)
            except RefusedError as refused:
                if refused.code != "NoSuchEntity":
                    raise
                yield Finding(
                    role.name,
                    "The role does not exist, and what needs it may not make it."
                    if role.by_hand
                    else "The role does not exist; the deployment makes it if the deployer may.",
                    f"Run `aws iam create-service-linked-role --aws-service-name {role.service}`.",
                    Severity.PROBLEM if role.by_hand else Severity.WARNING,
                )
