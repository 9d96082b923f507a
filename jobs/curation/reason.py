"""Why a record is not published."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """What the manifest and the quarantine call it."""

    NOT_JSON = "not-json"
    NO_TEXT = "no-text"
    """It is no object with a string called ``text``."""
    RECORD_TOO_LARGE = "record-too-large"
    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    WORD_LENGTH = "word-length"
    SYMBOLS = "symbols"
    BULLETS = "bullets"
    ELLIPSES = "ellipses"
    FEW_LETTERS = "few-letters"
    LANGUAGE = "language"
    PLACEHOLDER = "placeholder"
    REPEATED_LINES = "repeated-lines"
    REPEATED_PARAGRAPHS = "repeated-paragraphs"
    REPEATED_WORDS = "repeated-words"
    PERSONAL_DATA = "personal-data"


@dataclass(frozen=True)
class Rejection:
    """A reason, and the figure behind it for whoever looks into the quarantine."""

    reason: Reason
    detail: str
