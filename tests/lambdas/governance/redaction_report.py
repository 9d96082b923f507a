"""Measures the redactor on the corpus; as a script, prints the tables of docs/governance.md."""

import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.governance.national_ids import NATIONAL_IDS
from gateway.governance.redaction import Redactor
from tests.lambdas.governance.samples import Sample, held_out, negatives, positives

NATIONAL = {identifier.name for identifier in NATIONAL_IDS}


@dataclass
class Count:
    """Samples of one kind or locale, how many were found, and what was found that is not one."""

    samples: int = 0
    found: int = 0
    wrong: int = 0

    @property
    def recall(self) -> float:
        return self.found / self.samples if self.samples else 1.0

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.wrong) if self.found + self.wrong else 1.0


@dataclass
class Measurement:
    """Counts by kind and by locale."""

    kinds: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    locales: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    total: Count = field(default_factory=Count)


def measure(samples: Iterable[Sample], redactor: Redactor) -> Measurement:
    """Return what the redactor finds; more findings than the sample has values are wrong ones."""
    measurement = Measurement()
    for sample in samples:
        redaction = redactor.scan(sample.text)
        is_found = sample.value not in redaction.text and redaction.total > 0
        surplus = max(0, redaction.total - sample.text.count(sample.value))
        kind = "national identifiers" if sample.kind in NATIONAL else sample.kind
        locale = measurement.locales[sample.locale.split("-")[0]]
        for count in (measurement.kinds[kind], locale, measurement.total):
            count.samples += 1
            count.found += is_found
            count.wrong += surplus
    return measurement


def untouched(redactor: Redactor) -> float:
    """Return the share of harmless sentences that stay as they are."""
    texts = negatives()
    return sum(redactor.redact(text) == text for text in texts) / len(texts)


def tables() -> str:
    """Return the measurement as Markdown."""
    redactor = Redactor(b"k" * 32, "search")
    known, unforeseen = measure(positives(), redactor), measure(held_out(), redactor)
    lines = ["| kind | samples | recall | precision | held out | recall |", "|-|-:|-:|-:|-:|-:|"]
    for kind, count in [*sorted(known.kinds.items()), ("**all**", known.total)]:
        other = unforeseen.total if kind == "**all**" else unforeseen.kinds.get(kind, Count())
        recall = f"{other.recall:.3f}" if other.samples else ""
        lines.append(
            f"| {kind} | {count.samples} | {count.recall:.3f} | {count.precision:.3f} "
            f"| {other.samples} | {recall} |"
        )
    locales = sorted(known.locales.items())
    found = ", ".join(f"{name} {count.found}/{count.samples}" for name, count in locales)
    share = f"{untouched(redactor):.3f} of {len(negatives())} harmless sentences stay as they are."
    return "\n".join([*lines, "", f"By language: {found}.", "", share])


if __name__ == "__main__":
    sys.stdout.write(tables() + "\n")
