"""The gateway as a WSGI application: routes, credentials, and answers in each API's form."""

import json
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from gateway import playground
from gateway.api import chat, embeddings, messages, responses
from gateway.api.body import encode
from gateway.catalogue import Catalogue, Model
from gateway.conversation import Conversation
from gateway.embedding_service import EmbeddingService
from gateway.errors import (
    ApiError,
    AuthenticationError,
    BodyTooLargeError,
    ConflictError,
    PermissionDeniedError,
    UnavailableError,
    of_status,
)
from gateway.governance.budget import BudgetLedger, BudgetUnavailable
from gateway.governance.idempotency import (
    IdempotencyConflict,
    IdempotencyStore,
    StoredAnswer,
)
from gateway.governance.identity import Authenticator, Caller, Suspended, Unauthenticated
from gateway.openapi import document
from gateway.reply import Event, Reply
from gateway.service import ChatService, Exchange

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

JSON = "application/json"
MESSAGES_PATH = "/v1/messages"

ROUTES = Map(
    [
        Rule("/", endpoint="page", methods=["GET"]),
        Rule("/playground/<name>", endpoint="asset", methods=["GET"]),
        Rule("/health", endpoint="health", methods=["GET"]),
        Rule("/openapi.json", endpoint="openapi", methods=["GET"]),
        Rule("/v1/models", endpoint="models", methods=["GET"]),
        Rule("/v1/models/<path:alias>", endpoint="model", methods=["GET"]),
        Rule("/v1/usage", endpoint="usage", methods=["GET"]),
        Rule("/v1/chat/completions", endpoint="chat", methods=["POST"]),
        Rule("/v1/embeddings", endpoint="embeddings", methods=["POST"]),
        Rule("/v1/responses", endpoint="responses", methods=["POST"]),
        Rule(MESSAGES_PATH, endpoint="messages", methods=["POST"]),
    ],
    strict_slashes=False,
    merge_slashes=False,
)
OPEN_ENDPOINTS = {"page", "asset", "health", "openapi"}


class Writer(Protocol):
    """Writes replies in the form of one API."""

    def whole(self, reply: Reply) -> dict[str, Any]:
        """Return a whole answer."""
        ...

    def opening(self) -> Iterator[bytes]:
        """Yield what stands before the first event."""
        ...

    def event(self, event: Event) -> Iterator[bytes]:
        """Yield what one event becomes."""
        ...

    def closing(self, reply: Reply) -> Iterator[bytes]:
        """Yield what ends a complete answer."""
        ...

    def error(self, error: ApiError) -> Iterator[bytes]:
        """Yield a fault in mid-stream."""
        ...


@dataclass(frozen=True)
class Parts:
    """What the application is put together from."""

    catalogue: Catalogue
    authenticator: Authenticator
    ledger: BudgetLedger
    idempotency: IdempotencyStore
    chat: ChatService
    embeddings: EmbeddingService
    largest_body: int


@dataclass(frozen=True)
class Visit:
    """One request with who sent it."""

    request: Request
    caller: Caller
    request_id: str
    body: bytes


