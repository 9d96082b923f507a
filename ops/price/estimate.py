"""A month's costs as lines, and their sum."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from ops.price.rates import Rate, Rates

HOURS: Final = 730
"""Hours of a month: 8760 of a year by twelve, as AWS's own calculator has it."""


@dataclass(frozen=True)
class Quantity:
    """How much of a unit a part of the environment takes in a month."""

    part: str
    what: str
    unit: str
    amount: Decimal
    region: str


@dataclass(frozen=True)
class Line:
    """One quantity with its price; ``rate`` is ``None`` where nobody knows it."""

    quantity: Quantity
    rate: Rate | None

    @property
    def usd(self) -> Decimal | None:
        """The month's costs, exact."""
        return self.rate.usd * self.quantity.amount if self.rate else None


@dataclass(frozen=True)
class Estimate:
    """All lines of a month."""

    lines: tuple[Line, ...]

    @classmethod
    def of(cls, quantities: Iterable[Quantity], rates: Rates) -> "Estimate":
        """Price every quantity; like ones of a part become one line."""
        return cls(
            tuple(
                Line(quantity, rates.rate(quantity.unit, quantity.region))
                for quantity in _together(quantities)
            )
        )

    @property
    def usd(self) -> Decimal:
        """The sum of what has a price."""
        return sum((line.usd for line in self.lines if line.usd is not None), Decimal(0))

    @property
    def unpriced(self) -> tuple[Line, ...]:
        """Lines without a price, which the sum lacks."""
        return tuple(line for line in self.lines if line.rate is None)


def _together(quantities: Iterable[Quantity]) -> Iterator[Quantity]:
    sums: dict[tuple[str, str, str, str], Decimal] = {}
    for item in quantities:
        key = (item.part, item.what, item.unit, item.region)
        sums[key] = sums.get(key, Decimal(0)) + item.amount
    for (part, what, unit, region), amount in sums.items():
        if amount:
            yield Quantity(part, what, unit, amount, region)
