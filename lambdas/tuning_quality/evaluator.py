"""The entry point that compares a tuned model with its base: a deployment in, a verdict out."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from itertools import islice
from typing import Any, Final, Protocol

import botocore.session
from botocore.config import Config

from tuning_quality.records import Record, parse
from tuning_quality.scoring import Answer, Comparison, Score, means, score
from tuning_quality.settings import EvaluatorSettings
from tuning_quality.storage import Storage

THREADS: Final = 8

ATTEMPTS: Final = 8
"""A new deployment has a small quota, so throttling is waited for."""

MARGIN_MS: Final = 30_000
"""Left over of the function's time to write the report."""

_MOST_TOKENS: Final = 4096
_TOKENS_BESIDE: Final = 64


class EvaluationError(Exception):
    """The models cannot be compared; the message says why."""


class Context(Protocol):
    """What Lambda says of the invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends it."""
        ...


def handler(event: Mapping[str, str], context: Context) -> dict[str, Any]:
    """Ask both models every record of the held-out data, and compare the answers.

    Returns ``passed``, ``summary`` and ``report``.

    Raises:
        EvaluationError: there is no record, or the time does not suffice.
    """
    settings = EvaluatorSettings.from_environment(os.environ)
    storage = Storage(
        _client("s3"), datasets=settings.places.datasets, reports=settings.places.reports
    )
    lines = islice(storage.lines(event["evaluation"]), settings.gate.records)
    records = [parse(line, settings.format) for line in lines]
    if not records:
        raise EvaluationError("The evaluation data holds no record.")
    base = _scores(settings.base_model, records, context)
    tuned = _scores(event["deployment"], records, context)
    comparison = Comparison(means(base), means(tuned))
    shortcomings = comparison.shortcomings(settings.gate)
    report = storage.write_report(
        f"{event['name']}/evaluation.json",
        {
            **comparison.document(),
            "passed": not shortcomings,
            "shortcomings": shortcomings,
            "records": [
                {"line": number, "base": asdict(before), "tuned": asdict(after)}
                for number, (before, after) in enumerate(zip(base, tuned, strict=True), start=1)
            ],
        },
    )
    _log(event["name"], comparison, passed=not shortcomings)
    return {
        "passed": not shortcomings,
        "summary": " ".join(shortcomings) or _praise(comparison),
        "report": report,
    }


def _scores(model_id: str, records: Sequence[Record], context: Context) -> list[Score]:
    def ask(record: Record) -> Score:
        if context.get_remaining_time_in_millis() < MARGIN_MS:
            raise EvaluationError(
                f"{model_id} did not answer {len(records)} records in time; lower quality.records."
            )
        return score(record.answer, _converse(model_id, record))

    with ThreadPoolExecutor(THREADS) as pool:
        try:
            return list(pool.map(ask, records))
        finally:
            pool.shutdown(cancel_futures=True)


def _converse(model_id: str, record: Record) -> Answer:
    most = min(_MOST_TOKENS, len(record.answer) + _TOKENS_BESIDE)
    request: dict[str, Any] = {
        "modelId": model_id,
        "messages": [
            {"role": turn.role, "content": [{"text": turn.text}]} for turn in record.turns[:-1]
        ],
        # The likeliest answer, so that two evaluations of one model agree.
        "inferenceConfig": {"maxTokens": most, "temperature": 0.0},
    }
    if record.system:
        request["system"] = [{"text": record.system}]
    answer = _client("bedrock-runtime").converse(**request)
    blocks = answer["output"]["message"]["content"]
    text = "".join(block.get("text", "") for block in blocks)
    return Answer(text, answer["stopReason"])


def _praise(comparison: Comparison) -> str:
    return (
        f"F1 is {comparison.tuned.f1_percent:.1f} %, {comparison.gain_points:+.1f} points from the "
        "base model's."
    )


def _log(name: str, comparison: Comparison, *, passed: bool) -> None:
    line = {
        "event": "evaluated",
        "name": name,
        "passed": passed,
        "f1_percent": round(comparison.tuned.f1_percent, 2),
        "gain_points": round(comparison.gain_points, 2),
        "refusal_points": round(comparison.refusal_points, 2),
    }
    sys.stdout.write(json.dumps(line) + "\n")


@cache
def _client(service: str) -> Any:
    config = Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS})
    return botocore.session.get_session().create_client(service, config=config)
