"""The redactor, measured on the corpus and tried with hostile text."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.governance.redaction import Redactor
from tests.lambdas.governance.corpus import generate
from tests.lambdas.governance.redaction_report import measure, tables, untouched
from tests.lambdas.governance.samples import CORPUS, held_out, negatives, positives

ROOT = Path(__file__).parents[3]
KEY = b"k" * 32

RECALL_FLOOR = 0.99
"""Of all samples; what a change may not fall below."""
FLOOR_PER_KIND = 0.9
HELD_OUT_FLOOR = 0.8
"""Of the samples that no pattern was changed for; 0.825 when they were written."""
BY_SHAPE = {"EMAIL", "IP_ADDRESS", "CARD", "IBAN", "UK_NINO", "CA_SIN"}
"""Kinds that tell themselves by their form or their check digits, whatever stands around them."""
PRECISION_FLOOR = 0.98
NEGATIVES_UNTOUCHED_FLOOR = 0.98
MOST_UNITS = 24
"""What eight times the text may cost: a pattern that is not linear takes 64 times as long."""


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(KEY, "search")


def test_the_corpus_is_what_its_script_writes() -> None:
    for name, samples in [
        ("positives", generate.positives()),
        ("held_out", generate.held_out()),
        ("negatives", generate.negatives()),
    ]:
        assert (CORPUS / f"{name}.jsonl").read_text(encoding="utf-8") == generate.lines(samples)


def test_the_corpus_is_large_and_in_many_languages() -> None:
    samples = positives()
    assert len(samples) >= 300
    assert len({sample.text for sample in samples}) == len(samples)
    assert len({sample.locale for sample in samples} - {"any"}) >= 25
    assert len(negatives()) >= 100


def test_recall_and_precision_hold_their_floors(
    redactor: Redactor, capsys: pytest.CaptureFixture[str]
) -> None:
    measurement = measure(positives(), redactor)
    with capsys.disabled():
        print(f"\n{tables()}")  # noqa: T201
    assert measurement.total.recall >= RECALL_FLOOR
    assert measurement.total.precision >= PRECISION_FLOOR
    low = {kind for kind, count in measurement.kinds.items() if count.recall < FLOOR_PER_KIND}
    assert low == set()
    blind = {
        locale for locale, count in measurement.locales.items() if count.samples - count.found > 1
    }
    assert blind == set()
    assert untouched(redactor) >= NEGATIVES_UNTOUCHED_FLOOR


def test_values_in_sentences_that_nobody_foresaw_are_found_by_their_shape(
    redactor: Redactor,
) -> None:
    assert measure(held_out(), redactor).total.recall >= HELD_OUT_FLOOR
    shaped = [sample for sample in held_out() if sample.kind in BY_SHAPE]
    assert not [sample for sample in shaped if sample.value in redactor.redact(sample.text)]


def test_the_documentation_tells_what_is_measured() -> None:
    """Print the tables with `python -m tests.lambdas.governance.redaction_report`."""
    assert tables() in (ROOT / "docs" / "governance.md").read_text(encoding="utf-8")


def test_all_samples_in_one_text_are_found_too(redactor: Redactor) -> None:
    samples = positives()
    redacted = redactor.redact("\n".join(sample.text for sample in samples))
    left = [sample.text for sample in samples if sample.value in redacted]
    assert len(left) <= len(samples) * (1 - RECALL_FLOOR)


def test_the_same_value_is_the_same_pseudonym_however_it_is_written(redactor: Redactor) -> None:
    same = [
        ("Ada@Example.com", "ada@example.com"),
        ("4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        ("٠٥٥١٢٣٤٥٦٧ هاتف ٠٥٥١٢٣٤٥٦٧", "هاتف 0551234567"),
    ]
    for one, other in same:
        first, second = redactor.redact(one), redactor.redact(other)
        assert first.split("<")[-1] == second.split("<")[-1]


def test_pseudonyms_differ_between_teams_keys_and_values() -> None:
    texts = [
        Redactor(KEY, "search").redact("ada@example.com"),
        Redactor(KEY, "ads").redact("ada@example.com"),
        Redactor(b"j" * 32, "search").redact("ada@example.com"),
        Redactor(KEY, "search").redact("bob@example.com"),
    ]
    assert len(set(texts)) == 4
    assert all(text.startswith("<EMAIL:") for text in texts)


def test_a_key_that_can_be_tried_out_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Redactor(b"short", "search")


def test_what_is_around_a_value_stays_as_it_was(redactor: Redactor) -> None:
    text = "\u200bЛид: ada@example.com — после\u00a0\u00ad!"
    before, _, rest = redactor.redact(text).partition("<")
    assert before == "\u200bЛид: "
    assert rest.partition(">")[2] == " — после\u00a0\u00ad!"


def test_a_value_that_touches_another_leaves_nothing_of_either(redactor: Redactor) -> None:
    redacted = redactor.redact("postgres://app:hunter2secret@203.0.113.7/db")
    assert "hunter2" not in redacted
    assert "203.0" not in redacted


def test_a_value_cut_in_two_is_why_texts_must_be_whole(redactor: Redactor) -> None:
    text = "my card is 4111 1111 1111 1111 ok"
    assert "1111" not in redactor.redact(text)
    assert "1111" in redactor.redact(text[:20]) + redactor.redact(text[20:])


@pytest.mark.parametrize("header", ["eyJxxxxxxxx", "eyJ0eXAiOiJKV1QifQ", "eyJ4IjoiYSI"])
def test_what_only_looks_like_a_token_is_left(redactor: Redactor, header: str) -> None:
    text = f"see {header}.eyJzdWIiOiIxIn0.c2ln"
    assert redactor.scan(text).counts.get("JWT", 0) == 0


@given(st.text())
def test_any_text_can_be_redacted_and_counts_what_it_replaced(text: str) -> None:
    redaction = Redactor(KEY, "search").scan(text)
    if redaction.total == 0:
        assert redaction.text == text
    else:
        assert redaction.text.count("<") >= redaction.total


@given(st.text(alphabet="0123456789 -./()+@:abcdefAKIA,eyJ\n", max_size=300))
def test_text_full_of_digits_and_separators_can_be_redacted(text: str) -> None:
    redaction = Redactor(KEY, "search").scan(text)
    assert redaction.total == sum(redaction.counts.values())


def test_redacting_twice_changes_nothing_more(redactor: Redactor) -> None:
    for sample in positives():
        once = redactor.redact(sample.text)
        assert redactor.redact(once) == once


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "1 ",
        "a.",
        "a@",
        "-",
        "1:",
        "AB12 ",
        "12 Aaa ",
        "phone is ",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_hostile_text_takes_time_in_proportion_to_its_length(
    redactor: Redactor, piece: str
) -> None:
    short, long = (piece * (characters // len(piece)) for characters in (6_000, 48_000))
    # Of several measurements the least is the work's own: what disturbs it only adds to it.
    unit = min(seconds_of(redactor, short) for _ in range(5))
    assert any(seconds_of(redactor, long) < MOST_UNITS * unit for _ in range(3))


def seconds_of(redactor: Redactor, text: str) -> float:
    """Return the CPU time of this thread alone: other tests' servers may run beside it."""
    start = time.thread_time()
    redactor.scan(text)
    return time.thread_time() - start
