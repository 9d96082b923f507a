"""Embeddings from request to settled budget."""

import time
from collections.abc import Callable

from gateway.api.embeddings import Embedder, EmbeddingsBody, texts_of
from gateway.backends import Backends
from gateway.catalogue import Catalogue
from gateway.errors import ApiError, ThrottledError
from gateway.governance.budget import BudgetLedger, Usage
from gateway.governance.identity import Caller
from gateway.service import Accounts, Journal, Record, caller_metadata


class EmbeddingService:
    """Answers embedding requests. They have no guardrail: an embedding says nothing."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        backends: Backends,
        ledger: BudgetLedger,
        journal: Journal,
        deadline_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._backends = backends
        self._accounts = Accounts(ledger)
        self._journal = journal
        self._deadline_seconds = deadline_seconds
        self._clock = clock

    def vectors(
        self, caller: Caller, request: EmbeddingsBody, *, request_id: str
    ) -> tuple[list[list[float]], int]:
        """Return a vector for each text, and the input tokens that were counted.

        Raises:
            ApiError: the request is refused, or a call failed.
        """
        started = self._clock()
        texts = texts_of(request)
        record = Record(request_id, caller, request.model, stream=False, prompt_texts=texts)
        try:
            vectors, tokens = self._vectors(record, request, started)
            record.outcome = "ok"
        except ApiError as error:
            record.note(error)
            record.throttles = int(isinstance(error, ThrottledError))
            raise
        finally:
            record.total_seconds = self._clock() - started
            self._journal.write(record)
        return vectors, tokens

    def _vectors(
        self, record: Record, request: EmbeddingsBody, started: float
    ) -> tuple[list[list[float]], int]:
        model = self._catalogue.model(request.model, record.caller, "embedding")
        metadata = caller_metadata(record.caller, record.request_id)
        if request.user:
            metadata["user"] = request.user
        embedder = Embedder(model, request, self._backends.embed(model, metadata))
        size = sum(len(text.encode()) for text in record.prompt_texts)
        # Each text may fill the context, so that the bound of one text is no bound here.
        estimate = -(-size // model.bytes_per_token) + len(record.prompt_texts)
        reservation = self._accounts.reserve(
            record.caller,
            model=request.model,
            input_tokens=estimate,
            output_tokens=0,
            request_id=record.request_id,
        )
        deadline = started + self._deadline_seconds
        try:
            vectors, tokens = embedder.vectors(lambda: self._clock() < deadline)
        except BaseException:
            # Some of the calls may have been answered: what cannot be known counts in full.
            self._accounts.settle(reservation, Usage(estimate, 0))
            raise
        record.usage = Usage(tokens, 0)
        self._accounts.settle(reservation, record.usage)
        return vectors, tokens
