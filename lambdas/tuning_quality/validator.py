"""The entry point that checks datasets: where they are in, whether they are in order out."""

import json
import os
import re
import secrets
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import botocore.session

from gateway.governance.redaction import Redactor
from tuning_quality.settings import ValidatorSettings
from tuning_quality.storage import DatasetError, Storage
from tuning_quality.validation import Validation

DATASETS: Final = ("training", "validation", "evaluation")

NAME: Final = re.compile(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,39}")
"""Names of executions that Bedrock and SageMaker take as names of jobs, models and tokens."""

_SUMMARY_LENGTH: Final = 2000
# Values found are counted and forgotten, so the key that would make pseudonyms of them is too.
_KEY: Final = secrets.token_bytes(32)


def handler(event: Mapping[str, str], _context: object) -> dict[str, Any]:
    """Check the three datasets of an execution, and write a report of every bad record.

    Returns ``accepted``, ``summary`` (a few sentences) and ``report`` (where it is).
    """
    settings = ValidatorSettings.from_environment(os.environ)
    if not NAME.fullmatch(event["name"]):
        return {
            "accepted": False,
            "report": "none",
            "summary": "The execution's name is that of the job: use up to 40 letters and digits, "
            "with single hyphens between them.",
        }
    storage = Storage(_client(), datasets=settings.places.datasets, reports=settings.places.reports)
    validation = Validation(settings.rules, Redactor(_KEY, "fine-tuning"))
    for dataset in DATASETS:
        _check(validation, storage, dataset, event[dataset])
    validation.finish()
    accepted, summary = validation.accepted, validation.summary[:_SUMMARY_LENGTH]
    report = storage.write_report(
        f"{event['name']}/validation.json",
        {"accepted": accepted, "datasets": validation.document()},
    )
    _log(event["name"], validation)
    return {"accepted": accepted, "summary": summary, "report": report}


def _check(validation: Validation, storage: Storage, dataset: str, key: str) -> None:
    try:
        validation.check(dataset, storage.lines(key))
    except DatasetError as error:
        validation.reports[-1].refuse(0, str(error))


def _log(name: str, validation: Validation) -> None:
    line = {
        "event": "validated",
        "name": name,
        "accepted": validation.accepted,
        "records": sum(report.records for report in validation.reports),
        "bad_records": sum(report.problem_count for report in validation.reports),
    }
    sys.stdout.write(json.dumps(line) + "\n")


@cache
def _client() -> Any:
    return botocore.session.get_session().create_client("s3")
