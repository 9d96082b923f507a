"""A conversation from request to settled budget: reservation, call, fallback, settlement."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from gateway.backends import Backends
from gateway.breaker import COUNTED, CircuitBreaker
from gateway.catalogue import Catalogue, Model
from gateway.conversation import Conversation
from gateway.errors import (
    ApiError,
    QuotaExceededError,
    ThrottledError,
    TimedOutError,
    UnavailableError,
)
from gateway.governance.budget import (
    BudgetExceeded,
    BudgetLedger,
    BudgetUnavailable,
    Reservation,
    Usage,
)
from gateway.governance.identity import Caller
from gateway.governance.telemetry import Tracing, span_attributes
from gateway.reply import Delta, Event, Heartbeat, Reply
from gateway.upstream import Upstream

Clock = Callable[[], float]


@dataclass(frozen=True)
class Timeouts:
    """Seconds: of a whole request, of silence before a heartbeat, and before the first event.

    ``first_event_seconds`` is how long a stream may hold back its status; edge-optimised
    endpoints and many proxies give up after 30 seconds without a byte.
    """

    deadline_seconds: float = 840
    heartbeat_seconds: float = 10
    first_event_seconds: float = 25


@dataclass
class Record:
    """What is known of a request once it is over, for the log and the metrics.

    Times are in seconds since the request began. ``outcome`` is ``ok``, ``client_closed`` or an
    error's code; ``failed`` is set when it was not the client's doing.
    """

    request_id: str
    caller: Caller
    model: str
    stream: bool
    prompt_texts: list[str]
    reply: Reply = field(default_factory=Reply)
    usage: Usage | None = None
    outcome: str = "client_closed"
    first_token_seconds: float | None = None
    total_seconds: float = 0
    fallbacks: int = 0
    throttles: int = 0
    budget_refused: bool = False
    failed: bool = False

    def note(self, error: ApiError) -> None:
        """Take in the error that ended the request."""
        self.outcome = error.code or error.type
        self.failed = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        self.budget_refused = isinstance(error, QuotaExceededError)


class Journal(Protocol):
    """Writes a request into the log and the metrics; never raises."""

    def write(self, record: Record) -> None:
        """Take in one request that is over."""
        ...


class Accounts:
    """The ledger, with its refusals as errors of the API."""

    def __init__(self, ledger: BudgetLedger) -> None:
        self._ledger = ledger

    def reserve(
        self, caller: Caller, *, model: str, input_tokens: int, output_tokens: int, request_id: str
    ) -> Reservation:
        """Hold what a request may use.

        Raises:
            QuotaExceededError: a budget does not hold it.
            UnavailableError: the ledger cannot tell, and nothing is called without it.
        """
        try:
            return self._ledger.reserve(
                caller,
                model=model,
                input_tokens=input_tokens,
                max_output_tokens=output_tokens,
                request_id=request_id,
            )
        except BudgetExceeded as refusal:
            raise QuotaExceededError.of(refusal) from refusal
        except BudgetUnavailable as problem:
            message = "Budgets cannot be checked at present. Try again soon."
            raise UnavailableError(message, retry_after=1) from problem

    def settle(self, reservation: Reservation, usage: Usage) -> bool:
        """Settle, and return whether the ledger took it; if not, the lease returns by itself."""
        try:
            self._ledger.settle(reservation, usage)
        except BudgetUnavailable:
            return False
        return True

    def release(self, reservation: Reservation) -> bool:
        """Release, and return whether the ledger took it; if not, the lease returns by itself."""
        try:
            self._ledger.release(reservation)
        except BudgetUnavailable:
            return False
        return True


@dataclass(frozen=True)
class _Attempt:
    """One model's turn at a request."""

    alias: str
    model: Model
    input_tokens: int
    output_tokens: int
    reservation: Reservation
    upstream: Upstream


