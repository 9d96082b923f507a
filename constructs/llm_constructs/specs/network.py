"""What a network is made of."""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network

from llm_constructs.specs.addresses import LARGEST_PREFIX, SMALLEST_PREFIX, ZONE_SLOTS
from llm_constructs.specs.log_retention import check_log_retention
from llm_constructs.specs.problem import Problems

PRIVATE_RANGES = tuple(
    IPv4Network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
"""RFC 1918 and the shared address space of RFC 6598, which is routed privately as well."""

DOCKER_BRIDGE = IPv4Network("172.17.0.0/16")
"""Docker's default bridge, which services such as SageMaker run on their hosts.

https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
"""

MINIMUM_ZONES = 2

_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_HOSTED_ZONE_ID = re.compile(r"Z[A-Z0-9]{1,31}")


class Capability(StrEnum):
    """A part of the platform that calls AWS from inside the VPC, and so decides its endpoints."""

    EKS = "eks"
    TRAINING = "training"
    CURATION = "curation"
    FINE_TUNING = "fine-tuning"
    ENDPOINTS = "endpoints"
    GATEWAY = "gateway"
    GATEWAY_SERVICE = "gateway-service"
    KNOWLEDGE = "knowledge"
    OBSERVABILITY = "observability"


class NatGateways(StrEnum):
    """How private subnets reach the internet."""

    CLOSED = "closed"
    """Not at all, and no public subnet or internet gateway exists: AWS only through endpoints."""
    NONE = "none"
    """Not at all; public subnets exist for load balancers."""
    ONE = "one"
    """Through one gateway: cheapest, and gone with its zone."""
    ONE_PER_ZONE = "one-per-zone"
    """Through a gateway in each zone: survives a zone, and no traffic between zones is paid."""


class FlowLogDestination(StrEnum):
    """Where flow logs go."""

    CLOUDWATCH = "cloudwatch"
    S3 = "s3"


@dataclass(frozen=True, kw_only=True)
class NewVpc:
    """A VPC to make; docs/network.md has its address plan."""

    cidr: str
    """A private range of /16 to /18."""
    availability_zones: tuple[str, ...]
    """Two or three zone names of the environment's region. A zone may be added later."""
    accelerator_zone: str | None = None
    """The zone that gets the accelerator subnet, because EFA traffic and FSx for Lustre stay in one
    zone and capacity is sold in one. Left out: no accelerator subnet."""
    nat_gateways: NatGateways = NatGateways.ONE
    """How private subnets reach the internet: `closed` (not at all, and no public subnet exists),
    `none` (not at all), `one`, or `one-per-zone`."""

    def __post_init__(self) -> None:
        problems = Problems("VPC")
        _check_cidr(problems, self.cidr)
        _check_zones(problems, self.availability_zones)
        problems.require(
            self.accelerator_zone is None or self.accelerator_zone in self.availability_zones,
            "accelerator_zone",
            self.accelerator_zone,
            "The accelerator subnet must lie in a zone of the VPC, so that its traffic to NAT "
            "gateways and endpoints stays in the zone.",
            f"Choose one of {', '.join(self.availability_zones)}, or add this zone to "
            "availability_zones.",
        )
        problems.raise_if_any()

    @property
    def cidrs(self) -> tuple[str, ...]:
        """Every range of the VPC: it has one."""
        return (self.cidr,)

    @property
    def has_public_subnets(self) -> bool:
        """Whether a load balancer can have public addresses."""
        return self.nat_gateways is not NatGateways.CLOSED


@dataclass(frozen=True, kw_only=True)
class ExistingVpc:
    """A VPC that somebody else made, by its ids: nothing is looked up."""

    vpc_id: str
    """The VPC's id."""
    cidr: str
    """The VPC's first range. Endpoints, load balancers of models and their pods accept calls from
    the VPC's ranges."""
    availability_zones: tuple[str, ...]
    """The zones of the subnets below, which are named in the same order."""
    private_subnet_ids: tuple[str, ...]
    """One private subnet for each zone."""
    isolated_subnet_ids: tuple[str, ...] = ()
    """One isolated subnet for each zone, or none."""
    public_subnet_ids: tuple[str, ...] = ()
    """One public subnet for each zone, or none."""
    route_table_ids: tuple[str, ...] = ()
    """The route tables of all these subnets; gateway endpoints are added to them."""
    accelerator_subnet_id: str | None = None
    """The subnet of accelerator nodes and file systems, or none."""
    accelerator_zone: str | None = None
    """The zone of that subnet."""
    endpoints: bool = True
    """Whether to make endpoints; false when the VPC has its own."""
    secondary_cidrs: tuple[str, ...] = ()
    """Ranges that were added to the VPC later, such as those of subnets for pods."""

    def __post_init__(self) -> None:
        problems = Problems("existing VPC")
        _check_zones(problems, self.availability_zones)
        problems.require(
            re.fullmatch(r"vpc-[0-9a-f]{8,17}", self.vpc_id) is not None,
            "vpc_id",
            self.vpc_id,
            "It is not the id of a VPC.",
            "Give an id such as vpc-0123456789abcdef0.",
        )
        self._check_ranges(problems)
        self._check_subnets(problems)
        problems.require(
            (self.accelerator_subnet_id is None) == (self.accelerator_zone is None),
            "accelerator_zone",
            self.accelerator_zone,
            "accelerator_subnet_id and accelerator_zone belong together, because file systems and "
            "capacity are matched by zone.",
            "Give both or neither.",
        )
        problems.require(
            not self.endpoints or bool(self.route_table_ids),
            "route_table_ids",
            list(self.route_table_ids),
            "Gateway endpoints for S3 and DynamoDB are added to route tables, and none is named.",
            "Name the route tables of the subnets, or set endpoints = false if the VPC has its own "
            "endpoints.",
        )
        problems.raise_if_any()

    @property
    def cidrs(self) -> tuple[str, ...]:
        """Every range of the VPC."""
        return (self.cidr, *self.secondary_cidrs)

    @property
    def has_public_subnets(self) -> bool:
        """Whether a load balancer can have public addresses."""
        return bool(self.public_subnet_ids)

    def _check_ranges(self, problems: Problems) -> None:
        first = _parse_cidr(problems, self.cidr)
        ranges = [first] if first else []
        for cidr in self.secondary_cidrs:
            network = _parse_cidr(problems, cidr, field="secondary_cidrs")
            if network is None:
                continue
            problems.require(
                not any(network.overlaps(other) for other in ranges),
                "secondary_cidrs",
                cidr,
                "It overlaps another range of the VPC, which AWS allows of none.",
                "Give each range of the VPC once, as `aws ec2 describe-vpcs` lists them.",
            )
            ranges.append(network)

    def _check_subnets(self, problems: Problems) -> None:
        zones = len(self.availability_zones)
        for name, required in (("private", True), ("isolated", False), ("public", False)):
            ids: tuple[str, ...] = getattr(self, f"{name}_subnet_ids")
            problems.require(
                len(ids) == zones or (not ids and not required),
                f"{name}_subnet_ids",
                list(ids),
                f"There are {len(ids)} subnets for {zones} zones.",
                "Name one subnet for each zone, in the zones' order.",
            )
        every = (
            *self.private_subnet_ids,
            *self.isolated_subnet_ids,
            *self.public_subnet_ids,
            *filter(None, [self.accelerator_subnet_id]),
        )
        for subnet in every:
            problems.require(
                re.fullmatch(r"subnet-[0-9a-f]{8,17}", subnet) is not None,
                "subnet_ids",
                subnet,
                "It is not the id of a subnet.",
                "Give an id such as subnet-0123456789abcdef0.",
            )


@dataclass(frozen=True, kw_only=True)
class FlowLogs:
    """The VPC's flow logs, which are always on."""

    destination: FlowLogDestination = FlowLogDestination.CLOUDWATCH
    """`cloudwatch` (searchable at once) or `s3` (cheaper for busy networks)."""
    retention_days: int = 365
    """Days until they go; CloudWatch knows only certain numbers."""

    def __post_init__(self) -> None:
        problems = Problems("flow logs")
        if self.destination is FlowLogDestination.CLOUDWATCH:
            check_log_retention(problems, self.retention_days, "retention_days")
        else:
            problems.require(
                self.retention_days >= 1,
                "retention_days",
                self.retention_days,
                "Objects cannot expire before they are a day old.",
                "Give a number of days of at least 1.",
            )
        problems.raise_if_any()


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The name under which the environment's services are reached over TLS."""

    name: str
    """The domain; the certificate covers it and every name directly below it."""
    hosted_zone_id: str
    """The id of the public hosted zone in Route 53 that holds the domain."""
    hosted_zone_name: str | None = None
    """That zone's name, where it is not the domain itself."""

    def __post_init__(self) -> None:
        problems = Problems("domain")
        for field in ("name", "hosted_zone_name"):
            value: str | None = getattr(self, field)
            problems.require(
                value is None or _DOMAIN.fullmatch(value) is not None,
                field,
                value,
                "It is not a domain name in lower case.",
                "Give a name such as llm.example.com.",
            )
        problems.require(
            _HOSTED_ZONE_ID.fullmatch(self.hosted_zone_id) is not None,
            "hosted_zone_id",
            self.hosted_zone_id,
            "It is not the id of a Route 53 hosted zone.",
            "Give the id without its prefix, such as Z0123456789ABCDEFGHIJ.",
        )
        problems.require(
            self.name == self.zone_name or self.name.endswith(f".{self.zone_name}"),
            "name",
            self.name,
            f"It does not lie in the hosted zone {self.zone_name}, which must prove it to ACM.",
            f"Give a name that ends in .{self.zone_name}, or the hosted zone that holds it.",
        )
        problems.raise_if_any()

    @property
    def zone_name(self) -> str:
        """The hosted zone's name."""
        return self.hosted_zone_name or self.name


def _parse_cidr(problems: Problems, cidr: str, *, field: str = "cidr") -> IPv4Network | None:
    try:
        return IPv4Network(cidr)
    except ValueError as error:
        problems.add(
            field,
            cidr,
            f"It is not an IPv4 network ({error}).",
            "Give a network such as 10.40.0.0/16, with no bits set behind the prefix.",
        )
        return None


def _check_cidr(problems: Problems, cidr: str) -> None:
    network = _parse_cidr(problems, cidr)
    if network is None:
        return
    problems.require(
        SMALLEST_PREFIX <= network.prefixlen <= LARGEST_PREFIX,
        "cidr",
        cidr,
        f"A VPC of this plan is a /{SMALLEST_PREFIX} to a /{LARGEST_PREFIX}: AWS allows no larger, "
        "and a smaller one leaves too few addresses for pods on accelerator nodes.",
        f"Give {network.network_address} a prefix of /{SMALLEST_PREFIX}, or import a VPC of your "
        "own with [network.existing_vpc].",
    )
    problems.require(
        any(network.subnet_of(private) for private in PRIVATE_RANGES),
        "cidr",
        cidr,
        "It is a public range, so hosts in it could not reach the real owner of the addresses.",
        "Use a range within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10.",
    )
    problems.require(
        not network.overlaps(DOCKER_BRIDGE),
        "cidr",
        cidr,
        f"It overlaps {DOCKER_BRIDGE}, Docker's bridge, which AWS services use on their hosts.",
        "Use another range, for example 10.40.0.0/16.",
    )


def _check_zones(problems: Problems, zones: tuple[str, ...]) -> None:
    problems.require(
        MINIMUM_ZONES <= len(zones) <= ZONE_SLOTS,
        "availability_zones",
        list(zones),
        f"There are {len(zones)} zones; EKS and load balancers need two, and the address plan has "
        "room for three.",
        "Name two or three zones.",
    )
    problems.require(
        len(set(zones)) == len(zones),
        "availability_zones",
        list(zones),
        "A zone is named twice.",
        "Name each zone once.",
    )
