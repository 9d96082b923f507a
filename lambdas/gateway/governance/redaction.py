"""Personal data and secrets in text, replaced by keyed pseudonyms.

A pseudonym such as ``<EMAIL:3f9a1c20>`` is an HMAC of the value under a key of the tenant: the same
person is the same token in every line of one tenant, different tenants have different tokens, and
without the key no value can be tried out against them.
"""

import hashlib
import hmac
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.governance.detectors import DETECTORS

PSEUDONYM_LENGTH = 8
"""Hexadecimal digits: of 10,000 different values, two share a pseudonym with probability 1.2 %."""

_INVISIBLE = frozenset({"Cf"})
_DASHES = frozenset({"Pd"})


# Identifiers of things, whose last group would pass for a person's number now and then.
_UUID = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![0-9A-Za-z])"
)


class _Fold(dict[int, int]):
    """Maps a character to the ASCII one that means the same, one to one, and keeps the rest."""

    def __missing__(self, code: int) -> int:
        self[code] = ord(_folded(chr(code)))
        return self[code]


def _folded(character: str) -> str:
    category = unicodedata.category(character)
    if category in _DASHES or character == "\u2212":
        return "-"
    if category == "Zs":
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(character))
    compatible = unicodedata.normalize("NFKC", character)
    return compatible if len(compatible) == 1 else character


_FOLD = _Fold()


@dataclass(frozen=True)
class Redaction:
    """Text without what was found in it, and how often each kind was."""

    text: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many values were replaced."""
        return sum(self.counts.values())


class Redactor:
    """Replaces personal data and secrets by pseudonyms under one tenant's key.

    ``key`` is the secret of the deployment (32 bytes or more) and ``tenant`` the team's name.

    Raises:
        ValueError: the key is too short to keep values from being tried out.
    """

    def __init__(self, key: bytes, tenant: str) -> None:
        if len(key) < hashlib.sha256().digest_size:
            raise ValueError("The redaction key must have at least 32 bytes.")
        self._key = hmac.new(key, f"redaction:{tenant}".encode(), hashlib.sha256).digest()

    def redact(self, text: str) -> str:
        """Return ``text`` with every value that was found replaced. Pass whole texts, no chunks:
        a value that is cut in two is found in neither half.
        """
        return self.scan(text).text

    def scan(self, text: str) -> Redaction:
        """Return the redacted text together with what was found."""
        folded, places = _fold(text)
        counts: Counter[str] = Counter()
        parts: list[str] = []
        done = 0
        for start, end, kind in _merged(_found(folded)):
            first, last = places[start], places[end - 1] + 1
            parts += [text[done:first], self._pseudonym(kind, folded[start:end])]
            counts[kind] += 1
            done = last
        return Redaction("".join([*parts, text[done:]]), dict(counts))

    def _pseudonym(self, kind: str, value: str) -> str:
        normal = "".join(character for character in value.casefold() if character.isalnum())
        message = f"{kind}:{normal}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._key, message, hashlib.sha256).hexdigest()
        return f"<{kind}:{digest[:PSEUDONYM_LENGTH]}>"


def _fold(text: str) -> tuple[str, range | list[int]]:
    """Return text to search in, and for each of its characters the place in the original.

    Digits of other scripts, full-width letters and the many dashes become ASCII, and characters
    that nobody sees, which may have been put in to hide a value, are left out.
    """
    if text.isascii():
        return text, range(len(text))
    folded = text.translate(_FOLD)
    places = [
        place
        for place, character in enumerate(folded)
        if unicodedata.category(character) not in _INVISIBLE
    ]
    if len(places) == len(folded):
        return folded, range(len(folded))
    return "".join(folded[place] for place in places), places


def _found(text: str) -> Iterator[tuple[int, int, int, str]]:
    text = _UUID.sub(lambda match: "\0" * len(match[0]), text)
    for rank, detector in enumerate(DETECTORS):
        for start, end in detector.find(text):
            yield start, end, rank, detector.kind


def _merged(found: Iterator[tuple[int, int, int, str]]) -> list[tuple[int, int, str]]:
    """Join findings that overlap, so that nothing of either is left; the longest names them."""
    merged: list[tuple[int, int, str]] = []
    longest: tuple[int, int] = (0, 0)
    for start, end, rank, kind in sorted(found):
        weight = (end - start, -rank)
        if merged and start < merged[-1][1]:
            before = merged[-1]
            name = kind if weight > longest else before[2]
            merged[-1] = (before[0], max(before[1], end), name)
            longest = max(weight, longest)
        else:
            merged.append((start, end, kind))
            longest = weight
    return merged
