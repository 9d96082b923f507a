"""Buying an offering once: what has the purchase's name already is never bought again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ops.aws_account import Account, Call, RefusedError
from ops.capacity.offering import Offering, Source

NAME_TAG: Final = "llm-platform:purchase"
"""The tag that holds a purchase's name, by which EC2's reservations are found again."""

DESCRIBE_RESERVATIONS: Final = Call("ec2", "DescribeCapacityReservations")
PURCHASE_BLOCK: Final = Call("ec2", "PurchaseCapacityBlock")
CREATE_RESERVATION: Final = Call("ec2", "CreateCapacityReservation")
CREATE_PLAN: Final = Call("sagemaker", "CreateTrainingPlan")
DESCRIBE_PLAN: Final = Call("sagemaker", "DescribeTrainingPlan")

_WOULD_SUCCEED: Final = "DryRunOperation"
_ABSENT: Final = frozenset({"ResourceNotFound", "ResourceNotFoundException"})
_PLATFORM: Final = "Linux/UNIX"
_LIVING: Final = ("pending", "scheduled", "active", "payment-pending")


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """Capacity that the account has under a name. ``reference`` is its ARN or id."""

    source: Source
    name: str
    reference: str
    instance_type: str
    count: int
    zone: str
    start: datetime | None
    end: datetime | None
    state: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing can run on it any more, though it keeps its name."""
        return self.state.lower() in {"expired", "failed"}


def existing(source: Source, name: str, account: Account) -> Purchase | None:
    """Return what the account has under ``name``, ``None`` for nothing.

    Raises :class:`~ops.aws_account.RefusedError`.
    """
    if source is Source.TRAINING_PLAN:
        try:
            return _plan(name, account.call(DESCRIBE_PLAN, TrainingPlanName=name))
        except RefusedError as refused:
            if refused.code in _ABSENT:
                return None
            raise
    found = account.items(
        DESCRIBE_RESERVATIONS,
        "CapacityReservations",
        Filters=[
            {"Name": f"tag:{NAME_TAG}", "Values": [name]},
            {"Name": "state", "Values": list(_LIVING)},
        ],
    )
    return next((_reservation(source, name, reservation) for reservation in found), None)


def rehearse(offering: Offering, name: str, account: Account) -> None:
    """Ask EC2 whether the purchase would be accepted. SageMaker has no such question.

    Raises :class:`~ops.aws_account.RefusedError` where it would not.
    """
    if offering.source is Source.TRAINING_PLAN:
        return
    call, parameters = _ec2_purchase(offering, name)
    try:
        account.call(call, DryRun=True, **parameters)
    except RefusedError as refused:
        if refused.code != _WOULD_SUCCEED:
            raise


def buy(offering: Offering, name: str, account: Account) -> Purchase:
    """Buy the offering and return what the account has now.

    ``account`` must repeat nothing by itself: an answer that was lost may have been a purchase.

    Raises :class:`~ops.aws_account.RefusedError`.
    """
    if offering.source is Source.TRAINING_PLAN:
        answer = account.call(
            CREATE_PLAN,
            TrainingPlanName=name,
            TrainingPlanOfferingId=offering.offering_id,
            Tags=[{"Key": NAME_TAG, "Value": name}],
        )
        return Purchase(
            source=offering.source,
            name=name,
            reference=answer["TrainingPlanArn"],
            instance_type=offering.row.name,
            count=offering.count,
            zone=offering.zone or "",
            start=offering.start,
            end=offering.end,
        )
    call, parameters = _ec2_purchase(offering, name)
    return _reservation(
        offering.source, name, account.call(call, **parameters)["CapacityReservation"]
    )


def _ec2_purchase(offering: Offering, name: str) -> tuple[Call, dict[str, Any]]:
    tags = [{"Key": NAME_TAG, "Value": name}, {"Key": "Name", "Value": name}]
    specification = [{"ResourceType": "capacity-reservation", "Tags": tags}]
    if offering.source is Source.CAPACITY_BLOCK:
        return PURCHASE_BLOCK, {
            "CapacityBlockOfferingId": offering.offering_id,
            "InstancePlatform": _PLATFORM,
            "TagSpecifications": specification,
        }
    return CREATE_RESERVATION, {
        # With the name as token, two people at the same moment get one reservation.
        "ClientToken": name,
        "InstanceType": offering.row.name,
        "InstancePlatform": _PLATFORM,
        "InstanceCount": offering.count,
        "AvailabilityZone": offering.zone,
        "EndDateType": "limited",
        "EndDate": offering.end,
        # Only what names the reservation launches into it, never what merely matches.
        "InstanceMatchCriteria": "targeted",
        "TagSpecifications": specification,
    }


def _plan(name: str, plan: Mapping[str, Any]) -> Purchase:
    summaries: list[Mapping[str, Any]] = plan.get("ReservedCapacitySummaries", [])
    first = summaries[0] if summaries else {}
    return Purchase(
        source=Source.TRAINING_PLAN,
        name=name,
        reference=plan["TrainingPlanArn"],
        instance_type=str(first.get("InstanceType", "")).removeprefix("ml."),
        count=plan.get("TotalInstanceCount", 0),
        zone=str(first.get("AvailabilityZone", "")),
        start=_utc(plan.get("StartTime")),
        end=_utc(plan.get("EndTime")),
        state=plan["Status"],
    )


def _reservation(source: Source, name: str, reservation: Mapping[str, Any]) -> Purchase:
    return Purchase(
        source=source,
        name=name,
        reference=reservation["CapacityReservationId"],
        instance_type=reservation["InstanceType"],
        count=reservation["TotalInstanceCount"],
        zone=reservation["AvailabilityZone"],
        start=_utc(reservation.get("StartDate")),
        end=_utc(reservation.get("EndDate")),
        state=reservation.get("State", ""),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None
