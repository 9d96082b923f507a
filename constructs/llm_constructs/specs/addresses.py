"""Which addresses of a VPC go to which subnet.

The plan depends on the VPC's range alone. Each kind of subnet has room for three zones whether or
not they are used, so adding a zone never moves, and so never replaces, a subnet that exists.

==============  ======================  =======================  ==================================
part of VPC     subnets                 addresses in a /16       for
==============  ======================  =======================  ==================================
first quarter   private, one per zone   8,187 each               system nodes, Lambda, endpoints
\\               (and a bit more)
second quarter  isolated, one per zone  1,019 each               databases, cluster control planes
\\               public, one per zone    251 each                 load balancers, NAT gateways
third quarter   none                    16,384                   growth
last quarter    accelerator, one        16,379                   accelerator nodes, their pods, FSx
==============  ======================  =======================  ==================================

Five addresses of each subnet are AWS's own:
https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
"""

from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import islice
from typing import Self

ZONE_SLOTS = 3
"""Zones that the plan has room for. Three is what a quorum needs and more costs NAT gateways."""

SMALLEST_PREFIX, LARGEST_PREFIX = 16, 18
"""A VPC is at most a /16. In a VPC below a /18 the accelerator subnet has under 4,091 addresses.

https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
"""

RESERVED_PER_SUBNET = 5
_PRIVATE_BITS, _ISOLATED_BITS, _PUBLIC_BITS, _QUARTER_BITS = 3, 6, 8, 2


@dataclass(frozen=True)
class AddressPlan:
    """The subnets of one VPC; the tuples hold one network for each of the three zone slots."""

    vpc: IPv4Network
    private: tuple[IPv4Network, ...]
    isolated: tuple[IPv4Network, ...]
    public: tuple[IPv4Network, ...]
    accelerator: IPv4Network
    growth: IPv4Network

    @classmethod
    def of(cls, cidr: str) -> Self:
        """Divide ``cidr``, a network of /16 to /18 (other prefixes raise :class:`ValueError`)."""
        vpc = IPv4Network(cidr)
        if not SMALLEST_PREFIX <= vpc.prefixlen <= LARGEST_PREFIX:
            raise ValueError(f"{cidr} is not between /{SMALLEST_PREFIX} and /{LARGEST_PREFIX}")
        *_, growth, accelerator = vpc.subnets(prefixlen_diff=_QUARTER_BITS)
        private = _take(vpc, _PRIVATE_BITS, after=None)
        isolated = _take(vpc, _ISOLATED_BITS, after=private[-1])
        public = _take(vpc, _PUBLIC_BITS, after=isolated[-1])
        return cls(vpc, private, isolated, public, accelerator, growth)

    @property
    def private_prefix(self) -> int:
        """Prefix length of each private subnet."""
        return self.private[0].prefixlen

    @property
    def isolated_prefix(self) -> int:
        """Prefix length of each isolated subnet."""
        return self.isolated[0].prefixlen

    @property
    def public_prefix(self) -> int:
        """Prefix length of each public subnet."""
        return self.public[0].prefixlen


def usable_addresses(network: IPv4Network) -> int:
    """Return how many addresses of a subnet can be given to interfaces."""
    return network.num_addresses - RESERVED_PER_SUBNET


def _take(vpc: IPv4Network, bits: int, *, after: IPv4Network | None) -> tuple[IPv4Network, ...]:
    free = (
        net
        for net in vpc.subnets(prefixlen_diff=bits)
        if after is None or net.network_address > after.broadcast_address
    )
    return tuple(islice(free, ZONE_SLOTS))
