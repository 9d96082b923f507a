"""Whether datasets are fit to learn from: every record that is not, by its line, and why."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from tuning_quality.records import Record, RecordError, RecordFormat, parse

BYTES_FOR_A_TOKEN: Final = 4
"""Of UTF-8. Tokenizers differ by model, so this is an estimate, as docs/fine-tuning.md says."""

MOST_LISTED: Final = 1000
"""Problems of one dataset that the report lists; the others are counted."""

TRAINING: Final = "training"


@dataclass(frozen=True)
class Rules:
    """What the data must be like; ``duplicate_percent`` is of the dataset's records."""

    format: RecordFormat
    record_tokens: int
    least_records: int
    most_records: int
    duplicate_percent: int
    personal_data: bool
    reserved_words: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Rules":
        """Read what the construct wrote."""
        form = RecordFormat(document["format"])
        words = tuple(document.get("reserved_words", ()))
        return cls(**{**document, "format": form, "reserved_words": words})


class Detector(Protocol):
    """What finds personal data and secrets: the gateway's redactor."""

    def scan(self, text: str) -> Any:
        """Return what was found, with ``counts`` by kind."""
        ...


@dataclass(frozen=True)
class Problem:
    """One reason against a dataset; ``line`` is 0 for a reason against all of it."""

    line: int
    reason: str


@dataclass
class DatasetReport:
    """What was found in one dataset. Nothing of any record is quoted."""

    name: str
    records: int = 0
    tokens: int = 0
    duplicates: int = 0
    personal_data: Counter[str] = field(default_factory=Counter)
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, line: int, reason: str) -> None:
        """Note a reason against the dataset."""
        self.problem_count += 1
        if len(self.problems) < MOST_LISTED:
            self.problems.append(Problem(line, reason))


class Validation:
    """Checks datasets one after the other, and remembers what the earlier ones held.

    Call :meth:`check` for each, training first, and :meth:`finish` at the end.
    """

    def __init__(self, rules: Rules, detector: Detector) -> None:
        self._rules = rules
        self._detector = detector
        self._questions: dict[bytes, str] = {}
        self.reports: list[DatasetReport] = []

    def check(self, name: str, lines: Iterable[bytes]) -> DatasetReport:
        """Read all lines of a dataset."""
        report = DatasetReport(name)
        self.reports.append(report)
        seen: set[bytes] = set()
        questions: set[bytes] = set()
        for number, line in enumerate(lines, start=1):
            report.records += 1
            try:
                record = parse(line, self._rules.format)
            except RecordError as error:
                report.refuse(number, str(error))
                continue
            self._check_record(report, number, record)
            digest = _digest(record.text)
            report.duplicates += digest in seen
            seen.add(digest)
            questions.add(self._check_overlap(report, number, record))
        self._check_dataset(report)
        self._questions.update(dict.fromkeys(questions, name))
        return report

    def finish(self) -> None:
        """Check what concerns the datasets that are learnt from together."""
        learnt = [report for report in self.reports if report.name != "evaluation"]
        total = sum(report.records for report in learnt)
        if total > self._rules.most_records:
            learnt[0].refuse(
                0,
                f"Training and validation have {total} records together, and the model takes at "
                f"most {self._rules.most_records}.",
            )

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against any dataset."""
        return not any(report.problem_count for report in self.reports)

    @property
    def summary(self) -> str:
        """One sentence for each dataset, with the first reason against it."""
        return " ".join(_sentence(report) for report in self.reports)

    def document(self) -> Sequence[Mapping[str, Any]]:
        """Return the reports as JSON takes them."""
        return [asdict(report) for report in self.reports]

    def _check_record(self, report: DatasetReport, number: int, record: Record) -> None:
        tokens = math.ceil(len(record.text.encode("utf-8", "surrogatepass")) / BYTES_FOR_A_TOKEN)
        report.tokens += tokens
        if tokens > self._rules.record_tokens:
            limit = self._rules.record_tokens
            report.refuse(number, f"It has about {tokens} tokens, and the model reads {limit}.")
        reserved = [
            word
            for word in self._rules.reserved_words
            if any(word in text for text in record.instructions)
        ]
        if reserved:
            report.refuse(number, f"The model keeps {', '.join(reserved)} for itself.")
        counts: Mapping[str, int] = self._detector.scan(record.text).counts
        report.personal_data.update(counts)
        if counts and not self._rules.personal_data:
            kinds = ", ".join(sorted(counts))
            report.refuse(number, f"It holds what looks like {kinds}.")

    def _check_overlap(self, report: DatasetReport, number: int, record: Record) -> bytes:
        question = _digest(record.question)
        other = self._questions.get(question)
        if other is not None:
            report.refuse(
                number, f"Its question is one of the {other} data, so that it measures nothing."
            )
        return question

    def _check_dataset(self, report: DatasetReport) -> None:
        rules = self._rules
        least = rules.least_records if report.name == TRAINING else 1
        if report.records < least:
            report.refuse(0, f"It has {report.records} records, and needs at least {least}.")
        if report.duplicates * 100 > rules.duplicate_percent * report.records:
            report.refuse(
                0,
                f"{report.duplicates} of {report.records} records repeat another one, and "
                f"{rules.duplicate_percent} % may.",
            )


def _digest(text: str) -> bytes:
    # Differences of case and spacing teach nothing.
    normal = " ".join(text.casefold().split())
    return hashlib.blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _sentence(report: DatasetReport) -> str:
    if not report.problem_count:
        return f"{report.name}: {report.records} records are in order."
    first = report.problems[0]
    place = f"line {first.line}: " if first.line else ""
    return f"{report.name}: {report.problem_count} problems, first {place}{first.reason}"
