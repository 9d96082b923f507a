"""Changes to the directory table, for operators with IAM permissions; the gateway never writes it.

The table is described in :mod:`gateway.governance.directory`.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.governance.api_keys import ApiKey, CurrentPepper
from gateway.governance.budget import Limits
from gateway.governance.directory import (
    ACTIVE,
    LIMIT_NAMES,
    KeyRecord,
    TeamRecord,
    key_record,
    team_record,
)
from gateway.governance.identity import DEFAULT_REDACTION, REDACTION_MODES, Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REVOKED = "revoked"
SUSPENDED = "suspended"

_TEAM_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/(?:[^\s/]+/)*([^\s/]+)")


class AdministrationError(Exception):
    """A change that cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Team:
    """What a team is to be; see :class:`~gateway.governance.directory.TeamRecord`."""

    name: str
    models: Sequence[str] | None = None
    redaction: str = DEFAULT_REDACTION
    limits: Limits = Limits()  # noqa: RUF009 - it is frozen
    suspended: bool = False
    usage_identifier_key: str | None = None


@dataclass(frozen=True)
class NewKey:
    """What a key is to be: ``valid_until`` in seconds since the epoch, ``None`` for no end."""

    team: str
    description: str = ""
    valid_until: int | None = None
    models: Sequence[str] | None = None
    redaction: str | None = None
    limits: Limits = Limits()  # noqa: RUF009 - it is frozen


