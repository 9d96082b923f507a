"""What is for sale, told in one way for every seller."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from llm_constructs.specs.instance_type import InstanceType


class Source(StrEnum):
    """Who sells."""

    TRAINING_PLAN = "training-plan"
    """SageMaker training plans: for HyperPod, training jobs or endpoints, never for EC2."""
    CAPACITY_BLOCK = "capacity-block"
    """EC2 Capacity Blocks for ML: for self-managed EKS nodes, never for HyperPod."""
    ON_DEMAND = "on-demand"
    """On-Demand Capacity Reservations: paid by the hour from the moment that they are made."""


@dataclass(frozen=True, kw_only=True)
class Offering:
    """Instances in one zone for one window at one price."""

    source: Source
    offering_id: str
    row: InstanceType
    count: int
    zone: str | None
    start: datetime | None
    """``None`` for what begins when it is bought."""
    end: datetime | None
    hours: Decimal
    total: Decimal | None
    """The whole price, ``None`` where nobody knows it."""
    currency: str = "USD"
    fits: tuple[str, ...] = ()
    """What can run on it."""
    zone_id: str | None = None
    remark: str = ""
    owned: bool = False
    """Whether the account has it already, so that there is nothing to buy."""

    @property
    def per_accelerator_hour(self) -> Decimal | None:
        """The price of one accelerator for an hour."""
        accelerator_hours = self.count * self.row.accelerator_count * self.hours
        if self.total is None or not accelerator_hours:
            return None
        return self.total / accelerator_hours

    @property
    def sort_key(self) -> tuple[bool, Decimal, str, str]:
        """The cheapest accelerator-hour first, what has no known price last."""
        price = self.per_accelerator_hour
        begins = self.start.isoformat() if self.start else ""
        return (price is None, price or Decimal(0), begins, self.offering_id)


def amount(text: str | None) -> Decimal | None:
    """Return a fee as AWS writes it, ``None`` for none and for what is no number."""
    try:
        value = Decimal(text or "")
    except InvalidOperation:
        return None
    return value if value.is_finite() else None
