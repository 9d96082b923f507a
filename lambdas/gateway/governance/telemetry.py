"""Metrics in CloudWatch's embedded metric format, and spans by OpenTelemetry's conventions.

Metrics have the dimensions model and environment, and once more the environment alone, because a
percentile over models cannot be had from those of each. A team as a dimension would make a metric
per team, each paid for, so that it is a property of the line instead.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from gateway.governance.budget import Usage
from gateway.governance.identity import Caller, Clock

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

NAMESPACE = "LLMPlatform/Gateway"

DIMENSIONS = [["Model", "Environment"], ["Environment"]]
"""The dimensions that each metric is written with."""

UNITS = {
    "Requests": "Count",
    "TimeToFirstToken": "Milliseconds",
    "Latency": "Milliseconds",
    "InputTokens": "Count",
    "OutputTokens": "Count",
    "CacheReadTokens": "Count",
    "CacheWriteTokens": "Count",
    "Tokens": "Count",
    "CostMicroUsd": "None",
    "Throttles": "Count",
    "Fallbacks": "Count",
    "GuardrailInterventions": "Count",
    "Redactions": "Count",
    "RedactionFailures": "Count",
    "BudgetRefusals": "Count",
    "Errors": "Count",
}
"""Every metric and its unit."""


@dataclass(frozen=True)
class RequestMetrics:
    """What is measured of one request; times in milliseconds, ``None`` where there was nothing."""

    model: str
    latency_ms: float
    first_token_ms: float | None = None
    usage: Usage | None = None
    cost_micro_usd: int = 0
    throttles: int = 0
    fallbacks: int = 0
    guardrail_interventions: int = 0
    redactions: int = 0
    redaction_failures: int = 0
    budget_refusals: int = 0
    errors: int = 0

    def values(self) -> dict[str, float]:
        """Return the metrics by name, without those that this request says nothing about."""
        values: dict[str, float] = {
            "Requests": 1,
            "Latency": self.latency_ms,
            "Throttles": self.throttles,
            "Fallbacks": self.fallbacks,
            "GuardrailInterventions": self.guardrail_interventions,
            "Redactions": self.redactions,
            "RedactionFailures": self.redaction_failures,
            "BudgetRefusals": self.budget_refusals,
            "Errors": self.errors,
        }
        if self.first_token_ms is not None:
            values["TimeToFirstToken"] = self.first_token_ms
        if self.usage is not None:
            values |= {
                "InputTokens": self.usage.input_tokens,
                "OutputTokens": self.usage.output_tokens,
                "CacheReadTokens": self.usage.cache_read_tokens,
                "CacheWriteTokens": self.usage.cache_write_tokens,
                "Tokens": self.usage.input_tokens
                + self.usage.output_tokens
                + self.usage.cache_read_tokens
                + self.usage.cache_write_tokens,
                "CostMicroUsd": self.cost_micro_usd,
            }
        return values


class Telemetry:
    """Writes one line of metrics per request to ``stream`` (default: standard output)."""

    def __init__(
        self, environment: str, *, stream: TextIO | None = None, clock: Clock = time.time
    ) -> None:
        self._environment = environment
        self._stream = stream
        self._clock = clock

    def record(self, caller: Caller, request_id: str, metrics: RequestMetrics) -> None:
        """Write the metrics of one request; never raises."""
        values = metrics.values()
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": DIMENSIONS,
            "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
        }
        line = {
            "_aws": {"Timestamp": int(self._clock() * 1000), "CloudWatchMetrics": [directive]},
            "Model": metrics.model,
            "Environment": self._environment,
            "request_id": request_id,
            "team": caller.team,
            "key_id": caller.key_id,
            **values,
        }
        stream = self._stream or sys.stdout
        try:
            stream.write(json.dumps(line) + "\n")
            stream.flush()
        except (OSError, ValueError):
            return  # Standard output is closed: there is nobody left to tell.


def span_attributes(
    *,
    request_model: str,
    response_model: str,
    max_tokens: int,
    usage: Usage | None,
    finish_reason: str | None,
    operation: str = "chat",
) -> dict[str, Any]:
    """Return the attributes of a call by the conventions for generative AI.

    Input tokens there include those of the cache
    (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/).
    """
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": request_model,
        "gen_ai.response.model": response_model,
        "gen_ai.request.max_tokens": max_tokens,
    }
    if finish_reason is not None:
        attributes["gen_ai.response.finish_reasons"] = [finish_reason]
    if usage is not None:
        cached = usage.cache_read_tokens + usage.cache_write_tokens
        attributes |= {
            "gen_ai.usage.input_tokens": usage.input_tokens + cached,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        }
    return attributes


class Tracing:
    """Makes spans where OpenTelemetry is configured, and nothing elsewhere.

    It is configured when ``OTEL_TRACES_EXPORTER`` or ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set and the
    OpenTelemetry API can be imported; it is imported at the first span.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        exporter = environment.get("OTEL_TRACES_EXPORTER", "")
        endpoint = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        self._wanted = exporter != "none" and bool(exporter or endpoint)
        self._tracer: Tracer | None = None

    @contextmanager
    def span(self, operation: str, model: str, request_id: str) -> Iterator["Span | None"]:
        """Open a client span for one call of a model; ``None`` where there is no tracing.

        An exception that passes is noted by its type alone: its text may quote the request.
        """
        tracer = self._start()
        if tracer is None:
            yield None
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode

        with tracer.start_as_current_span(
            f"{operation} {model}",
            kind=SpanKind.CLIENT,
            attributes={"request.id": request_id},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def _start(self) -> "Tracer | None":
        if self._wanted and self._tracer is None:
            try:
                from opentelemetry import trace
            except ImportError:
                self._wanted = False
                return None
            self._tracer = trace.get_tracer("gateway")
        return self._tracer
