"""What the stages decide, over generated texts."""

import gzip
import io
import itertools
import json
import random
import string
from collections import Counter
from dataclasses import replace

import ftfy
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.duplicates import exact_representatives, representatives, similar_pairs
from curation.errors import CurationError
from curation.filtering import curated
from curation.fingerprint import dtype_of, fingerprint_of, shingle_hashes
from curation.normalisation import normalised
from curation.personal_data import redacted
from curation.quality import Document, assess
from curation.reason import Rejection
from curation.rules import Rules
from curation.shard_reader import Line, UnreadableShardError, lines_of
from tests.jobs.curation.corpus import altered, prose

LENIENT = Rules(minimum_words=0, minimum_stop_words=0, permutations=32, bands=8, shingle_words=2)


@given(st.text())
def test_any_text_can_be_judged(text: str) -> None:
    line = Line(1, json.dumps({"text": text}).encode(), whole=True)
    result = curated(line, LENIENT)
    assert isinstance(result, Rejection) or len(fingerprint_of(result, LENIENT)) == 16 + 4 * 32


@given(st.binary())
def test_any_bytes_can_be_judged(content: bytes) -> None:
    assert isinstance(curated(Line(1, content, whole=True), Rules()), Rejection)


def test_nesting_beyond_the_stack_is_no_json() -> None:
    result = curated(Line(1, b'{"text":' + b"[" * 200_000, whole=True), Rules())
    assert isinstance(result, Rejection)
    assert result.reason == "not-json"


@given(st.text(st.sampled_from(string.printable + "\x00\x1b\x7f")))
def test_ascii_is_normalised_as_ftfy_would(text: str) -> None:
    config = ftfy.TextFixerConfig(unescape_html=False, uncurl_quotes=False)
    assert normalised(text) == normalised(ftfy.fix_text(text, config))


def test_mojibake_is_repaired() -> None:
    assert normalised("The cafÃ© was \x07closed.  \n\n\n\nIt is â€œopenâ€\x9d.") == (
        "The café was closed.\n\nIt is “open”."
    )


@given(st.lists(st.binary(max_size=30).map(lambda it: it.replace(b"\n", b""))), st.integers(1, 40))
def test_lines_are_the_same_however_they_are_compressed(lines: list[bytes], maximum: int) -> None:
    plain = b"\n".join(lines)
    half = len(plain) // 2
    frames = zstandard.compress(plain[:half]) + zstandard.compress(plain[half:])
    forms = {"a.jsonl": plain, "a.jsonl.gz": gzip.compress(plain), "a.jsonl.zst": frames}
    read = [list(lines_of(name, io.BytesIO(body), maximum)) for name, body in forms.items()]
    assert read[0] == read[1] == read[2]
    assert [line.number for line in read[0]] == [
        number for number, line in enumerate(lines, 1) if line.strip()
    ]
    for line in read[0]:
        whole = lines[line.number - 1]
        assert line.whole == (len(whole) <= maximum)
        assert line.content == whole[:maximum].rstrip(b"\r\n")


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
@given(share=st.floats(0.01, 0.99), flip=st.booleans())
def test_a_compressed_shard_that_is_cut_or_changed_is_never_read_as_whole(
    name: str, share: float, flip: bool
) -> None:
    plain = "\n".join(str(number * 7919) for number in range(500)).encode()
    compress = {
        "a.jsonl.gz": gzip.compress,
        "a.jsonl.zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    }[name]
    body = bytearray(compress(plain))
    place = int(len(body) * share)
    if flip and place > 12:
        body[place] ^= 0x55
    else:
        del body[max(place, 1) :]
    with pytest.raises(UnreadableShardError):
        list(lines_of(name, io.BytesIO(bytes(body)), 100))


def fingerprints_of(texts: list[str], rules: Rules) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    rows = b"".join(bytes(8) + fingerprint_of(text, rules) for text in texts)
    return np.frombuffer(rows, dtype_of(rules))


def kept_texts(texts: list[str], rules: Rules) -> list[str]:
    found = fingerprints_of(texts, rules)
    exact = exact_representatives(found["digest"])
    kept = representatives(found["digest"], exact, similar_pairs(found, exact, rules))
    assert all(kept[row] == kept[kept[row]] for row in range(len(texts)))
    return [text for row, text in enumerate(texts) if kept[row] == row]


WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12).map(" ".join)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=25), st.randoms(use_true_random=False))
def test_what_is_kept_does_not_depend_on_the_order(texts: list[str], dice: random.Random) -> None:
    shuffled = list(texts)
    dice.shuffle(shuffled)
    assert sorted(kept_texts(shuffled, LENIENT)) == sorted(kept_texts(texts, LENIENT))


@settings(deadline=None)
@given(st.lists(WORDS, max_size=25))
def test_equal_texts_are_kept_once_and_something_of_each_is_kept(texts: list[str]) -> None:
    kept = kept_texts(texts, LENIENT)
    assert len(kept) == len(set(kept))
    assert bool(kept) == bool(texts)
    found = fingerprints_of(texts, LENIENT)
    for text, row in zip(texts, found, strict=True):
        # Not always like the one kept, but connected with it, or kept itself.
        assert text in kept or any(
            (row["signature"] == other["signature"]).mean() >= LENIENT.fuzzy_threshold
            for other, its in zip(found, texts, strict=True)
            if its != text
        )


