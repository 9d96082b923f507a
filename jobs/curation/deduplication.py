"""The stage that finds duplicates among the documents of all shards."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from curation.duplicates import Rows, exact_representatives, representatives, similar_pairs
from curation.errors import CurationError
from curation.filtering import filter_step
from curation.fingerprint import dtype_of
from curation.plan import Plan
from curation.shard_reader import SUFFIXES, UnreadableShardError, lines_of
from curation.storage import Storage
from curation.workspace import Workspace

STEP: Final = "deduplicate"

_LONGEST_PAIR: Final = 1 << 12
"""Bytes of a line of pairs; two ids take fewer than a hundred."""


def deduplicate(
    plan: Plan, *, workspace: Workspace, scratch: Path, pairs: Storage | None = None
) -> dict[str, Any]:
    """Find every duplicate unless that is done, and return the outcome.

    With ``pairs``, another deduplicator decided what is alike: each line of its shards holds
    ``{"duplicate": id, "of": id}``, with ids as the documents have them. Equal texts are found here
    in either case. Memory grows with the number of documents, by about 100 bytes for each; their
    fingerprints lie on the disk.

    Raises :class:`CurationError` while shards are not filtered, and for pairs of other documents.
    """
    done = workspace.outcome(STEP)
    if done is not None:
        return done
    fingerprints, starts = _all_fingerprints(plan, workspace, scratch)
    exact = exact_representatives(np.ascontiguousarray(fingerprints["digest"]))
    if pairs is None:
        alike = similar_pairs(fingerprints, exact, plan.rules)
    else:
        alike = _given_pairs(pairs, fingerprints, starts)
    kept = representatives(np.ascontiguousarray(fingerprints["digest"]), exact, alike)
    outcome: dict[str, Any] = {"shards": {}}
    for shard in plan.shards:
        rows = range(starts[shard.index], starts[shard.index + 1])
        ledger = _Ledger(scratch / f"duplicates-{shard.label}")
        counts = ledger.write(_entries(rows, fingerprints["line"], starts, exact, kept))
        if sum(counts.values()):
            artifact = workspace.store(ledger.path, ".jsonl.zst").as_dict()
            outcome["shards"][shard.label] = {**counts, "ledger": artifact}
        ledger.path.unlink()
    workspace.finish(STEP, outcome)
    return outcome


def _all_fingerprints(
    plan: Plan, workspace: Workspace, scratch: Path
) -> tuple[NDArray[Any], list[int]]:
    """Join the shards' files on the disk; also return the row with which each shard begins."""
    dtype = dtype_of(plan.rules)
    path, starts = scratch / "fingerprints", [0]
    with path.open("wb") as joined:
        for shard in plan.shards:
            outcome = workspace.required(filter_step(shard), "filter")
            if "fingerprints" in outcome:
                with workspace.open(outcome["fingerprints"]) as stream:
                    shutil.copyfileobj(stream, joined)
            starts.append(joined.tell() // dtype.itemsize)
    if not starts[-1]:
        return np.empty(0, dtype), starts
    return np.memmap(path, dtype, "r"), starts


def _given_pairs(
    pairs: Storage, fingerprints: NDArray[Any], starts: list[int]
) -> tuple[Rows, Rows]:
    left, right = [], []
    for found in pairs.objects():
        if not found.key.endswith(SUFFIXES):
            continue
        with pairs.open(found.key) as stream:
            try:
                for line in lines_of(found.key, stream, _LONGEST_PAIR):
                    pair = json.loads(line.content)
                    left.append(_row(pair["duplicate"], fingerprints["line"], starts))
                    right.append(_row(pair["of"], fingerprints["line"], starts))
            except (UnreadableShardError, LookupError, TypeError, ValueError) as error:
                raise CurationError(
                    f"{pairs.uri}{found.key}: It does not hold pairs of documents of this run: "
                    f"{error}. Remove it and run the deduplicator again."
                ) from error
    return np.array(left, np.int64), np.array(right, np.int64)


def _row(identity: str, lines: NDArray[np.uint64], starts: list[int]) -> int:
    shard, _, number = identity.partition(":")
    first, last = starts[int(shard)], starts[int(shard) + 1]
    place = int(np.searchsorted(lines[first:last], int(number)))
    if first + place == last or lines[first + place] != int(number):
        raise LookupError(f"there is no document {identity}")
    return first + place


def _entries(
    rows: range, lines: NDArray[np.uint64], starts: list[int], exact: Rows, kept: Rows
) -> Iterator[dict[str, Any]]:
    for row in rows:
        if kept[row] == row:
            continue
        shard = int(np.searchsorted(starts, kept[row], side="right")) - 1
        yield {
            "line": int(lines[row]),
            "of": f"{shard}:{lines[kept[row]]}",
            "kind": "fuzzy" if exact[row] == row else "exact",
        }


class _Ledger:
    """The duplicates of one shard as a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, entries: Iterator[dict[str, Any]]) -> dict[str, int]:
        """Write the entries and count their kinds."""
        counts = {"exact": 0, "fuzzy": 0}
        with self.path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as ledger:
            for entry in entries:
                counts[entry["kind"]] += 1
                ledger.write(json.dumps(entry, sort_keys=True).encode() + b"\n")
        return counts
