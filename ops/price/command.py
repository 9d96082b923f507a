"""``python -m ops price``: what an environment costs in a month."""

import json
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config import Environment, load
from ops.assembly import stacks
from ops.aws_account import FAILED, Account, tell, told_in_sentences
from ops.price.estimate import Estimate, Line
from ops.price.gateway_use import ModelUse, UseError, standing_quantities, token_rates
from ops.price.gateway_use import use_quantities as quantities_of_use
from ops.price.pools import ceilings, paid_beforehand
from ops.price.price_list import PriceList
from ops.price.rates import RateError, Rates, today
from ops.price.resources import standing_costs, unpriced_types

ASSEMBLY: Final = Path(__file__).parent.parent.parent / "cdk.out"

CENT: Final = Decimal("0.01")

RatesFiles = Annotated[
    list[Path] | None,
    typer.Option("--rates", help="Table of your own prices, which win; may be given again."),
]
Live = Annotated[
    bool, typer.Option(help="Ask the AWS Price List for instances; needs pricing:GetProducts.")
]


def price(
    env: Annotated[str, typer.Option(help="Environment to price.")] = "dev",
    use: Annotated[
        list[str] | None,
        typer.Option(help="A model's use in a month, alias=REQUESTS:INPUT:OUTPUT; may repeat."),
    ] = None,
    cached_share: Annotated[
        str, typer.Option(help="Share of the input tokens read from the prompt cache, 0 to 1.")
    ] = "0",
    seconds: Annotated[str, typer.Option(help="Seconds that an average request takes.")] = "10",
    rates: RatesFiles = None,
    live: Live = False,
    assembly: Annotated[Path, typer.Option(help="Folder of the templates.")] = ASSEMBLY,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Estimate what an environment costs in a month, from its templates and its file.

    Prices are list prices, without taxes, discounts, traffic and storage. What has no known price
    is named and not guessed.
    """
    environment = load(env)
    try:
        known = rates_of(environment.region, rates or (), live=live)
        uses = _uses(environment, use or (), cached_share)
        average = _decimal("--seconds", seconds)
    except (RateError, UseError) as error:
        tell(str(error))
        raise typer.Exit(FAILED) from None
    with told_in_sentences():
        report = _Report(environment, known, uses, average, assembly)
    if as_json:
        typer.echo(json.dumps(report.document(), indent=2))
    else:
        report.print()


def rates_of(region: str, tables: Iterable[Path], *, live: bool) -> Rates:
    """Return the committed prices with those of ``tables``, and the Price List's if ``live``.

    Raises :class:`RateError` for a table that cannot be read.
    """
    return Rates.of(*tables, lookup=PriceList(Account(region)) if live else None)


class _Report:
    """An environment's estimates, for people and for programs."""

    def __init__(
        self,
        environment: Environment,
        rates: Rates,
        uses: tuple[ModelUse, ...],
        seconds: Decimal,
        assembly: Path,
    ) -> None:
        self._name = environment.name
        prefix = f"llm-{environment.name}-"
        own = [stack for stack in stacks(assembly) if stack.name.startswith(prefix)]
        with_tokens = Rates({**rates.known, **token_rates(environment)}, rates.lookup)
        standing = [quantity for stack in own for quantity in standing_costs(stack)]
        self._tables = {
            "standing": Estimate.of([*standing, *standing_quantities(environment)], rates),
            "use": Estimate.of(quantities_of_use(environment, uses, seconds), with_tokens),
            "at most": Estimate.of(ceilings(environment, rates), rates),
        }
        self._remarks = [*paid_beforehand(environment), *self._gaps(own)]

    def _gaps(self, own: Iterable[Any]) -> Iterable[str]:
        missing = sorted({name for stack in own for name in unpriced_types(stack)})
        if missing:
            yield f"Not priced, and not free: {', '.join(missing)}."
        lines = [line for table in self._tables.values() for line in table.lines]
        unknown = sorted({line.quantity.unit for line in lines if line.rate is None})
        if unknown:
            yield (
                f"No price is known for {', '.join(unknown)}, so that sums lack them. Give --live, "
                "or a table of your own with --rates."
            )
        stale = sorted(
            {line.rate.recorded for line in lines if line.rate and line.rate.is_stale(today())}
        )
        if stale:
            yield f"Prices of {stale[0]} are old; compare them with AWS's pages."

    def document(self) -> dict[str, object]:
        """Return everything as plain values; amounts are strings, so that none is rounded."""
        return {
            "environment": self._name,
            **{
                name.replace(" ", "_"): {
                    "usd": str(table.usd),
                    "complete": not table.unpriced,
                    "lines": [_plain(line) for line in table.lines],
                }
                for name, table in self._tables.items()
            },
            "remarks": self._remarks,
        }

    def print(self) -> None:
        """Print a table for each kind of cost."""
        titles = {
            "standing": "costs of a month without any use",
            "use": "costs of the use that was given",
            "at most": "nodes that come and go, at their limits",
        }
        console = Console()
        for name, estimate in self._tables.items():
            if estimate.lines:
                console.print(_table(f"{self._name}: {titles[name]}", estimate))
        for remark in self._remarks:
            console.print(remark, markup=False, highlight=False, soft_wrap=True)


def _table(title: str, estimate: Estimate) -> Table:
    table = Table("part", "what", "amount", "unit", "USD", "price from", title=title)
    for column in table.columns[2:5:2]:
        column.justify = "right"
    for line in estimate.lines:
        quantity = line.quantity
        table.add_row(
            quantity.part,
            escape(quantity.what),
            f"{quantity.amount:,.2f}",
            quantity.unit,
            "unknown" if line.usd is None else f"{rounded(line.usd):,}",
            f"{line.rate.source}, {line.rate.recorded}" if line.rate else "",
        )
    table.add_section()
    at_least = "at least " if estimate.unpriced else ""
    table.add_row("", "sum", "", "", f"{at_least}{rounded(estimate.usd):,}", "")
    return table


def rounded(usd: Decimal) -> Decimal:
    """Return an amount in whole cents, for people."""
    return usd.quantize(CENT, ROUND_HALF_UP)


def _plain(line: Line) -> dict[str, str | None]:
    quantity, rate = line.quantity, line.rate
    return {
        "part": quantity.part,
        "what": quantity.what,
        "unit": quantity.unit,
        "amount": str(quantity.amount),
        "region": quantity.region,
        "usd": None if line.usd is None else str(line.usd),
        "usd_per_unit": str(rate.usd) if rate else None,
        "source": rate.source if rate else None,
        "recorded": rate.recorded.isoformat() if rate else None,
    }


def _uses(environment: Environment, texts: Iterable[str], share: str) -> tuple[ModelUse, ...]:
    cached = _decimal("--cached-share", share)
    gateway = environment.gateway
    parsed = []
    for text in texts:
        if gateway is None:
            raise UseError(f"{environment.name} has no gateway. Leave --use out.")
        parsed.append(ModelUse.parse(text, gateway, cached))
    return tuple(parsed)


def _decimal(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise UseError(f"{option} = {text!r} is no amount. Give a number of 0 or more.")
    return value
