"""Capacity that the account pays for already and does not use."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from ops.aws_account import Account
from ops.capacity.offering import Offering, Source
from ops.capacity.purchase import DESCRIBE_RESERVATIONS
from ops.capacity.request import CapacityRequest

_BLOCK: Final = "capacity-block"


def owned_offerings(request: CapacityRequest, account: Account) -> Iterator[Offering]:
    """Yield the account's own EC2 reservations with enough free instances for long enough.

    They cost nothing more, so their price is 0.

    Raises :class:`~ops.aws_account.RefusedError`.
    """
    reservations = account.items(
        DESCRIBE_RESERVATIONS,
        "CapacityReservations",
        Filters=[
            {"Name": "instance-type", "Values": [request.instance_type]},
            {"Name": "state", "Values": ["active", "scheduled"]},
        ],
    )
    for reservation in reservations:
        if _free(reservation) >= request.count and _lasts(reservation, request):
            yield _offering(reservation, request)


def _free(reservation: Mapping[str, Any]) -> int:
    # Of a reservation that has not begun nothing can be in use.
    total: int = reservation.get("TotalInstanceCount", 0)
    scheduled = reservation.get("State") == "scheduled"
    return total if scheduled else int(reservation.get("AvailableInstanceCount", 0))


def _lasts(reservation: Mapping[str, Any], request: CapacityRequest) -> bool:
    start, end = _window(reservation)
    begins = max(start, request.earliest) if start else request.earliest
    ends = min((moment for moment in (end, request.latest) if moment), default=None)
    return ends is None or ends - begins >= timedelta(hours=request.hours)


def _offering(reservation: Mapping[str, Any], request: CapacityRequest) -> Offering:
    start, end = _window(reservation)
    block = reservation.get("ReservationType") == _BLOCK
    free, total = _free(reservation), reservation["TotalInstanceCount"]
    return Offering(
        source=Source.CAPACITY_BLOCK if block else Source.ON_DEMAND,
        offering_id=reservation["CapacityReservationId"],
        row=request.row,
        count=request.count,
        zone=reservation.get("AvailabilityZone"),
        start=start,
        end=end,
        hours=Decimal(request.hours),
        total=Decimal(0),
        fits=("EKS nodes",),
        owned=True,
        remark=f"the account pays for it already; {free} of {total} are free",
    )


def _window(reservation: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    start, end = reservation.get("StartDate"), reservation.get("EndDate")
    return (start.astimezone(UTC) if start else None, end.astimezone(UTC) if end else None)
