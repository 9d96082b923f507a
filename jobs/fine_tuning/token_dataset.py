"""Sequences of a dataset that curation published, in an order that follows from a seed."""

import bisect
import hashlib
import json
import math
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from fine_tuning.errors import FineTuningError


class TokenDataset:
    """The sequences of all shards of a dataset, mapped into memory.

    Raises :class:`FineTuningError` for a folder without a manifest, which is no dataset yet.
    """

    def __init__(self, folder: Path) -> None:
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FineTuningError(
                f"{folder}: It has no manifest.json, so nothing was published there. Name the "
                "folder of one dataset."
            ) from None
        self.run: str = manifest["run"]
        self.sequence_length: int = manifest["rules"]["sequence_length"]
        names = [
            described["name"]
            for shard in manifest["shards"]
            for described in shard["objects"]
            if described["name"].startswith("tokens-")
        ]
        self._shards = [np.load(folder / name, mmap_mode="r") for name in names]
        self._ends = list(accumulate(len(shard) for shard in self._shards))
        if len(self) == 0:
            raise FineTuningError(f"{folder}: The dataset has no sequence. Curate more text.")

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Return the tokens of one sequence."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        shard = bisect.bisect_right(self._ends, index)
        begin = self._ends[shard - 1] if shard else 0
        return np.asarray(self._shards[shard][index - begin], dtype=np.int64)


def sequence_at(position: int, count: int, seed: int) -> int:
    """Return which of ``count`` sequences comes at ``position`` of a run.

    Each epoch visits every sequence once, in an order of its own. It is computed and not stored, so
    that a run that starts in the middle needs no state and ranks no memory.
    """
    epoch, place = divmod(position, count)
    digest = hashlib.sha256(f"{seed}:{epoch}".encode()).digest()
    factor = int.from_bytes(digest[:8], "big") % count
    while math.gcd(factor, count) != 1:
        factor += 1
    offset = int.from_bytes(digest[8:16], "big")
    return (factor * place + offset) % count


def positions_of(step: int, *, batch: int, rank: int, ranks: int) -> range:
    """Return the positions that ``rank`` of ``ranks`` takes in ``step``, counted from 1.

    The ranks' together are those of the step, whatever their number, so that a run may go on with
    more or fewer of them.
    """
    begin = (step - 1) * batch
    share = batch // ranks
    return range(begin + rank * share, begin + (rank + 1) * share)
