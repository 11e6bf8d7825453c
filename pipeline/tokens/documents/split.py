"""Which kept documents are held out for validation, and which training documents are too near to those.

1. A document's side is a keyed hash of its doc_id.  Where a verified cluster keeps several documents, they share the
   hash of the cluster's id, so that no cluster stands on both sides.  Removed duplicates are on no side.
2. Where a share of few documents is not even one, the document of the smallest hash is held out, with its cluster.
3. Training documents near a validation document are dropped ("tokenize.near_validation"): their signature shares a
   band of three values with it, and agrees with it in at least the asked share of all values.

Shape letters: N documents, P permutations of a signature, B = P // 3 bands, V validation documents.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import DocIds, doc_id_array, doc_id_column
from pipeline.base.digests import digest

BAND_ROWS = 3  # two documents of similarity 0.6 share one of 37 bands with probability 0.9998
PAIRS_AT_ONCE = 1 << 16  # bounds the memory of a comparison


def keyed_hash(doc_ids: DocIds, key: str) -> NDArray[np.uint64]:
    """A 64-bit hash of each doc_id, another one for each key; doc_ids are hashes already, so mixing is enough.

    Args:
        doc_ids: uint8 (N, 16).
        key: Any text, such as the seed and what the hash is for.
    """
    keys = np.frombuffer(digest(key), "<u8")
    halves = np.ascontiguousarray(doc_ids).view("<u8").reshape(-1, 2)
    return _finalise(_finalise(halves[:, 0] ^ keys[0]) + (halves[:, 1] ^ keys[1]))


def _finalise(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finaliser."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def below_share(hashes: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """True for the ``share`` of all hashes that is smallest."""
    if share >= 1.0:
        return np.ones(len(hashes), bool)
    return hashes < np.uint64(int(share * 2.0**64))


class SharedClusters:
    """The kept documents of clusters that keep several, and what decides for all of a cluster.

    Args:
        doc_ids: The documents, binary(16).
        cluster_ids: The clusters of each.
    """

    def __init__(self, doc_ids: pa.FixedSizeBinaryArray, cluster_ids: pa.FixedSizeBinaryArray) -> None:
        self._doc_ids, self._clusters = doc_ids, doc_id_array(cluster_ids)

    def deciding(self, doc_ids: DocIds) -> DocIds:
        """The id whose hash decides for each document, (N, 16): its own, or that of its cluster."""
        if not len(self._doc_ids) or not len(doc_ids):
            return doc_ids
        import pyarrow.compute as pc  # here, since it costs a lookup of one document more than all else

        places = pc.index_in(doc_id_column(doc_ids), value_set=self._doc_ids)
        shared = places.is_valid().to_numpy(zero_copy_only=False)
        deciding = doc_ids.copy()
        deciding[shared] = self._clusters[places.drop_null().to_numpy()]
        return deciding


def validation_mask(
    doc_ids: DocIds, seed: int, share: float, clusters: SharedClusters | None = None
) -> NDArray[np.bool_]:
    """True for the documents on the validation side.

    Args:
        doc_ids: uint8 (N, 16).
        seed: Key of the split.
        share: Share of documents held out.
        clusters: Documents that must not be parted.
    """
    return below_share(side_hashes(doc_ids, seed, clusters), share)


def side_hashes(doc_ids: DocIds, seed: int, clusters: SharedClusters | None = None) -> NDArray[np.uint64]:
    """The hash of each document that decides its side; documents that must not be parted have the same."""
    deciding = clusters.deciding(doc_ids) if clusters else doc_ids
    return keyed_hash(deciding, f"split {seed}")


class NearValidation:
    """Finds documents whose signature is near one of the validation documents.

    Args:
        signatures_VP: Signatures of the validation documents, uint32.
        similarity: Share of equal values from which a document is near.
    """

    def __init__(self, signatures_VP: NDArray[np.uint32], similarity: float) -> None:
        self._signatures_VP, self._similarity = signatures_VP, similarity
        self._bands: list[tuple[NDArray[np.uint64], NDArray[np.intp]]] = []
        for keys in _band_keys(signatures_VP):
            order = np.argsort(keys, kind="stable")
            self._bands.append((keys[order], order))

    def mask(self, signatures_NP: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """True for each of the N documents that is near a validation document."""
        near = np.zeros(len(signatures_NP), bool)
        if not len(self._signatures_VP):
            return near
        for (sorted_keys, order), keys in zip(self._bands, _band_keys(signatures_NP), strict=True):
            first = np.searchsorted(sorted_keys, keys, side="left")
            counts = np.searchsorted(sorted_keys, keys, side="right") - first
            counts[near] = 0
            for documents, others in _pairs(first, counts, order):
                equal = signatures_NP[documents] == self._signatures_VP[others]
                near[documents[equal.mean(axis=1) >= self._similarity]] = True
        return near


def _band_keys(signatures_NP: NDArray[np.uint32]) -> Iterator[NDArray[np.uint64]]:
    """One key per document, for each band; equal values give equal keys (unequal ones collide once in 2**64)."""
    for start in range(0, signatures_NP.shape[1] - BAND_ROWS + 1, BAND_ROWS):
        keys = np.zeros(len(signatures_NP), np.uint64)
        for column in range(start, start + BAND_ROWS):
            keys = _finalise(keys + signatures_NP[:, column].astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
        yield keys


def _pairs(
    first: NDArray[np.intp], counts: NDArray[np.intp], order: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """(document, validation document) pairs of a band, at most about ``PAIRS_AT_ONCE`` at a time."""
    rows = np.flatnonzero(counts)
    ends = np.cumsum(counts[rows])
    start = 0
    while start < len(rows):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + PAIRS_AT_ONCE, side="right")))
        chosen = rows[start:stop]
        documents = np.repeat(chosen, counts[chosen])
        inside = np.arange(len(documents)) - np.repeat(np.cumsum(counts[chosen]) - counts[chosen], counts[chosen])
        yield documents, order[np.repeat(first[chosen], counts[chosen]) + inside]
        start = stop