class Administration:
    """Creates, rotates and revokes keys, registers roles, and sets what teams may use."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        peppers: CurrentPepper,
        *,
        clock: Clock = time.time,
    ) -> None:
        self._client = client
        self._table = table
        self._peppers = peppers
        self._clock = clock

    def put_team(self, team: Team) -> None:
        """Create a team or replace what is set for it.

        Raises:
            AdministrationError: its name or its redaction is not one that it can have.
        """
        if not _TEAM_NAME.fullmatch(team.name):
            message = (
                f"The team name {team.name!r} cannot be used: give 1 to 63 lower-case letters, "
                "digits and hyphens, not a hyphen first."
            )
            raise AdministrationError(message)
        _check_redaction(team.redaction)
        item: dict[str, Any] = {
            "id": {"S": f"TEAM#{team.name}"},
            "status": {"S": SUSPENDED if team.suspended else ACTIVE},
            "redaction": {"S": team.redaction},
            **_shared_attributes(team.models, team.limits),
        }
        if team.usage_identifier_key:
            item["usage_identifier_key"] = {"S": team.usage_identifier_key}
        self._client.put_item(TableName=self._table, Item=item)

    def team(self, name: str) -> TeamRecord:
        """Return a team.

        Raises:
            AdministrationError: there is none of this name.
        """
        item = self._item(f"TEAM#{name}")
        if item is None:
            message = (
                f"There is no team {name!r}. Create it with `ops usage limit --team {name}` first."
            )
            raise AdministrationError(message)
        return team_record(name, item)

    def create_key(self, new: NewKey) -> ApiKey:
        """Create a key and return it; its secret cannot be read again.

        Raises:
            AdministrationError: the team does not exist, or the redaction is not one.
        """
        self.team(new.team)
        if new.redaction is not None:
            _check_redaction(new.redaction)
        key = ApiKey.generate()
        item: dict[str, Any] = {
            "id": {"S": f"KEY#{key.key_id}"},
            "team": {"S": new.team},
            "status": {"S": ACTIVE},
            "description": {"S": new.description},
            "created_at": {"N": str(int(self._clock()))},
            **self._digest(key),
            **_shared_attributes(new.models, new.limits),
        }
        if new.valid_until is not None:
            item["valid_until"] = {"N": str(new.valid_until)}
        if new.redaction is not None:
            item["redaction"] = {"S": new.redaction}
        self._client.put_item(
            TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(id)"
        )
        return key

    def rotate_key(self, key_id: str, *, overlap_seconds: int) -> ApiKey:
        """Give a key a new secret; the one it had stays valid for ``overlap_seconds``.

        Raises:
            AdministrationError: the key does not exist, is revoked, or was changed meanwhile.
        """
        item = self._key_item(key_id)
        if item["status"]["S"] != ACTIVE:
            message = f"The key {key_id} is {item['status']['S']}. Create a new key instead."
            raise AdministrationError(message)
        key = ApiKey.generate(key_id)
        new = self._digest(key)
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"id": {"S": f"KEY#{key_id}"}},
                UpdateExpression=(
                    "SET digest = :digest, pepper = :pepper, previous_digest = :old_digest, "
                    "previous_pepper = :old_pepper, previous_until = :until"
                ),
                ConditionExpression="digest = :old_digest AND #status = :active",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={
                    ":digest": new["digest"],
                    ":pepper": new["pepper"],
                    ":old_digest": item["digest"],
                    ":old_pepper": item["pepper"],
                    ":until": {"N": str(int(self._clock()) + overlap_seconds)},
                    ":active": {"S": ACTIVE},
                },
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            message = f"The key {key_id} was changed by somebody else. List it and try again."
            raise AdministrationError(message) from None
        return key

    def revoke_key(self, key_id: str) -> None:
        """Revoke a key with all its secrets, for good.

        Raises:
            AdministrationError: the key does not exist.
        """
        self._key_item(key_id)
        self._client.update_item(
            TableName=self._table,
            Key={"id": {"S": f"KEY#{key_id}"}},
            UpdateExpression="SET #status = :revoked, revoked_at = :now",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":revoked": {"S": REVOKED},
                ":now": {"N": str(int(self._clock()))},
            },
        )

    def register_role(self, role_arn: str, team: str) -> None:
        """Let a workload's role call the IAM route as a team.

        Raises:
            AdministrationError: the team does not exist, or the ARN is not that of a role.
        """
        self.team(team)
        match = _ROLE_ARN.fullmatch(role_arn)
        if match is None:
            message = (
                f"{role_arn!r} is not the ARN of a role. Give arn:aws:iam::<account>:role/<name>."
            )
            raise AdministrationError(message)
        self._client.put_item(
            TableName=self._table,
            Item={
                "id": {"S": f"ROLE#{match[1]}/{match[2]}"},
                "team": {"S": team},
                "status": {"S": ACTIVE},
            },
        )

    def keys(self) -> Iterator[KeyRecord]:
        """Return every key, revoked ones too."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression="begins_with(id, :prefix)",
            ExpressionAttributeValues={":prefix": {"S": "KEY#"}},
        )
        for page in pages:
            for item in page["Items"]:
                yield key_record(item["id"]["S"].removeprefix("KEY#"), item)

    def _digest(self, key: ApiKey) -> dict[str, Any]:
        version, pepper = self._peppers.current()
        return {"digest": {"S": key.digest(pepper)}, "pepper": {"S": version}}

    def _key_item(self, key_id: str) -> Mapping[str, Any]:
        item = self._item(f"KEY#{key_id}")
        if item is None:
            message = f"There is no key {key_id!r}. `ops keys list` shows the ids of all keys."
            raise AdministrationError(message)
        return item

    def _item(self, identifier: str) -> Mapping[str, Any] | None:
        answer = self._client.get_item(
            TableName=self._table, Key={"id": {"S": identifier}}, ConsistentRead=True
        )
        return answer.get("Item")


def _check_redaction(mode: str) -> None:
    if mode not in REDACTION_MODES:
        message = f"The redaction {mode!r} does not exist. Use one of {', '.join(REDACTION_MODES)}."
        raise AdministrationError(message)


def _shared_attributes(models: Sequence[str] | None, limits: Limits) -> dict[str, Any]:
    given = limits.given()
    attributes: dict[str, Any] = {
        name: {"N": str(given[name])} for name in LIMIT_NAMES if name in given
    }
    if models:
        attributes["models"] = {"SS": sorted(set(models))}
    return attributes
