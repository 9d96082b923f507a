"""How a kind of personal data is found: a pattern, and a check of what it matches.

Patterns run on text whose digits, dashes and full-width letters are ASCII already
(:mod:`gateway.governance.redaction`). Letters of scripts without spaces may touch a match, so the
edges of a match are defined by ASCII letters and digits, never by ``\\b``. Every repetition in a
pattern is bounded or ends at a character that it cannot contain, so that the time grows with the
length of the text only.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

Accept = Callable[[re.Match[str]], int]

_FILLERS = (
    r"is|are|was|no|nr|number|n°|of|on|am|le|el|il|em|den|es|est|ist|lautet|è|é|jest|to|adalah|là"
)


def whole(match: re.Match[str]) -> int:
    """Accept all of a match."""
    return len(match[0])


@dataclass(frozen=True)
class Detector:
    """Finds one kind.

    ``group`` is the part of a match that is personal, 0 for all of it; patterns with a group have
    words before it, and ignore case for their sake. ``accept`` returns 0 for a match that is not
    of the kind; of the others, where only the beginning is, its length.
    """

    kind: str
    pattern: str
    accept: Accept = whole
    group: int = 0

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Return where the values begin and end in ``text``."""
        for match in compiled(self.pattern, ignore_case=self.group > 0).finditer(text):
            length = self.accept(match)
            if length:
                start, end = match.span(self.group)
                yield start, min(end, match.start() + length)


@cache
def compiled(pattern: str, *, ignore_case: bool) -> re.Pattern[str]:
    """Compile at the first use, not while modules are loaded: it takes 40 ms for all patterns."""
    return re.compile(pattern, re.IGNORECASE if ignore_case else 0)


def edged(form: str) -> str:
    """Return a pattern for ``form`` where it is not part of a longer word or number."""
    return rf"(?<![0-9A-Za-z_])(?<!\d[.,])(?:{form})(?![0-9A-Za-z_])"


def after(words: str, value: str) -> str:
    """Return a pattern for ``value``, its first group, a few characters after one of ``words``.

    A ``<`` before the word would make it the name of a pseudonym, which stays as it is.
    """
    gap = r"[^\n0-9A-Za-z]"
    return rf"(?<!<)(?:{words}){gap}{{0,6}}(?:(?:{_FILLERS}){gap}{{1,4}}){{0,3}}({value})"
