"""What a record must be like to be kept, as the curation job in ``jobs/curation`` takes it."""

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum

from llm_constructs.specs.problem import Problems


class PersonalData(StrEnum):
    """What happens to e-mail addresses, telephone numbers and IP addresses in the text."""

    REDACT = "redact"
    """Each is replaced by what it was; a record with too many is rejected."""
    REJECT = "reject"
    """A record with any is rejected."""
    KEEP = "keep"
    """Nothing is looked for."""


@dataclass(frozen=True, kw_only=True)
class CurationRules:
    """The thresholds of filter, deduplication and tokenisation.

    The defaults of quality are Gopher's (https://arxiv.org/abs/2112.11446, appendix A.1.1), those
    of fuzzy duplicates FineWeb's (https://arxiv.org/abs/2406.17557, appendix E.1).

    Raises :class:`SpecificationError` for what the job would refuse.
    """

    minimum_words: int = 50
    """Words of the shortest record."""
    maximum_words: int = 100_000
    """Words of the longest record."""
    minimum_mean_word_length: float = 3.0
    """Characters of a word, on average."""
    maximum_mean_word_length: float = 10.0
    """Characters of a word, on average."""
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
    """Share of lines that occurred before."""
    maximum_duplicate_paragraph_share: float = 0.3
    """Share of paragraphs that occurred before."""
    maximum_bigram_share: float = 0.20
    """Share of characters in the most frequent pair of words."""
    maximum_trigram_share: float = 0.18
    """Share of characters in the most frequent three words."""
    maximum_fourgram_share: float = 0.16
    """Share of characters in the most frequent four words."""
    personal_data: PersonalData = PersonalData.REDACT
    """`redact`, `reject` or `keep`: e-mail addresses, telephone numbers, public IP addresses."""
    maximum_personal_data: int = 5
    """Findings up to which a record is redacted rather than rejected."""
    maximum_record_bytes: int = 16 << 20
    """Size of a line that is still read."""
    shingle_words: int = 5
    """Words of the runs whose common share makes two texts alike."""
    permutations: int = 112
    """Hashes of a MinHash."""
    bands: int = 14
    """Groups of permutations, one of which must agree for two texts to be compared."""
    fuzzy_threshold: float = 0.75
    """Estimated share of common shingles from which texts are duplicates, at most 1."""
    sequence_length: int = 4096
    """Tokens of a sequence."""
    end_of_text: str = "<|endoftext|>"
    """The tokenizer's token after each document."""

    def __post_init__(self) -> None:
        problems = Problems("curation rules")
        problems.require(
            self.bands >= 1 and self.permutations >= 1 and self.permutations % self.bands == 0,
            "permutations",
            self.permutations,
            f"It does not divide into bands = {self.bands}.",
            "Choose a multiple of bands.",
        )
        for field in ("sequence_length", "shingle_words", "maximum_record_bytes"):
            value = getattr(self, field)
            problems.require(value >= 1, field, value, "Nothing would be left.", "Give at least 1.")
        for field in ("minimum_words", "minimum_stop_words", "maximum_personal_data"):
            value = getattr(self, field)
            problems.require(
                value >= 0, field, value, "It counts something.", "Give 0 or a positive number."
            )
        problems.require(
            0 < self.fuzzy_threshold <= 1,
            "fuzzy_threshold",
            self.fuzzy_threshold,
            "It is a share.",
            "Choose more than 0, at most 1.",
        )
        for low, high in (
            ("minimum_words", "maximum_words"),
            ("minimum_mean_word_length", "maximum_mean_word_length"),
        ):
            problems.require(
                getattr(self, low) <= getattr(self, high),
                low,
                getattr(self, low),
                f"It is above {high} = {getattr(self, high)}, so every record would be rejected.",
                f"Lower it, or raise {high}.",
            )
        problems.require(
            self.minimum_stop_words <= len(set(self.stop_words)),
            "minimum_stop_words",
            self.minimum_stop_words,
            f"There are {len(set(self.stop_words))} stop words, so every record would be rejected.",
            "Lower it, or add stop words.",
        )
        problems.raise_if_any()

    def as_json(self) -> str:
        """Return them as the job takes them, on one line."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)
