"""Zones: whether they exist, what their ids are, and which instance types they have."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from config import Environment
from ops.aws_account import Account, Call
from ops.preflight.check import Finding, Severity
from ops.preflight.demand import InstanceDemand, instance_demands

GROUP: Final = "zones and instance types"

DESCRIBE_ZONES: Final = Call("ec2", "DescribeAvailabilityZones")
DESCRIBE_OFFERINGS: Final = Call("ec2", "DescribeInstanceTypeOfferings")


def zone_ids(account: Account, zones: tuple[str, ...]) -> Mapping[str, str]:
    """Return the ids of ``zones`` by name; a name that the account does not know is missing.

    Names differ from account to account, ids do not:
    https://docs.aws.amazon.com/ram/latest/userguide/working-with-az-ids.html
    """
    return {name: zone["ZoneId"] for name, zone in _zones(account).items() if name in zones}


def _zones(account: Account) -> dict[str, dict[str, Any]]:
    # Asked without names: a name that does not exist would fail the whole call.
    found = account.items(DESCRIBE_ZONES, "AvailabilityZones", AllAvailabilityZones=True)
    return {zone["ZoneName"]: zone for zone in found}


@dataclass(frozen=True)
class ZonesCheck:
    """The zones of the file exist for this account."""

    title: str = "availability zones"
    group: str = GROUP
    calls: tuple[Call, ...] = (DESCRIBE_ZONES,)

    def concerns(self, environment: Environment) -> bool:
        """Every network has zones."""
        return bool(environment.network.chosen_vpc.availability_zones)

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Tell the ids of zones as well: offerings of capacity elsewhere speak of ids."""
        known = _zones(account)
        for name in environment.network.chosen_vpc.availability_zones:
            zone = known.get(name)
            if zone is None:
                yield Finding(
                    name,
                    "The account has no such zone.",
                    f"Choose from {', '.join(_usable(known)) or 'the zones of another region'}.",
                )
            elif zone.get("OptInStatus") == "not-opted-in" or zone.get("State") != "available":
                yield Finding(
                    name,
                    f"The zone cannot be used: it is {zone.get('State')}, "
                    f"{zone.get('OptInStatus')}.",
                    f"Choose from {', '.join(_usable(known))}, or opt in.",
                )
            else:
                yield Finding(
                    name,
                    f"In this account it is the zone {zone['ZoneId']}.",
                    severity=Severity.NOTE,
                )


def _usable(zones: Mapping[str, dict[str, Any]]) -> list[str]:
    return sorted(
        name
        for name, zone in zones.items()
        if zone.get("ZoneType") == "availability-zone" and zone.get("State") == "available"
    )


@dataclass(frozen=True)
class InstanceOfferingsCheck:
    """EC2 has the instance types of the file in their zones."""

    title: str = "instance types in their zones"
    group: str = GROUP
    calls: tuple[Call, ...] = (DESCRIBE_OFFERINGS,)

    def concerns(self, environment: Environment) -> bool:
        """It matters where the file launches instances."""
        return any(True for _ in instance_demands(environment))

    def findings(self, environment: Environment, account: Account) -> Iterator[Finding]:
        """Ask once for all types, and compare for each part of the file."""
        demands = tuple(instance_demands(environment))
        offered = self._offered(account, {row.name for demand in demands for row in demand.rows})
        for demand in demands:
            yield from _lacking(demand, offered)

    @staticmethod
    def _offered(account: Account, names: set[str]) -> set[tuple[str, str]]:
        offerings = account.items(
            DESCRIBE_OFFERINGS,
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": sorted(names)}],
        )
        return {(offering["InstanceType"], offering["Location"]) for offering in offerings}


def _lacking(demand: InstanceDemand, offered: set[tuple[str, str]]) -> Iterator[Finding]:
    if demand.every_zone:
        missing = [
            f"{row.name} in {zone}"
            for row in demand.rows
            for zone in demand.zones
            if (row.name, zone) not in offered
        ]
        severity = Severity.PROBLEM
    else:
        # Karpenter takes whatever type and zone there is: only a pool without any is broken.
        nowhere = [
            row.name
            for row in demand.rows
            if not any((row.name, zone) in offered for zone in demand.zones)
        ]
        missing = [f"{name} in {' or '.join(demand.zones)}" for name in nowhere]
        all_missing = len(nowhere) == len(demand.rows)
        severity = Severity.PROBLEM if all_missing else Severity.WARNING
    if missing:
        yield Finding(
            demand.part,
            f"EC2 does not offer {', '.join(missing)}.",
            "Choose a zone or type from `aws ec2 describe-instance-type-offerings "
            "--location-type availability-zone`.",
            severity,
        )
