"""Writes what happened to each request: the request log, the metrics, the teams' redactors."""

import threading
from typing import Protocol

from gateway.catalogue import Catalogue
from gateway.governance.record import RequestLog
from gateway.governance.redaction import Redactor
from gateway.governance.telemetry import RequestMetrics, Telemetry
from gateway.service import Record

# What a client wrote as a model's name could be anything, and must not become a metric's dimension.
UNKNOWN_MODEL = "unknown"


class Keys(Protocol):
    """Where the key of the pseudonyms is read."""

    def current(self) -> tuple[str, bytes]:
        """Return the version and the key."""
        ...


class Redactors:
    """A redactor for each team, made at its first request."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._of_team: dict[tuple[str, str], Redactor] = {}

    def __call__(self, team: str) -> Redactor:
        """Return the team's redactor under the current key; raises what reading the key does."""
        version, key = self._keys.current()
        with self._lock:
            redactor = self._of_team.get((version, team))
            if redactor is None:
                redactor = self._of_team[version, team] = Redactor(key, team)
            return redactor


class GovernedJournal:
    """Takes in requests that are over; see :class:`gateway.service.Journal`."""

    def __init__(self, catalogue: Catalogue, log: RequestLog, telemetry: Telemetry) -> None:
        self._models = catalogue.entries()
        self._log = log
        self._telemetry = telemetry

    def write(self, record: Record) -> None:
        """Write the log line that the team's policy allows, and the metrics; never raises."""
        model = record.model if record.model in self._models else UNKNOWN_MODEL
        total_ms = 1000 * record.total_seconds
        first = record.first_token_seconds
        first_ms = None if first is None else 1000 * first
        timings = {"total": total_ms, **({} if first_ms is None else {"first_token": first_ms})}
        written = self._log.write(
            record.caller,
            record.request_id,
            model,
            record.prompt_texts,
            record.reply.everything,
            record.usage,
            record.outcome,
            timings,
        )
        metrics = RequestMetrics(
            model=model,
            latency_ms=total_ms,
            first_token_ms=first_ms,
            usage=record.usage,
            cost_micro_usd=self._cost(record),
            throttles=record.throttles,
            fallbacks=record.fallbacks,
            guardrail_interventions=int(record.reply.stop_reason == "guardrail_intervened"),
            redactions=written.redactions,
            redaction_failures=int(written.redaction_failed),
            budget_refusals=int(record.budget_refused),
            errors=int(record.failed),
        )
        self._telemetry.record(record.caller, record.request_id, metrics)

    def _cost(self, record: Record) -> int:
        if record.usage is None or record.model not in self._models:
            return 0
        return self._models[record.model].rates.amounts(record.usage).micro_usd
