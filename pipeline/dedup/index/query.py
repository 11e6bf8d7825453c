"""Which earlier documents each of some texts duplicates: every match, with its exact similarity.

    with open_index("corpus.index") as index:
        for matches in query(index, ["some text", "another"], threshold=0.8):
            for match in matches:            # most similar first, then oldest
                match.id, match.corpus, match.similarity, match.rule, match.root

The id of a document that was entered from a run folder is its doc_id in hex, and ``match.root`` is that folder.

Deduplication needs less (the best match of what is removed) and goes another way: ``pipeline/dedup/rule/against.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.base.arrow import text_hashes
from pipeline.base.errors import UserError
from pipeline.base.progress import each
from pipeline.dedup.index.reader import Earlier, Index
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.signing import ShingleSets, Signer, band_keys
from pipeline.recipe.minhash import THRESHOLD
from pipeline.run.tables import INDEX_MATCHES

BATCH = 1024  # texts looked up at a time
COMPARED_HASHES = 1 << 22  # shingle hashes of earlier documents in memory at a time


@dataclass(frozen=True)
class Match:
    """An earlier document that a text duplicates.

    Attributes:
        id: Its id in its corpus; the doc_id in hex where the corpus is a run.
        corpus: Name of the corpus it was entered from.
        similarity: Exact Jaccard similarity of the two shingle sets; 1 where the texts are equal.
        intersection: Shingles in both.
        union: Shingles in either.
        rule: ``exact`` (equal texts) or ``near``.
        root: The run folder, where the corpus is a run.
    """

    id: str
    corpus: str
    similarity: float
    intersection: int
    union: int
    rule: str
    root: str | None = None


def query(index: Index, texts: Sequence[str], threshold: float = THRESHOLD) -> list[list[Match]]:
    """The earlier documents that each text duplicates, most similar first, then oldest.

    Args:
        index: The index, open.
        texts: Any number of texts.
        threshold: Least similarity of a match, above 0, at most 1.

    Returns:
        A list of matches for each text, in the order of ``texts``.  Of equal earlier texts, the oldest is named.

    Raises:
        UserError: If the threshold is out of its range.
        IndexDamageError: If a part of the index that an answer needs is damaged.
    """
    if not 0 < threshold <= 1:
        raise UserError(f"threshold must be above 0 and at most 1, got {threshold}")
    signer = Signer.of(index.definition)
    found: list[list[Match]] = []
    starts = each(range(0, len(texts), BATCH), "query", "text", total=len(texts), of=lambda start: BATCH)
    for start in starts:
        found += _query_batch(index, list(texts[start : start + BATCH]), threshold, signer)
    return found


def matches_table(ids: Sequence[str], found: Sequence[Sequence[Match]]) -> pa.Table:
    """Matches as a table (``INDEX_MATCHES``), one row per match.

    Args:
        ids: The new documents.
        found: What ``query`` found for each.
    """
    rows = [
        (name, match.id, match.corpus, match.similarity, match.intersection, match.union, match.rule)
        for name, matches in zip(ids, found, strict=True)
        for match in matches
    ]
    schema = INDEX_MATCHES.schema
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _query_batch(index: Index, texts: list[str], threshold: float, signer: Signer) -> list[list[Match]]:
    signatures_NP, sets = signer.sign_and_hash(texts)
    keys_BN = band_keys(signatures_NP, index.definition.bands)
    text_hash = text_hashes(texts)
    equal = index.find_texts(text_hash, np.zeros(len(index.state.corpora), bool))
    pairs = [equal]
    for _, queries, rows, _ in index.find_bands(np.diff(sets.offsets) > 0, lambda band: keys_BN[band]):
        pairs.append((queries, rows))
    total = index.documents
    numbers = np.unique(np.concatenate([queries * total + rows for queries, rows in pairs]))
    queries, rows = (numbers // total, numbers % total) if total else (numbers, numbers)
    earlier = Earlier(index, rows, index.rows(rows), np.empty((0, len(rows)), np.uint64))
    edges = np.searchsorted(queries, np.arange(len(texts) + 1))
    return [
        _matches(earlier, np.arange(edges[i], edges[i + 1]), text_hash[i], _sorted_set(sets, i), threshold)
        for i in range(len(texts))
    ]


def _sorted_set(sets: ShingleSets, number: int) -> Keys:
    return np.sort(sets.hashes[sets.offsets[number] : sets.offsets[number + 1]])


def _matches(earlier: Earlier, chosen: Ints, text_hash: Keys, own: Keys, threshold: float) -> list[Match]:
    """The matches of one text among its candidates."""
    if not len(chosen):
        return []
    documents = earlier.documents[chosen]
    exact = (documents["text_hash"] == text_hash).all(axis=1)
    sizes = documents["num_shingles"].astype(np.int64)
    near = np.flatnonzero(~exact & (np.minimum(sizes, len(own)) >= threshold * np.maximum(sizes, len(own)) - 1e-6))
    common = np.where(exact, sizes, 0)
    group = np.cumsum(sizes[near]) // COMPARED_HASHES
    for number in np.unique(group).tolist():
        part = near[group == number]
        common[part] = _common(earlier, chosen[part], own)
    unions = np.where(exact, sizes, sizes + len(own) - common)
    similarity = np.where(exact, 1.0, common / np.maximum(unions, 1))
    places = np.flatnonzero(exact | (similarity >= threshold))
    _, first = np.unique(documents["text_hash"][places], axis=0, return_index=True)
    places = places[np.sort(first)]  # of equal texts, the oldest
    places = places[np.lexsort((places, -similarity[places]))]
    return [
        Match(
            id=document.id.decode("utf-8", "surrogatepass"),
            corpus=document.corpus,
            similarity=float(similarity[place]),
            intersection=int(common[place]),
            union=int(unions[place]),
            rule="exact" if exact[place] else "near",
            root=document.root,
        )
        for place, document in zip(places.tolist(), earlier.names(chosen[places]), strict=True)
    ]


def _common(earlier: Earlier, chosen: Ints, own: Keys) -> Ints:
    """Shingles that each of some earlier documents has in common with the sorted set ``own``, which is not empty."""
    hashes, offsets = earlier.sets(chosen)
    places = np.minimum(np.searchsorted(own, hashes), len(own) - 1)
    matched = np.append(0, np.cumsum(own[places] == hashes))
    common: Ints = matched[offsets[1:]] - matched[offsets[:-1]]
    return common
