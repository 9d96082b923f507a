"""``python -m ops capacity``: search, compare and buy accelerators beforehand."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config import Environment, load
from llm_constructs.specs.node_group import check_name
from llm_constructs.specs.problem import Problems, SpecificationError
from ops.aws_account import FAILED, Account, RefusedError, tell, told_in_sentences
from ops.capacity import purchase
from ops.capacity.confirmation import confirmed, has_terminal
from ops.capacity.file_lines import fit_remark, lines
from ops.capacity.offering import Offering, Source
from ops.capacity.request import CapacityRequest, now
from ops.capacity.search import Found, search
from ops.price.command import rates_of
from ops.price.rates import RateError, Rates

app = typer.Typer(no_args_is_help=True, help="Accelerators that are bought beforehand.")

# Answers after which nobody knows what the service did.
_UNKNOWN_OUTCOME: Final = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable", "Unavailable"}
)

Env = Annotated[str, typer.Option(help="Environment: its region, zones and images.")]
InstanceTypeName = Annotated[
    str, typer.Option("--instance-type", help="Type of the catalogue, such as trn2.48xlarge.")
]
Count = Annotated[int, typer.Option(help="Instances.")]
Hours = Annotated[int, typer.Option(help="For how long; blocks are sold by days of 24.")]
Earliest = Annotated[
    str | None, typer.Option(help="When it may begin, as 2027-01-11T00:00:00Z. Left out: now.")
]
Latest = Annotated[str | None, typer.Option(help="When it must be over, written likewise.")]
Zones = Annotated[
    list[str] | None, typer.Option("--zone", help="Only this zone; may be given again.")
]
RatesFiles = Annotated[
    list[Path] | None, typer.Option("--rates", help="Table of your own on-demand prices.")
]
Live = Annotated[bool, typer.Option(help="Ask the AWS Price List for the on-demand price.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command("search")
def search_offerings(
    instance_type: InstanceTypeName,
    count: Count,
    hours: Hours,
    source: Annotated[Source, typer.Option(help="Who sells.")],
    env: Env = "dev",
    earliest: Earliest = None,
    latest: Latest = None,
    zone: Zones = None,
    rates: RatesFiles = None,
    live: Live = False,
    as_json: Json = False,
) -> None:
    """List what one seller offers, the cheapest accelerator-hour first."""
    environment = load(env)
    request = _request(environment, instance_type, count, hours, earliest, latest, zone)
    _show(environment, _found(request, [source], _rates(request, rates, live)), as_json=as_json)


@app.command()
def compare(
    instance_type: InstanceTypeName,
    count: Count,
    hours: Hours,
    env: Env = "dev",
    earliest: Earliest = None,
    latest: Latest = None,
    zone: Zones = None,
    rates: RatesFiles = None,
    live: Live = False,
    as_json: Json = False,
) -> None:
    """Compare training plans, Capacity Blocks and on-demand reservations in one table."""
    environment = load(env)
    request = _request(environment, instance_type, count, hours, earliest, latest, zone)
    _show(environment, _found(request, Source, _rates(request, rates, live)), as_json=as_json)


@app.command()
def buy(
    instance_type: InstanceTypeName,
    count: Count,
    hours: Hours,
    source: Annotated[Source, typer.Option(help="Who sells.")],
    offering: Annotated[str, typer.Option(help="Id of the offering, from search or compare.")],
    name: Annotated[str, typer.Option(help="Name of the purchase; it is bought once.")],
    env: Env = "dev",
    earliest: Earliest = None,
    latest: Latest = None,
    rates: RatesFiles = None,
    live: Live = False,
) -> None:
    """Buy an offering, after you typed its id or its exact price; it cannot be given back.

    Give the same type, count, hours and window as to the search that found it. What has the name
    already is not bought again: its lines for the environment's file are printed.
    """
    environment = load(env)
    request = _request(environment, instance_type, count, hours, earliest, latest, None)
    _check_purchase(name)
    known = _rates(request, rates, live)
    with told_in_sentences():
        account = Account(request.region)
        bought = purchase.existing(source, name, account)
        if bought is not None:
            _tell_existing(bought)
        else:
            chosen = _chosen(search(request, account, known, [source]), offering)
            purchase.rehearse(chosen, name, account)
            _confirm(environment, chosen)
            bought = _bought(chosen, name, request.region)
            tell(f"Bought {bought.reference}. These lines go into config/{env}.toml:")
    typer.echo(lines(bought, environment))


def _request(
    environment: Environment,
    instance_type: str,
    count: int,
    hours: int,
    earliest: str | None,
    latest: str | None,
    zones: Iterable[str] | None,
) -> CapacityRequest:
    try:
        return CapacityRequest(
            region=environment.region,
            instance_type=instance_type.removeprefix("ml."),
            count=count,
            hours=hours,
            earliest=_moment("earliest", earliest) or now(),
            latest=_moment("latest", latest),
            zones=tuple(zones or ()),
        )
    except SpecificationError as error:
        tell(str(error))
        raise typer.Exit(FAILED) from None


def _moment(field: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        problems = Problems("capacity request")
        problems.add(field, text, "It is no time.", "Write it as 2027-01-11T00:00:00Z.")
        raise problems.error() from None


def _rates(request: CapacityRequest, tables: Iterable[Path] | None, live: bool) -> Rates:
    try:
        return rates_of(request.region, tables or (), live=live)
    except RateError as error:
        tell(str(error))
        raise typer.Exit(FAILED) from None


def _found(request: CapacityRequest, sources: Iterable[Source], rates: Rates) -> Found:
    with told_in_sentences():
        return search(request, Account(request.region), rates, sources)


def _check_purchase(name: str) -> None:
    problems = Problems("purchase")
    check_name(problems, name)
    try:
        problems.raise_if_any()
    except SpecificationError as error:
        tell(str(error))
        raise typer.Exit(FAILED) from None
    if not has_terminal():
        tell(
            "Buying needs a person at a terminal, who types the offering's id or its exact price. "
            "Nothing was bought."
        )
        raise typer.Exit(FAILED)


def _tell_existing(bought: purchase.Purchase) -> None:
    tell(f"The account has {bought.name} already, as {bought.reference}; nothing was bought.")
    if bought.is_over:
        tell(f"It is {bought.state.lower()}. Choose another name.")
        raise typer.Exit(FAILED)


def _chosen(found: Found, offering_id: str) -> Offering:
    for offering in found.offerings:
        if offering.offering_id == offering_id and offering.owned:
            tell(f"The account has {offering_id} already: name it in the file. Nothing was bought.")
            raise typer.Exit(FAILED)
        if offering.offering_id == offering_id:
            return offering
    for remark in found.remarks:
        tell(remark)
    tell(
        f"{offering_id} is not offered, or not any more, for this type, count, hours and window. "
        "Nothing was bought. Search again."
    )
    raise typer.Exit(FAILED)


def _confirm(environment: Environment, offering: Offering) -> None:
    Console(stderr=True).print(_table(environment, [offering]))
    if not confirmed(offering):
        tell("That is neither the id nor the price. Nothing was bought.")
        raise typer.Exit(FAILED)


def _bought(offering: Offering, name: str, region: str) -> purchase.Purchase:
    from botocore.exceptions import HTTPClientError

    unknown = (
        f"It is not known whether {offering.offering_id} was bought. Run the same command again: "
        f"if the account has {name}, it is not bought twice."
    )
    try:
        # Nothing is repeated: an answer that was lost may have been a purchase.
        return purchase.buy(offering, name, Account(region, repeats=False))
    except RefusedError as refused:
        tell(str(refused))
        tell(unknown if refused.code in _UNKNOWN_OUTCOME else "Nothing was bought.")
    except HTTPClientError as error:
        tell(f"The answer of AWS was lost: {error}")
        tell(unknown)
    raise typer.Exit(FAILED)


def _show(environment: Environment, found: Found, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_document(environment, found), indent=2))
    elif found.offerings:
        Console().print(_table(environment, found.offerings))
    for remark in () if as_json else found.remarks:
        tell(remark)
    if not found.offerings:
        raise typer.Exit(FAILED)


def _table(environment: Environment, offerings: Iterable[Offering]) -> Table:
    table = Table(
        *("seller", "offering", "instances", "zone", "start (UTC)", "end (UTC)", "total"),
        *("accelerator-hour", "fits", "remark"),
    )
    for offering in offerings:
        zone = f"{offering.zone} ({offering.zone_id})" if offering.zone_id else offering.zone
        table.add_row(
            offering.source,
            escape(offering.offering_id),
            f"{offering.count} {offering.row.name}",
            zone or "several",
            _utc(offering.start) or "when bought",
            _utc(offering.end) or "",
            _money(offering.total, offering.currency, 2),
            _money(offering.per_accelerator_hour, offering.currency, 4),
            ", ".join(offering.fits),
            escape(_remark(environment, offering)),
        )
    return table


def _document(environment: Environment, found: Found) -> dict[str, Any]:
    return {
        "offerings": [
            {
                "source": offering.source,
                "offering_id": offering.offering_id,
                "instance_type": offering.row.name,
                "count": offering.count,
                "zone": offering.zone,
                "zone_id": offering.zone_id,
                "start": offering.start and offering.start.astimezone(UTC).isoformat(),
                "end": offering.end and offering.end.astimezone(UTC).isoformat(),
                "hours": str(offering.hours),
                "total": None if offering.total is None else str(offering.total),
                "per_accelerator_hour": None
                if offering.per_accelerator_hour is None
                else str(offering.per_accelerator_hour),
                "currency": offering.currency,
                "fits": list(offering.fits),
                "owned": offering.owned,
                "remark": _remark(environment, offering),
            }
            for offering in found.offerings
        ],
        "remarks": list(found.remarks),
    }


def _remark(environment: Environment, offering: Offering) -> str:
    remarks = (offering.remark, fit_remark(offering.row, offering.zone, environment))
    return "; ".join(remark for remark in remarks if remark)


def _utc(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment else ""


def _money(value: Decimal | None, currency: str, places: int) -> str:
    return "unknown" if value is None else f"{value:,.{places}f} {currency}"
