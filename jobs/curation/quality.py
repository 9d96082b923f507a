"""Heuristics that tell prose from what crawls bring along with it.

The rules are those of Gopher (https://arxiv.org/abs/2112.11446, appendix A.1.1), and the words for
placeholders those of C4 (https://arxiv.org/abs/1910.10683, section 2.2). Of Gopher's rules of
repetition the shares of duplicate lines and paragraphs and of the most frequent pairs, triples and
quadruples of words are here.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from curation.reason import Reason, Rejection
from curation.rules import Rules

_BULLETS = ("•", "‣", "▶", "◦", "-", "*")
_ELLIPSES = ("...", "…")
_LETTER = re.compile(r"[^\W\d_]")
_PUNCTUATION = ".,;:!?\"'()[]"
_PLACEHOLDER = "lorem ipsum"


@dataclass(frozen=True)
class Document:
    """A text with what several rules look at."""

    text: str

    @cached_property
    def lower(self) -> str:
        """The text in lower case."""
        return self.text.lower()

    @cached_property
    def words(self) -> list[str]:
        """What stands between spaces."""
        return self.text.split()

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not empty."""
        return [line for line in self.text.split("\n") if line]

    @cached_property
    def paragraphs(self) -> list[str]:
        """What stands between blank lines."""
        return [part for part in self.text.split("\n\n") if part]


def assess(document: Document, rules: Rules) -> Rejection | None:
    """Return why a normalised text is not wanted, ``None`` when it is."""
    for check in _CHECKS:
        for rejection in check(document, rules):
            return rejection
    return None


def _length(document: Document, rules: Rules) -> Iterator[Rejection]:
    count = len(document.words)
    if count < max(rules.minimum_words, 1):
        yield Rejection(Reason.TOO_SHORT, f"{count} words")
    elif count > rules.maximum_words:
        yield Rejection(Reason.TOO_LONG, f"{count} words")


def _word_length(document: Document, rules: Rules) -> Iterator[Rejection]:
    mean = sum(map(len, document.words)) / len(document.words)
    if not rules.minimum_mean_word_length <= mean <= rules.maximum_mean_word_length:
        yield Rejection(Reason.WORD_LENGTH, f"{mean:.2f} characters a word")


def _symbols(document: Document, rules: Rules) -> Iterator[Rejection]:
    ellipses = sum(document.text.count(sign) for sign in _ELLIPSES)
    share = max(document.text.count("#"), ellipses) / len(document.words)
    if share > rules.maximum_symbol_share:
        yield Rejection(Reason.SYMBOLS, f"{share:.2f} symbols a word")


def _line_shapes(document: Document, rules: Rules) -> Iterator[Rejection]:
    lines = document.lines
    bullets = sum(line.lstrip().startswith(_BULLETS) for line in lines) / len(lines)
    if bullets > rules.maximum_bullet_share:
        yield Rejection(Reason.BULLETS, f"{bullets:.2f} of the lines")
    ellipses = sum(line.endswith(_ELLIPSES) for line in lines) / len(lines)
    if ellipses > rules.maximum_ellipsis_share:
        yield Rejection(Reason.ELLIPSES, f"{ellipses:.2f} of the lines")


def _letters(document: Document, rules: Rules) -> Iterator[Rejection]:
    search = _LETTER.search
    # Hardly a word begins with anything else, which makes the first test the whole one.
    alphabetic = sum(word[0].isalpha() or search(word) is not None for word in document.words)
    share = alphabetic / len(document.words)
    if share < rules.minimum_alphabetic_share:
        yield Rejection(Reason.FEW_LETTERS, f"{share:.2f} of the words")


def _language(document: Document, rules: Rules) -> Iterator[Rejection]:
    words = set(document.lower.split())
    if sum(word in words for word in rules.stop_words) >= rules.minimum_stop_words:
        return
    bare = {word.strip(_PUNCTUATION) for word in words}
    found = sum(word in bare for word in rules.stop_words)
    if found < rules.minimum_stop_words:
        yield Rejection(Reason.LANGUAGE, f"{found} different stop words")


def _placeholder(document: Document, _: Rules) -> Iterator[Rejection]:
    if _PLACEHOLDER in document.lower:
        yield Rejection(Reason.PLACEHOLDER, _PLACEHOLDER)


def _repeated_parts(document: Document, rules: Rules) -> Iterator[Rejection]:
    lines = _duplicate_share(document.lines)
    if lines > rules.maximum_duplicate_line_share:
        yield Rejection(Reason.REPEATED_LINES, f"{lines:.2f} of the lines")
    paragraphs = _duplicate_share(document.paragraphs)
    if paragraphs > rules.maximum_duplicate_paragraph_share:
        yield Rejection(Reason.REPEATED_PARAGRAPHS, f"{paragraphs:.2f} of the paragraphs")


def _duplicate_share(parts: Sequence[str]) -> float:
    return 1 - len(set(parts)) / len(parts)


def _repeated_words(document: Document, rules: Rules) -> Iterator[Rejection]:
    words = document.words
    characters, longest = sum(map(len, words)), max(map(len, words))
    limits = (rules.maximum_bigram_share, rules.maximum_trigram_share, rules.maximum_fourgram_share)
    highest = len(words)
    for size, limit in enumerate(limits, start=2):
        # A run is no more frequent than a shorter one within it, so it may be clear already.
        if highest * size * longest <= limit * characters:
            continue
        grams = Counter(zip(*(words[start:] for start in range(size)), strict=False))
        highest = max(grams.values(), default=0)
        share = _characters_of_most_frequent(grams, highest) / characters
        if share > limit:
            yield Rejection(Reason.REPEATED_WORDS, f"{share:.2f} in {size} words")


def _characters_of_most_frequent(grams: "Counter[tuple[str, ...]]", highest: int) -> int:
    """Return the characters in the most frequent run, 0 where none is repeated.

    Of equally frequent ones the longest counts, so that no order of the text decides.
    """
    if highest < 2:
        return 0
    return max(highest * sum(map(len, gram)) for gram, count in grams.items() if count == highest)


_CHECKS: tuple[Callable[[Document, Rules], Iterator[Rejection]], ...] = (
    _length,
    _word_length,
    _symbols,
    _line_shapes,
    _letters,
    _language,
    _placeholder,
    _repeated_parts,
    _repeated_words,
)
