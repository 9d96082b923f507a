"""What is emitted: by AWS's services, as they document it, and by our own code, as it does it."""

import io
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

from gateway.governance.budget import Usage
from gateway.governance.identity import Caller
from gateway.governance.telemetry import RequestMetrics, Telemetry

DOCUMENTED = Path(__file__).with_name("emitted_metrics.toml")

Metric = tuple[str, str, frozenset[str]]
"""Namespace, name, and names of dimensions."""


def emitted() -> frozenset[Metric]:
    """Return every metric that something emits, with each set of its dimensions."""
    return frozenset((*_documented(), *_of_the_gateway()))


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
