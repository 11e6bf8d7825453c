"""The rule of docs/dedup.md in plain Python, slow and obvious: what selection must equal."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.dedup import signatures
from pipeline.dedup.rule.definition import shingle_hash64, shingles
from pipeline.dedup.rule.join import LARGE_BUCKET


@dataclass(frozen=True)
class Removed:
    keeper: int
    intersection: int
    union: int
    exact: bool


def shingle_set(text: str, ngram: int = 5) -> frozenset[int]:
    return frozenset(shingle_hash64(shingle.encode()) for shingle in shingles(text, ngram))


def candidate_buckets(texts: Sequence[str], bands: int, rows: int, ngram: int, seed: int) -> list[list[int]]:
    """Records that share a band of their signatures; records without words are in no bucket."""
    found = defaultdict(list)
    for record, signature in enumerate(signatures(list(texts), ngram, bands * rows, seed)):
        if (signature != 2**32 - 1).any():
            for band in range(bands):
                found[band, signature[band * rows : (band + 1) * rows].tobytes()].append(record)
    return [members for members in found.values() if len(members) > 1]


def reference(
    texts: Sequence[str],
    order: Sequence[int],
    threshold: float,
    *,
    bands: int = 14,
    rows: int = 8,
    ngram: int = 5,
    seed: int = 1,
    large: int = LARGE_BUCKET,
    all_pairs: bool = False,
) -> tuple[dict[int, Removed], list[int]]:
    """Removed records, and the first record of each record's component.

    ``all_pairs`` takes every pair for a candidate: what a perfect index would find.
    """
    sets = [shingle_set(text, ngram) for text in texts]
    if all_pairs:
        buckets = [list(range(len(texts)))]
        large = len(texts)
    else:
        buckets = candidate_buckets(texts, bands, rows, ngram, seed)
    candidates: list[set[int]] = [set() for _ in texts]
    for members in buckets:
        for record in members:
            candidates[record].update(members)

    def similarity(a: int, b: int) -> tuple[float, int, int]:
        common, union = len(sets[a] & sets[b]), len(sets[a] | sets[b])
        return (common / union if union else 0.0), common, union

    keepers: dict[str, int] = {}
    kept: list[int] = []
    removed: dict[int, Removed] = {}
    rank = {record: position for position, record in enumerate(order)}
    for record in order:
        if texts[record] in keepers:
            twin = keepers[texts[record]]
            removed[record] = removed.get(twin) or Removed(twin, len(sets[record]), len(sets[record]), True)
            continue
        keepers[texts[record]] = record
        similar = [(similarity(record, other), other) for other in kept if other in candidates[record] and sets[record]]
        similar = [item for item in similar if item[0][0] >= threshold]
        if similar:
            (_, common, union), keeper = min(similar, key=lambda item: (-item[0][0], rank[item[1]]))
            removed[record] = Removed(keeper, common, union, False)
        else:
            kept.append(record)
    return removed, components(texts, buckets, similarity, threshold, set(kept), rank, large)


def components(texts, buckets, similarity, threshold, kept, rank, large):  # type: ignore[no-untyped-def]
    parents = list(range(len(texts)))

    def root(record: int) -> int:
        while parents[record] != record:
            record = parents[record]
        return record

    def join(a: int, b: int) -> None:
        a, b = root(a), root(b)
        parents[max(a, b)] = min(a, b)

    best: dict[str, int] = {}  # twins of a record are not compared again
    for record in sorted(rank, key=rank.__getitem__):
        best.setdefault(texts[record], record)
    first: dict[str, int] = {}
    for record, text in enumerate(texts):
        join(record, first.setdefault(text, record))
    for members in buckets:
        for place, a in enumerate(members):
            for b in members[:place]:
                twins = best[texts[a]] != a or best[texts[b]] != b
                if len(members) > large and (twins or min(a, b, key=rank.__getitem__) not in kept):
                    continue
                if root(a) != root(b) and similarity(a, b)[0] >= threshold:
                    join(a, b)
    return [root(record) for record in range(len(texts))]


def random_corpus(generator: np.random.Generator, families: int, members: int, words: int) -> list[str]:
    """Families of edited copies of a random text, with equal twins, empty and very short texts among them."""
    texts: list[str] = []
    for family in range(families):
        base = [f"w{number}" for number in generator.integers(0, 400, words)]
        for _ in range(int(generator.integers(1, members + 1))):
            copy = list(base)
            for _ in range(int(generator.integers(0, max(2, words // 15)))):
                copy[int(generator.integers(0, words))] = f"e{generator.integers(0, 50)}"
            texts.append(" ".join(copy))
            if generator.random() < 0.3:
                texts.append(texts[int(generator.integers(0, len(texts)))])
        texts += ["", "short text", "...", f"only {family}"][: int(generator.integers(0, 5))]
    return [texts[number] for number in generator.permutation(len(texts))]
