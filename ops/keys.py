"""``python -m ops keys``: create, list, rotate and revoke API keys. Needs IAM, not a key."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.governance.administration import Administration, AdministrationError, NewKey
from gateway.governance.api_keys import ApiKey
from gateway.governance.budget import BudgetUnavailable, Limits
from gateway.governance.directory import KeyRecord
from gateway.governance.versioned_secret import SecretMalformed, VersionedSecret

if TYPE_CHECKING:
    import boto3

app = typer.Typer(no_args_is_help=True, help="API keys of the gateway.")

FAILED = 1
"""Exit code: nothing was changed; the reason is on standard error."""

MICRO_USD = 1_000_000

OUTPUTS = {
    "directory_table": "DirectoryTable",
    "ledger_table": "LedgerTable",
    "pepper_secret": "PepperSecret",
}
"""Outputs of the stack ``llm-<environment>-gateway`` that name the resources."""

Env = Annotated[
    str, typer.Option(help="Environment; its gateway stack's outputs name tables and secret.")
]
DirectoryTable = Annotated[
    str | None, typer.Option(help="Name of the directory table, instead of the stack's output.")
]
LedgerTable = Annotated[
    str | None, typer.Option(help="Name of the ledger's table, instead of the stack's output.")
]
PepperSecret = Annotated[
    str | None, typer.Option(help="Name of the pepper's secret, instead of the stack's output.")
]
RequestLimit = Annotated[int | None, typer.Option(min=0, help="Requests.")]
TokenLimit = Annotated[
    int | None, typer.Option(min=0, help="Tokens, weighted as Bedrock counts them.")
]
DollarLimit = Annotated[
    str | None, typer.Option(help="US dollars, with at most six decimals, such as 250 or 0.5.")
]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="Alias that may be used; may be given again.")
]


@dataclass(frozen=True)
class Resources:
    """The deployed resources that the commands work on."""

    session: "boto3.Session"
    environment: str
    names: dict[str, str | None]

    @classmethod
    def of(cls, environment: str, **names: str | None) -> "Resources":
        """Take names as given; those that are ``None`` are looked up when they are needed."""
        import boto3

        return cls(boto3.Session(), environment, names)

    def name(self, resource: str) -> str:
        """Return a resource's name, from the options or the gateway stack's outputs.

        Raises:
            AdministrationError: the stack does not tell.
        """
        given = self.names.get(resource)
        if given:
            return given
        stack = f"llm-{self.environment}-gateway"
        stacks = self.session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        for output in stacks[0].get("Outputs", []):
            if output.get("OutputKey") == OUTPUTS[resource]:
                return str(output["OutputValue"])
        message = (
            f"The stack {stack} has no output {OUTPUTS[resource]}. "
            f"Give --{resource.replace('_', '-')}."
        )
        raise AdministrationError(message)

    def administration(self) -> Administration:
        """Return what changes the directory."""
        return Administration(
            self.session.client("dynamodb"), self.name("directory_table"), _LazyPepper(self)
        )


@dataclass(frozen=True)
class _LazyPepper:
    """The pepper, read only by commands that make digests: listing needs no access to it."""

    resources: Resources

    def current(self) -> tuple[str, bytes]:
        client = self.resources.session.client("secretsmanager")
        return VersionedSecret(client, self.resources.name("pepper_secret")).current()


@contextmanager
def told_in_sentences() -> Iterator[None]:
    """End the command with a sentence on standard error, and exit code 1, when AWS refuses."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    try:
        yield
    except ClientError as error:
        detail = error.response["Error"]
        _end(f"AWS refused {error.operation_name}: {detail['Code']}: {detail['Message']}")
    except NoCredentialsError:
        _end("No credentials for AWS were found. Sign in with `aws sso login`, or set AWS_PROFILE.")
    except NoRegionError:
        _end("No region was found. Set AWS_REGION to the environment's region.")
    except (BotoCoreError, AdministrationError, BudgetUnavailable, SecretMalformed) as error:
        _end(str(error))


