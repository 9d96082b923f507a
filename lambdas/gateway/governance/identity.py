"""Who calls: callers, the refusal of unknown ones, and the choice between kinds of credentials."""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

REDACTION_MODES = ("off", "metadata", "redacted", "full")
"""What the request log keeps: nothing, no text, redacted text (the default), or raw text."""

DEFAULT_REDACTION = "redacted"

Clock = Callable[[], float]
"""Returns seconds since the epoch."""


@dataclass(frozen=True)
class Caller:
    """An authenticated caller.

    ``models`` are the aliases it may use, ``None`` for all; ``redaction`` is one of
    :data:`REDACTION_MODES`. ``key_id`` names the credential and never a person.
    """

    key_id: str
    team: str
    models: frozenset[str] | None
    redaction: str


class Unauthenticated(Exception):  # noqa: N818 - the contract's term, as in HTTP 401
    """Nobody we know calls. ``reason`` is a sentence without any part of the credential."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Suspended(Unauthenticated):
    """The credential is good, but its team may not call at present (HTTP 403)."""


class Authenticator(Protocol):
    """Turns the headers of a request into a caller."""

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller.

        Raises:
            Unauthenticated: the credential is missing, malformed, unknown, expired or revoked.
        """
        ...


def header(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header's value whatever the case of its name, ``None`` when it is absent."""
    wanted = name.lower()
    return next((value for key, value in headers.items() if key.lower() == wanted), None)


def credential(headers: Mapping[str, str]) -> str:
    """Return the bearer token, or the value of ``x-api-key``, which Anthropic's clients send.

    Raises:
        Unauthenticated: neither header carries one.
    """
    scheme, _, token = (header(headers, "authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    key = (header(headers, "x-api-key") or "").strip()
    if key:
        return key
    raise Unauthenticated(
        "The request carries no credential. Send `Authorization: Bearer <key>` or `x-api-key`."
    )


class CredentialRouter:
    """Hands API keys to one authenticator and JSON Web Tokens to another.

    Without ``tokens``, a token is refused.
    """

    def __init__(self, *, keys: Authenticator, tokens: Authenticator | None = None) -> None:
        self._keys = keys
        self._tokens = tokens

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller; see :class:`Authenticator`."""
        presented = credential(headers)
        if presented.startswith("lp_"):
            return self._keys.authenticate(headers)
        if self._tokens is not None and presented.count(".") == 2:
            return self._tokens.authenticate(headers)
        raise Unauthenticated("The credential is not of a kind that this gateway accepts.")


class CachedAuthenticator:
    """Remembers callers for a time, for deployments without API Gateway's authoriser cache.

    A revoked key works for at most ``seconds`` (default 300, as API Gateway's own cache). Only
    successes are kept, under a hash of the credential, at most ``size`` of them.
    """

    def __init__(
        self,
        inner: Authenticator,
        *,
        seconds: float = 300,
        size: int = 10_000,
        clock: Clock = time.time,
    ) -> None:
        self._inner = inner
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller; see :class:`Authenticator`."""
        digest = hashlib.sha256(credential(headers).encode()).digest()
        now = self._clock()
        with self._lock:
            until, caller = self._known.get(digest, (0.0, None))
        if caller is not None and now < until:
            return caller
        caller = self._inner.authenticate(headers)
        with self._lock:
            self._known[digest] = (now + self._seconds, caller)
            self._known.move_to_end(digest)
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return caller


def permitted_models(*allowed: Sequence[str] | frozenset[str] | None) -> frozenset[str] | None:
    """Return the aliases that every list allows; ``None`` in a place means all of them."""
    lists = [frozenset(models) for models in allowed if models is not None]
    return frozenset.intersection(*lists) if lists else None
