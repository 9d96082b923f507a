"""The gateway's saved queries ask for fields that its logs have."""

import io
import json
import re

import aws_cdk as cdk
import pytest
from aws_cdk import aws_logs as logs

from gateway.governance.budget import Usage
from gateway.governance.identity import Caller
from gateway.governance.record import RequestLog
from gateway.governance.redaction import Redactor
from gateway.governance.telemetry import RequestMetrics, Telemetry
from llm_constructs.gateway_api import ACCESS_LOG
from llm_constructs.gateway_queries import describe_queries
from llm_constructs.signal import LogQuery

WORD = re.compile(r"@?[A-Za-z_][\w.]*")
QUOTED = re.compile(r'"[^"]*"|/[^/]*/')
COMMANDS = frozenset(
    {
        *("fields", "filter", "stats", "sort", "limit", "by", "as", "desc", "and", "not", "in"),
        *("like", "sum", "count", "bin", "ispresent", "m"),
    }
)
OF_EVERY_LOG = frozenset({"@timestamp", "@message"})
USAGE = Usage(input_tokens=1, output_tokens=1)
CALLER = Caller(key_id="key", team="team", models=None, redaction="redacted")


def fields_of(query: LogQuery) -> set[str]:
    text = QUOTED.sub("", " ".join(query.statements))
    named = re.findall(r"\bas (\w+)", text)
    return set(WORD.findall(text)) - COMMANDS - set(named) - OF_EVERY_LOG


def lines_of_the_application() -> set[str]:
    stream = io.StringIO()
    metrics = RequestMetrics(model="fast", latency_ms=1, first_token_ms=1, usage=USAGE)
    Telemetry("team", stream=stream).record(CALLER, "id", metrics)
    log = RequestLog(lambda team: Redactor(b"0" * 32, team), stream=stream)
    log.write(CALLER, "id", "fast", ["a"], "b", USAGE, "ok", {"total": 1.0})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 2
    return {key for line in lines for key in line}


@pytest.fixture(scope="module")
def queries() -> dict[str, list[LogQuery]]:
    stack = cdk.Stack(cdk.App(), "Test")
    groups = {
        name: logs.LogGroup.from_log_group_name(stack, name, name)
        for name in ("application", "access", "firewall", "authorizer")
    }
    described = describe_queries(**groups)
    return {
        name: [it for it in described if it.log_groups[0] is group]
        for name, group in groups.items()
    }


def test_every_log_is_asked_something(queries: dict[str, list[LogQuery]]) -> None:
    assert all(queries.values())


def test_the_application_writes_what_is_asked_of_it(queries: dict[str, list[LogQuery]]) -> None:
    written = lines_of_the_application()
    asked = {query.name: fields_of(query) for query in queries["application"]}
    assert {"CostMicroUsd", "team"} <= asked["spend by team"]
    assert {name: fields - written for name, fields in asked.items() if fields - written} == {}


def test_the_access_log_has_what_is_asked_of_it(queries: dict[str, list[LogQuery]]) -> None:
    for query in queries["access"]:
        assert fields_of(query)
        assert fields_of(query) <= set(ACCESS_LOG)