def _end(sentence: str) -> None:
    Console(stderr=True).print(sentence, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(FAILED)


def micro_usd(dollars: str | None) -> int | None:
    """Return dollars as micro-USD, exactly.

    Raises:
        typer.BadParameter: it is not an amount of at most six decimals.
    """
    if dollars is None:
        return None
    try:
        amount = Decimal(dollars) * MICRO_USD
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or amount != amount.to_integral_value():
        message = f"{dollars!r} is not an amount in US dollars with at most six decimals."
        raise typer.BadParameter(message)
    return int(amount)


@app.command()
def create(
    team: Annotated[str, typer.Option(help="Team that the key belongs to.")],
    env: Env = "dev",
    description: Annotated[str, typer.Option(help="What it is for; not a person's name.")] = "",
    expires_days: Annotated[
        int, typer.Option(min=0, help="Days until it expires; 0 for never.")
    ] = 90,
    role: Annotated[
        str | None,
        typer.Option(help="ARN of a workload's role to register instead of making a key."),
    ] = None,
    model: Models = None,
    redaction: Annotated[
        str | None, typer.Option(help="off, metadata, redacted or full; default: the team's.")
    ] = None,
    requests_per_minute: RequestLimit = None,
    requests_per_day: RequestLimit = None,
    requests_per_month: RequestLimit = None,
    tokens_per_minute: TokenLimit = None,
    tokens_per_day: TokenLimit = None,
    tokens_per_month: TokenLimit = None,
    usd_per_month: DollarLimit = None,
    directory_table: DirectoryTable = None,
    pepper_secret: PepperSecret = None,
) -> None:
    """Create a key and print it once, or register a workload's role."""
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
        administration = Resources.of(
            env, directory_table=directory_table, pepper_secret=pepper_secret
        ).administration()
        if role is not None:
            administration.register_role(role, team)
            Console().print(f"{role} may now call the IAM route as team {team}.", markup=False)
            return
        new = NewKey(
            team=team,
            description=description,
            valid_until=int(time.time()) + expires_days * 86_400 if expires_days else None,
            models=model,
            redaction=redaction,
            limits=limits,
        )
        _show_once(administration.create_key(new))


@app.command("list")
def list_keys(
    env: Env = "dev",
    team: Annotated[str | None, typer.Option(help="Only this team's keys.")] = None,
    directory_table: DirectoryTable = None,
) -> None:
    """List keys: id, team, state and expiry, never a secret."""
    with told_in_sentences():
        administration = Resources.of(env, directory_table=directory_table).administration()
        keys = sorted(administration.keys(), key=lambda key: (key.team, key.key_id))
    table = Table("key", "team", "state", "expires", "models", "limits")
    for key in keys:
        if team in (None, key.team):
            table.add_row(*map(escape, _row(key, time.time)))
    Console().print(table)


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(help="Id of the key, the part after `lp_`.")],
    env: Env = "dev",
    overlap_hours: Annotated[
        int, typer.Option(min=0, help="Hours for which the old secret still works.")
    ] = 24,
    directory_table: DirectoryTable = None,
    pepper_secret: PepperSecret = None,
) -> None:
    """Give a key a new secret and print it once; the old one works for a while longer."""
    with told_in_sentences():
        administration = Resources.of(
            env, directory_table=directory_table, pepper_secret=pepper_secret
        ).administration()
        _show_once(administration.rotate_key(key_id, overlap_seconds=overlap_hours * 3600))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, the part after `lp_`.")],
    env: Env = "dev",
    directory_table: DirectoryTable = None,
) -> None:
    """Revoke a key for good. API Gateway may know it for five minutes more."""
    with told_in_sentences():
        Resources.of(env, directory_table=directory_table).administration().revoke_key(key_id)
    Console().print(
        f"{key_id} is revoked. API Gateway's cache of callers may accept it for up to five minutes."
    )


def _show_once(key: ApiKey) -> None:
    # Standard output carries the key alone, so that it can be piped into a secret store.
    Console(stderr=True).print(
        f"Key {key.key_id}. This is the only time that its secret is shown:", highlight=False
    )
    typer.echo(str(key))


def _row(key: KeyRecord, clock: Callable[[], float]) -> tuple[str, ...]:
    expired = key.valid_until is not None and key.valid_until <= clock()
    until = key.valid_until and datetime.fromtimestamp(key.valid_until, UTC).date().isoformat()
    return (
        key.key_id,
        key.team,
        "expired" if expired and key.status == "active" else key.status,
        until or "never",
        ", ".join(key.models) if key.models is not None else "all of the team's",
        ", ".join(f"{name}={limit:,}" for name, limit in key.limits.given().items()) or "none",
    )
