"""The keys of model servers, each of which is the whole value of a secret."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from gateway.errors import UnavailableError


class ServerKeys:
    """Reads keys at their first use and keeps them for ``seconds``.

    A key that a server refuses is read again, at most every ``seconds_between_renewals``, so that a
    new key needs no restart. While Secrets Manager cannot be reached, the last known one serves.
    """

    def __init__(
        self,
        client: Any,
        secrets: Mapping[str, str],
        *,
        seconds: float = 300,
        seconds_between_renewals: float = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._secrets = secrets
        self._seconds = seconds
        self._seconds_between_renewals = seconds_between_renewals
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[str, float]] = {}

    def key(self, server: str) -> str:
        """Return the key of a server.

        Raises:
            UnavailableError: the secret cannot be read.
        """
        return self._read(server, self._seconds)

    def renewed(self, server: str, refused: str) -> str | None:
        """Return another key than the one that was refused, ``None`` where there is none."""
        key = self._read(server, self._seconds_between_renewals)
        return key if key != refused else None

    def _read(self, server: str, seconds: float) -> str:
        with self._lock:
            kept, at = self._kept.get(server, ("", float("-inf")))
            if self._clock() - at < seconds:
                return kept
            try:
                answer = self._client.get_secret_value(SecretId=self._secrets[server])
            except (BotoCoreError, ClientError) as error:
                if not kept:
                    message = "The model server's key cannot be read at present. Try again soon."
                    raise UnavailableError(message, retry_after=1) from error
                answer = {"SecretString": kept}
            self._kept[server] = (str(answer["SecretString"]).strip(), self._clock())
            return self._kept[server][0]
