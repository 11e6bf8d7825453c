"""Step ``dedup.keys``, the map of the join: a shard's keys, dealt to partitions.

A key is what documents may share: the hash of their text or URL, the key of a band.  Documents that share one within
the shard are connected here, so a key leaves the shard once, with the first document of its group: one that a tenth of
all documents have is a row of each shard, and no task holds these documents together.

Keys of different kinds are kept apart by a number that is mixed into them.  Two that are equal by chance only connect
what need not be: connected documents are looked at together, not taken for duplicates.

Shape letters: n documents of the shard that take part, K kinds of keys, R distinct keys.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_array
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.signing import band_keys
from pipeline.dedup.stage.corpus import (
    URL_COLUMNS,
    alive_of_shard,
    batch_url_hashes,
    doc_ids_of,
    signature_matrix,
)
from pipeline.dedup.stage.earlier import opened_places
from pipeline.dedup.stage.remembered_evidence import Remembered
from pipeline.kernels.components import join_edges
from pipeline.recipe.minhash import MinHash
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import RangeWriter, batches
from pipeline.run.tables import DOCUMENTS, GROUPS, KEYS, SIGNATURES
from pipeline.run.tables.alive import Mask

TEXT, URL, EARLIER, BANDS = 0, 1, 2, 3  # kinds of keys; a band has BANDS + its number
_MIX = np.uint64(0x9E3779B97F4A7C15)


def write_keys(job: Job, outputs: Outputs) -> None:
    """Writes the keys of a shard by partition, and which of its documents are connected."""
    shard = _Shard(job, outputs)
    earlier = list(_earlier_keys(job, outputs, shard))
    found = [*shard.keys(), *earlier]
    keys = np.concatenate([np.zeros(0, np.uint64), *(keys for keys, _ in found)])
    rows = np.concatenate([np.zeros(0, np.int64), *(rows for _, rows in found)])
    distinct, first_rows, rows_of_group, firsts = key_groups(keys, rows)
    alone = np.concatenate([np.zeros(0, np.int64), *(rows for _, rows in earlier)])
    documents, first_of = connected(np.append(rows_of_group, alone), np.append(firsts, alone))
    with outputs.table(layout.shard_table(layout.GROUPS, job.shard), GROUPS) as writer:
        columns = [pa.array(documents, pa.uint32()), pa.array(first_of, pa.uint32())]
        writer.write(pa.record_batch(columns, schema=GROUPS.schema))
    leads_to = np.arange(shard.documents)
    leads_to[documents] = first_of
    edges = partition_edges(distinct, job.config["partitions"])
    with RangeWriter(outputs.table(layout.shard_table(layout.KEYS, job.shard), KEYS)) as ranges:
        columns = [pa.array(distinct), pa.array(leads_to[first_rows], pa.uint32())]
        ranges.write_all(pa.Table.from_arrays(columns, schema=KEYS.schema), edges)


def partition_edges(keys: Keys, partitions: int) -> list[int]:
    """Where each partition of sorted keys begins, and the end: equal parts of the numbers that a key may be."""
    bounds = [number * 2**64 // partitions for number in range(partitions)]
    return [*np.searchsorted(keys, np.array(bounds, np.uint64)).tolist(), len(keys)]


def connected(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """The documents of some edges, ascending, and the first one that each is connected with."""
    documents, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    parents = np.arange(len(documents))
    join_edges(parents, places[: len(left)], places[len(left) :])
    return documents, documents[parents]


def key_groups(keys: Keys, rows: Ints) -> tuple[Keys, Ints, Ints, Ints]:
    """The distinct keys, sorted, and the first row of each; rows that share a key, and the first one of theirs."""
    by_key = np.argsort(keys)  # the order within a group tells nothing
    keys, rows = keys[by_key], rows[by_key]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))[: len(keys)]
    sizes = np.diff(starts, append=len(keys))
    several = np.flatnonzero(sizes > 1)
    members, firsts = rows[np.repeat(sizes > 1, sizes)], rows[starts]
    if len(several):
        firsts[several] = np.minimum.reduceat(members, np.cumsum(sizes[several]) - sizes[several])
    return keys[starts], firsts, members, np.repeat(firsts[several], sizes[several])


class _Shard:
    """The n documents of a shard that take part.

    Attributes:
        documents: All of the shard, also those that do not.
        rows: Their rows, shape (n,).
        text_hash: 128-bit hashes of their texts, shape (n, 2).
        has_words: Whether they have shingles, shape (n,).
        band_keys: Shape (bands, n); of documents without words they say nothing.
    """

    def __init__(self, job: Job, outputs: Outputs) -> None:
        alive = _taking_part(job, outputs)
        self.documents, self.rows, start = len(alive), np.flatnonzero(alive), 0
        hashes, words, keys = [np.zeros((0, 2), np.uint64)], [np.zeros(0, bool)], []
        path = outputs.run_path(layout.signatures(job.shard))
        for batch in batches(path, SIGNATURES, ["text_hash", "num_shingles", "signature"]):
            rows = np.flatnonzero(alive[start : start + batch.num_rows])
            hashes.append(doc_id_array(batch.column("text_hash")).view("<u8")[rows])
            words.append(batch.column("num_shingles").to_numpy()[rows] > 0)
            keys.append(band_keys(signature_matrix(batch)[rows], job.config["bands"]))
            start += batch.num_rows
        self.text_hash, self.has_words = np.concatenate(hashes), np.concatenate(words)
        self.band_keys = np.concatenate([np.zeros((job.config["bands"], 0), np.uint64), *keys], axis=1)
        self._urls = _url_keys(job, outputs, alive) if job.config["same_url"] else None

    def keys(self) -> Iterator[tuple[Keys, Ints]]:
        """Keys and the rows that have them, kind by kind."""
        yield _of_kind(self.text_hash[:, 0], TEXT), self.rows
        for band, keys in enumerate(self.band_keys):
            yield _of_kind(keys[self.has_words], BANDS + band), self.rows[self.has_words]
        if self._urls is not None:
            yield self._urls


def _taking_part(job: Job, outputs: Outputs) -> Mask:
    """Documents that no stage before dropped, but those whose evidence is remembered."""
    remembered = Remembered(job.arguments.get("remembered"))
    ids = doc_ids_of(outputs, [job.shard])
    alive = alive_of_shard(job, outputs, job.shard, len(ids))
    outputs.count(documents_in=int(alive.sum()))
    if len(remembered.left_out):
        alive &= ~pc.is_in(ids, value_set=remembered.left_out).to_numpy(zero_copy_only=False)
    return alive


def _url_keys(job: Job, outputs: Outputs, alive: Mask) -> tuple[Keys, Ints]:
    path = outputs.run_path(layout.documents(job.shard))
    found = [batch_url_hashes(batch) for batch in batches(path, DOCUMENTS, URL_COLUMNS)]
    hashes = np.concatenate([np.zeros((0, 2), np.uint64), *found])
    rows = np.flatnonzero(alive & (hashes != 0).any(axis=1))
    return _of_kind(hashes[rows, 0], URL), rows


def _earlier_keys(job: Job, outputs: Outputs, shard: _Shard) -> Iterator[tuple[Keys, Ints]]:
    """Of each earlier document that shares a text or a band key with the shard: a key of its own, and who has it.

    So documents that are like one earlier document are connected, whichever key they share with it.
    """
    config = job.config
    minhash = MinHash(config["ngram"], config["bands"], config["rows"], job.arguments["seed"])
    with opened_places(job, outputs, minhash) as indexes:
        for number, index in enumerate(indexes):
            root = job.arguments["root"]
            found = index.find(shard.text_hash, shard.has_words, lambda band: shard.band_keys[band], number, root)
            own = _of_kind(found.rows.astype(np.uint64) | np.uint64(number << 48), EARLIER) * _MIX
            yield _holders(shard.text_hash[:, 0], shard.rows, found.text_hash[:, 0], own)
            for band, keys in enumerate(shard.band_keys):
                yield _holders(keys[shard.has_words], shard.rows[shard.has_words], found.band_keys[band], own)


def _holders(keys: Keys, rows: Ints, earlier: Keys, own: Keys) -> tuple[Keys, Ints]:
    """Own keys of the earlier documents whose key is among ``keys``, and the first row that has it."""
    distinct, first = np.unique(keys, return_index=True)
    places = np.minimum(np.searchsorted(distinct, earlier), max(len(distinct) - 1, 0))
    hits = np.flatnonzero(distinct[places] == earlier) if len(distinct) else np.zeros(0, np.int64)
    return own[hits], rows[first[places[hits]]]


def _of_kind(keys: NDArray[np.uint64], kind: int) -> Keys:
    return keys ^ np.uint64((int(_MIX) * (kind + 1)) % 2**64)
