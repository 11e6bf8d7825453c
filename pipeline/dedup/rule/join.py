"""Candidates: which texts are equal, and which share a band key of their signatures.

1. Records with equal 128-bit text hashes become one node.  Nodes are numbered in priority order.
2. Band by band, the nodes' 64-bit band keys are sorted; equal keys make a bucket.  Where a band does not fit the
   memory, it is sorted in partitions by the key's upper bits.
3. Nodes in no bucket are done: they are kept.  The others are active.

Shape letters: N records, U nodes, n active nodes, B bands.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGE_BUCKET = 1000  # records; members of larger buckets are compared with kept records only
SORT_BYTES = 40  # memory of sorting one key: key, index, sorted copies

Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Nodes:
    """Distinct texts.

    Attributes:
        of_record: Node of each record, shape (N,).
        representative: Record of highest priority of each node, ascending in priority, shape (U,).
        weight: Records of each node, shape (U,).
    """

    of_record: Ints
    representative: Ints
    weight: Ints


@dataclass(frozen=True)
class Buckets:
    """Buckets of the active nodes.

    Attributes:
        active: Node numbers, ascending, shape (n,).
        of_node: Bucket of each active node and band, -1 for none, shape (n, B).
        large: Whether a bucket holds more than LARGE_BUCKET records.
        large_count: Large buckets in all, those of one text repeated included.
    """

    active: Ints
    of_node: NDArray[np.int32]
    large: NDArray[np.bool_]
    large_count: int


def find_nodes(text_hash: Keys, order: Ints) -> Nodes:
    """Groups equal texts.

    Args:
        text_hash: 128-bit hashes, shape (N, 2).
        order: Records in priority order, shape (N,).
    """
    count = len(text_hash)
    if not count:
        empty = np.zeros(0, np.int64)
        return Nodes(empty, empty, empty)
    by_hash = np.argsort(text_hash[:, 0])
    new = np.ones(count, bool)
    new[1:] = np.diff(text_hash[by_hash, 0]) != 0
    if (~new[1:] & (np.diff(text_hash[by_hash, 1]) != 0)).any():  # half of the hash was not enough to group by
        by_hash = np.lexsort((text_hash[:, 1], text_hash[:, 0]))
        new[1:] = (np.diff(text_hash[by_hash], axis=0) != 0).any(axis=1)
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    starts = np.flatnonzero(new)
    best_rank = np.minimum.reduceat(rank[by_hash], starts)
    by_rank = np.argsort(best_rank)
    number = np.empty(len(starts), np.int64)
    number[by_rank] = np.arange(len(starts))
    of_record = np.empty(count, np.int64)
    of_record[by_hash] = number[np.cumsum(new) - 1]
    weight = np.diff(np.append(starts, count))[by_rank]
    return Nodes(of_record, order[best_rank[by_rank]], weight)


def find_buckets(
    nodes: Nodes,
    has_words: NDArray[np.bool_],
    keys: Callable[[int], Keys],
    bands: int,
    memory_bytes: int,
) -> Buckets:
    """Sorts band keys into buckets.

    Args:
        nodes: From ``find_nodes``.
        has_words: Records with at least one shingle, shape (N,); the others are in no bucket.
        keys: The key of each record in a band, shape (N,).
        bands: B.
        memory_bytes: What sorting may use.
    """
    candidates = np.flatnonzero(has_words[nodes.representative])
    records = nodes.representative[candidates]
    weight = nodes.weight[candidates]
    partitions = 1 << max(0, int(len(candidates) * SORT_BYTES // max(memory_bytes, 1)).bit_length())
    found: list[tuple[int, Ints, NDArray[np.int32]]] = []
    large: list[NDArray[np.bool_]] = []
    buckets = large_count = 0
    for band in range(bands):
        band_keys = keys(band)[records]
        for members, sizes, weights in _groups(band_keys, weight, partitions):
            large_count += int((weights > LARGE_BUCKET).sum())
            several = sizes > 1
            numbers = np.where(several, np.cumsum(several) - 1 + buckets, -1)
            of_member = np.repeat(numbers, sizes)
            found.append((band, members[of_member >= 0], of_member[of_member >= 0].astype(np.int32)))
            large.append(weights[several] > LARGE_BUCKET)
            buckets += int(several.sum())
    is_active = np.zeros(len(candidates), bool)
    for _, members, _ in found:
        is_active[members] = True
    active = np.flatnonzero(is_active)
    place = np.full(len(candidates), -1, np.int64)
    place[active] = np.arange(len(active))
    of_node = np.full((len(active), bands), -1, np.int32)
    for band, members, numbers in found:
        of_node[place[members], band] = numbers
    return Buckets(candidates[active], of_node, np.concatenate([*large, np.zeros(0, bool)]), large_count)


def _groups(keys: Keys, weight: Ints, partitions: int) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Members (positions in ``keys``, sorted by key), sizes and weights of the groups with something to do."""
    shift = np.uint64(65 - partitions.bit_length())
    for partition in range(partitions):
        chosen = np.flatnonzero(keys >> shift == partition) if partitions > 1 else np.arange(len(keys))
        if not len(chosen):
            continue
        by_key = chosen[np.argsort(keys[chosen])]
        starts = np.flatnonzero(np.append(True, np.diff(keys[by_key]) != 0))
        sizes = np.diff(np.append(starts, len(by_key)))
        weights = np.add.reduceat(weight[by_key], starts)
        wanted = (sizes > 1) | (weights > LARGE_BUCKET)
        yield by_key[np.repeat(wanted, sizes)], sizes[wanted], weights[wanted]