def test_candidates_of_minhash_are_those_of_datasketch() -> None:
    from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

    dice = random.Random(3)  # noqa: S311 - not for secrets
    originals = [prose(dice) for _ in range(60)]
    texts = [*originals, *(altered(dice, text) for text in originals[:20])]
    rules = Rules()
    found = fingerprints_of(texts, rules)
    exact = exact_representatives(found["digest"])
    index = MinHashLSH(num_perm=rules.permutations, params=(rules.bands, 8))
    hashes = [MinHash(hashvalues=row["signature"], scheme="affine32", seed=1) for row in found]
    for place, minhash in enumerate(hashes):
        index.insert(place, minhash)
    expected = {
        (min(place, other), max(place, other))
        for place, minhash in enumerate(hashes)
        for other in index.query(minhash)
        if place != other and minhash.jaccard(hashes[other]) >= rules.fuzzy_threshold
    }
    left, right = similar_pairs(found, exact, rules)
    assert {(min(pair), max(pair)) for pair in zip(left.tolist(), right.tolist(), strict=True)} == (
        expected
    )
    assert len(expected) == 20


def test_the_estimate_is_close_to_the_share_of_common_shingles() -> None:
    dice = random.Random(5)  # noqa: S311 - not for secrets
    rules = Rules()
    for changed in range(0, 40, 4):
        text = prose(dice, 400)
        other = text
        for _ in range(changed):
            other = altered(dice, other)
        one, two = (set(shingle_hashes(it, 5).tolist()) for it in (text, other))
        true = len(one & two) / len(one | two)
        first, second = fingerprints_of([text, other], rules)["signature"]
        # Three standard deviations of 112 trials at most.
        assert abs((first == second).mean() - true) < 0.15


@given(st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=12))
def test_shingles_differ_exactly_where_their_words_do(words: list[str]) -> None:
    hashes = shingle_hashes(" ".join(words), 3).tolist()
    size = min(3, len(words))
    runs = [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]
    assert len(hashes) == len(runs)
    for (one, first), (two, second) in itertools.combinations(zip(runs, hashes, strict=True), 2):
        assert (one == two) == (first == second)


@given(st.lists(st.sampled_from(["aa", "b", "cccccc", "dd"]), min_size=1, max_size=30))
def test_repeated_words_are_those_that_counting_every_run_finds(words: list[str]) -> None:
    limits = {2: 0.20, 3: 0.18, 4: 0.16}
    expected = False
    for size, limit in limits.items():
        runs = Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1))
        highest = max(runs.values(), default=0)
        longest = max((len("".join(run)) for run in runs if runs[run] == highest), default=0)
        expected |= highest > 1 and highest * longest / len("".join(words)) > limit
    rules = replace(LENIENT, minimum_mean_word_length=0.0, minimum_alphabetic_share=0.0)
    found = assess(Document(" ".join(words)), rules)
    assert (found is not None and found.reason == "repeated-words") == expected


@pytest.mark.parametrize(
    ("text", "clean", "count"),
    [
        ("ask a.b+c@mail.example.org now", "ask |||EMAIL_ADDRESS||| now", 1),
        (
            "call (555) 010-9999 or +1 555-010-9999.",
            "call |||PHONE_NUMBER||| or |||PHONE_NUMBER|||.",
            2,
        ),
        ("host 8.8.8.8 and 10.0.0.1", "host |||IP_ADDRESS||| and 10.0.0.1", 1),
        ("version 1.2.3.4.5 of 300.1.1.1", "version 1.2.3.4.5 of 300.1.1.1", 0),
        ("in 2024-11-22 it took 1234567890 steps", "in 2024-11-22 it took 1234567890 steps", 0),
    ],
)
def test_personal_data_is_found_and_other_numbers_are_not(
    text: str, clean: str, count: int
) -> None:
    assert redacted(text) == (clean, count)


@given(st.text(st.sampled_from("ab1@.+-( )5")))
def test_redacted_text_has_nothing_left_to_redact(text: str) -> None:
    once, _ = redacted(text)
    assert redacted(once) == (once, 0)


@given(st.integers(1, 10_000), st.floats(0.1, 1), st.sampled_from(["redact", "reject", "keep"]))
def test_rules_come_back_from_json(words: int, threshold: float, personal_data: str) -> None:
    text = json.dumps(
        {"minimum_words": words, "fuzzy_threshold": threshold, "personal_data": personal_data}
    )
    rules = Rules.from_json(text)
    assert Rules.from_json(json.dumps(rules.as_dict())) == rules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "They are no JSON"),
        ("[]", "There is no such rule"),
        ('{"minimum_word": 5}', "minimum_word"),
        ('{"minimum_words": "5"}', "Write it like 50"),
        ('{"minimum_words": true}', "Write it like 50"),
        ('{"personal_data": "hide"}', "personal_data = 'hide'"),
        ('{"bands": 5}', "does not divide into bands"),
        ('{"sequence_length": 0}', "Give at least 1"),
        ('{"fuzzy_threshold": 1.5}', "at most 1"),
    ],
)
def test_wrong_rules_are_told_in_a_sentence(text: str, message: str) -> None:
    with pytest.raises(CurationError, match=message):
        Rules.from_json(text)
