"""Canaries sent through every path of governance: none may come out in a line or an error.

Every value of the corpus goes through the request log under each policy that promises to keep
text out, with redactors that work and that fail; through credentials that are refused; through
keys of idempotency; and through the metrics beside them.
"""

import io
import logging
import traceback
from collections.abc import Iterator
from dataclasses import replace

import pytest

from authorizer.handler import Authorizer
from gateway.governance.api_keys import ApiKeyAuthenticator
from gateway.governance.directory import Directory
from gateway.governance.idempotency import IdempotencyStore
from gateway.governance.identity import CredentialRouter
from gateway.governance.record import RequestLog
from gateway.governance.redaction import Redaction, Redactor
from gateway.governance.request_context import RequestContextAuthenticator
from gateway.governance.telemetry import RequestMetrics, Telemetry
from gateway.governance.versioned_secret import VersionedSecret
from tests.lambdas.governance.budgets import CALLER, FixedClock
from tests.lambdas.governance.emulator import Emulator
from tests.lambdas.governance.samples import Sample, positives

KEY = b"k" * 32

CLOCK = FixedClock()
"""So that no moment is taken for a value that is a number."""


class Quoting:
    """A redactor that fails with the whole text in its message."""

    def scan(self, text: str) -> Redaction:
        raise RuntimeError(text)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that any logger writes at any level, and all that is given to the stream."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def leaked(samples: list[Sample], text: str) -> list[Sample]:
    return [sample for sample in samples if sample.value in text]


@pytest.mark.parametrize("redaction", ["off", "metadata", "redacted"])
@pytest.mark.parametrize("outcome", ["ok", "error"])
def test_no_value_reaches_a_line_or_a_metric(
    lines: io.StringIO, redaction: str, outcome: str
) -> None:
    samples = positives()
    log = RequestLog(lambda team: Redactor(KEY, team), stream=lines, clock=CLOCK)
    telemetry = Telemetry("prod", stream=lines, clock=CLOCK)
    for sample in samples:
        written = log.write(
            replace(CALLER, redaction=redaction),
            "req-1",
            "smart",
            [sample.text],
            sample.text,
            None,
            outcome,
            {"total": 1.0},
        )
        metrics = RequestMetrics("smart", 1.0, redactions=written.redactions)
        telemetry.record(CALLER, "req-1", metrics)
    assert lines.getvalue().count('"_aws"') == len(samples)
    # Lines are ASCII JSON: what is left of a value is looked for in both of its spellings.
    text = lines.getvalue() + lines.getvalue().encode().decode("unicode-escape")
    assert leaked(samples, text) == []


def test_no_value_reaches_a_line_when_the_redactor_fails(lines: io.StringIO) -> None:
    samples = positives()
    log = RequestLog(lambda _: Quoting(), stream=lines, clock=CLOCK)
    for sample in samples:
        log.write(CALLER, "req-1", "smart", [sample.text], sample.text, None, "ok", {})
    text = lines.getvalue() + lines.getvalue().encode().decode("unicode-escape")
    assert lines.getvalue().count('"redaction_failed": true') == len(samples)
    assert leaked(samples, text) == []


def test_no_value_given_as_an_outcome_a_model_or_a_request_id_reaches_a_line(
    lines: io.StringIO,
) -> None:
    """Text that was put where a word belongs: what is no word is not written."""
    samples = [sample for sample in positives() if " " in sample.text]
    log = RequestLog(lambda team: Redactor(KEY, team), stream=lines, clock=CLOCK)
    for sample in samples:
        log.write(CALLER, sample.text, sample.text, [], "", None, sample.text, {sample.text: 1})
    assert leaked(samples, lines.getvalue()) == []


def test_the_same_check_sees_the_values_where_a_team_wants_them_logged() -> None:
    """Otherwise the tests above could not fail."""
    stream = io.StringIO()
    samples = positives()
    log = RequestLog(lambda team: Redactor(KEY, team), stream=stream, clock=CLOCK)
    for sample in samples:
        caller = replace(CALLER, redaction="full")
        log.write(caller, "req-1", "smart", [sample.text], "", None, "ok", {})
    seen = leaked(samples, stream.getvalue().encode().decode("unicode-escape"))
    # A line break inside a private key and characters beyond the first plane are escaped twice.
    assert len(seen) > 0.9 * len(samples)


def test_no_credential_reaches_a_line_or_an_exception(
    emulator: Emulator,
    directory_table: str,
    lines: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory = Directory(emulator.dynamodb(), directory_table)
    peppers = VersionedSecret(emulator.secrets_manager(), emulator.make_pepper())
    router = CredentialRouter(keys=ApiKeyAuthenticator(directory, peppers))
    authorizer = Authorizer(router, directory)
    context = RequestContextAuthenticator(directory)
    samples = [sample for sample in positives() if sample.value.isascii()]
    caplog.set_level(logging.WARNING, logger="botocore")
    for sample in samples:
        event = {"methodArn": "a/b/c", "headers": {"Authorization": f"Bearer {sample.value}"}}
        for refuse in (
            lambda event=event: authorizer.answer(event),
            lambda sample=sample: context.authenticate({"x-amzn-request-context": sample.value}),
        ):
            try:
                refuse()
            except Exception:
                lines.write(traceback.format_exc(limit=0))
            else:
                pytest.fail("A value of the corpus was accepted as a credential.")
    text = lines.getvalue() + capsys.readouterr().out
    assert text.count("Unauthorized") == len(samples)
    assert leaked(samples, text) == []


def test_no_value_reaches_the_ledgers_table_or_its_errors(
    emulator: Emulator, ledger_table: str
) -> None:
    store = IdempotencyStore(emulator.dynamodb(), ledger_table, clock=CLOCK)
    samples = positives()[:40]
    for sample in samples:
        store.begin(CALLER, sample.value, sample.text.encode())
    table = str(emulator.dynamodb().scan(TableName=ledger_table)["Items"])
    assert table.count("IDEMPOTENCY#") == len(samples)
    assert leaked(samples, table) == []
