"""Keys for HMACs, from Secrets Manager, in versions so that they can rotate."""

import json
import threading
import time
from typing import TYPE_CHECKING

from gateway.governance.identity import Clock

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MINIMUM_LENGTH = 32
"""An HMAC key should be as long as the hash's output, 32 bytes for SHA-256 (RFC 2104 §3)."""


class SecretMalformed(Exception):  # noqa: N818 - a state of the secret, not of the program
    """The secret's value cannot be used; the message never holds any of it."""


class VersionedSecret:
    """Reads ``{"current": "v2", "v1": "...", "v2": "..."}`` and hands out keys by version.

    New digests use the current version and old ones keep theirs, so that a version can be
    replaced without breaking what was made with it. The value is fetched at the first use, kept
    for ``seconds`` (default 300), and fetched again at once when an unknown version is asked for,
    at most every ``seconds_between_misses``. While Secrets Manager cannot be reached, the last
    known value serves.
    """

    def __init__(
        self,
        client: "SecretsManagerClient",
        secret_id: str,
        *,
        seconds: float = 300,
        seconds_between_misses: float = 10,
        clock: Clock = time.time,
    ) -> None:
        self._client = client
        self._secret_id = secret_id
        self._seconds = seconds
        self._seconds_between_misses = seconds_between_misses
        self._clock = clock
        self._lock = threading.Lock()
        self._fetched = float("-inf")
        self._keys: dict[str, str] = {}

    def current(self) -> tuple[str, bytes]:
        """Return the current version and its key.

        Raises:
            SecretMalformed: the secret's value is not of the form above.
        """
        keys = self._fresh(self._seconds)
        return keys["current"], keys[keys["current"]].encode()

    def key(self, version: str) -> bytes | None:
        """Return the key of a version, ``None`` when the secret has no such version.

        Raises:
            SecretMalformed: the secret's value is not of the form above.
        """
        keys = self._fresh(self._seconds)
        if version not in keys:
            keys = self._fresh(self._seconds_between_misses)
        return keys[version].encode() if version in keys and version != "current" else None

    def _fresh(self, seconds: float) -> dict[str, str]:
        with self._lock:
            if self._clock() - self._fetched < seconds:
                return self._keys
            try:
                answer = self._client.get_secret_value(SecretId=self._secret_id)
            except Exception:
                # A known key outlives an outage of Secrets Manager; without one there is no way on.
                if not self._keys:
                    raise
                self._fetched = self._clock()
                return self._keys
            self._keys = _parse(answer.get("SecretString", ""))
            self._fetched = self._clock()
            return self._keys


def _parse(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(part, str) for part in value.values()):
        raise SecretMalformed(
            'The secret must be a JSON object of strings such as {"current": "v1", "v1": "..."}.'
        )
    current = value.get("current")
    if current is None or current == "current" or current not in value:
        raise SecretMalformed("The secret's `current` must name one of its other fields.")
    short = [name for name in value if name != "current" and len(value[name]) < MINIMUM_LENGTH]
    if short:
        raise SecretMalformed(
            f"The secret's fields {', '.join(sorted(short))} are shorter than "
            f"{MINIMUM_LENGTH} characters. Generate longer ones."
        )
    return value
