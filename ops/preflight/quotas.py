"""Service quotas against what the file asks for at its limits."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from config import Environment
from llm_constructs.specs.karpenter_pool import CapacityType
from llm_constructs.specs.network import NatGateways, NewVpc
from ops.aws_account import Account, Call, RefusedError
from ops.preflight.check import Finding, Severity
from ops.preflight.demand import instance_demands

GROUP: Final = "service quotas"

GET_QUOTA: Final = Call("service-quotas", "GetServiceQuota")
LIST_QUOTAS: Final = Call("service-quotas", "ListServiceQuotas")

UNRESERVED_CONCURRENCY: Final = 100
"""Concurrent executions that Lambda wants left over.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""


@dataclass(frozen=True)
class Quota:
    """A quota by its code, or by a pattern for its name where no code is published."""

    service: str
    name: str
    code: str = ""
    pattern: str = ""


# Codes and names: https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
_ON_DEMAND: Final = {
    "standard": Quota("ec2", "Running On-Demand Standard instances (vCPUs)", "L-1216C47A"),
    "g": Quota("ec2", "Running On-Demand G and VT instances (vCPUs)", "L-DB2E81BA"),
    "p": Quota("ec2", "Running On-Demand P instances (vCPUs)", "L-417A185B"),
    "inf": Quota("ec2", "Running On-Demand Inf instances (vCPUs)", "L-1945791B"),
    "trn": Quota("ec2", "Running On-Demand Trn instances (vCPUs)", "L-2C3B7624"),
}
# Spot quotas of P are divided by generation, so they are found by name.
_SPOT: Final = {
    "standard": Quota("ec2", "All Standard Spot Instance Requests (vCPUs)", "L-34B43A08"),
    "g": Quota("ec2", "All G and VT Spot Instance Requests (vCPUs)", "L-3819A6DF"),
    "p": Quota("ec2", "All P Spot Instance Requests (vCPUs)", pattern=r"All P\d?\w* Spot"),
    "inf": Quota("ec2", "All Inf Spot Instance Requests (vCPUs)", pattern=r"All Inf Spot"),
    "trn": Quota("ec2", "All Trn Spot Instance Requests (vCPUs)", pattern=r"All Trn Spot"),
}
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
_VPCS: Final = Quota("vpc", "VPCs per Region", "L-F678F1CE")
_NAT: Final = Quota("vpc", "NAT gateways per Availability Zone", "L-FE5A380F")
_ADDRESSES: Final = Quota("ec2", "EC2-VPC Elastic IPs", "L-0263D0A3")
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_CONCURRENCY: Final = Quota("lambda", "Concurrent executions", "L-B99A9384")
# https://docs.aws.amazon.com/eks/latest/userguide/service-quotas.html
_CLUSTERS: Final = Quota("eks", "Clusters", "L-1194D53C")
# Names: https://docs.aws.amazon.com/fsx/latest/LustreGuide/limits.html; codes are not published.
_LUSTRE: Final = {
    True: Quota("fsx", "Lustre Persistent 2 storage", pattern=r"Lustre Persistent.?2.*storage"),
    False: Quota("fsx", "Lustre Scratch storage", pattern=r"Lustre Scratch.*storage"),
}


@dataclass(frozen=True)
class Need:
    """How much of a quota the file takes, and which parts of it."""

    quota: Quota
    amount: int
    parts: tuple[str, ...]


def needs(environment: Environment) -> Iterator[Need]:
    """Yield what the environment takes of each quota, everything at its limit."""
    yield from _instance_needs(environment)
    yield from _network_needs(environment)
    if environment.eks is not None:
        yield Need(_CLUSTERS, 1, ("eks",))
    if environment.lustre is not None:
        amount = environment.lustre.capacity_gib
        yield Need(_LUSTRE[environment.lustre.is_persistent], amount, ("lustre",))
    yield from _hyperpod_needs(environment)
    if environment.gateway is not None:
        reserved = environment.gateway.reserved_concurrency
        yield Need(_CONCURRENCY, reserved + UNRESERVED_CONCURRENCY, ("gateway",))


