"""Prices by unit and region, each with where it is from and from when."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

TABLE: Final = Path(__file__).parent / "rates.toml"
"""The committed table."""

STALE_AFTER: Final = timedelta(days=45)
"""Age at which a table's prices come with a warning."""

Lookup = Callable[[str, str], "Rate | None"]
"""Where else a price may be known: by unit and region."""


class RateError(ValueError):
    """A table of prices that cannot be read; the message says where and what to do."""


@dataclass(frozen=True)
class Rate:
    """US dollars for one unit in one region."""

    unit: str
    region: str
    usd: Decimal
    source: str
    recorded: date

    def is_stale(self, today: date) -> bool:
        """Say whether it is older than :data:`STALE_AFTER`."""
        return today - self.recorded > STALE_AFTER


@dataclass(frozen=True)
class Rates:
    """Prices from tables, later ones before earlier ones, and from ``lookup`` before all of them.

    A price that nobody knows is ``None`` and never a guess.
    """

    known: Mapping[tuple[str, str], Rate]
    lookup: Lookup | None = None
    _asked: dict[tuple[str, str], "Rate | None"] = field(default_factory=dict)

    @classmethod
    def of(cls, *tables: Path, lookup: Lookup | None = None) -> "Rates":
        """Read the committed table and then ``tables``.

        Raises :class:`RateError` for a table that is not one.
        """
        known: dict[tuple[str, str], Rate] = {}
        for table in (TABLE, *tables):
            known.update(_read(table))
        return cls(known, lookup)

    def rate(self, unit: str, region: str) -> Rate | None:
        """Return the price of a unit, ``None`` where it is not known."""
        where = (unit, region)
        if self.lookup is not None and where not in self._asked:
            self._asked[where] = self.lookup(unit, region)
        return self._asked.get(where) or self.known.get(where)


def today() -> date:
    """Return today's date in UTC."""
    return datetime.now(UTC).date()


def _read(table: Path) -> dict[tuple[str, str], Rate]:
    try:
        content = tomllib.loads(table.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RateError(f"{table}: It cannot be read as TOML: {error}.") from None
    recorded = content.get("recorded")
    if not isinstance(recorded, date):
        raise RateError(f"{table}: recorded is missing. Add recorded = 2026-11-22, unquoted.")
    rates: dict[tuple[str, str], Rate] = {}
    for number, row in enumerate(content.get("rates", ()), start=1):
        for rate in _rates_of(table, number, row, recorded):
            rates[rate.unit, rate.region] = rate
    return rates


def _rates_of(table: Path, number: int, row: Mapping[str, Any], recorded: date) -> list[Rate]:
    where = f"{table}: row {number}"
    missing = {"unit", "usd", "regions", "source"} - set(row)
    if missing:
        raise RateError(f"{where}: {', '.join(sorted(missing))} is missing. Add it.")
    try:
        usd = Decimal(str(row["usd"]))
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or usd < 0:
        raise RateError(f'{where}: usd = {row["usd"]!r} is no price. Write it as "0.045".')
    return [Rate(row["unit"], region, usd, row["source"], recorded) for region in row["regions"]]
