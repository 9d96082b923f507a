"""Asking the three sellers of accelerators for offerings."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from llm_constructs.specs.capacity_block import MOST_BLOCK_NODES
from llm_constructs.specs.instance_type import CapacityOption
from ops.aws_account import Account, Call, RefusedError
from ops.capacity.offering import Offering, Source, amount
from ops.capacity.owned import owned_offerings
from ops.capacity.request import CapacityRequest, now
from ops.preflight.zones import DESCRIBE_OFFERINGS, zone_ids
from ops.price.rates import Rates

SEARCH_PLANS: Final = Call("sagemaker", "SearchTrainingPlanOfferings")
DESCRIBE_BLOCKS: Final = Call("ec2", "DescribeCapacityBlockOfferings")

BLOCK_HOURS: Final = 24
"""Capacity Blocks are sold by the day.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/capacity-blocks-purchase.html
"""

_USERS: Final[Mapping[str, str]] = {
    "hyperpod-cluster": "HyperPod",
    "training-job": "training jobs",
    "endpoint": "endpoints",
    "studio-apps": "Studio",
}
"""What the target resources of a plan are, for people."""

_EKS: Final = ("EKS nodes",)


@dataclass(frozen=True)
class Found:
    """Offerings, and a sentence for each seller that has none or was not asked."""

    offerings: tuple[Offering, ...]
    remarks: tuple[str, ...]


def search(
    request: CapacityRequest, account: Account, rates: Rates, sources: Iterable[Source]
) -> Found:
    """Return what ``sources`` offer, the cheapest accelerator-hour first.

    A seller that refuses becomes a remark, and the others are asked nevertheless. Beside what is
    sold on demand stands what the account has reserved and does not use.
    """
    offerings: list[Offering] = []
    remarks: list[str] = []
    asked = tuple(sources)
    for source in asked:
        reason = _not_asked(source, request)
        if reason is not None:
            remarks.append(f"{source}: {reason}")
            continue
        try:
            offered = [o for o in _ASK[source](request, account, rates) if request.takes(o.zone)]
        except RefusedError as refused:
            remarks.append(f"{source}: {refused}")
            continue
        offerings += offered
        if not offered:
            remarks.append(
                f"{source}: Nothing is offered. Widen the window, or ask for fewer instances, "
                "fewer hours or other zones."
            )
    if Source.ON_DEMAND in asked:
        offerings += _owned(request, account, remarks)
    named = _with_zone_ids(offerings, account, remarks)
    return Found(tuple(sorted(named, key=lambda offering: offering.sort_key)), tuple(remarks))


_OPTIONS: Final = {
    Source.TRAINING_PLAN: CapacityOption.TRAINING_PLAN,
    Source.CAPACITY_BLOCK: CapacityOption.CAPACITY_BLOCK,
    Source.ON_DEMAND: CapacityOption.CAPACITY_RESERVATION,
}


def _not_asked(source: Source, request: CapacityRequest) -> str | None:
    if _OPTIONS[source] not in request.row.capacity_options:
        return f"It is not sold for {request.instance_type}."
    if source is not Source.CAPACITY_BLOCK:
        return None
    if request.hours % BLOCK_HOURS:
        days = -(-request.hours // BLOCK_HOURS)
        return f"Blocks are sold by the day. Ask for {days * BLOCK_HOURS} hours."
    if request.count > MOST_BLOCK_NODES:
        return f"A block has at most {MOST_BLOCK_NODES} instances. Ask for several."
    return None


def _training_plans(request: CapacityRequest, account: Account, _: Rates) -> Iterator[Offering]:
    answer = account.call(
        SEARCH_PLANS,
        InstanceType=f"ml.{request.instance_type}",
        InstanceCount=request.count,
        DurationHours=request.hours,
        StartTimeAfter=request.earliest,
        TargetResources=["hyperpod-cluster"],
        **_until("EndTimeBefore", request),
    )
    for plan in answer.get("TrainingPlanOfferings", ()):
        yield _plan_offering(plan, request)


def _until(name: str, request: CapacityRequest) -> dict[str, Any]:
    return {name: request.latest} if request.latest else {}


def _plan_offering(plan: Mapping[str, Any], request: CapacityRequest) -> Offering:
    segments: list[Mapping[str, Any]] = plan.get("ReservedCapacityOfferings", [])
    zones = sorted(
        {segment["AvailabilityZone"] for segment in segments if "AvailabilityZone" in segment}
    )
    minutes = plan.get("DurationHours", 0) * 60 + plan.get("DurationMinutes", 0)
    return Offering(
        source=Source.TRAINING_PLAN,
        offering_id=plan["TrainingPlanOfferingId"],
        row=request.row,
        count=max((segment["InstanceCount"] for segment in segments), default=request.count),
        zone=zones[0] if len(zones) == 1 else None,
        start=min(_times(segments, "StartTime"), default=None),
        end=max(_times(segments, "EndTime"), default=None),
        hours=Decimal(minutes) / 60,
        total=amount(plan.get("UpfrontFee")),
        currency=plan.get("CurrencyCode", "USD"),
        fits=tuple(_USERS[target] for target in plan.get("TargetResources", ())),
        remark=_segments(segments, zones),
    )


def _segments(segments: list[Mapping[str, Any]], zones: list[str]) -> str:
    if len(segments) < 2:
        return ""
    where = f" in {', '.join(zones)}" if len(zones) > 1 else ""
    return f"{len(segments)} parts with gaps{where}"


def _times(segments: list[Mapping[str, Any]], name: str) -> Iterator[datetime]:
    return (segment[name] for segment in segments if name in segment)


def _capacity_blocks(request: CapacityRequest, account: Account, _: Rates) -> Iterator[Offering]:
    offerings = account.items(
        DESCRIBE_BLOCKS,
        "CapacityBlockOfferings",
        InstanceType=request.instance_type,
        InstanceCount=request.count,
        CapacityDurationHours=request.hours,
        StartDateRange=request.earliest,
        **_until("EndDateRange", request),
    )
    for block in offerings:
        yield Offering(
            source=Source.CAPACITY_BLOCK,
            offering_id=block["CapacityBlockOfferingId"],
            row=request.row,
            count=block.get("InstanceCount", request.count),
            zone=block.get("AvailabilityZone"),
            start=block.get("StartDate"),
            end=block.get("EndDate"),
            hours=Decimal(block.get("CapacityBlockDurationHours", request.hours)),
            total=amount(block.get("UpfrontFee")),
            currency=block.get("CurrencyCode", "USD"),
            fits=_EKS,
        )


def _on_demand(request: CapacityRequest, account: Account, rates: Rates) -> Iterator[Offering]:
    offered = account.items(
        DESCRIBE_OFFERINGS,
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [request.instance_type]}],
    )
    hours = Decimal(request.hours)
    rate = rates.rate(f"{request.instance_type}-hour", request.region)
    for zone in sorted(offering["Location"] for offering in offered):
        yield Offering(
            source=Source.ON_DEMAND,
            offering_id=f"{request.count}-{request.instance_type}-{zone}-{request.hours}h",
            row=request.row,
            count=request.count,
            zone=zone,
            start=None,
            end=now() + timedelta(hours=request.hours),
            hours=hours,
            total=rate.usd * hours * request.count if rate else None,
            fits=_EKS,
            remark="only an attempt shows whether there is capacity"
            + ("" if rate else "; price unknown, give --live"),
        )


_ASK: Final = {
    Source.TRAINING_PLAN: _training_plans,
    Source.CAPACITY_BLOCK: _capacity_blocks,
    Source.ON_DEMAND: _on_demand,
}


def _owned(request: CapacityRequest, account: Account, remarks: list[str]) -> list[Offering]:
    try:
        return [o for o in owned_offerings(request, account) if request.takes(o.zone)]
    except RefusedError as refused:
        remarks.append(f"Reservations of the account: {refused}")
        return []


def _with_zone_ids(
    offerings: list[Offering], account: Account, remarks: list[str]
) -> Iterator[Offering]:
    zones = tuple(sorted({offering.zone for offering in offerings if offering.zone}))
    ids: Mapping[str, str] = {}
    if zones:
        try:
            ids = zone_ids(account, zones)
        except RefusedError as refused:
            remarks.append(f"Ids of zones: {refused}")
    return (replace(offering, zone_id=ids.get(offering.zone or "")) for offering in offerings)