class GatewayApplication:
    """The WSGI application."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._started = int(time.time())
        self._openapi = encode(document(parts.catalogue))
        self._open: dict[str, Callable[..., Response]] = {
            "page": playground.page,
            "asset": playground.asset,
            "health": lambda: _json({"status": "ok"}),
            "openapi": lambda: Response(self._openapi, mimetype=JSON),
        }
        self._closed: dict[str, Callable[..., Response]] = {
            "chat": self._chat,
            "embeddings": self._embeddings,
            "messages": self._messages,
            "model": self._model,
            "models": self._models,
            "responses": self._responses,
            "usage": self._usage,
        }

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        request_id = uuid.uuid4().hex
        try:
            response = self._dispatch(request, request_id)
        except ApiError as error:
            response = _error(error, request.path, request_id)
        except (BotoCoreError, ClientError) as problem:
            # Bedrock's own are translated where they arise: these are of keys and budgets.
            _log_defect(problem, request_id)
            unavailable = UnavailableError(
                "Keys and budgets cannot be checked at present. Try again soon.", retry_after=1
            )
            response = _error(unavailable, request.path, request_id)
        except Exception as problem:  # A client gets a sentence, never a stack trace.
            _log_defect(problem, request_id)
            message = "The gateway failed. Report the request id to your platform team."
            response = _error(ApiError(message, code="internal_error"), request.path, request_id)
        # OpenAI's clients read the first name, Anthropic's the second.
        response.headers["x-request-id"] = request_id
        response.headers["request-id"] = request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response(environ, start_response)

    def _dispatch(self, request: Request, request_id: str) -> Response:
        try:
            endpoint, values = ROUTES.bind_to_environ(request.environ).match()
        except HTTPException as error:
            message = f"There is no {request.method} {request.path}. See /openapi.json."
            raise of_status(error.code or 404, message) from None
        if endpoint in OPEN_ENDPOINTS:
            return self._open[endpoint](**values)
        caller = self._authenticate(request)
        visit = Visit(request, caller, request_id, self._read(request))
        key = request.headers.get("Idempotency-Key")
        if key and request.method == "POST":
            return self._once(visit, key, lambda: self._closed[endpoint](visit, **values))
        return self._closed[endpoint](visit, **values)

    def _authenticate(self, request: Request) -> Caller:
        try:
            return self._parts.authenticator.authenticate(dict(request.headers))
        except Suspended as refusal:
            raise PermissionDeniedError(refusal.reason) from None
        except Unauthenticated as refusal:
            raise AuthenticationError(refusal.reason) from None

    def _read(self, request: Request) -> bytes:
        largest = self._parts.largest_body
        if (request.content_length or 0) > largest:
            raise BodyTooLargeError(
                f"The body has {request.content_length} bytes; at most {largest} are taken. "
                "Shorten the conversation, or send smaller images and documents."
            )
        return request.get_data(cache=False)

    def _once(self, visit: Visit, key: str, answer: Callable[[], Response]) -> Response:
        """Answer a request whose key was used before as it was answered then."""
        try:
            claim = self._parts.idempotency.begin(visit.caller, key, visit.body)
        except IdempotencyConflict as conflict:
            raise ConflictError(str(conflict), param="Idempotency-Key") from None
        if isinstance(claim, StoredAnswer):
            return Response(claim.body, claim.status, mimetype=JSON)
        try:
            response = answer()
        except BaseException:
            self._parts.idempotency.abandon(claim)
            raise
        if response.is_streamed:
            # A stream cannot be given twice, and is not kept.
            self._parts.idempotency.abandon(claim)
        else:
            stored = StoredAnswer(response.status_code, response.get_data())
            self._parts.idempotency.complete(claim, stored)
        return response

    def _models(self, visit: Visit) -> Response:
        models = self._parts.catalogue.visible(visit.caller)
        data = [self._entry(alias, model) for alias, model in models.items()]
        return _json({"object": "list", "data": data})

    def _model(self, visit: Visit, alias: str) -> Response:
        visible = self._parts.catalogue.visible(visit.caller)
        kind = visible[alias].kind if alias in visible else "chat"
        return _json(self._entry(alias, self._parts.catalogue.model(alias, visit.caller, kind)))

    def _entry(self, alias: str, model: Model) -> dict[str, Any]:
        return {
            "id": alias,
            "object": "model",
            "created": self._started,
            "owned_by": "amazon-bedrock" if model.base_url is None else "self-hosted",
            "kind": model.kind,
            "capabilities": sorted(model.capabilities),
            "context_tokens": model.context_tokens,
            "max_output_tokens": model.max_output_tokens,
            "micro_usd_per_million_tokens": model.price,
        }

    def _usage(self, visit: Visit) -> Response:
        try:
            report = self._parts.ledger.usage(visit.caller)
        except BudgetUnavailable:
            message = "Budgets cannot be read at present. Try again soon."
            raise UnavailableError(message, retry_after=1) from None
        lines = [
            {
                "scope": line.scope,
                "name": line.name,
                "window": line.window,
                "dimension": line.dimension,
                "used": line.used,
                "held": line.held,
                "limit": line.limit,
                "left": line.left,
                "resets_at": line.resets_at,
            }
            for line in report.lines
        ]
        return _json({"object": "usage", "team": visit.caller.team, "lines": lines})

    def _chat(self, visit: Visit) -> Response:
        conversation, body = chat.parse(visit.body)
        return self._converse(
            visit,
            conversation,
            stream=bool(body.stream),
            writer=lambda model: chat.ChatWriter(visit.request_id, model, body),
        )

    def _responses(self, visit: Visit) -> Response:
        conversation, body = responses.parse(visit.body)
        return self._converse(
            visit,
            conversation,
            stream=bool(body.stream),
            writer=lambda model: responses.ResponsesWriter(visit.request_id, model, body),
        )

    def _messages(self, visit: Visit) -> Response:
        conversation, body = messages.parse(visit.body)
        return self._converse(
            visit,
            conversation,
            stream=bool(body.stream),
            writer=lambda model: messages.MessagesWriter(visit.request_id, model),
        )

    def _converse(
        self,
        visit: Visit,
        conversation: Conversation,
        *,
        stream: bool,
        writer: Callable[[str], Writer],
    ) -> Response:
        exchange = self._parts.chat.open(
            visit.caller, conversation, request_id=visit.request_id, stream=stream
        )
        writes = writer(exchange.model)
        if not stream:
            return _json(writes.whole(exchange.complete()))
        response = Response(_stream(exchange, writes), mimetype="text/event-stream")
        response.headers["Cache-Control"] = "no-store"
        # A generator that was never begun does not run its `finally`.
        response.call_on_close(exchange.close)
        return response

    def _embeddings(self, visit: Visit) -> Response:
        request = embeddings.parse(visit.body)
        vectors, tokens = self._parts.embeddings.vectors(
            visit.caller, request, request_id=visit.request_id
        )
        return _json(embeddings.body_of(request, vectors, tokens))


def _stream(exchange: Exchange, writer: Writer) -> Iterator[bytes]:
    yield from writer.opening()
    try:
        for event in exchange.events():
            yield from writer.event(event)
        yield from writer.closing(exchange.reply)
    except ApiError as error:
        yield from writer.error(error)


def _json(body: Any, status: int = 200) -> Response:
    response = Response(encode(body), status, mimetype=JSON)
    response.headers["Cache-Control"] = "no-store"
    return response


def _error(error: ApiError, path: str, request_id: str) -> Response:
    is_messages = path.startswith(MESSAGES_PATH)
    body = error.messages_body(request_id) if is_messages else error.openai_body()
    response = _json(body, error.status)
    response.headers.update(error.headers)
    return response


def _log_defect(problem: Exception, request_id: str) -> None:
    """Say what failed and where, but not with what: messages of exceptions may quote requests."""
    frames = traceback.extract_tb(problem.__traceback__)
    where = [f"{frame.name}:{frame.lineno}" for frame in frames]
    line = {
        "level": "ERROR",
        "event": "defect",
        "request_id": request_id,
        "error": type(problem).__name__,
        "where": where,
    }
    sys.stderr.write(json.dumps(line) + "\n")
