"""Keys, teams and workload roles as the directory table keeps them.

One DynamoDB table with the partition key ``id``: ``KEY#<key id>``, ``TEAM#<name>`` and
``ROLE#<account>/<role name>``. It holds digests, never secrets.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from gateway.governance.budget import Limits, Scope, ScopedLimits
from gateway.governance.identity import DEFAULT_REDACTION, Caller, Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item = Mapping[str, AttributeValueTypeDef]

ACTIVE = "active"

LIMIT_NAMES = tuple(field.name for field in fields(Limits))


@dataclass(frozen=True)
class SecretDigest:
    """The HMAC of one secret, the pepper it was made with, and when it stops being valid.

    ``valid_until`` is in seconds since the epoch, ``None`` for as long as the key lives.
    """

    digest: str
    pepper: str
    valid_until: int | None = None


@dataclass(frozen=True)
class KeyRecord:
    """An API key: at most two secrets are valid at once, while it is being rotated."""

    key_id: str
    team: str
    status: str
    secrets: tuple[SecretDigest, ...]
    valid_until: int | None
    models: tuple[str, ...] | None
    redaction: str | None
    limits: Limits


@dataclass(frozen=True)
class TeamRecord:
    """A team: what holds for all of its keys.

    ``usage_identifier_key`` is the value of the API Gateway key whose usage plan throttles it.
    """

    name: str
    status: str
    models: tuple[str, ...] | None
    redaction: str
    limits: Limits
    usage_identifier_key: str | None


class Directory:
    """Reads the directory table.

    Keys are read consistently each time, so that a revocation holds at once; teams and limits may
    be ``seconds`` old (default 60).
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        seconds: float = 60,
        clock: Clock = time.time,
    ) -> None:
        self._client = client
        self._table = table
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._teams: dict[str, tuple[float, TeamRecord | None]] = {}
        self._key_limits: dict[str, tuple[float, Limits]] = {}

    def key(self, key_id: str) -> KeyRecord | None:
        """Return a key's record, ``None`` when there is none."""
        item = self._item(f"KEY#{key_id}")
        record = None if item is None else key_record(key_id, item)
        self._remember_limits(key_id, record)
        return record

    def team(self, name: str) -> TeamRecord | None:
        """Return a team's record, ``None`` when there is none."""
        with self._lock:
            until, record = self._teams.get(name, (0.0, None))
        if self._clock() < until:
            return record
        item = self._item(f"TEAM#{name}")
        record = None if item is None else team_record(name, item)
        with self._lock:
            self._teams[name] = (self._clock() + self._seconds, record)
        return record

    def team_of_role(self, account: str, role_name: str) -> str | None:
        """Return the team that a workload's role belongs to, ``None`` when it is not known."""
        item = self._item(f"ROLE#{account}/{role_name}")
        return None if item is None or _text(item, "status") != ACTIVE else _text(item, "team")

    def limits(self, caller: Caller) -> Sequence[ScopedLimits]:
        """Return the limits of the caller's key and team; none set means none held."""
        team = self.team(caller.team)
        return (
            ScopedLimits(Scope.KEY, caller.key_id, self._limits_of_key(caller.key_id)),
            ScopedLimits(Scope.TEAM, caller.team, Limits() if team is None else team.limits),
        )

    def _limits_of_key(self, key_id: str) -> Limits:
        with self._lock:
            until, limits = self._key_limits.get(key_id, (0.0, Limits()))
        if self._clock() < until:
            return limits
        record = self.key(key_id)
        return Limits() if record is None else record.limits

    def _remember_limits(self, key_id: str, record: KeyRecord | None) -> None:
        limits = Limits() if record is None else record.limits
        with self._lock:
            self._key_limits[key_id] = (self._clock() + self._seconds, limits)

    def _item(self, identifier: str) -> "Item | None":
        answer = self._client.get_item(
            TableName=self._table, Key={"id": {"S": identifier}}, ConsistentRead=True
        )
        return answer.get("Item")


def key_record(key_id: str, item: "Item") -> KeyRecord:
    """Read a ``KEY#`` item."""
    slots = (("digest", "pepper", ""), ("previous_digest", "previous_pepper", "previous_until"))
    return KeyRecord(
        key_id=key_id,
        team=_text(item, "team"),
        status=_text(item, "status"),
        secrets=tuple(
            SecretDigest(_text(item, digest), _text(item, pepper), _number(item, until))
            for digest, pepper, until in slots
            if digest in item
        ),
        valid_until=_number(item, "valid_until"),
        models=_models(item),
        redaction=_text(item, "redaction") or None,
        limits=_limits(item),
    )


def team_record(name: str, item: "Item") -> TeamRecord:
    """Read a ``TEAM#`` item."""
    return TeamRecord(
        name=name,
        status=_text(item, "status"),
        models=_models(item),
        redaction=_text(item, "redaction") or DEFAULT_REDACTION,
        limits=_limits(item),
        usage_identifier_key=_text(item, "usage_identifier_key") or None,
    )


def _text(item: "Item", name: str) -> str:
    return item[name].get("S", "") if name in item else ""


def _number(item: "Item", name: str) -> int | None:
    return int(item[name]["N"]) if name in item else None


def _models(item: "Item") -> tuple[str, ...] | None:
    return tuple(sorted(item["models"]["SS"])) if "models" in item else None


def _limits(item: "Item") -> Limits:
    return Limits(**{name: _number(item, name) for name in LIMIT_NAMES})
