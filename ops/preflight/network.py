"""What the network rests on: subnets that others made, and the domain."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from config import Environment
from llm_constructs.specs.network import Domain, ExistingVpc
from ops.aws_account import GLOBAL_REGION, Account, Call, RefusedError
from ops.preflight.check import Finding, Severity

GROUP: Final = "network"

DESCRIBE_SUBNETS: Final = Call("ec2", "DescribeSubnets")
GET_ZONE: Final = Call("route53", "GetHostedZone")
LIST_ZONES: Final = Call("route53", "ListHostedZonesByName")
LIST_RECORDS: Final = Call("route53", "ListResourceRecordSets")

FEWEST_ADDRESSES: Final = 256
"""Free addresses below which a subnet of nodes fills up soon: the VPC CNI gives each pod one.

https://docs.aws.amazon.com/eks/latest/best-practices/ip-opt.html
"""


@dataclass(frozen=True)
class ExistingSubnetsCheck:
    """The subnets of an existing VPC are in it, in their zones, and have room."""

    title: str = "subnets of the existing VPC"
    group: str = GROUP
    calls: tuple[Call, ...] = (DESCRIBE_SUBNETS,)

    def concerns(self, environment: Environment) -> bool:
        """A VPC that the platform makes has its own address plan."""
        return environment.network.existing_vpc is not None

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Ask for all subnets of the VPC, and compare those that are named."""
        vpc = environment.network.existing_vpc
        assert vpc is not None, "the check concerns existing VPCs"  # noqa: S101
        filters = [{"Name": "vpc-id", "Values": [vpc.vpc_id]}]
        found = account.items(DESCRIBE_SUBNETS, "Subnets", Filters=filters)
        subnets = {subnet["SubnetId"]: subnet for subnet in found}
        for subnet_id, zone, holds_nodes in _named(vpc):
            yield from _subnet_findings(subnets.get(subnet_id), subnet_id, zone, vpc, holds_nodes)


def _named(vpc: ExistingVpc) -> Iterator[tuple[str, str | None, bool]]:
    for ids, holds_nodes in (
        (vpc.private_subnet_ids, True),
        (vpc.isolated_subnet_ids, False),
        (vpc.public_subnet_ids, False),
    ):
        for subnet_id, zone in zip(ids, vpc.availability_zones, strict=False):
            yield subnet_id, zone, holds_nodes
    if vpc.accelerator_subnet_id is not None:
        yield vpc.accelerator_subnet_id, vpc.accelerator_zone, True


def _subnet_findings(
    subnet: dict[str, Any] | None,
    subnet_id: str,
    zone: str | None,
    vpc: ExistingVpc,
    holds_nodes: bool,
) -> Iterator[Finding]:
    if subnet is None:
        yield Finding(
            subnet_id,
            f"The VPC {vpc.vpc_id} has no such subnet.",
            "Take the ids of `aws ec2 describe-subnets`.",
        )
        return
    if subnet["AvailabilityZone"] != zone:
        yield Finding(
            subnet_id,
            f"It lies in {subnet['AvailabilityZone']}, and the file says {zone}.",
            "Name the subnets in the order of availability_zones.",
        )
    free = subnet["AvailableIpAddressCount"]
    if holds_nodes and free < FEWEST_ADDRESSES:
        yield Finding(
            subnet_id,
            f"It has {free} free addresses, and each pod takes one.",
            f"Choose a subnet with at least {FEWEST_ADDRESSES}.",
            Severity.WARNING,
        )


@dataclass(frozen=True)
class HostedZoneCheck:
    """The domain's hosted zone is there, public, and the one that the world asks."""

    title: str = "hosted zone of the domain"
    group: str = GROUP
    calls: tuple[Call, ...] = (GET_ZONE, LIST_ZONES, LIST_RECORDS)

    def concerns(self, environment: Environment) -> bool:
        """It matters where there is a domain."""
        return environment.network.domain is not None

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Compare name and kind, then look for the delegation in a parent zone."""
        domain = environment.network.domain
        assert domain is not None, "the check concerns domains"  # noqa: S101
        try:
            answer = account.call(GET_ZONE, region=GLOBAL_REGION, Id=domain.hosted_zone_id)
        except RefusedError as refused:
            if refused.code != "NoSuchHostedZone":
                raise
            yield Finding(
                domain.hosted_zone_id,
                "The account has no such hosted zone, so the certificate would wait for ever.",
                "Correct hosted_zone_id in [network.domain].",
            )
            return
        zone = answer["HostedZone"]
        if zone["Name"].rstrip(".") != domain.zone_name:
            yield Finding(
                domain.hosted_zone_id,
                f"It is the zone of {zone['Name'].rstrip('.')}, and the file says "
                f"{domain.zone_name}.",
                "Correct hosted_zone_id, or hosted_zone_name.",
            )
        if zone.get("Config", {}).get("PrivateZone"):
            yield Finding(
                domain.hosted_zone_id,
                "It is private, and ACM proves domains by public records.",
                "Name a public hosted zone.",
            )
            return
        servers = answer.get("DelegationSet", {}).get("NameServers", [])
        yield from _delegation_findings(domain, {_plain(server) for server in servers}, account)


def _delegation_findings(domain: Domain, servers: set[str], account: Account) -> Iterator[Finding]:
    parent = domain.zone_name.partition(".")[2]
    delegated = _name_servers(account, parent, domain.zone_name)
    if delegated is None:
        yield Finding(
            domain.zone_name,
            "The account holds no parent zone that could show the delegation.",
            f"Compare `dig +short NS {domain.zone_name}` with {', '.join(sorted(servers))}.",
            Severity.WARNING,
        )
    elif delegated != servers:
        yield Finding(
            domain.zone_name,
            f"The zone {parent} delegates it to {', '.join(sorted(delegated)) or 'nobody'}, and "
            "not to this hosted zone.",
            f"Set its NS record in {parent} to {', '.join(sorted(servers))}.",
        )


def _name_servers(account: Account, parent: str, name: str) -> set[str] | None:
    """Return where the account's zone ``parent`` delegates ``name``; ``None`` without the zone."""
    zones = account.call(LIST_ZONES, region=GLOBAL_REGION, DNSName=parent).get("HostedZones", [])
    own = [
        zone
        for zone in zones
        if _plain(zone["Name"]) == parent and not zone.get("Config", {}).get("PrivateZone")
    ]
    if not own:
        return None
    records = account.call(
        LIST_RECORDS,
        region=GLOBAL_REGION,
        HostedZoneId=own[0]["Id"].rpartition("/")[2],
        StartRecordName=name,
        StartRecordType="NS",
        MaxItems="1",
    ).get("ResourceRecordSets", [])
    return {
        _plain(value["Value"])
        for record in records
        if record["Type"] == "NS" and _plain(record["Name"]) == name
        for value in record.get("ResourceRecords", ())
    }


def _plain(name: str) -> str:
    return name.rstrip(".").lower()
