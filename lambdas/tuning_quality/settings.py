"""The environment variables of the functions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tuning_quality.records import RecordFormat
from tuning_quality.scoring import Gate
from tuning_quality.validation import Rules


class SettingsError(Exception):
    """An environment variable is missing; the message names each of them."""


@dataclass(frozen=True)
class Places:
    """``DATASETS`` and ``REPORTS``: where data is and reports go, as ``s3://bucket/prefix/``."""

    datasets: str
    reports: str


@dataclass(frozen=True)
class ValidatorSettings:
    """:class:`Places`, and ``RULES``: the rules as JSON."""

    places: Places
    rules: Rules

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ValidatorSettings":
        """Read the variables.

        Raises:
            SettingsError: one is missing.
        """
        given = _required(environment, "DATASETS", "REPORTS", "RULES")
        places = Places(given["DATASETS"], given["REPORTS"])
        return cls(places, Rules.of(json.loads(given["RULES"])))


@dataclass(frozen=True)
class EvaluatorSettings:
    """:class:`Places`, ``GATE`` (the quality gate as JSON), ``FORMAT`` and ``BASE_MODEL``."""

    places: Places
    gate: Gate
    format: RecordFormat
    base_model: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "EvaluatorSettings":
        """Read the variables.

        Raises:
            SettingsError: one is missing.
        """
        given = _required(environment, "DATASETS", "REPORTS", "GATE", "FORMAT", "BASE_MODEL")
        return cls(
            Places(given["DATASETS"], given["REPORTS"]),
            Gate(**json.loads(given["GATE"])),
            RecordFormat(given["FORMAT"]),
            given["BASE_MODEL"],
        )


def _required(environment: Mapping[str, str], *names: str) -> dict[str, str]:
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise SettingsError(f"The environment variables {', '.join(missing)} must be set.")
    return {name: environment[name] for name in names}
