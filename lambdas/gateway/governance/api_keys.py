"""API keys ``lp_<id>_<secret>``: how they are made, digested and recognised."""

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.governance.directory import ACTIVE, KeyRecord, SecretDigest, TeamRecord
from gateway.governance.identity import (
    Caller,
    Clock,
    Suspended,
    Unauthenticated,
    credential,
    permitted_models,
)

SECRETS_PER_KEY = 2
"""The current secret and the one it replaces."""

_KEY = re.compile(r"lp_([a-z2-7]{16})_([a-z2-7]{52})")

REFUSAL = "The API key is not valid. Ask your platform team for a current one."
"""One sentence for unknown, wrong, expired and revoked keys: which it is helps only a guesser."""


@dataclass(frozen=True)
class ApiKey:
    """A key in full; ``str()`` gives the text a client sends. ``repr()`` leaves the secret out."""

    key_id: str
    secret: str = field(repr=False)

    @classmethod
    def generate(cls, key_id: str | None = None) -> "ApiKey":
        """Make a key with 256 random bits, and a new id of 80 bits unless one is given."""
        return cls(key_id or _base32(secrets.token_bytes(10)), _base32(secrets.token_bytes(32)))

    @classmethod
    def parse(cls, text: str) -> "ApiKey":
        """Read what a client sent.

        Raises:
            Unauthenticated: the text is not of this form.
        """
        match = _KEY.fullmatch(text)
        if match is None:
            raise Unauthenticated(REFUSAL)
        return cls(match[1], match[2])

    def digest(self, pepper: bytes) -> str:
        """Return the HMAC-SHA256 of id and secret in hexadecimal; the id keeps records apart."""
        message = f"{self.key_id}:{self.secret}".encode()
        return hmac.new(pepper, message, hashlib.sha256).hexdigest()

    def __str__(self) -> str:
        return f"lp_{self.key_id}_{self.secret}"


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


class CurrentPepper(Protocol):
    """The key of the HMAC for new digests."""

    def current(self) -> tuple[str, bytes]:
        """Return the current version and its key."""
        ...


class Peppers(CurrentPepper, Protocol):
    """Keys of the HMAC by version."""

    def key(self, version: str) -> bytes | None:
        """Return the key of a version, ``None`` when it is no longer there."""
        ...


class KeyDirectory(Protocol):
    """Where keys and teams are looked up."""

    def key(self, key_id: str) -> KeyRecord | None:
        """Return a key's record, ``None`` when there is none."""
        ...

    def team(self, name: str) -> TeamRecord | None:
        """Return a team's record, ``None`` when there is none."""
        ...


class ApiKeyAuthenticator:
    """Authenticates API keys against the directory.

    An unknown id costs the same work as a wrong secret, so that the time of the answer does not
    tell which ids exist.
    """

    def __init__(
        self, directory: KeyDirectory, peppers: Peppers, *, clock: Clock = time.time
    ) -> None:
        self._directory = directory
        self._peppers = peppers
        self._clock = clock

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Return the key's caller; see :class:`~gateway.governance.identity.Authenticator`.

        Raises:
            Unauthenticated: the key is malformed, unknown, wrong, expired or revoked.
            Suspended: the key is good and its team may not call.
        """
        presented = ApiKey.parse(credential(headers))
        record = self._directory.key(presented.key_id)
        matches = self._matches(presented, record)
        if record is None or not matches or not self._is_live(record):
            raise Unauthenticated(REFUSAL)
        team = active_team(self._directory.team(record.team))
        return Caller(
            key_id=record.key_id,
            team=team.name,
            models=permitted_models(record.models, team.models),
            redaction=record.redaction or team.redaction,
        )

    def _matches(self, presented: ApiKey, record: KeyRecord | None) -> bool:
        known = record.secrets if record else ()
        matched = False
        for slot in range(SECRETS_PER_KEY):
            secret = known[slot] if slot < len(known) else None
            matched |= self._matches_one(presented, secret)
        return matched

    def _matches_one(self, presented: ApiKey, secret: SecretDigest | None) -> bool:
        pepper = None if secret is None else self._peppers.key(secret.pepper)
        usable = secret is not None and pepper is not None and self._is_before(secret.valid_until)
        digest = presented.digest(pepper or self._peppers.current()[1])
        expected = secret.digest if secret is not None else "0" * len(digest)
        return hmac.compare_digest(digest, expected) and usable

    def _is_live(self, record: KeyRecord) -> bool:
        return record.status == ACTIVE and self._is_before(record.valid_until)

    def _is_before(self, moment: int | None) -> bool:
        return moment is None or self._clock() < moment


def active_team(team: TeamRecord | None) -> TeamRecord:
    """Return the team.

    Raises:
        Suspended: it does not exist, or may not call at present.
    """
    if team is None or team.status != ACTIVE:
        raise Suspended("Your team may not use the gateway at present. Ask your platform team.")
    return team
