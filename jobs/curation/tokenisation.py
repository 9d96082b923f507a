"""The stage that turns the documents of a shard into sequences of tokens of one length."""

import io
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import zstandard
from numpy.lib import format as npy
from tokenizers import Tokenizer

from curation.deduplication import STEP as DEDUPLICATE
from curation.errors import CurationError
from curation.filtering import filter_step
from curation.plan import Plan, Shard, tokenizer_key
from curation.rules import Rules
from curation.storage import read
from curation.workspace import Workspace

_BATCH: Final = 256
"""Documents that the tokenizer is given at once, to use every core."""

INDEX_DTYPE: Final = np.dtype([("line", "<u8"), ("first_token", "<u8"), ("tokens", "<u8")])
"""One published document: its line in the shard, and where its tokens lie in the flat array."""


def tokenise_step(shard: Shard) -> str:
    """Return the name of the step that tokenises a shard."""
    return f"tokenise-{shard.label}"


def load_tokenizer(plan: Plan, workspace: Workspace) -> Tokenizer:
    """Return the plan's tokenizer.

    Raises :class:`CurationError` for a file that is none, and where it lacks ``end_of_text``.
    """
    try:
        tokenizer = Tokenizer.from_str(read(workspace.storage, tokenizer_key(plan)).decode())
    except Exception as error:  # the library raises Exception itself
        if isinstance(error, CurationError):
            raise
        raise CurationError(f"The tokenizer is no tokenizer.json: {error}") from error
    if tokenizer.token_to_id(plan.rules.end_of_text) is None:
        raise CurationError(
            f"rules: end_of_text = {plan.rules.end_of_text!r}: The tokenizer has no such token."
        )
    # A document that spells out a special token must not end a document, or worse.
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def token_dtype(tokenizer: Tokenizer) -> "np.dtype[Any]":
    """Return the smallest of ``uint16`` and ``uint32`` that holds every token."""
    return np.dtype("<u2" if tokenizer.get_vocab_size() <= 1 << 16 else "<u4")


def tokenise_shard(
    plan: Plan, shard: Shard, *, workspace: Workspace, tokenizer: Tokenizer, scratch: Path
) -> dict[str, Any]:
    """Tokenise what is left of one shard unless that is done, and return the outcome.

    Each document is followed by the token ``end_of_text``, and what is left of the last sequence is
    filled with it. Both files are NumPy's own, so that they can be mapped into memory.
    """
    done = workspace.outcome(tokenise_step(shard))
    if done is not None:
        return done
    packing = _Packing(plan.rules, tokenizer, scratch)
    packing.write(_documents(shard, workspace))
    outcome = {
        **packing.counts,
        "tokens_file": workspace.store(packing.tokens_path, ".npy").as_dict(),
        "index_file": workspace.store(packing.index_path, ".npy").as_dict(),
    }
    workspace.finish(tokenise_step(shard), outcome)
    return outcome


def _documents(shard: Shard, workspace: Workspace) -> Iterator[tuple[int, str]]:
    """Return line and text of each document of a shard that is no duplicate."""
    filtered = workspace.required(filter_step(shard), "filter")
    duplicates = workspace.required(DEDUPLICATE, "deduplicate")["shards"].get(shard.label)
    if "documents" not in filtered:
        return
    left_out = set()
    if duplicates is not None:
        left_out = {entry["line"] for entry in _json_lines(workspace, duplicates["ledger"])}
    for document in _json_lines(workspace, filtered["documents"]):
        line = int(document["id"].partition(":")[2])
        if line not in left_out:
            yield line, document["text"]


def _json_lines(workspace: Workspace, artifact: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with (
        workspace.open(artifact) as stream,
        zstandard.ZstdDecompressor().stream_reader(stream) as reader,
    ):
        yield from map(json.loads, io.BufferedReader(reader))


class _Packing:
    """Two files that grow with the documents: sequences of tokens, and where documents begin."""

    def __init__(self, rules: Rules, tokenizer: Tokenizer, scratch: Path) -> None:
        self._tokenizer = tokenizer
        self._length = rules.sequence_length
        self._end = tokenizer.token_to_id(rules.end_of_text)
        self._dtype = token_dtype(tokenizer)
        self._folder = scratch
        self.tokens_path = scratch / "tokens.npy"
        self.index_path = scratch / "index.npy"
        self.counts: dict[str, int] = {}

    def write(self, documents: Iterable[tuple[int, str]]) -> None:
        """Write all documents, and the header that tells how many there were."""
        count = total = 0
        tokens_raw, index_raw = self._folder / "tokens", self._folder / "index"
        with tokens_raw.open("wb") as tokens, index_raw.open("wb") as index:
            for batch in _batches(documents):
                encodings = self._tokenizer.encode_batch_fast(
                    [text for _, text in batch], add_special_tokens=False
                )
                for (line, _), encoding in zip(batch, encodings, strict=True):
                    ids = np.array([*encoding.ids, self._end], self._dtype)
                    tokens.write(ids.tobytes())
                    index.write(np.array([(line, total, len(ids))], INDEX_DTYPE).tobytes())
                    total += len(ids)
                    count += 1
            padding = -total % self._length
            tokens.write(np.full(padding, self._end, self._dtype).tobytes())
        sequences = (total + padding) // self._length
        _join(self.tokens_path, tokens_raw, self._dtype, (sequences, self._length))
        _join(self.index_path, index_raw, INDEX_DTYPE, (count,))
        self.counts = {
            "documents": count,
            "tokens": total,
            "padding": padding,
            "sequences": sequences,
        }


def _batches(documents: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    remaining = iter(documents)
    while batch := list(itertools.islice(remaining, _BATCH)):
        yield batch


def _join(target: Path, raw: Path, dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> None:
    with target.open("wb") as file, raw.open("rb") as content:
        _write_header(file, dtype, shape)
        shutil.copyfileobj(content, file)
    raw.unlink()


def _write_header(file: BinaryIO, dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> None:
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, header)
