"""A small corpus with every reason for rejection, generated from a seed."""

import gzip
import json
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import zstandard
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from curation.reason import Reason

END_OF_TEXT = "<|endoftext|>"
COMMON = ("the", "of", "and", "to", "with", "that", "have", "be")

RULES = {"maximum_record_bytes": 12_000, "maximum_words": 1_000, "sequence_length": 512}
"""What is smaller here than by default, so that the corpus can be small."""


def words(dice: random.Random, count: int) -> list[str]:
    """Return invented words, one in three of which is a common one."""
    return [
        dice.choice(COMMON)
        if place % 3 == 0
        else "".join(dice.choices("abcdefghijklmnoprstuvwz", k=dice.randint(4, 9)))
        for place in range(count)
    ]


def prose(dice: random.Random, count: int = 90) -> str:
    """Return a text that every rule accepts."""
    text = words(dice, count)
    lines = [" ".join(text[start : start + 15]) for start in range(0, count, 15)]
    return ".\n".join(lines) + "."


def altered(dice: random.Random, text: str) -> str:
    """Return nearly the same text: one word differs."""
    parts = text.split(" ")
    parts[dice.randrange(len(parts))] = "altered"
    return " ".join(parts)


def _of(make: Callable[[random.Random], str]) -> Callable[[random.Random], bytes]:
    return lambda dice: record(make(dice))


def record(text: str) -> bytes:
    """Return a line of a shard."""
    return json.dumps({"text": text, "source": "generated"}).encode()


def _bullets(dice: random.Random) -> str:
    return "\n".join(f"- {' '.join(words(dice, 10))}" for _ in range(10))


def _ellipses(dice: random.Random) -> str:
    lines = [" ".join(words(dice, 15)) for _ in range(6)]
    return "\n".join(f"{line}..." if place < 3 else line for place, line in enumerate(lines))


def _repeated_lines(dice: random.Random) -> str:
    line = " ".join(words(dice, 5))
    return "\n".join([prose(dice), *[line] * 4])


def _repeated_paragraphs(dice: random.Random) -> str:
    paragraph = "\n".join(" ".join(words(dice, 10)) for _ in range(12))
    others = "\n\n".join(" ".join(words(dice, 10)) for _ in range(3))
    # As a share of lines it stays below the limit: the longer text around it is all different.
    short = " ".join(words(dice, 4))
    return "\n\n".join([paragraph, others, *[short] * 4])


def _repeated_words(dice: random.Random) -> str:
    pair = " ".join(words(dice, 2)[1:] * 2)
    return " ".join(f"{' '.join(words(dice, 3))} {pair}" for _ in range(30))


def _personal_data(dice: random.Random) -> str:
    people = " ".join(f"person{number}@example.com" for number in range(6))
    return f"{prose(dice)}\n{people}"


REJECTED: dict[Reason, Callable[[random.Random], bytes]] = {
    Reason.NOT_JSON: lambda _: b'{"text": "half a rec',
    Reason.NO_TEXT: lambda _: b'{"body": "it is called otherwise"}',
    Reason.RECORD_TOO_LARGE: _of(lambda dice: prose(dice, 3_000)),
    Reason.TOO_SHORT: _of(lambda dice: prose(dice, 20)),
    Reason.TOO_LONG: _of(lambda dice: prose(dice, 1_200)),
    Reason.WORD_LENGTH: _of(lambda dice: f"the of {'a b ' * 60}{dice.random()}"),
    Reason.SYMBOLS: _of(lambda dice: prose(dice).replace(" ", " #", 30)),
    Reason.BULLETS: _of(_bullets),
    Reason.ELLIPSES: _of(_ellipses),
    Reason.FEW_LETTERS: _of(
        lambda dice: f"the and {' '.join(str(dice.randint(10_000, 99_999)) for _ in range(80))}"
    ),
    Reason.LANGUAGE: _of(
        lambda dice: " ".join(word for word in words(dice, 150) if word not in COMMON)
    ),
    Reason.PLACEHOLDER: _of(lambda dice: f"{prose(dice)} Lorem ipsum dolor."),
    Reason.REPEATED_LINES: _of(_repeated_lines),
    Reason.REPEATED_PARAGRAPHS: _of(_repeated_paragraphs),
    Reason.REPEATED_WORDS: _of(_repeated_words),
    Reason.PERSONAL_DATA: _of(_personal_data),
}
"""A maker of a rejected record for each reason."""


@cache
def _shards(seed: int, each: int) -> Sequence[bytes]:
    dice = random.Random(seed)  # noqa: S311 - not for secrets
    originals = [prose(dice) for _ in range(4 * each)]
    shards = []
    for number in range(4):
        lines = [record(text) for text in originals[number * each : (number + 1) * each]]
        lines += [make(dice) for make in REJECTED.values()]
        # Of the shards before and after, so that duplicates lie across shards.
        lines += [record(text) for text in dice.sample(originals, each // 3)]
        lines += [record(altered(dice, text)) for text in dice.sample(originals, each // 3)]
        lines.append(record(f"Write to somebody@example.com. {prose(dice)}"))
        lines.append(record(f"{prose(dice)} A {END_OF_TEXT} that somebody wrote."))
        dice.shuffle(lines)
        shards.append(b"\n".join(lines) + b"\n")
    return shards


def write_corpus(folder: Path, *, seed: int = 7, each: int = 12) -> None:
    """Write shards of every kind, one that ends too soon, and a file that is no shard."""
    shards = _shards(seed, each)
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(shards[0])
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(shards[1], mtime=0))
    half = len(shards[2]) // 2
    # Two frames after one another, as parallel compressors write them.
    frames = zstandard.compress(shards[2][:half]) + zstandard.compress(shards[2][half:])
    (folder / "c.jsonl.zst").write_bytes(frames)
    (folder / "more").mkdir()
    (folder / "more" / "d.jsonl").write_bytes(shards[3])
    (folder / "e.jsonl.gz").write_bytes(gzip.compress(shards[0], mtime=0)[:-100])
    (folder / "README.txt").write_text("Where the text is from.\n")


def write_tokenizer(path: Path) -> Tokenizer:
    """Write a tokenizer whose tokens are bytes, so that text can be read back."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: place for place, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT])
    tokenizer.save(str(path))
    return tokenizer
