"""Where nodes can be: zones, and the regions that have a type."""

import re

from llm_constructs.specs.instance_type import InstanceType
from llm_constructs.specs.problem import Problems

_ZONE = re.compile(r"([a-z]{2}(?:-gov)?-[a-z]+-\d)(?:-[a-z]{3}-\d)?[a-z]")


def zone_region(zone: str) -> str | None:
    """Return the region of an availability or local zone, or ``None`` if it is no zone's name."""
    match = _ZONE.fullmatch(zone)
    return match.group(1) if match else None


def check_zone(problems: Problems, field: str, zone: str) -> None:
    """Note a problem unless ``zone`` is the name of a zone."""
    problems.require(
        zone_region(zone) is not None,
        field,
        zone,
        "It is not the name of an availability zone.",
        "Give a name such as us-east-2a, not a region and not an id such as use2-az1.",
    )


def check_region(
    problems: Problems, field: str, row: InstanceType, region: str | None, *, unlisted: bool
) -> None:
    """Note a problem if no price is known for the type in ``region``, unless ``unlisted``."""
    problems.require(
        unlisted or region is None or region in row.regions,
        field,
        row.name,
        f"The catalogue does not know it in {region}, so its capacity may not exist there.",
        f"{_regions(row)} If `aws ec2 describe-instance-type-offerings` lists it in {region}, set "
        "unlisted_region = true.",
    )


def _regions(row: InstanceType) -> str:
    if not row.regions:
        return "It has no price in any region: ask AWS where it is sold."
    return f"Known are {', '.join(sorted(row.regions))}."
