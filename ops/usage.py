"""``python -m ops usage``: what teams use, what they may use, and stranded reservations."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.governance.administration import Team
from gateway.governance.budget import Dimension, Limits, UsageLine
from gateway.governance.directory import Directory
from gateway.governance.identity import DEFAULT_REDACTION, Caller
from gateway.governance.ledger import DynamoDBLedger
from ops.keys import (
    MICRO_USD,
    DirectoryTable,
    DollarLimit,
    Env,
    LedgerTable,
    Models,
    RequestLimit,
    Resources,
    TokenLimit,
    micro_usd,
    told_in_sentences,
)

app = typer.Typer(no_args_is_help=True, help="Use and budgets of teams and keys.")


@app.command()
def show(
    team: Annotated[str, typer.Option(help="Team to report on.")],
    key: Annotated[
        str | None, typer.Option(help="Id of one of its keys, to report on too.")
    ] = None,
    env: Env = "dev",
    directory_table: DirectoryTable = None,
    ledger_table: LedgerTable = None,
) -> None:
    """Show what a team, and one of its keys, has used in the current windows."""
    with told_in_sentences():
        resources = Resources.of(env, directory_table=directory_table, ledger_table=ledger_table)
        resources.administration().team(team)
        caller = Caller(key_id=key or "", team=team, models=None, redaction=DEFAULT_REDACTION)
        lines = _ledger(resources).usage(caller).lines
    table = Table("scope", "name", "window", "what", "used", "held", "limit", "resets (UTC)")
    for line in lines:
        if line.name:
            table.add_row(*map(escape, _row(line)))
    Console().print(table)


@app.command()
def limit(
    team: Annotated[str, typer.Option(help="Team to create or to change.")],
    env: Env = "dev",
    model: Models = None,
    redaction: Annotated[
        str, typer.Option(help="Request log: off, metadata, redacted or full.")
    ] = DEFAULT_REDACTION,
    suspended: Annotated[bool, typer.Option(help="Refuse the team's requests with 403.")] = False,
    usage_identifier_key: Annotated[
        str | None, typer.Option(help="API Gateway key whose usage plan throttles the team.")
    ] = None,
    requests_per_minute: RequestLimit = None,
    requests_per_day: RequestLimit = None,
    requests_per_month: RequestLimit = None,
    tokens_per_minute: TokenLimit = None,
    tokens_per_day: TokenLimit = None,
    tokens_per_month: TokenLimit = None,
    usd_per_month: DollarLimit = None,
    directory_table: DirectoryTable = None,
) -> None:
    """Create a team or replace all that is set for it; what is not given is not limited."""
    limits = Limits(
        requests_per_minute=requests_per_minute,
        requests_per_day=requests_per_day,
        requests_per_month=requests_per_month,
        tokens_per_minute=tokens_per_minute,
        tokens_per_day=tokens_per_day,
        tokens_per_month=tokens_per_month,
        micro_usd_per_month=micro_usd(usd_per_month),
    )
    with told_in_sentences():
        administration = Resources.of(env, directory_table=directory_table).administration()
        administration.put_team(
            Team(team, model, redaction, limits, suspended, usage_identifier_key)
        )
    Console().print(f"Team {team} is set. Running gateways follow within a minute.", markup=False)


@app.command()
def sweep(env: Env = "dev", ledger_table: LedgerTable = None) -> None:
    """Return what the reservations of calls that died still hold."""
    with told_in_sentences():
        ledger = _ledger(Resources.of(env, ledger_table=ledger_table, directory_table="unused"))
        returned = 0
        for team in ledger.teams_with_expired_leases():
            while count := ledger.return_expired(team):
                returned += count
    Console().print(f"{returned} reservations were returned.")


def _ledger(resources: Resources) -> DynamoDBLedger:
    client = resources.session.client("dynamodb")
    directory = Directory(client, resources.name("directory_table"))
    # Nothing is reserved or settled here, so that no model's rates are needed.
    return DynamoDBLedger(client, resources.name("ledger_table"), rates={}, limits=directory)


def _row(line: UsageLine) -> tuple[str, ...]:
    return (
        line.scope,
        line.name,
        line.window,
        "USD" if line.dimension is Dimension.MICRO_USD else line.dimension,
        _amount(line.dimension, line.used),
        _amount(line.dimension, line.held),
        "none" if line.limit is None else _amount(line.dimension, line.limit),
        datetime.fromtimestamp(line.resets_at, UTC).strftime("%Y-%m-%d %H:%M"),
    )


def _amount(dimension: Dimension, amount: int) -> str:
    if dimension is not Dimension.MICRO_USD:
        return f"{amount:,}"
    return f"{amount // MICRO_USD:,}.{amount % MICRO_USD:06}"
