"""The environment variables of the gateway, checked together before anything starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.catalogue import Catalogue
from gateway.converse_request import Guardrail
from gateway.service import Timeouts

BEHIND_API_GATEWAY = "request-context"
BY_ITSELF = "credentials"
# API Gateway takes 10 MB; Lambda's own limit for a request is 6 MB.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LARGEST_BODY = 6 * 1024 * 1024


class SettingsError(Exception):
    """The environment cannot be used; the message has a sentence for every problem."""


@dataclass(frozen=True)
class Oidc:
    """Whose JSON Web Tokens are accepted beside API keys."""

    issuer: str
    audiences: tuple[str, ...]
    team_claim: str


@dataclass(frozen=True)
class Settings:
    """What the environment says. Times are in seconds, sizes in bytes.

    ``guardrail`` goes with every call; ``log_guardrail`` masks the log's texts a second time.
    ``server_keys`` names the secret with the key of each model server, by the model's name there.
    ``identity`` says who checks credentials: ``request-context`` trusts API Gateway and must be
    used behind it only; ``credentials`` checks keys and tokens in this process.
    """

    environment: str
    catalogue: Catalogue
    directory_table: str
    ledger_table: str
    pepper_secret: str
    pseudonym_secret: str
    identity: str
    oidc: Oidc | None
    guardrail: Guardrail | None
    log_guardrail: Guardrail | None
    server_keys: Mapping[str, str]
    timeouts: Timeouts
    largest_body: int
    host: str
    port: int
    threads: int

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings; docs/gateway.md lists the variables and their defaults.

        Raises:
            SettingsError: variables are missing or cannot be used.
        """
        reader = _Reader(environ)
        identity = reader.choice("GATEWAY_IDENTITY", (BEHIND_API_GATEWAY, BY_ITSELF))
        settings = cls(
            environment=reader.text("GATEWAY_ENVIRONMENT"),
            catalogue=reader.parsed("GATEWAY_MODELS", _catalogue),
            directory_table=reader.text("GATEWAY_DIRECTORY_TABLE"),
            ledger_table=reader.text("GATEWAY_LEDGER_TABLE"),
            # Behind API Gateway the authoriser alone may read the pepper.
            pepper_secret=reader.text("GATEWAY_PEPPER_SECRET") if identity == BY_ITSELF else "",
            pseudonym_secret=reader.text("GATEWAY_PSEUDONYM_SECRET"),
            identity=identity,
            oidc=_oidc(reader),
            guardrail=_guardrail(reader, "GATEWAY_GUARDRAIL"),
            log_guardrail=_guardrail(reader, "GATEWAY_LOG_GUARDRAIL"),
            server_keys=_server_keys(reader),
            timeouts=Timeouts(
                deadline_seconds=reader.seconds("GATEWAY_DEADLINE_SECONDS", 840),
                heartbeat_seconds=reader.seconds("GATEWAY_HEARTBEAT_SECONDS", 10),
                first_event_seconds=reader.seconds("GATEWAY_FIRST_EVENT_SECONDS", 25),
            ),
            largest_body=reader.number("GATEWAY_LARGEST_BODY_BYTES", LARGEST_BODY),
            host=environ.get("GATEWAY_HOST", "127.0.0.1"),
            port=reader.number("GATEWAY_PORT", 8080),
            threads=reader.number("GATEWAY_THREADS", 16),
        )
        _check_servers(reader, settings)
        reader.raise_problems()
        return settings


class _Reader:
    """Reads variables and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def text(self, name: str) -> str:
        value = self._environ.get(name, "")
        if not value:
            self._problems.append(f"{name} is not set. See docs/gateway.md for what it holds.")
        return value

    def optional(self, name: str) -> str:
        return self._environ.get(name, "")

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self._environ.get(name, "")
        if value not in allowed:
            self._problems.append(f"{name} is {value!r}. Set it to one of: {', '.join(allowed)}.")
        return value

    def number(self, name: str, default: int) -> int:
        value = self._environ.get(name, str(default))
        if not value.isdecimal() or int(value) < 1:
            self._problems.append(f"{name} is {value!r}. Set it to a whole number of 1 or more.")
            return default
        return int(value)

    def seconds(self, name: str, default: float) -> float:
        value = self._environ.get(name, str(default))
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0
        if not 0 < seconds < float("inf"):
            self._problems.append(f"{name} is {value!r}. Set it to a number of seconds above 0.")
            return default
        return seconds

    def parsed(self, name: str, parse: Callable[[str], Any]) -> Any:
        value = self.text(name)
        try:
            return parse(value) if value else None
        except (OSError, ValueError) as error:
            self._problems.append(f"{name} cannot be used: {error}")
        return None

    def refuse(self, problem: str) -> None:
        self._problems.append(problem)

    def raise_problems(self) -> None:
        if self._problems:
            raise SettingsError("\n".join(self._problems))


def _catalogue(value: str) -> Catalogue:
    """Read the catalogue from the variable itself, or from the file that it names."""
    return Catalogue.parse(value if value.lstrip().startswith("{") else Path(value).read_bytes())


def _oidc(reader: _Reader) -> Oidc | None:
    issuer = reader.optional("GATEWAY_OIDC_ISSUER")
    audiences = reader.optional("GATEWAY_OIDC_AUDIENCES")
    if bool(issuer) != bool(audiences):
        reader.refuse(
            "GATEWAY_OIDC_ISSUER and GATEWAY_OIDC_AUDIENCES belong together: set both or neither."
        )
    if not issuer:
        return None
    claim = reader.optional("GATEWAY_OIDC_TEAM_CLAIM") or "custom:team"
    return Oidc(issuer, tuple(filter(None, audiences.split(","))), claim)


def _guardrail(reader: _Reader, prefix: str) -> Guardrail | None:
    identifier = reader.optional(f"{prefix}_ID")
    version = reader.optional(f"{prefix}_VERSION")
    if bool(identifier) != bool(version):
        reader.refuse(f"{prefix}_ID and {prefix}_VERSION belong together: set both or neither.")
    return Guardrail(identifier, version) if identifier and version else None


def _server_keys(reader: _Reader) -> Mapping[str, str]:
    """Read ``<model>=<secret>`` for each model server, with commas between them."""
    pairs = [pair for pair in reader.optional("GATEWAY_SERVER_KEYS").split(",") if pair]
    keys = {name: secret for name, _, secret in (pair.partition("=") for pair in pairs)}
    if not all(keys) or not all(keys.values()):
        reader.refuse("GATEWAY_SERVER_KEYS must hold model=secret, with commas between models.")
    return keys


def _check_servers(reader: _Reader, settings: Settings) -> None:
    # Without a usable catalogue there is a sentence already.
    models = settings.catalogue.entries().values() if settings.catalogue else ()
    served = {model.model_id for model in models if model.base_url is not None}
    for name in sorted(served - settings.server_keys.keys()):
        reader.refuse(f"GATEWAY_SERVER_KEYS names no secret for the model server {name!r}.")
