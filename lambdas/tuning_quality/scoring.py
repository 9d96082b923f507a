"""How well a tuned model answers, beside the model that it was made from."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

_WORD: Final = re.compile(r"\w+")
_REFUSAL: Final = re.compile(
    r"\W*(i(['\u2019]m| am) (sorry|unable|not able)|"
    r"i (can(['\u2019]t|not)|won['\u2019]t)|as an ai\b|"
    r"unfortunately,? i (can(['\u2019]t|not)|am unable))",
    re.IGNORECASE,
)
_REFUSING_STOPS: Final = frozenset({"guardrail_intervened", "content_filtered"})


@dataclass(frozen=True)
class Answer:
    """What a model answered, and why it stopped, as Converse says it."""

    text: str
    stop_reason: str


@dataclass(frozen=True)
class Score:
    """One answer: the same text, the overlap of words from 0 to 1, and whether it refuses."""

    exact: bool
    f1: float
    refused: bool


@dataclass(frozen=True)
class Gate:
    """What must be reached, in percent and percentage points."""

    f1_percent: int
    gain_points: int
    refusal_points: int
    records: int


@dataclass(frozen=True)
class Means:
    """The scores of a model over all records, in percent."""

    exact_percent: float
    f1_percent: float
    refused_percent: float


def score(expected: str, answer: Answer) -> Score:
    """Compare an answer with what was expected. Case, punctuation and spacing do not count.

    The F1 is that of SQuAD: the harmonic mean of precision and recall over words.
    https://arxiv.org/abs/1606.05250
    """
    wanted, given = _words(expected), _words(answer.text)
    common = (Counter(wanted) & Counter(given)).total()
    f1 = 2 * common / (len(wanted) + len(given)) if common else float(wanted == given)
    return Score(wanted == given, f1, refuses(answer) and not _REFUSAL.match(expected))


def refuses(answer: Answer) -> bool:
    """Say whether the model, or a filter in front of it, declined to answer."""
    return answer.stop_reason in _REFUSING_STOPS or _REFUSAL.match(answer.text) is not None


def means(scores: Sequence[Score]) -> Means:
    """Return the means of at least one score."""
    count = len(scores)
    return Means(
        exact_percent=100 * sum(score.exact for score in scores) / count,
        f1_percent=100 * sum(score.f1 for score in scores) / count,
        refused_percent=100 * sum(score.refused for score in scores) / count,
    )


@dataclass(frozen=True)
class Comparison:
    """A base and a tuned model on the same records."""

    base: Means
    tuned: Means

    @property
    def gain_points(self) -> float:
        """By how many percentage points the tuned model's F1 is higher."""
        return self.tuned.f1_percent - self.base.f1_percent

    @property
    def refusal_points(self) -> float:
        """By how many percentage points the tuned model refuses more."""
        return self.tuned.refused_percent - self.base.refused_percent

    def shortcomings(self, gate: Gate) -> list[str]:
        """Return a sentence for each demand that is not met."""
        found = []
        if self.tuned.f1_percent < gate.f1_percent:
            found.append(f"F1 is {self.tuned.f1_percent:.1f} %, and must be {gate.f1_percent} %.")
        if self.gain_points < gate.gain_points:
            found.append(
                f"F1 is {self.gain_points:+.1f} points from the base model's, and must be "
                f"{gate.gain_points:+d}."
            )
        if self.refusal_points > gate.refusal_points:
            found.append(
                f"Refusals are {self.refusal_points:+.1f} points from the base model's, and may be "
                f"{gate.refusal_points:+d}."
            )
        return found

    def document(self) -> Mapping[str, Any]:
        """Return the means as JSON takes them."""
        return {"base": asdict(self.base), "tuned": asdict(self.tuned)}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
