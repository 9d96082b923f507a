"""The address plan: pure arithmetic, so properties of every VPC."""

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_constructs.specs.addresses import ZONE_SLOTS, AddressPlan, usable_addresses


@st.composite
def vpc_networks(draw: st.DrawFn) -> IPv4Network:
    prefix = draw(st.integers(16, 18))
    address = draw(st.integers(0, 2**32 - 1))
    return IPv4Network((int(IPv4Address(address)) >> (32 - prefix) << (32 - prefix), prefix))


def subnets(plan: AddressPlan) -> list[IPv4Network]:
    return [*plan.private, *plan.isolated, *plan.public, plan.accelerator]


@given(vpc_networks())
def test_subnets_lie_in_the_vpc_and_never_overlap(vpc: IPv4Network) -> None:
    plan = AddressPlan.of(str(vpc))
    parts = [*subnets(plan), plan.growth]

    assert all(part.subnet_of(vpc) for part in parts)
    assert not any(one.overlaps(other) for one, other in combinations(parts, 2))


@given(vpc_networks())
def test_every_kind_has_room_for_three_zones(vpc: IPv4Network) -> None:
    plan = AddressPlan.of(str(vpc))
    assert len(plan.private) == len(plan.isolated) == len(plan.public) == ZONE_SLOTS == 3


@given(vpc_networks())
def test_the_accelerator_subnet_holds_thousands(vpc: IPv4Network) -> None:
    plan = AddressPlan.of(str(vpc))
    assert usable_addresses(plan.accelerator) >= 4_091
    assert plan.accelerator.broadcast_address == vpc.broadcast_address


@given(vpc_networks())
def test_each_subnet_is_large_enough_for_what_lives_there(vpc: IPv4Network) -> None:
    plan = AddressPlan.of(str(vpc))
    # A load balancer wants a /27 with eight free addresses:
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
    assert all(public.prefixlen <= 27 for public in plan.public)
    # A cluster's control plane wants sixteen: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
    assert all(usable_addresses(isolated) >= 16 for isolated in plan.isolated)
    assert all(usable_addresses(private) >= 2_043 for private in plan.private)


@given(vpc_networks())
def test_a_plan_depends_on_the_range_alone(vpc: IPv4Network) -> None:
    assert AddressPlan.of(str(vpc)) == AddressPlan.of(str(vpc))
    sixteen = AddressPlan.of("10.0.0.0/16")
    shift = int(vpc.network_address)
    scale = 2 ** (vpc.prefixlen - 16)
    for ours, theirs in zip(subnets(AddressPlan.of(str(vpc))), subnets(sixteen), strict=True):
        offset = int(theirs.network_address) - int(sixteen.vpc.network_address)
        assert int(ours.network_address) - shift == offset // scale


def test_a_sixteen_is_divided_as_documented() -> None:
    plan = AddressPlan.of("10.0.0.0/16")
    assert [str(network) for network in subnets(plan)] == [
        *("10.0.0.0/19", "10.0.32.0/19", "10.0.64.0/19"),
        *("10.0.96.0/22", "10.0.100.0/22", "10.0.104.0/22"),
        *("10.0.108.0/24", "10.0.109.0/24", "10.0.110.0/24"),
        "10.0.192.0/18",
    ]
    assert usable_addresses(plan.accelerator) == 16_379


@pytest.mark.parametrize("cidr", ["10.0.0.0/15", "10.0.0.0/19", "10.0.0.0/28"])
def test_other_sizes_are_refused(cidr: str) -> None:
    with pytest.raises(ValueError, match="is not between /16 and /18"):
        AddressPlan.of(cidr)
