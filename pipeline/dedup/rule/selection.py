"""Which records are duplicates, of what, and how similar: candidates verified, then the greedy rule.

The rule is that of docs/dedup.md: records are visited in priority order; one is kept unless a kept candidate reaches
the threshold, else it is removed and points to the most similar such record.  It is applied to independent groups of
nodes (linked through buckets), as many at a time as their shingle sets fit the memory; so neither the memory nor the
number of threads can change the result.

Shape letters: N records, U nodes, n active nodes, B bands.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.dedup.rule.join import Buckets, Ints, Keys, Nodes, find_buckets, find_nodes
from pipeline.dedup.rule.shingle_sets import SetSource
from pipeline.kernels import verify
from pipeline.recipe.minhash import THRESHOLD

GROUPS_PER_THREAD = 4  # where there are several threads: the last one to end keeps the others waiting little
SET_BYTES = 24  # memory of one shingle hash while its group is worked on: read, sorted, prefix


@dataclass(frozen=True)
class Records:
    """What selection must know of N records, in input order.

    Attributes:
        text_hash: 128-bit hashes of the texts, shape (N, 2).
        num_shingles: Distinct shingles, shape (N,).
        order: Records in priority order, shape (N,).
    """

    text_hash: Keys
    num_shingles: NDArray[np.int32]
    order: Ints


@dataclass(frozen=True)
class Rule:
    """What counts as a duplicate.

    Attributes:
        threshold: Least similarity, above 0, at most 1.
        copies: Similar records that may be kept; 1 removes all but one.
        verify: False compares signatures instead of shingle sets.
        forced: How many records, the first in priority order, are kept whatever they are like: those of an index.
    """

    threshold: float = THRESHOLD
    copies: int = 1
    verify: bool = True
    forced: int = 0


@dataclass(frozen=True)
class Search:
    """How candidates are found and compared.

    Attributes:
        sets: Where the shingle sets (or, unverified, the signatures) of the records come from.
        keys: Band keys of all records in a band, shape (N,); None: only equal texts are duplicates.
        bands: B.
        memory_bytes: What sorting and the shingle sets of the groups in work may use, all threads together.
        threads: Groups in work at a time.
    """

    sets: SetSource
    keys: Callable[[int], Keys] | None
    bands: int
    memory_bytes: int = 1 << 30
    threads: int = 1


@dataclass(frozen=True)
class Selection:
    """The removed records in input order, and the clusters.

    Attributes:
        removed: Record numbers, ascending, shape (R,).
        keepers: The record kept in place of each, shape (R,).
        intersections: Shingles in both, shape (R,); of an unverified selection, equal signature values.
        unions: Shingles in either, shape (R,).
        exact: Whether the two texts are equal, shape (R,).
        clusters: First record of each record's component, shape (N,); a record alone is its own.
        large_buckets: Buckets with more than 1,000 records.
        work: Pairs of which the sets (or signatures) were compared, and entries of the lists of large buckets looked at
            on the way.
    """

    removed: Ints
    keepers: Ints
    intersections: NDArray[np.int32]
    unions: NDArray[np.int32]
    exact: NDArray[np.bool_]
    clusters: Ints
    large_buckets: int = 0
    work: int = 0

    @property
    def similarities(self) -> NDArray[np.float64]:
        """Jaccard similarity of each removed record to its keeper; equal texts without words have 1."""
        return np.where(self.exact, 1.0, self.intersections / np.maximum(self.unions, 1))


@dataclass
class _State:
    """Results by visit and by node, filled group by group."""

    visits: Ints  # nodes: one for each of its records where several copies may be kept, else once
    keepers: Ints
    intersections: Ints
    unions: Ints
    roots: Ints
    work: Ints  # comparisons, and entries of lists looked at


def select_duplicates(records: Records, rule: Rule, search: Search) -> Selection:
    """Applies the rule to records."""
    nodes = find_nodes(records.text_hash, records.order)
    several = rule.copies > 1
    visits = nodes.of_record[records.order] if several else np.arange(len(nodes.representative))
    forced = rule.forced if several else len(np.unique(nodes.of_record[records.order[: rule.forced]]))
    state = _State(
        visits,
        np.full(len(visits), -1, np.int64),
        np.zeros(len(visits), np.int64),
        np.zeros(len(visits), np.int64),
        np.arange(len(nodes.representative)),
        np.zeros(2, np.int64),
    )
    buckets = Buckets(np.zeros(0, np.int64), np.zeros((0, 0), np.int32), np.zeros(0, bool), 0)
    if search.keys is not None:
        buckets = find_buckets(nodes, records.num_shingles > 0, search.keys, search.bands, search.memory_bytes)
        search.sets.prepare(nodes.representative[buckets.active])
        _select_groups(records, nodes, buckets, rule, search, state, forced)
    if several:
        _keep_copies_of_lonely_nodes(nodes, buckets, state, rule, forced)
    return _result(records, nodes, buckets, state, several)


def _select_groups(
    records: Records, nodes: Nodes, buckets: Buckets, rule: Rule, search: Search, state: _State, forced: int
) -> None:
    """Runs the kernel over the groups of active nodes and files the results in ``state``."""
    sizes = records.num_shingles[nodes.representative[buckets.active]].astype(np.int64) * SET_BYTES
    visit_order = np.argsort(state.visits, kind="stable") if rule.copies > 1 else np.arange(len(state.visits))
    visit_starts = np.searchsorted(state.visits[visit_order], np.arange(len(nodes.representative) + 1))

    def work(chosen: Ints) -> tuple[Ints, Ints, tuple[Ints, Ints, Ints, Ints, Ints]]:
        members = buckets.active[chosen]
        if rule.copies > 1:
            numbers = np.concatenate([visit_order[visit_starts[m] : visit_starts[m + 1]] for m in members])
            numbers.sort()
        else:
            numbers = members
        local = np.searchsorted(members, state.visits[numbers])
        group_forced = int(np.searchsorted(numbers, forced))
        return members, numbers, _run_group(nodes, buckets, chosen, members, local, group_forced, rule, search.sets)

    memory, threads = search.memory_bytes, search.threads
    share = int(sizes.sum()) // (GROUPS_PER_THREAD * threads) + 1 if threads > 1 else memory
    groups = list(_split(buckets, sizes, min(share, memory // (2 * threads))))
    with ThreadPoolExecutor(threads) as executor:
        for members, numbers, (keepers, intersections, unions, roots, took) in executor.map(work, groups):
            kept = np.where(keepers >= 0, members[keepers], -1)
            state.keepers[numbers], state.intersections[numbers], state.unions[numbers] = kept, intersections, unions
            state.roots[members] = members[roots]
            state.work += took


def _split(buckets: Buckets, sizes: Ints, group_bytes: int) -> Iterator[Ints]:
    """Active nodes (positions, ascending) in groups that share no bucket, of about ``group_bytes`` each."""
    count = len(buckets.active)
    if not count:
        return
    parents, first = np.arange(count), np.full(len(buckets.large), -1, np.int64)
    verify.join_buckets(parents, buckets.of_node, first)
    by_root = np.argsort(parents, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(parents[by_root]) != 0))
    weights = np.add.reduceat(sizes[by_root], starts)
    group = (np.cumsum(weights) - weights) // max(group_bytes, 1)
    edges = np.append(starts[np.flatnonzero(np.append(True, np.diff(group) != 0))], count)
    for start, end in pairwise(edges):
        yield np.sort(by_root[start:end])


def _run_group(
    nodes: Nodes,
    buckets: Buckets,
    chosen: Ints,
    members: Ints,
    local_visits: Ints,
    forced: int,
    rule: Rule,
    sets: SetSource,
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    of_node, bucket_offsets, bucket_members, large = _local_buckets(buckets, chosen)
    records = nodes.representative[members]
    if rule.verify:
        hashes, loose_offsets = sets.load(records)
        offsets = np.empty_like(loose_offsets)
        hashes = hashes[: verify.sort_sets(hashes, loose_offsets, offsets)]
        signatures_nP = np.empty((len(records), 0), np.uint32)
    else:
        hashes, offsets = np.zeros(0, np.uint64), np.zeros(len(records) + 1, np.int64)
        signatures_nP = sets.signatures(records)
    prefixes = _prefixes(hashes, offsets, of_node, large, rule)
    found: tuple[Ints, Ints, Ints, Ints, Ints] = verify.select(
        (hashes, offsets, signatures_nP),
        (of_node, bucket_offsets, bucket_members, large),
        prefixes,
        local_visits,
        forced,
        rule.copies,
        rule.threshold,
    )
    return found


def _local_buckets(buckets: Buckets, chosen: Ints) -> tuple[NDArray[np.int32], Ints, Ints, NDArray[np.bool_]]:
    """The buckets of a group, renumbered: bucket of node and band, offsets, members, large."""
    of_node = buckets.of_node[chosen]
    present, numbers = np.unique(of_node, return_inverse=True)
    missing = int(len(present) > 0 and present[0] == -1)
    local = np.ascontiguousarray(numbers.reshape(of_node.shape) - missing, np.int32)
    rows, bands = np.nonzero(local >= 0)
    flat = local[rows, bands]
    by_bucket = np.argsort(flat, kind="stable")  # members stay ascending
    offsets = np.searchsorted(flat[by_bucket], np.arange(len(present) - missing + 1))
    return local, offsets, rows[by_bucket], buckets.large[present[missing:]]


def _prefixes(
    hashes: Keys, offsets: Ints, of_node: NDArray[np.int32], large: NDArray[np.bool_], rule: Rule
) -> tuple[Ints, Ints, Ints]:
    """Prefix elements of the nodes in large buckets; unverified, the buckets themselves are the elements."""
    count = len(of_node)
    in_large = (of_node >= 0) & np.append(large, False)[of_node]
    if not in_large.any():
        return np.zeros(count + 1, np.int64), np.zeros(0, np.int64), np.zeros(1, np.int64)
    if not rule.verify:
        starts = np.append(0, np.cumsum(in_large.sum(axis=1)))
        return starts, of_node[in_large].astype(np.int64), np.array([len(large)])
    wanted = in_large.any(axis=1)
    values = int(np.diff(offsets)[wanted].sum())
    counters = np.zeros(1 << max(10, min(24, (2 * values).bit_length())), np.int64)
    prefix_offsets, elements = np.empty(count + 1, np.int64), np.empty(values, np.int64)
    filled = verify.find_prefixes(hashes, offsets, wanted, rule.threshold, counters, prefix_offsets, elements)
    return prefix_offsets, elements[:filled].copy(), np.array([len(counters)])


def _keep_copies_of_lonely_nodes(nodes: Nodes, buckets: Buckets, state: _State, rule: Rule, forced: int) -> None:
    """Nodes in no bucket keep their first ``copies`` records."""
    by_node = np.argsort(state.visits, kind="stable")
    starts = np.append(0, np.cumsum(nodes.weight))
    position = np.empty(len(state.visits), np.int64)
    position[by_node] = np.arange(len(by_node)) - np.repeat(starts[:-1], nodes.weight)
    lonely = np.ones(len(nodes.weight), bool)
    lonely[buckets.active] = False
    extra = lonely[state.visits] & (position >= rule.copies) & (np.arange(len(state.visits)) >= forced)
    state.keepers[extra] = state.visits[extra]


def _result(records: Records, nodes: Nodes, buckets: Buckets, state: _State, several: bool) -> Selection:
    """From visits and nodes back to records."""
    count = len(records.text_hash)
    keeper_node, position = np.full(count, -1, np.int64), np.zeros(count, np.int64)
    if several:
        keeper_node[records.order] = state.keepers
        position[records.order] = np.arange(count)
    else:
        position = nodes.of_record
        keeper_node = state.keepers[nodes.of_record]
        twins = np.ones(count, bool)
        twins[nodes.representative] = False
        lost = twins & (keeper_node < 0)
        keeper_node[lost] = nodes.of_record[lost]
    removed = np.flatnonzero(keeper_node >= 0)
    exact = keeper_node[removed] == nodes.of_record[removed]
    shingles = records.num_shingles[removed]
    first = np.full(len(nodes.representative), count, np.int64)
    roots = state.roots[nodes.of_record]
    np.minimum.at(first, roots, np.arange(count))
    return Selection(
        removed=removed,
        keepers=nodes.representative[keeper_node[removed]],
        intersections=np.where(exact, shingles, state.intersections[position[removed]]).astype(np.int32),
        unions=np.where(exact, shingles, state.unions[position[removed]]).astype(np.int32),
        exact=exact,
        clusters=first[roots],
        large_buckets=buckets.large_count,
        work=int(state.work.sum()),
    )