class CallSpan:
    """The trace of one call, where OpenTelemetry is configured; see docs/governance.md."""

    def __init__(self, tracing: Tracing, record: Record) -> None:
        self._asked = record.model
        self._stack = ExitStack()
        span = tracing.span("chat", record.model, record.request_id)
        self._span = self._stack.enter_context(span)
        self.max_tokens = 0

    def end(self, record: Record, error: BaseException | None = None) -> None:
        """Note what came of the call, and end the span."""
        if self._span is not None:
            self._span.set_attributes(
                span_attributes(
                    request_model=self._asked,
                    response_model=record.model,
                    max_tokens=self.max_tokens,
                    usage=record.usage,
                    finish_reason=record.reply.stop_reason,
                )
            )
        # The span takes note of the error, which is raised elsewhere.
        with suppress(ApiError):
            self._stack.__exit__(type(error) if error else None, error, None)


class Exchange:
    """An answer on its way, from its first event on. ``close`` it in any case."""

    def __init__(
        self,
        attempt: _Attempt,
        record: Record,
        *,
        accounts: Accounts,
        breaker: CircuitBreaker,
        span: CallSpan,
        finish: Callable[[Record], None],
        elapsed: Callable[[], float],
    ) -> None:
        self._attempt = attempt
        self._record = record
        self._accounts = accounts
        self._breaker = breaker
        self._span = span
        self._error: ApiError | None = None
        self._finish = finish
        self._elapsed = elapsed
        self._closed = False
        self._deltas = 0

    @property
    def model(self) -> str:
        """The alias of the model that answers, which may be a fallback."""
        return self._attempt.alias

    @property
    def reply(self) -> Reply:
        """The answer as far as it has come."""
        return self._record.reply

    def events(self) -> Iterator[Event]:
        """Yield the answer's events until it is complete, and settle.

        Raises:
            ApiError: the answer broke off.
        """
        try:
            for event in self._attempt.upstream:
                self._note(event)
                yield event
            self._record.outcome = "ok"
            self._breaker.succeeded(self.model)
        except ApiError as error:
            self._error = error
            self._record.note(error)
            self._record.throttles += isinstance(error, ThrottledError)
            self._breaker.failed(self.model, error)
            raise
        finally:
            self.close()

    def complete(self) -> Reply:
        """Return the whole answer.

        Raises:
            ApiError: the answer broke off.
        """
        for _ in self.events():
            pass
        return self.reply

    def close(self) -> None:
        """Settle what was used, end the call if it still runs, and write the record; once."""
        if self._closed:
            return
        self._closed = True
        self._attempt.upstream.close()
        if self._record.outcome == "client_closed":
            self._breaker.cancelled(self.model)
        usage = self.reply.usage or self._estimate()
        self._accounts.settle(self._attempt.reservation, usage)
        self._record.usage = usage
        self._record.total_seconds = self._elapsed()
        self._span.end(self._record, self._error)
        self._finish(self._record)

    def _note(self, event: Event) -> None:
        if isinstance(event, Heartbeat):
            return
        if self._record.first_token_seconds is None:
            self._record.first_token_seconds = self._elapsed()
        self._deltas += isinstance(event, Delta)
        self.reply.add(event)

    def _estimate(self) -> Usage:
        """Return an upper bound: an answer that broke off was counted, but nobody is told."""
        written = self._attempt.model.tokens_of(len(self.reply.everything.encode()))
        output = min(max(written, self._deltas), self._attempt.output_tokens)
        return Usage(self._attempt.input_tokens, output)


