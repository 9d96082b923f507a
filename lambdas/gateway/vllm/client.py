"""The calls to model servers: pooled connections, verified TLS, and an end from another thread."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import msgspec
import urllib3
from botocore.httpsession import get_cert_path
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from gateway.catalogue import Model
from gateway.current_call import CurrentCall
from gateway.errors import ModelError
from gateway.reply import Event
from gateway.vllm import faults
from gateway.vllm.keys import ServerKeys
from gateway.vllm.reply import data_of, of_chunks

# Inside the VPC a connection takes a millisecond; what takes longer is better answered elsewhere.
CONNECT_TIMEOUT_SECONDS = 2
PIECE = 1 << 16
LONGEST_ERROR = 1 << 16
# One call and one more on a fresh connection: a load balancer may have closed one that was pooled.
RETRIES = urllib3.Retry(
    total=1,
    connect=1,
    read=1,
    redirect=0,
    status=0,
    other=0,
    allowed_methods=None,
    raise_on_redirect=False,
    raise_on_status=False,
)

_current: CurrentCall["VllmCall"] = CurrentCall()


class _AbandonedError(Exception):
    """Nobody waits for the call any more."""


class _Connection:
    """Tells the call that waits for it about its socket, and begins none that was given up."""

    sock: socket.socket | None

    def request(self, *args: Any, **options: Any) -> None:
        call = _current.get()
        if call is not None and call.is_closed:
            raise _AbandonedError
        super().request(*args, **options)  # type: ignore[misc]

    def getresponse(self) -> Any:
        call = _current.get()
        if call is not None:
            call.waits_on(self.sock)
        return super().getresponse()  # type: ignore[misc]


class _PlainConnection(_Connection, HTTPConnection):
    """For a server on loopback, in tests and on a laptop."""


class _TlsConnection(_Connection, HTTPSConnection):
    """For the load balancers of models."""


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class VllmClient:
    """Sends requests to model servers with their keys.

    ``connections`` is how many may be open to one server. ``read_timeout_seconds`` frees the thread
    of an abandoned call; what a caller waits for is decided elsewhere.
    """

    def __init__(self, keys: ServerKeys, *, connections: int, read_timeout_seconds: float) -> None:
        self._keys = keys
        self._pools = urllib3.PoolManager(
            maxsize=connections,
            cert_reqs="CERT_REQUIRED",
            # The bundle that botocore carries: a slim container has none of its own.
            ca_certs=get_cert_path(True),
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=read_timeout_seconds),
            retries=RETRIES,
        )
        self._pools.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}

    def post(self, model: Model, path: str, body: bytes) -> urllib3.BaseHTTPResponse:
        """Return the server's answer, whose body is still to be read.

        Raises:
            ApiError: the answer is no success, or there is none.
        """
        key = self._keys.key(model.model_id)
        response = self._send(model, path, body, key)
        if response.status == HTTPStatus.UNAUTHORIZED:
            other = self._keys.renewed(model.model_id, key)
            if other is not None:
                response.drain_conn()
                response = self._send(model, path, body, other)
        if response.status != HTTPStatus.OK:
            raise faults.of_error(
                response.status, _said(response), response.headers.get("Retry-After")
            )
        return response

    def _send(self, model: Model, path: str, body: bytes, key: str) -> urllib3.BaseHTTPResponse:
        headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            # Compression would hold tokens back.
            "Accept-Encoding": "identity",
        }
        try:
            return self._pools.request(
                "POST",
                f"{model.base_url}{path}",
                body=body,
                headers=headers,
                preload_content=False,
                redirect=False,
            )
        except (HTTPError, OSError) as error:
            reason = getattr(error, "reason", None)
            cause = reason if isinstance(reason, HTTPError) else error
            raise faults.of_exception(cause) from error


class VllmCall:
    """One chat completion. ``close`` ends it from another thread, and vLLM stops generating.

    Where ``stream`` is false, events come once all are there, so that a fault before the end can
    still lead to another model.
    """

    def __init__(
        self, client: VllmClient, model: Model, body: dict[str, Any], *, stream: bool
    ) -> None:
        self._client = client
        self._model = model
        self._body = body
        self._stream = stream
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.is_closed = False

    def events(self) -> Iterator[Event]:
        """Make the call and return its events.

        Raises:
            ApiError: whatever went wrong, as the client is to see it.
        """
        events = self._events()
        yield from events if self._stream else list(events)

    def close(self) -> None:
        """End the call, whatever it waits for."""
        with self._lock:
            self.is_closed = True
            self._hang_up()

    def waits_on(self, connection: socket.socket | None) -> None:
        """Take note of the socket that :meth:`close` is to shut."""
        with self._lock:
            self._socket = connection
            if self.is_closed:
                self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            # Closing would wait for a read that another thread is in; a shutdown ends that read.
            # Not by TLS, whose socket forgets its state at once, under the reader's hands.
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _events(self) -> Iterator[Event]:
        response: urllib3.BaseHTTPResponse | None = None
        try:
            body = msgspec.json.encode(self._body)
            with _current.made(self):
                response = self._client.post(self._model, "/chat/completions", body)
            discounts_cache = self._model.price.cache_read > 0
            yield from of_chunks(data_of(_pieces(response)), discounts_cache=discounts_cache)
            # What is left ends the body; read to its end, the connection goes back to its pool.
            response.drain_conn()
        except _AbandonedError:
            return
        except (HTTPError, OSError) as error:
            raise faults.of_exception(error) from error
        finally:
            with self._lock:
                # From here on the socket may serve another call.
                self._socket = None
            if response is not None:
                response.close()


class VllmEmbeddingCall:
    """Calls an embedding model that vLLM serves."""

    def __init__(self, client: VllmClient, model: Model) -> None:
        self._client = client
        self._model = model

    def __call__(self, _model_id: str, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Return the server's answer and the input tokens that it counted.

        Raises:
            ApiError: whatever went wrong, as the client is to see it.
        """
        response = self._client.post(self._model, "/embeddings", msgspec.json.encode(body))
        try:
            answer: dict[str, Any] = msgspec.json.decode(response.read())
            return answer, int(answer["usage"]["prompt_tokens"])
        except (HTTPError, OSError) as error:
            raise faults.of_exception(error) from error
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            message = "The model server's answer has no form that can be read."
            raise ModelError(message) from None
        finally:
            response.close()


def _pieces(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield what comes as it comes."""
    while piece := response.read1(PIECE):
        yield piece


def _said(response: urllib3.BaseHTTPResponse) -> str:
    """Return the sentence of a refusal, which a load balancer writes as a page."""
    try:
        return faults.message_of(response.read(LONGEST_ERROR))
    except (HTTPError, OSError):
        return ""
    finally:
        response.close()
