"""The calls to the Bedrock runtime, and what its faults mean to a client."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol, cast

import botocore.session
import msgspec
from botocore.config import Config
from botocore.eventstream import ParserError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from urllib3.exceptions import HTTPError
from urllib3.exceptions import ReadTimeoutError as StreamTimeoutError

from gateway.current_call import CurrentCall
from gateway.errors import (
    ApiError,
    InvalidRequestError,
    ModelError,
    NotFoundError,
    PermissionDeniedError,
    ThrottledError,
    TimedOutError,
    UnavailableError,
)
from gateway.reply import Event, of_answer, of_stream

# One call and one retry: the SDK's client retries by itself, and two layers multiply.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
TOTAL_ATTEMPTS = 2
CONNECT_TIMEOUT_SECONDS = 5
RETRY_AFTER_SECONDS = 5

# The names are those of Converse's error shapes; in mid-stream their first letter is small.
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
FAULTS: dict[str, Callable[[str], ApiError]] = {
    "accessdeniedexception": lambda said: PermissionDeniedError(
        f"The gateway may not call this model: {said}", param="model"
    ),
    "internalserverexception": lambda said: UnavailableError(
        f"Bedrock failed: {said}", retry_after=RETRY_AFTER_SECONDS
    ),
    "modelerrorexception": lambda said: ModelError(f"The model failed: {said}"),
    "modelnotreadyexception": lambda said: ThrottledError(
        f"The model is not ready yet: {said}", retry_after=RETRY_AFTER_SECONDS
    ),
    "modelstreamerrorexception": lambda said: ModelError(f"The model broke off: {said}"),
    "modeltimeoutexception": lambda said: TimedOutError(f"The model took too long: {said}"),
    "resourcenotfoundexception": lambda said: NotFoundError(
        f"Bedrock does not know this model: {said}", param="model", code="model_not_found"
    ),
    "servicequotaexceededexception": lambda said: ThrottledError(
        f"A quota of Bedrock is used up: {said}", retry_after=RETRY_AFTER_SECONDS
    ),
    "serviceunavailableexception": lambda said: UnavailableError(
        f"Bedrock is not available: {said}", retry_after=RETRY_AFTER_SECONDS
    ),
    "throttlingexception": lambda said: ThrottledError(
        f"Bedrock asks for fewer requests: {said}", retry_after=RETRY_AFTER_SECONDS
    ),
    "validationexception": lambda said: InvalidRequestError(f"Bedrock refuses the request: {said}"),
}


class BedrockRuntime(Protocol):
    """The part of botocore's client that the gateway uses."""

    def converse(self, **params: Any) -> dict[str, Any]:
        """Return a whole answer."""
        ...

    def converse_stream(self, **params: Any) -> dict[str, Any]:
        """Return an answer whose ``stream`` is an iterator of events."""
        ...

    def invoke_model(self, **params: Any) -> dict[str, Any]:
        """Return a model's own answer."""
        ...

    def apply_guardrail(self, **params: Any) -> dict[str, Any]:
        """Return a guardrail's verdict on texts."""
        ...


def create_client(*, read_timeout_seconds: float, connections: int) -> BedrockRuntime:
    """Create the client from the environment's region and credentials.

    ``AWS_ENDPOINT_URL_BEDROCK_RUNTIME`` points it elsewhere. ``connections`` is how many calls may
    be open at once.
    """
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=read_timeout_seconds,
        max_pool_connections=connections,
        # `total_max_attempts` counts the first call; `max_attempts` would not.
        retries={"mode": "standard", "total_max_attempts": TOTAL_ATTEMPTS},
        tcp_keepalive=True,
        # Checked by Bedrock itself; here it would cost a millisecond of CPU per request.
        parameter_validation=False,
    )
    session = botocore.session.get_session()
    client = session.create_client("bedrock-runtime", config=config)
    client.meta.events.register("before-send.bedrock-runtime", _refuse_abandoned)
    # Botocore makes the operations at run time.
    return cast("BedrockRuntime", client)


def fault(error: Exception) -> ApiError:
    """Return what an exception of botocore means to a client."""
    if isinstance(error, ClientError):  # EventStreamError is one of them
        said = error.response.get("Error", {})
        known = FAULTS.get(str(said.get("Code", "")).lower())
        if known:
            return known(str(said.get("Message", "")))
        return ModelError(f"Bedrock answered {said.get('Code')}.")
    if isinstance(error, ReadTimeoutError | ConnectTimeoutError | StreamTimeoutError):
        return TimedOutError("Bedrock did not answer in time. Send the request again.")
    if isinstance(error, EndpointConnectionError):
        return UnavailableError("Bedrock cannot be reached.", retry_after=RETRY_AFTER_SECONDS)
    return ModelError("The connection to Bedrock broke off. Send the request again.")


# Streams are read past botocore's own wrapping, so that urllib3's errors arrive as they are.
BEDROCK_ERRORS = (BotoCoreError, ClientError, ParserError, HTTPError)


class _AbandonedError(BotoCoreError):
    """Nobody waits for the call any more."""

    fmt = "The call was abandoned."


_current: CurrentCall["ConverseCall"] = CurrentCall()


def _refuse_abandoned(**_: object) -> None:
    """Keep botocore from trying a call again that its reader has given up."""
    call = _current.get()
    if call is not None and call.is_closed:
        raise _AbandonedError


class ConverseCall:
    """One call to Converse, whole or as a stream. ``close`` ends it from another thread."""

    def __init__(self, client: BedrockRuntime, params: dict[str, Any], *, stream: bool) -> None:
        self._client = client
        self._params = params
        self._stream = stream
        self._body: Any = None
        self.is_closed = False

    def events(self) -> Iterator[Event]:
        """Make the call and return its events.

        Raises:
            ApiError: whatever went wrong, as the client is to see it.
        """
        try:
            if not self._stream:
                with _current.made(self):
                    answer = self._client.converse(**self._params)
                yield from of_answer(answer)
                return
            with _current.made(self):
                self._body = self._client.converse_stream(**self._params)["stream"]
            if self.is_closed:
                return
            yield from of_stream(self._body)
        except BEDROCK_ERRORS as error:
            raise fault(error) from error
        finally:
            if self._body is not None:
                self._body.close()

    def close(self) -> None:
        """End the call: Bedrock stops generating when its connection closes."""
        self.is_closed = True
        if self._body is not None:
            # Closing waits for a read that another thread is in; a shutdown ends that read. It
            # refuses, with one of these, when the answer has just come to its end.
            with suppress(OSError, RuntimeError, ValueError):
                self._body._raw_stream.shutdown()


class EmbeddingCall:
    """Calls an embedding model. ``metadata`` marks the calls in Bedrock's invocation logs."""

    def __init__(self, client: BedrockRuntime, metadata: dict[str, str]) -> None:
        self._client = client
        self._metadata = metadata

    def __call__(self, model_id: str, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Return the model's answer and the input tokens that Bedrock counted.

        Raises:
            ApiError: whatever went wrong, as the client is to see it.
        """
        try:
            response = self._client.invoke_model(
                modelId=model_id,
                body=msgspec.json.encode(body),
                contentType="application/json",
                accept="application/json",
                requestMetadata=msgspec.json.encode(self._metadata).decode(),
            )
            answer: dict[str, Any] = msgspec.json.decode(response["body"].read())
        except BEDROCK_ERRORS as error:
            raise fault(error) from error
        headers = response["ResponseMetadata"]["HTTPHeaders"]
        return answer, int(headers.get("x-amzn-bedrock-input-token-count", 0))
