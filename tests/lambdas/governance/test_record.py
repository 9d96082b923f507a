"""The request log: how much of a text each policy writes, and that failures write none."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.governance.anonymizer import AnonymizationFailed
from gateway.governance.budget import Usage
from gateway.governance.record import LONGEST_SCANNED, LONGEST_TEXT, RequestLog, Written
from gateway.governance.redaction import Redaction, Redactor
from tests.lambdas.governance.budgets import CALLER, FixedClock

KEY = b"k" * 32
SECRET_TEXT = "write to ada@example.com"


class Broken:
    """A redactor that fails and quotes the text, as a library might."""

    def scan(self, text: str) -> Redaction:
        raise RuntimeError(text)


class Failing:
    """A second pass that cannot be reached."""

    def anonymize(self, text: str) -> str:
        raise AnonymizationFailed(text)


class Naming:
    """A second pass that knows one name."""

    def anonymize(self, text: str) -> str:
        return text.replace("Ada", "{NAME}")


def write(
    redaction: str = "redacted",
    *,
    prompt: list[str] | None = None,
    output: str = SECRET_TEXT,
    log: RequestLog | None = None,
    stream: io.StringIO | None = None,
    **changes: Any,
) -> tuple[dict[str, Any], Written]:
    stream = stream or io.StringIO()
    log = log or RequestLog(lambda team: Redactor(KEY, team), stream=stream, clock=FixedClock())
    arguments = {
        "request_id": "req-1",
        "model": "smart",
        "prompt_texts": prompt if prompt is not None else [SECRET_TEXT],
        "output_text": output,
        "usage": Usage(input_tokens=3, output_tokens=4),
        "outcome": "ok",
        "timings": {"total": 12.34},
        **changes,
    }
    written = log.write(replace(CALLER, redaction=redaction), **arguments)
    text = stream.getvalue()
    assert text.count("\n") <= 1
    return (json.loads(text) if text else {}), written


def test_redacted_lines_have_metadata_and_pseudonyms() -> None:
    line, written = write()
    assert line["time"] == "2026-11-22T12:00:00.000+00:00"
    assert (line["request_id"], line["team"], line["key_id"]) == ("req-1", "search", "abc")
    assert (line["model"], line["outcome"]) == ("smart", "ok")
    assert line["usage"]["output_tokens"] == 4
    assert line["timings_ms"] == {"total": 12.3}
    assert line["prompt"] == [line["output"]]
    assert line["output"].startswith("write to <EMAIL:")
    assert written == Written(redactions=2)
    assert line["redactions"] == 2


def test_full_lines_have_the_text_as_it_was() -> None:
    line, _ = write("full")
    assert (line["prompt"], line["output"]) == ([SECRET_TEXT], SECRET_TEXT)


def test_metadata_lines_have_no_text() -> None:
    line, _ = write("metadata")
    assert line["request_id"] == "req-1"
    assert "prompt" not in line
    assert "output" not in line


def test_off_writes_nothing() -> None:
    assert write("off") == ({}, Written())


def test_a_policy_that_is_not_known_writes_no_text() -> None:
    line, _ = write("everything")
    assert "output" not in line


@pytest.mark.parametrize(
    ("redactor_of", "anonymizer"),
    [
        (lambda _: Broken(), None),
        (lambda team: Redactor(b"short", team), None),
        (lambda team: Redactor(KEY, team), Failing()),
    ],
)
def test_whatever_fails_in_redaction_leaves_the_metadata_only_and_is_counted(
    redactor_of: Any, anonymizer: Any
) -> None:
    stream = io.StringIO()
    log = RequestLog(redactor_of, stream=stream, anonymizer=anonymizer)
    line, written = write(log=log, stream=stream)
    assert written == Written(redaction_failed=True)
    assert line["redaction_failed"] is True
    assert "ada@" not in stream.getvalue()
    assert "output" not in line


def test_the_second_pass_gets_redacted_text_only() -> None:
    seen: list[str] = []

    class Listening(Naming):
        def anonymize(self, text: str) -> str:
            seen.append(text)
            return super().anonymize(text)

    stream = io.StringIO()
    log = RequestLog(lambda team: Redactor(KEY, team), stream=stream, anonymizer=Listening())
    line, _ = write(prompt=["I am Ada, ada@example.com", ""], log=log, stream=stream)
    assert line["prompt"][0].startswith("I am {NAME}, <EMAIL:")
    assert all("@" not in text for text in seen)
    assert "" not in seen


def test_long_texts_are_cut_after_redaction_so_that_no_value_is_halved() -> None:
    line, _ = write(output="x" * (LONGEST_TEXT - 8) + " ada@example.com")
    assert line["truncated"] is True
    assert len(line["output"]) == LONGEST_TEXT - 2
    assert line["output"].endswith("x <EMAI")


def test_a_request_too_long_to_redact_in_time_is_written_without_its_text() -> None:
    line, written = write(prompt=["x" * LONGEST_SCANNED], output="y")
    assert line["too_long_to_redact"] is True
    assert "output" not in line
    assert written == Written()
    line, _ = write("metadata", prompt=["x" * LONGEST_SCANNED], output="y")
    assert "too_long_to_redact" not in line


def test_of_many_texts_the_latest_are_kept() -> None:
    texts = [f"{number}" * LONGEST_TEXT for number in range(6)]
    line, _ = write("full", prompt=texts, output="answer")
    kept = [len(text) for text in line["prompt"]]
    assert kept[-1] == LONGEST_TEXT - 2
    assert 0 < kept[2] < LONGEST_TEXT - 2
    assert kept[:2] == [0, 0]


def test_a_line_is_never_larger_than_cloudwatch_takes() -> None:
    stream = io.StringIO()
    write(
        "full",
        prompt=["\U0001f600" * 100_000, "a" * 500_000] * 4,
        output="\x00" * 100_000,
        stream=stream,
    )
    assert len(stream.getvalue().encode()) < 1_048_576


def test_names_that_are_not_words_are_not_written() -> None:
    line, _ = write(
        "metadata", outcome="failed for ada@example.com", model="x y", timings={"a b": 1.0}
    )
    assert line["outcome"] == line["model"] == "invalid"
    assert line["timings_ms"] == {"invalid": 1.0}


def test_half_a_surrogate_pair_does_not_stop_the_line() -> None:
    line, _ = write(output="broken \ud83d emoji")
    assert line["output"] == "broken \ud83d emoji"


def test_a_request_without_usage_is_written_too() -> None:
    line, _ = write(usage=None)
    assert line["usage"] is None


def test_a_closed_stream_stops_nobody() -> None:
    stream = io.StringIO()
    stream.close()
    log = RequestLog(lambda team: Redactor(KEY, team), stream=stream)
    written = log.write(CALLER, "req-1", "smart", [], "", None, "ok", {})
    assert written == Written()


def test_without_a_stream_lines_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    log = RequestLog(lambda team: Redactor(KEY, team))
    log.write(CALLER, "req-9", "smart", [], "hello", None, "ok", {})
    assert json.loads(capsys.readouterr().out)["request_id"] == "req-9"
