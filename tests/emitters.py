"""What is emitted: by AWS's services, as they document it, and by our own code, as it does it."""

import io
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.governance.budget import Usage
from gateway.governance.identity import Caller
from gateway.governance.telemetry import RequestMetrics, Telemetry
from llm_constructs.dashboard_rules import text_of

DOCUMENTED = Path(__file__).with_name("emitted_metrics.toml")

Metric = tuple[str, str, frozenset[str]]
"""Namespace, name, and names of dimensions."""


def emitted(templates: Iterable[Mapping[str, Any]] = ()) -> frozenset[Metric]:
    """Return every metric that something emits, with each set of its dimensions.

    What ``templates`` themselves emit is part of it: filters that count lines of logs, and
    schedules that write a metric.
    """
    return frozenset((*_documented(), *_of_the_gateway(), *_of_templates(templates)))


def own_namespaces() -> frozenset[str]:
    """Return the namespaces that our own code writes to."""
    return frozenset(namespace for namespace, _, _ in _of_the_gateway())


def _documented() -> Iterator[Metric]:
    table = tomllib.loads(DOCUMENTED.read_text(encoding="utf-8"))
    for namespace, rows in table.items():
        for row in rows:
            for name in row["metrics"]:
                for dimensions in row["dimensions"]:
                    yield namespace, name, frozenset(dimensions)


def _of_the_gateway() -> Iterator[Metric]:
    stream = io.StringIO()
    request = RequestMetrics(
        model="any", latency_ms=1, first_token_ms=1, usage=Usage(input_tokens=1, output_tokens=1)
    )
    caller = Caller(key_id="any", team="any", models=None, redaction="metadata")
    Telemetry("any", stream=stream).record(caller, "any", request)
    for directive in json.loads(stream.getvalue())["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            for dimensions in directive["Dimensions"]:
                yield directive["Namespace"], metric["Name"], frozenset(dimensions)


def _of_templates(templates: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    readers = {
        "AWS::Logs::MetricFilter": _of_filter,
        "AWS::Scheduler::Schedule": _of_schedule,
    }
    for template in templates:
        for resource in template.get("Resources", {}).values():
            if resource["Type"] in readers:
                yield from readers[resource["Type"]](resource["Properties"])


def _of_filter(properties: Mapping[str, Any]) -> Iterator[Metric]:
    for metric in properties["MetricTransformations"]:
        dimensions = frozenset(it["Key"] for it in metric.get("Dimensions", ()))
        yield metric["MetricNamespace"], metric["MetricName"], dimensions


def _of_schedule(properties: Mapping[str, Any]) -> Iterator[Metric]:
    target = properties["Target"]
    if not text_of(target["Arn"]).endswith(":aws-sdk:cloudwatch:putMetricData"):
        return
    written = json.loads(text_of(target["Input"]))
    for metric in written["MetricData"]:
        dimensions = frozenset(it["Name"] for it in metric.get("Dimensions", ()))
        yield written["Namespace"], metric["MetricName"], dimensions
