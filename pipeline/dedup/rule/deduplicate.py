"""Deduplication of records, whatever they come from: what the stage of a run and ``tokenmill dedup run`` share.

1. Where asked, records of one URL: the one of highest priority goes on, the others are removed (rule ``url``).
2. Equal texts, candidates, verification and the greedy rule (selection.py) among the others.
3. The removed records in input order with their keepers, rules and clusters; sizes of clusters.

Shape letters: N records, R removed records.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.rule.against import EarlierDocument, EarlierIndex, SelectionAgainst, select_against
from pipeline.dedup.rule.join import Ints, Keys, find_nodes
from pipeline.dedup.rule.policy import Criterion, decided_by, visiting_order
from pipeline.dedup.rule.selection import Records, Rule, Search
from pipeline.dedup.rule.shingle_sets import SetSource

EXACT, NEAR, URL = 0, 1, 2
RULES = ("exact", "near", "url")
PAIRS_AT_ONCE = 1024


@dataclass(frozen=True)
class Facts:
    """What is known of N records, in input order.

    Attributes:
        text_hash: 128-bit hashes of the texts, shape (N, 2).
        num_shingles: Distinct shingles, shape (N,).
        criteria: The survivor policy.
        url_hash: 128-bit hashes of the URLs, shape (N, 2), zeros for none; None where URLs do not count.
    """

    text_hash: Keys
    num_shingles: NDArray[np.int32]
    criteria: Sequence[Criterion]
    url_hash: Keys | None = None


@dataclass(frozen=True)
class Evidence:
    """Why some records were removed, in input order: what the evidence tables of runs and of one's own files share.

    Attributes:
        removed: Record numbers, shape (R,).
        keepers: The records kept in their place, shape (R,); 0 where that is an earlier document.
        earlier: These earlier documents, by their place among the removed.
        similarities: float64, shape (R,).
        intersections: See ``Outcome``, shape (R,).
        unions: See ``Outcome``, shape (R,).
        rules: ``exact``, ``near`` or ``url``, shape (R,).
        clusters: First record of each one's cluster, shape (R,).
        cluster_sizes: Records in it, shape (R,).
        chosen_by: The criterion that put the keeper first, shape (R,).
    """

    removed: Ints
    keepers: Ints
    earlier: dict[int, EarlierDocument]
    similarities: NDArray[np.float64]
    intersections: NDArray[np.int32]
    unions: NDArray[np.int32]
    rules: pa.Array
    clusters: Ints
    cluster_sizes: Ints
    chosen_by: pa.Array

    @property
    def is_earlier(self) -> NDArray[np.bool_]:
        """Whether the keeper is an earlier document, shape (R,)."""
        mask = np.zeros(len(self.removed), bool)
        mask[list(self.earlier)] = True
        return mask


@dataclass(frozen=True)
class Outcome:
    """The removed records in input order, and the clusters.

    Attributes:
        removed: Record numbers, ascending, shape (R,).
        keepers: The record kept in place of each, shape (R,); N or more is an earlier document, of an index.
        intersections: Shingles in both, shape (R,); where pairs are not verified, equal signature values.
        unions: Shingles in either, shape (R,).
        similarities: float64, shape (R,).
        rules: Numbers in ``RULES``, shape (R,).
        chosen_by: The criterion that put the keeper first, shape (R,).
        clusters: First record of each record's component, shape (N,); a record alone is its own.
        large_buckets: Buckets with more than 1,000 records.
        against: The selection with its earlier documents.
    """

    removed: Ints
    keepers: Ints
    intersections: NDArray[np.int32]
    unions: NDArray[np.int32]
    similarities: NDArray[np.float64]
    rules: NDArray[np.int8]
    chosen_by: pa.DictionaryArray
    clusters: Ints
    large_buckets: int
    against: SelectionAgainst

    @property
    def count(self) -> int:
        """N."""
        return len(self.clusters)

    @property
    def is_earlier(self) -> NDArray[np.bool_]:
        """Whether the keeper of each removed record is an earlier document, shape (R,)."""
        return self.keepers >= self.count

    def evidence(self, edges: Sequence[int]) -> Iterator[Evidence]:
        """The evidence of the removed records, cut at ``edges`` (the first 0, the last R)."""
        rules, sizes = pa.DictionaryArray.from_arrays(self.rules, list(RULES)).cast(pa.string()), self.cluster_sizes()
        for start, end in pairwise(edges):
            part = slice(start, end)
            removed, keepers, is_earlier = self.removed[part], self.keepers[part], self.is_earlier[part]
            documents = self.against.names(keepers[is_earlier] - self.count + self.against.count)
            yield Evidence(
                removed,
                np.where(is_earlier, 0, keepers),
                dict(zip(np.flatnonzero(is_earlier).tolist(), documents, strict=True)),
                self.similarities[part],
                self.intersections[part],
                self.unions[part],
                rules[part],
                self.clusters[removed],
                sizes[removed],
                self.chosen_by[part].cast(pa.string()),
            )

    def cluster_sizes(self) -> Ints:
        """Records in the cluster of each record, shape (N,)."""
        sizes: Ints = np.bincount(self.clusters, minlength=len(self.clusters))[self.clusters]
        return sizes

    def counts(self) -> dict[str, int]:
        """Figures for manifests and summaries; removal by URL is a kind of exact removal."""
        sizes = np.bincount(self.clusters) if len(self.clusters) else np.zeros(1, np.int64)
        by_url = int((self.rules == URL).sum())
        return {
            "removed_exact": int((self.rules == EXACT).sum()) + by_url,
            "removed_near": int((self.rules == NEAR).sum()),
            "removed_url": by_url,
            "clusters": int((sizes > 1).sum()),
            "largest_cluster": int(sizes.max()) if (sizes > 1).any() else 0,
            "large_buckets": self.large_buckets,
        }


def deduplicate(
    facts: Facts,
    rule: Rule,
    search: Search,
    indexes: Sequence[EarlierIndex] = (),
    exclude_root: str | None = None,
) -> Outcome:
    """Applies rule and policy.

    Args:
        facts: The records.
        rule: What is a duplicate.
        search: How candidates are found and compared.
        indexes: Earlier documents, which come first and are kept whatever they are like.
        exclude_root: Leaves out earlier documents that were entered from this run folder.
    """
    count, keys = len(facts.text_hash), search.keys
    own = np.arange(count)
    order = visiting_order(facts.criteria, count)
    first_of_url = own if facts.url_hash is None else _first_of_url(facts.url_hash, order)
    alive, twins = np.flatnonzero(first_of_url == own), np.flatnonzero(first_of_url != own)
    place = np.full(count, -1, np.int64)
    place[alive] = own[: len(alive)]
    ranked = place[order]
    records = Records(facts.text_hash[alive], facts.num_shingles[alive], ranked[ranked >= 0])
    others = _compared_by_url(records, alive, place[first_of_url[twins]], twins) if len(twins) else twins
    part = _Subset(search.sets, alive, others)
    of_part = replace(search, sets=part, keys=None if keys is None else lambda band: keys(band)[alive])
    found = select_against(indexes, records, rule, of_part, exclude_root)
    part.prepare_others()
    return _outcome(facts, rule, found, alive, first_of_url, twins, search.sets)


def _first_of_url(url_hash: Keys, order: Ints) -> Ints:
    """The record of highest priority with the URL of each record; itself for a record without one."""
    count = len(order)
    first = np.arange(count)
    known = np.flatnonzero((url_hash != 0).any(axis=1))
    place = np.full(count, -1, np.int64)
    place[known] = np.arange(len(known))
    ranked = place[order]
    nodes = find_nodes(url_hash[known], ranked[ranked >= 0])
    first[known] = known[nodes.representative[nodes.of_record]] if len(known) else known
    return first


def _compared_by_url(records: Records, alive: Ints, firsts: Ints, twins: Ints) -> Ints:
    """Records whose sets ``_compare`` may want beside those of selection.

    The keeper of a record that its URL removes is the first of its URL, or what is kept in place of that one: the first
    of the equal texts, or a record of selection.

    Args:
        records: Those that are not removed by their URL.
        alive: Their numbers among all.
        firsts: The first of the URL of each of ``twins``, numbers in ``records``.
        twins: The records that are.
    """
    nodes = find_nodes(records.text_hash, records.order)
    of_text = nodes.representative[nodes.of_record[firsts]]
    return np.unique(np.concatenate([twins, alive[firsts], alive[of_text]]))


class _Subset:
    """The sets of some records under their numbers among these.

    Args:
        sets: Of all records.
        numbers: The records.
        others: Further records whose sets will be asked for from ``sets`` itself.
    """

    def __init__(self, sets: SetSource, numbers: Ints, others: Ints) -> None:
        self._sets, self._numbers, self._others, self._prepared = sets, numbers, others, False

    def prepare(self, records: Ints) -> None:
        """See ``SetSource``."""
        self._prepared = True
        self._sets.prepare(np.union1d(self._numbers[records], self._others))

    def prepare_others(self) -> None:
        """Where selection needed no sets, those of the others alone."""
        if not self._prepared and len(self._others):
            self._sets.prepare(self._others)

    def load(self, records: Ints) -> tuple[Keys, Ints]:
        """See ``SetSource``."""
        return self._sets.load(self._numbers[records])

    def signatures(self, records: Ints) -> NDArray[np.uint32]:
        """See ``SetSource``."""
        return self._sets.signatures(self._numbers[records])


def _outcome(
    facts: Facts,
    rule: Rule,
    against: SelectionAgainst,
    alive: Ints,
    first_of_url: Ints,
    twins: Ints,
    sets: SetSource,
) -> Outcome:
    """From the numbers of selection back to records, those removed by their URL (``twins``) among them."""
    count, found = len(facts.text_hash), against.selection
    in_batch = found.keepers < len(alive)
    selected = np.where(in_batch, alive[np.where(in_batch, found.keepers, 0)], found.keepers - len(alive) + count)
    keeper = np.arange(count)
    keeper[alive[found.removed]] = selected
    keepers = np.concatenate([selected, keeper[first_of_url[twins]]])
    removed = np.concatenate([alive[found.removed], twins])
    common, union, equal = _compare(facts, rule, against, twins, keeper[first_of_url[twins]], sets)
    rules = np.concatenate([np.where(found.exact, EXACT, NEAR), np.where(equal, EXACT, URL)]).astype(np.int8)
    similarities = np.concatenate([found.similarities, np.where(equal, 1.0, common / np.maximum(union, 1))])
    by_number = np.argsort(removed)
    removed, keepers = removed[by_number], keepers[by_number]
    return Outcome(
        removed,
        keepers,
        np.concatenate([found.intersections, common])[by_number],
        np.concatenate([found.unions, union])[by_number],
        similarities[by_number],
        rules[by_number],
        decided_by(facts.criteria, removed, keepers, count),
        _clusters(found.clusters, alive, first_of_url, twins),
        found.large_buckets,
        against,
    )


def _clusters(found: Ints, alive: Ints, first_of_url: Ints, twins: Ints) -> Ints:
    """Components of all records, named by their first record."""
    count = len(first_of_url)
    clusters = np.full(count, -1, np.int64)
    clusters[alive] = alive[found]
    clusters[twins] = clusters[first_of_url[twins]]
    first = np.full(count, count, np.int64)
    np.minimum.at(first, clusters, np.arange(count))
    return first[clusters]


def _compare(
    facts: Facts, rule: Rule, against: SelectionAgainst, twins: Ints, keepers: Ints, sets: SetSource
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    """Intersections and unions of records and their keepers, and whether the texts are equal."""
    count = len(facts.text_hash)
    common, union = np.zeros(len(twins), np.int32), np.zeros(len(twins), np.int32)
    equal = np.zeros(len(twins), bool)
    mine = np.flatnonzero(keepers < count)
    equal[mine] = (facts.text_hash[twins[mine]] == facts.text_hash[keepers[mine]]).all(axis=1)
    for start in range(0, len(twins), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        if not rule.verify:
            same = sets.signatures(twins[part]) == sets.signatures(keepers[part])
            common[part], union[part] = same.sum(axis=1), same.shape[1]
            continue
        (a, a_offsets), (b, b_offsets) = sets.load(twins[part]), against.load(keepers[part], count, sets)
        for pair in range(len(a_offsets) - 1):
            one = a[a_offsets[pair] : a_offsets[pair + 1]]
            two = b[b_offsets[pair] : b_offsets[pair + 1]]
            shared = len(np.intersect1d(one, two))
            common[start + pair], union[start + pair] = shared, len(one) + len(two) - shared
    return common, union, equal