class ChatService:
    """Answers conversations."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        backends: Backends,
        ledger: BudgetLedger,
        journal: Journal,
        timeouts: Timeouts,
        breaker: CircuitBreaker,
        tracing: Tracing,
        clock: Clock = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._backends = backends
        self._accounts = Accounts(ledger)
        self._journal = journal
        self._timeouts = timeouts
        self._breaker = breaker
        self._tracing = tracing
        self._clock = clock

    def open(
        self, caller: Caller, conversation: Conversation, *, request_id: str, stream: bool
    ) -> Exchange:
        """Call the model, or its fallbacks in turn, and return once an answer has begun.

        Raises:
            ApiError: the request is refused, or no model began to answer. When several failed,
                it is the first one's error: that is the model that the client asked for.
        """
        started = self._clock()
        record = Record(request_id, caller, conversation.model, stream, conversation.prompt_texts())
        span: CallSpan | None = None
        try:
            chain = self._catalogue.chain(conversation.model, caller)
            span = CallSpan(self._tracing, record)
            attempt = self._first_to_answer(chain, conversation, record, started)
        except ApiError as error:
            record.note(error)
            record.total_seconds = self._clock() - started
            if span is not None:
                span.end(record, error)
            self._journal.write(record)
            raise
        record.model = attempt.alias
        span.max_tokens = attempt.output_tokens
        return Exchange(
            attempt,
            record,
            accounts=self._accounts,
            breaker=self._breaker,
            span=span,
            finish=self._journal.write,
            elapsed=lambda: self._clock() - started,
        )

    def _first_to_answer(
        self, chain: list[str], conversation: Conversation, record: Record, started: float
    ) -> _Attempt:
        first: ApiError | None = None
        for number, alias in enumerate(chain):
            try:
                attempt = self._try(alias, conversation, record, started, number)
            except ApiError as error:
                record.throttles += isinstance(error, ThrottledError)
                first = first or error
                if not isinstance(first, COUNTED):
                    break
            else:
                record.fallbacks = number
                return attempt
        raise first or UnavailableError("No model could be tried.")

    def _try(
        self, alias: str, conversation: Conversation, record: Record, started: float, number: int
    ) -> _Attempt:
        self._breaker.check(alias)
        try:
            return self._call(alias, conversation, record, started, number)
        except BaseException:
            # Failures of the model are counted where they happen; the rest say nothing of it.
            self._breaker.cancelled(alias)
            raise

    def _call(
        self, alias: str, conversation: Conversation, record: Record, started: float, number: int
    ) -> _Attempt:
        model = self._catalogue.entry(alias)
        prepared = self._backends.prepare(
            conversation,
            model,
            caller_metadata=caller_metadata(record.caller, record.request_id),
            stream=record.stream,
        )
        input_tokens = model.tokens_of(*conversation.size())
        reservation = self._accounts.reserve(
            record.caller,
            model=alias,
            input_tokens=input_tokens,
            output_tokens=prepared.max_tokens,
            # Each attempt has a lease of its own: one that was returned cannot be taken again.
            request_id=f"{record.request_id}-{number}",
        )
        deadline = started + self._timeouts.deadline_seconds
        upstream = Upstream(
            prepared.call,
            deadline=deadline,
            heartbeat_seconds=self._timeouts.heartbeat_seconds,
            clock=self._clock,
        )
        attempt = _Attempt(alias, model, input_tokens, prepared.max_tokens, reservation, upstream)
        self._begin(attempt, stream=record.stream)
        return attempt

    def _begin(self, attempt: _Attempt, *, stream: bool) -> None:
        """Wait until the answer begins; of a whole answer, until it is there."""
        patience = self._timeouts.first_event_seconds if stream else float("inf")
        try:
            attempt.upstream.begin(patience)
        except BaseException as error:
            attempt.upstream.close()
            if isinstance(error, ApiError):
                self._breaker.failed(attempt.alias, error)
            if isinstance(error, TimedOutError):
                # The model may have worked all that time: what cannot be known counts in full.
                used = Usage(attempt.input_tokens, attempt.output_tokens)
                self._accounts.settle(attempt.reservation, used)
            else:
                self._accounts.release(attempt.reservation)
            raise


def caller_metadata(caller: Caller, request_id: str) -> dict[str, str]:
    """Return what marks a caller's requests in Bedrock's invocation logs."""
    return {"team": caller.team, "key_id": caller.key_id, "request_id": request_id}