def _network_needs(environment: Environment) -> Iterator[Need]:
    vpc = environment.network.vpc
    if not isinstance(vpc, NewVpc):
        return
    yield Need(_VPCS, 1, ("network.vpc",))
    if vpc.nat_gateways in (NatGateways.ONE, NatGateways.ONE_PER_ZONE):
        each = vpc.nat_gateways is NatGateways.ONE_PER_ZONE
        yield Need(_NAT, 1, ("network.vpc",))
        yield Need(_ADDRESSES, len(vpc.availability_zones) if each else 1, ("network.vpc",))


def _hyperpod_needs(environment: Environment) -> Iterator[Need]:
    # What a training plan holds was granted with it, so only other nodes are counted.
    nodes: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for group in environment.training.groups if environment.training else ():
        if group.training_plan is None and group.count:
            nodes[f"ml.{group.instance_type}"][f"training.groups.{group.name}"] = group.count
    for name, taken in nodes.items():
        # https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-hyperpod-prerequisites.html
        quota = f"{name} for cluster usage"
        pattern = f"^{re.escape(quota)}$"
        yield Need(Quota("sagemaker", quota, pattern=pattern), sum(taken.values()), tuple(taken))


def _instance_needs(environment: Environment) -> Iterator[Need]:
    parts: defaultdict[Quota, dict[str, int]] = defaultdict(dict)
    for demand in instance_demands(environment):
        if not demand.vcpus:
            continue
        for kind in demand.capacity_types:
            table = _SPOT if kind is CapacityType.SPOT else _ON_DEMAND
            for name in sorted({_class_of(row.family) for row in demand.rows}):
                parts[table[name]][demand.part] = demand.vcpus
    for quota, taken in parts.items():
        yield Need(quota, sum(taken.values()), tuple(taken))


def _class_of(family: str) -> str:
    letters = re.match(r"[a-z]+", family)
    name = letters.group() if letters else family
    return name if name in _ON_DEMAND else {"gr": "g"}.get(name, "standard")


@dataclass(frozen=True)
class QuotasCheck:
    """The account's quotas cover the file at its limits, not counting what others use."""

    title: str = "service quotas"
    group: str = GROUP
    calls: tuple[Call, ...] = (GET_QUOTA, LIST_QUOTAS)

    def concerns(self, environment: Environment) -> bool:
        """It matters where the file takes anything of a quota."""
        return any(True for _ in needs(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Compare every need with the quota's applied value."""
        listed = _Listed(account)
        for need in needs(environment):
            value = listed.smallest(need.quota) if not need.quota.code else _applied(account, need)
            if value is None:
                yield Finding(
                    need.quota.name,
                    "Service Quotas does not list it here.",
                    f"Look whether the account may have {need.amount:,}, for "
                    f"{', '.join(need.parts)}.",
                    Severity.WARNING,
                )
            elif value < need.amount:
                yield Finding(
                    need.quota.name,
                    f"The quota is {value:,.0f}, and {', '.join(need.parts)} may need "
                    f"{need.amount:,}.",
                    self._remedy(need),
                )

    @staticmethod
    def _remedy(need: Need) -> str:
        ask = f"Ask for at least {need.amount:,}"
        if need.quota.code:
            ask += (
                " with `aws service-quotas request-service-quota-increase --service-code "
                f"{need.quota.service} --quota-code {need.quota.code} "
                f"--desired-value {need.amount}`"
            )
        return f"{ask}, or lower the limits in the file. Accelerators take days to be granted."


def _applied(account: Account, need: Need) -> float | None:
    quota = need.quota
    try:
        answer = account.call(GET_QUOTA, ServiceCode=quota.service, QuotaCode=quota.code)
    except RefusedError as refused:
        if refused.code == "NoSuchResourceException":
            return None
        raise
    return float(answer["Quota"]["Value"])


@dataclass
class _Listed:
    """The quotas of services by name, each service listed once: some have thousands."""

    account: Account
    _by_service: dict[str, list[tuple[str, float]]] = field(default_factory=dict)

    def smallest(self, quota: Quota) -> float | None:
        if quota.service not in self._by_service:
            self._by_service[quota.service] = [
                (found["QuotaName"], float(found["Value"]))
                for found in self.account.items(LIST_QUOTAS, "Quotas", ServiceCode=quota.service)
            ]
        named = self._by_service[quota.service]
        return min((value for name, value in named if re.search(quota.pattern, name)), default=None)
