"""What the faults of a model server, or of the load balancer before it, mean to a client."""

from http import HTTPStatus

import msgspec
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as ConnectionTimedOut

from gateway.errors import (
    ApiError,
    BodyTooLargeError,
    InvalidRequestError,
    ModelError,
    ThrottledError,
    TimedOutError,
    UnavailableError,
)

RETRY_AFTER_SECONDS = 5
LONGEST_RETRY_AFTER_SECONDS = 600


class _Said(msgspec.Struct):
    message: str = ""


class _Body(msgspec.Struct):
    """Either form of vLLM's: within ``error``, and before version 0.10 without it."""

    error: _Said | None = None
    message: str = ""


def message_of(body: bytes) -> str:
    """Return what the server says in its answer, nothing where it is not JSON."""
    try:
        said = msgspec.json.decode(body, type=_Body)
    except msgspec.DecodeError:
        return ""
    return said.error.message if said.error else said.message


def of_error(status: int, said: str, retry_after: str | None = None) -> ApiError:
    """Return what a status means; ``said`` is the server's sentence, where it has one.

    What the gateway itself did wrong (its key, the model's name) is a server that cannot be used:
    the client can do nothing about it, and a fallback can.
    """
    reason = f": {said}" if said else "."
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
        return InvalidRequestError(f"The model refuses the request{reason}")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return BodyTooLargeError(f"The request is too large for the model{reason}")
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT):
        return TimedOutError("The model server did not answer in time. Send the request again.")
    seconds = _seconds(retry_after)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ThrottledError(
            f"The model server asks for fewer requests{reason}", retry_after=seconds
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        message = "The model server does not accept the gateway's key. Tell your platform team."
        return UnavailableError(message, retry_after=seconds)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE):
        return UnavailableError(f"The model server has no model ready{reason}", retry_after=seconds)
    return ModelError(f"The model server failed{reason}")


def of_exception(error: HTTPError | OSError) -> ApiError:
    """Return what a broken connection means."""
    if isinstance(error, ConnectTimeoutError | NewConnectionError):
        message = "The model server cannot be reached."
        return UnavailableError(message, retry_after=RETRY_AFTER_SECONDS)
    if isinstance(error, ConnectionTimedOut):
        return TimedOutError("The model server did not answer in time. Send the request again.")
    return ModelError("The connection to the model server broke off. Send the request again.")


def _seconds(retry_after: str | None) -> int:
    """Read ``Retry-After``; a date, which nothing here sends, counts as absent."""
    if retry_after is None or not retry_after.isdecimal():
        return RETRY_AFTER_SECONDS
    return min(max(1, int(retry_after)), LONGEST_RETRY_AFTER_SECONDS)
