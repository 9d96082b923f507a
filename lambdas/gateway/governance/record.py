"""The request log: one JSON line per request, with as much of its text as the team's policy allows.

Policies: ``off`` writes nothing, ``metadata`` no text, ``redacted`` (the default) redacted text and
``full`` raw text. Whatever goes wrong with the text, the line is written without it.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

from gateway.governance.budget import Usage
from gateway.governance.identity import Caller, Clock
from gateway.governance.redaction import Redaction

LONGEST_TEXT = 240_000
"""Bytes of one text in a line, as JSON."""

LONGEST_LINE = 900_000
"""Bytes of all the texts of a line; an event of CloudWatch Logs may have 1 MB
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html)."""

LONGEST_SCANNED = 500_000
"""Characters of a request that are redacted, which takes about two seconds of a processor; the text
of a longer one is left out."""

# What the application may call an outcome or a model; anything else could be somebody's text.
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class Scanner(Protocol):
    """What redacts a team's texts."""

    def scan(self, text: str) -> Redaction:
        """Return redacted text and what was found."""
        ...


class Anonymizer(Protocol):
    """A second pass over redacted text."""

    def anonymize(self, text: str) -> str:
        """Return the text without what else it finds."""
        ...


@dataclass(frozen=True)
class Written:
    """What became of a line, for the metrics: values replaced, and whether text was dropped
    because redaction failed.
    """

    redactions: int = 0
    redaction_failed: bool = False


class RequestLog:
    """Writes requests as JSON lines to ``stream``; never raises.

    ``redactor_of`` returns the redactor of a team's name; it may fail, as may the redactor.
    """

    def __init__(
        self,
        redactor_of: Callable[[str], Scanner],
        *,
        stream: TextIO | None = None,
        anonymizer: Anonymizer | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._redactor_of = redactor_of
        self._stream = stream
        self._anonymizer = anonymizer
        self._clock = clock

    def write(
        self,
        caller: Caller,
        request_id: str,
        model: str,
        prompt_texts: Sequence[str],
        output_text: str,
        usage: Usage | None,
        outcome: str,
        timings: Mapping[str, float],
    ) -> Written:
        """Write one request, and return what redaction did, for the metrics.

        ``timings`` are milliseconds by name. Pass whole texts, no chunks.
        """
        if caller.redaction == "off":
            return Written()
        line: dict[str, Any] = {
            "event": "request",
            "time": datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds"),
            "request_id": _word(request_id),
            "team": caller.team,
            "key_id": caller.key_id,
            "model": _word(model),
            "outcome": _word(outcome),
            "usage": asdict(usage) if usage else None,
            "timings_ms": {_word(name): round(value, 1) for name, value in timings.items()},
        }
        texts, written = self._texts(caller, prompt_texts, output_text)
        self._emit({**line, **texts, "redaction_failed": written.redaction_failed})
        return written

    def _texts(
        self, caller: Caller, prompt_texts: Sequence[str], output_text: str
    ) -> tuple[dict[str, Any], Written]:
        if caller.redaction == "full":
            return _fitting(prompt_texts, output_text), Written()
        if caller.redaction != "redacted":
            return {}, Written()
        if len(output_text) + sum(map(len, prompt_texts)) > LONGEST_SCANNED:
            return {"too_long_to_redact": True}, Written()
        try:
            redactor = self._redactor_of(caller.team)
            scans = [redactor.scan(text) for text in (*prompt_texts, output_text)]
            *prompt, output = [self._second_pass(scan.text) for scan in scans]
        except Exception:
            # Whatever it was: text that may not be clean must not be written.
            return {}, Written(redaction_failed=True)
        total = sum(scan.total for scan in scans)
        return {**_fitting(prompt, output), "redactions": total}, Written(redactions=total)

    def _second_pass(self, text: str) -> str:
        return self._anonymizer.anonymize(text) if self._anonymizer and text else text

    def _emit(self, line: Mapping[str, Any]) -> None:
        stream = self._stream or sys.stdout
        try:
            # ASCII, so that no half of a surrogate pair in a text can stop the line.
            stream.write(json.dumps(line) + "\n")
            stream.flush()
        except (OSError, ValueError):
            return  # Standard output is closed: there is nobody left to tell.


def _word(text: str) -> str:
    return text if _WORD.fullmatch(text) else "invalid"


def _fitting(prompt: Sequence[str], output: str) -> dict[str, Any]:
    """Cut redacted texts to what a line holds; never before redaction, which needs them whole."""
    left = LONGEST_LINE
    fitted = []
    for text in (output, *reversed(prompt)):
        kept = _cut(text, max(0, min(LONGEST_TEXT, left)))
        left -= len(json.dumps(kept))
        fitted.append(kept)
    whole = len(output) + sum(map(len, prompt)) == sum(map(len, fitted))
    return {"prompt": fitted[:0:-1], "output": fitted[0], "truncated": not whole}


def _cut(text: str, most: int) -> str:
    """Return as much of the beginning of ``text`` as has ``most`` bytes as JSON, or a bit less."""
    size = len(json.dumps(text))
    while size > most and text:
        text = text[: min(len(text) * most // size, len(text) - 1)]
        size = len(json.dumps(text))
    return text
