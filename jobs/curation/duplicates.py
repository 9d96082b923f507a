"""Which documents are duplicates of which, decided by their fingerprints alone.

Nothing depends on the order of the documents: of several that are alike, the one with the lowest
digest is kept, wherever it stands. Texts that are equal are equal documents; the first one stays.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from curation.rules import Rules

_COMPARED: Final = 1 << 16
"""Pairs compared at once; with 112 permutations they take 60 MB."""

Rows = NDArray[np.int64]


def exact_representatives(digests: NDArray[np.uint64]) -> Rows:
    """Return for each row the first row with the same digest (two numbers)."""
    if not len(digests):
        return np.empty(0, np.int64)
    order = np.lexsort((np.arange(len(digests)), digests[:, 1], digests[:, 0]))
    ordered = digests[order]
    begins = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)]
    first = order[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    representatives = np.empty(len(digests), np.int64)
    representatives[order] = first
    return representatives


def representatives(digests: NDArray[np.uint64], exact: Rows, pairs: tuple[Rows, Rows]) -> Rows:
    """Return for each row the row that is kept in its place, which may be itself.

    ``pairs`` are rows that are alike; whatever is connected by them is one group.
    """
    if not len(digests):
        return np.empty(0, np.int64)
    unique = np.flatnonzero(exact == np.arange(len(exact)))
    ranked = unique[np.lexsort((digests[unique, 1], digests[unique, 0]))]
    rank = np.empty(len(exact), np.int64)
    rank[ranked] = np.arange(len(ranked))
    left, right = (rank[exact[side]] for side in pairs)
    graph = coo_array((np.ones(len(left), bool), (left, right)), (len(ranked), len(ranked)))
    _, labels = connected_components(graph, directed=False)
    _, lowest = np.unique(labels, return_index=True)
    kept = np.empty(len(exact), np.int64)
    kept[ranked] = ranked[lowest[labels]]
    return kept[exact]


def similar_pairs(fingerprints: NDArray[Any], exact: Rows, rules: Rules) -> tuple[Rows, Rows]:
    """Return pairs of rows whose estimated share of common shingles reaches the threshold.

    Rows that agree in a whole band are candidates (https://infolab.stanford.edu/~ullman/mmds/ch3n.pdf,
    section 3.4). Among them each is compared with the one of the lowest digest, and what is not
    like that one is compared with the next lowest that is left, until nothing is.
    """
    digests = fingerprints["digest"]
    unique = np.flatnonzero(exact == np.arange(len(exact)))
    rows = unique[np.lexsort((digests[unique, 1], digests[unique, 0]))]
    found: list[tuple[Rows, Rows]] = []
    width = rules.permutations // rules.bands
    for start in range(0, rules.permutations, width):
        keys = _band_keys(fingerprints, rows, start, width)
        found += _pairs_of_band(fingerprints, rows, keys, rules.fuzzy_threshold)
    empty = np.empty(0, np.int64)
    return (
        np.concatenate([empty, *(left for left, _ in found)]),
        np.concatenate([empty, *(right for _, right in found)]),
    )


def _band_keys(
    fingerprints: NDArray[Any], rows: Rows, start: int, width: int
) -> NDArray[np.uint64]:
    keys = np.zeros(len(rows), np.uint64)
    for begin in range(0, len(rows), _COMPARED):
        part = slice(begin, begin + _COMPARED)
        band = fingerprints["signature"][rows[part], start : start + width]
        for column in range(width):
            # Keys that collide only make candidates, and candidates are compared.
            keys[part] = keys[part] * np.uint64(0x9E3779B97F4A7C15) + band[:, column] + np.uint64(1)
    return keys


def _pairs_of_band(
    fingerprints: NDArray[Any], rows: Rows, keys: NDArray[np.uint64], threshold: float
) -> list[tuple[Rows, Rows]]:
    order = np.argsort(keys, kind="stable")
    found = []
    while len(order) > 1:
        ordered = keys[order]
        begins = np.r_[True, ordered[1:] != ordered[:-1]]
        leaders = order[np.flatnonzero(begins)][np.cumsum(begins) - 1]
        members, leaders = order[~begins], leaders[~begins]
        alike = _alike(fingerprints, rows[leaders], rows[members], threshold)
        found.append((rows[leaders[alike]], rows[members[alike]]))
        order = members[~alike]
    return found


def _alike(
    fingerprints: NDArray[Any], left: Rows, right: Rows, threshold: float
) -> NDArray[np.bool_]:
    signatures = fingerprints["signature"]
    result = np.empty(len(left), bool)
    for begin in range(0, len(left), _COMPARED):
        part = slice(begin, begin + _COMPARED)
        equal = signatures[left[part]] == signatures[right[part]]
        result[part] = equal.mean(axis=1) >= threshold
    return result
