"""What a record must be like to be kept, as one value whose every field decides on the outcome."""

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from curation.errors import CurationError


class PersonalData(StrEnum):
    """What happens to e-mail addresses, telephone numbers and IP addresses in the text."""

    REDACT = "redact"
    """Each is replaced by what it was; a record with too many is rejected."""
    REJECT = "reject"
    """A record with any is rejected."""
    KEEP = "keep"
    """Nothing is looked for."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The thresholds of all stages.

    The defaults of quality are Gopher's (https://arxiv.org/abs/2112.11446, appendix A.1.1) and of
    fuzzy duplicates FineWeb's (https://arxiv.org/abs/2406.17557, appendix E.1); the limit of
    personal data is Dolma's (https://arxiv.org/abs/2402.00159, section 5.3).
    """

    minimum_words: int = 50
    maximum_words: int = 100_000
    minimum_mean_word_length: float = 3.0
    maximum_mean_word_length: float = 10.0
    maximum_symbol_share: float = 0.1
    """Hash signs, and ellipses, for each word."""
    maximum_bullet_share: float = 0.9
    """Share of lines that begin with a bullet."""
    maximum_ellipsis_share: float = 0.3
    """Share of lines that end in an ellipsis."""
    minimum_alphabetic_share: float = 0.8
    """Share of words that hold a letter."""
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    """Words of the wanted language, in lower case; text of another one has few of them."""
    minimum_stop_words: int = 2
    """How many different stop words there must be; 0 accepts every language."""
    maximum_duplicate_line_share: float = 0.3
    maximum_duplicate_paragraph_share: float = 0.3
    maximum_bigram_share: float = 0.20
    """Share of characters in the most frequent pair of words."""
    maximum_trigram_share: float = 0.18
    maximum_fourgram_share: float = 0.16
    personal_data: PersonalData = PersonalData.REDACT
    maximum_personal_data: int = 5
    """Findings up to which a record is redacted rather than rejected."""
    maximum_record_bytes: int = 16 << 20
    """Size of a line that is still read."""
    shingle_words: int = 5
    permutations: int = 112
    bands: int = 14
    """Groups of permutations, one of which must agree for two texts to be compared."""
    fuzzy_threshold: float = 0.75
    """Estimated share of common shingles from which texts are duplicates, at most 1."""
    sequence_length: int = 4096
    end_of_text: str = "<|endoftext|>"
    """The token after each document, and in what is left of the last sequence of a shard."""

    def __post_init__(self) -> None:
        if self.permutations < 1 or self.bands < 1 or self.permutations % self.bands:
            raise CurationError(
                f"rules: permutations = {self.permutations} does not divide into bands = "
                f"{self.bands}. Choose a multiple."
            )
        for name in ("sequence_length", "shingle_words", "maximum_record_bytes"):
            if getattr(self, name) < 1:
                raise CurationError(f"rules: {name} = {getattr(self, name)}: Give at least 1.")
        if not 0 < self.fuzzy_threshold <= 1:
            raise CurationError(
                f"rules: fuzzy_threshold = {self.fuzzy_threshold}: Choose more than 0, at most 1."
            )

    @classmethod
    def from_json(cls, text: str) -> "Rules":
        """Return the rules of a JSON object whose missing keys mean the defaults.

        Raises :class:`CurationError` for anything else.
        """
        try:
            given = json.loads(text)
        except ValueError as error:
            raise CurationError(f"rules: They are no JSON: {error}") from error
        known = {field.name: field for field in dataclasses.fields(cls)}
        if not isinstance(given, dict) or not given.keys() <= known.keys():
            unknown = sorted(given.keys() - known.keys()) if isinstance(given, dict) else given
            raise CurationError(f"rules: {unknown}: There is no such rule. Known: {list(known)}")
        return cls(**{key: _typed(key, value, known[key].default) for key, value in given.items()})

    def as_dict(self) -> dict[str, Any]:
        """Return them as what JSON can hold."""
        return {**dataclasses.asdict(self), "stop_words": list(self.stop_words)}


def _typed(key: str, value: object, default: object) -> Any:
    if isinstance(default, tuple) and isinstance(value, list):
        value = tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(default, PersonalData) and value in set(PersonalData):
        return PersonalData(str(value))
    if type(value) is not type(default):
        raise CurationError(f"rules: {key} = {value!r}: Write it like {default!r}.")
    return value
