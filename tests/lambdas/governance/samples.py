"""Reads the corpus of personal data."""

import json
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")


@dataclass(frozen=True)
class Sample:
    """A sentence with one value of a kind in it."""

    kind: str
    locale: str
    text: str
    value: str


def positives() -> list[Sample]:
    """Return the samples that the patterns were tried on."""
    return _samples("positives.jsonl")


def held_out() -> list[Sample]:
    """Return the samples that the patterns were not changed for."""
    return _samples("held_out.jsonl")


def _samples(name: str) -> list[Sample]:
    lines = (CORPUS / name).read_text(encoding="utf-8").splitlines()
    samples = []
    for line in lines:
        entry = json.loads(line)
        value = "".join(entry["value"])
        text = entry["sentence"].replace("{}", value)
        samples.append(Sample(entry["kind"], entry["locale"], text, value))
    return samples


def negatives() -> list[str]:
    lines = (CORPUS / "negatives.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]
