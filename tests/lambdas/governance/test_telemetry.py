"""Metrics by the specification of the embedded metric format, and spans by OpenTelemetry's."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.governance.budget import Usage
from gateway.governance.telemetry import (
    UNITS,
    RequestMetrics,
    Telemetry,
    Tracing,
    span_attributes,
)
from tests.lambdas.governance.budgets import CALLER, NOON, FixedClock

SCHEMA = json.loads(Path(__file__).with_name("emf.schema.json").read_text(encoding="utf-8"))
ROOT = Path(__file__).parents[3]
USAGE = Usage(input_tokens=10, output_tokens=20, cache_read_tokens=30, cache_write_tokens=40)
FULL = RequestMetrics(
    model="smart",
    latency_ms=900.5,
    first_token_ms=120.0,
    usage=USAGE,
    cost_micro_usd=1_234,
    throttles=1,
    fallbacks=2,
    guardrail_interventions=3,
    redactions=4,
    redaction_failures=5,
    budget_refusals=6,
    errors=7,
)


def record(metrics: RequestMetrics) -> dict[str, Any]:
    stream = io.StringIO()
    Telemetry("prod", stream=stream, clock=FixedClock()).record(CALLER, "req-1", metrics)
    assert stream.getvalue().count("\n") == 1
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


@pytest.mark.parametrize("metrics", [FULL, RequestMetrics(model="smart", latency_ms=1)])
def test_lines_follow_the_specification(metrics: RequestMetrics) -> None:
    line = record(metrics)
    jsonschema.Draft202012Validator(SCHEMA).validate(line)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    for definition in directive["Metrics"]:
        assert isinstance(line[definition["Name"]], int | float)
    for dimensions in directive["Dimensions"]:
        assert all(isinstance(line[name], str) for name in dimensions)
    assert line["_aws"]["Timestamp"] == NOON * 1000


def test_the_schema_refuses_what_the_specification_does() -> None:
    line = record(FULL)
    line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Unit"] = "Tokens"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(line)


def test_every_metric_is_written_with_its_value() -> None:
    line = record(FULL)
    assert {name: line[name] for name in UNITS} == {
        "Requests": 1,
        "TimeToFirstToken": 120.0,
        "Latency": 900.5,
        "InputTokens": 10,
        "OutputTokens": 20,
        "CacheReadTokens": 30,
        "CacheWriteTokens": 40,
        "Tokens": 100,
        "CostMicroUsd": 1_234,
        "Throttles": 1,
        "Fallbacks": 2,
        "GuardrailInterventions": 3,
        "Redactions": 4,
        "RedactionFailures": 5,
        "BudgetRefusals": 6,
        "Errors": 7,
    }


def test_only_model_and_environment_are_dimensions_and_the_team_is_a_property() -> None:
    line = record(FULL)
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [
        ["Model", "Environment"],
        ["Environment"],
    ]
    assert (line["Model"], line["Environment"]) == ("smart", "prod")
    assert (line["request_id"], line["team"], line["key_id"]) == ("req-1", "search", "abc")


def test_a_request_that_was_refused_says_nothing_about_tokens() -> None:
    line = record(RequestMetrics(model="smart", latency_ms=3, budget_refusals=1))
    assert line["BudgetRefusals"] == 1
    assert not {"InputTokens", "CostMicroUsd", "TimeToFirstToken"} & set(line)


def test_a_closed_stream_stops_nobody() -> None:
    stream = io.StringIO()
    stream.close()
    Telemetry("prod", stream=stream).record(CALLER, "req-1", FULL)
    assert stream.closed


def test_lines_go_to_standard_output_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    Telemetry("prod").record(CALLER, "req-1", FULL)
    assert json.loads(capsys.readouterr().out)["Requests"] == 1


def attributes(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "request_model": "smart",
        "response_model": "eu.anthropic.model",
        "max_tokens": 100,
        "usage": USAGE,
        "finish_reason": "stop",
        **changes,
    }
    return span_attributes(**arguments)


def test_attributes_have_the_names_of_the_conventions() -> None:
    conventions = pytest.importorskip(
        "opentelemetry.semconv._incubating.attributes.gen_ai_attributes",
        reason="opentelemetry-semantic-conventions is not installed",
    )
    known = {value for value in vars(conventions).values() if isinstance(value, str)}
    assert set(attributes()) <= known
    assert attributes()["gen_ai.provider.name"] in known | {
        member.value for member in conventions.GenAiProviderNameValues
    }


def test_input_tokens_include_the_cache_as_the_conventions_say() -> None:
    found = attributes()
    assert found["gen_ai.provider.name"] == "aws.bedrock"
    assert found["gen_ai.usage.input_tokens"] == 80
    assert found["gen_ai.usage.output_tokens"] == 20
    assert found["gen_ai.response.finish_reasons"] == ["stop"]


def test_what_is_not_known_is_left_out() -> None:
    found = attributes(usage=None, finish_reason=None)
    assert not [name for name in found if "usage" in name or "finish" in name]


@pytest.mark.parametrize("environment", [{}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_without_configuration_there_is_no_span(environment: dict[str, str]) -> None:
    with Tracing(environment).span("chat", "smart", "req-1") as span:
        assert span is None


def test_without_the_library_there_is_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    tracing = Tracing({"OTEL_TRACES_EXPORTER": "otlp"})
    for _ in range(2):
        with tracing.span("chat", "smart", "req-1") as span:
            assert span is None


def test_spans_carry_the_request_and_the_kind_of_an_error_but_never_its_text() -> None:
    """In a process of its own: a tracer provider can be set only once."""
    pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
    code = """
import json, sys
sys.path.insert(0, "lambdas")
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from gateway.governance.telemetry import Tracing
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
tracing = Tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
with tracing.span("chat", "smart", "req-1") as span:
    span.set_attribute("gen_ai.provider.name", "aws.bedrock")
try:
    with tracing.span("chat", "smart", "req-2"):
        raise ValueError("ada@example.com")
except ValueError:
    pass
print(json.dumps([json.loads(span.to_json()) for span in spans.get_finished_spans()]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    good, bad = json.loads(done.stdout)
    assert (good["name"], good["kind"]) == ("chat smart", "SpanKind.CLIENT")
    assert good["attributes"]["request.id"] == "req-1"
    assert bad["status"]["status_code"] == "ERROR"
    assert bad["attributes"]["error.type"] == "ValueError"
    assert "ada@" not in done.stdout


def test_loading_governance_loads_nothing_heavy() -> None:
    modules = sorted(
        f"gateway.governance.{path.stem}"
        for path in (ROOT / "lambdas/gateway/governance").glob("*.py")
        if path.stem != "__init__"
    )
    heavy = ("boto3", "botocore", "pydantic", "opentelemetry", "jwt", "cryptography")
    code = (
        f"import sys; sys.path.insert(0, 'lambdas'); import {', '.join(modules)}; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
