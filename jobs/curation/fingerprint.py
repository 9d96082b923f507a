"""What a text is compared by: a hash of all of it, and a MinHash of its shingles."""

import hashlib
import zlib
from functools import cache
from typing import Any, Final

import numpy as np
from datasketch import MinHash  # type: ignore[import-untyped]
from numpy.typing import NDArray

from curation.rules import Rules

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, whose multiples spread well (Knuth, TAOCP 3, 6.4)."""

_BATCH: Final = 1 << 14
"""Shingles that are hashed at once; with 112 permutations 7 MB."""


def dtype_of(rules: Rules) -> "np.dtype[Any]":
    """Return the layout of a file of fingerprints: the line of the record, then what is below."""
    return np.dtype(
        [("line", "<u8"), ("digest", "<u8", (2,)), ("signature", "<u4", (rules.permutations,))]
    )


def fingerprint_of(text: str, rules: Rules) -> bytes:
    """Return a text's fingerprint: half of its SHA-256, and the MinHash of its shingles.

    Shingles are runs of ``shingle_words`` words in lower case. A shorter text is one shingle.
    """
    digest = hashlib.sha256(text.encode()).digest()[:16]
    minhash = _empty(rules.permutations).copy()
    shingles = shingle_hashes(text, rules.shingle_words)
    for start in range(0, len(shingles), _BATCH):
        minhash.update_batch(shingles[start : start + _BATCH].tolist())
    signature: NDArray[np.uint32] = minhash.hashvalues.astype("<u4")
    return digest + signature.tobytes()


def shingle_hashes(text: str, size: int) -> NDArray[np.uint32]:
    """Return a hash of each run of ``size`` words, in lower case.

    Every word is hashed once; a polynomial of the hashes stands for the run.
    """
    words = text.lower().encode().split()
    hashes = np.fromiter(map(zlib.crc32, words), np.uint64, len(words)) + np.uint64(1)
    size = min(size, len(words))
    runs = np.zeros(len(words) - size + 1, np.uint64)
    for offset in range(size):
        runs += hashes[offset : offset + len(runs)]
        runs *= _MULTIPLIER
    # The high bits are those that every word has reached.
    return (runs >> np.uint64(32)).astype(np.uint32)


@cache
def _empty(permutations: int) -> MinHash:
    # The shingles are hashed already.
    return MinHash(num_perm=permutations, seed=1, scheme="affine32", hashfunc=int)
