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
from pipeline.dedup.stage.corpus import URL_COLUMNS, alive_of_shard, batch_url_hashes, signature_matrix
from pipeline.dedup.stage.remembered_evidence import Remembered
from pipeline.kernels.components import join_edges
from pipeline.run import layout
from pipeline.run.alive import Mask
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import RangeWriter, batches
from pipeline.run.tables import DOCUMENTS, GROUPS, KEYS, SIGNATURES

TEXT, URL, BANDS = 0, 1, 2  # kinds of keys; a band has BANDS + its number
_MIX = np.uint64(0x9E3779B97F4A7C15)


def write_keys(job: Job, outputs: Outputs) -> None:
    """Writes the keys of a shard by partition, and which of its documents are connected."""
    found = list(_keys(job, outputs))
    keys = np.concatenate([np.zeros(0, np.uint64), *(keys for keys, _ in found)])
    rows = np.concatenate([np.zeros(0, np.int64), *(rows for _, rows in found)])
    distinct, first_rows, rows_of_group, firsts = _groups(keys, rows)
    documents, first_of = connected(rows_of_group, firsts)
    with outputs.table(layout.shard_table(layout.GROUPS, job.shard), GROUPS) as writer:
        columns = [pa.array(documents, pa.uint32()), pa.array(first_of, pa.uint32())]
        writer.write(pa.record_batch(columns, schema=GROUPS.schema))
    place = np.searchsorted(documents, first_rows)
    inside = np.flatnonzero(np.append(documents, -1)[place] == first_rows)
    first_rows[inside] = first_of[place[inside]]
    edges = partition_edges(distinct, job.config["partitions"])
    path = layout.shard_table(layout.KEYS, job.shard)
    with RangeWriter(outputs.table(path, KEYS)) as ranges:
        columns = [pa.array(distinct), pa.array(first_rows, pa.uint32())]
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


def _groups(keys: Keys, rows: Ints) -> tuple[Keys, Ints, Ints, Ints]:
    """The distinct keys, sorted, and the first row of each; rows that share a key, and the first one of theirs."""
    by_key = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(keys[by_key]) != 0)) if len(keys) else np.zeros(0, np.int64)
    firsts = np.minimum.reduceat(rows[by_key], starts) if len(keys) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(keys)))
    several = np.repeat(sizes > 1, sizes)
    return keys[by_key[starts]], firsts, rows[by_key[several]], np.repeat(firsts[sizes > 1], sizes[sizes > 1])


def _keys(job: Job, outputs: Outputs) -> Iterator[tuple[Keys, Ints]]:
    """Keys and the rows that have them, kind by kind of each record batch."""
    bands, remembered = job.config["bands"], Remembered(job.arguments.get("remembered"))
    path, start = outputs.run_path(layout.signatures(job.shard)), 0
    alive = _taking_part(job, outputs, remembered)
    for batch in batches(path, SIGNATURES, ["doc_id", "text_hash", "num_shingles", "signature"]):
        rows = np.flatnonzero(alive[start : start + batch.num_rows])
        yield _of_kind(doc_id_array(batch.column("text_hash")).view("<u8")[rows, 0], TEXT), rows + start
        rows = rows[batch.column("num_shingles").to_numpy()[rows] > 0]
        keys_BN = band_keys(signature_matrix(batch)[rows], bands)
        for band in range(bands):
            yield _of_kind(keys_BN[band], BANDS + band), rows + start
        start += batch.num_rows
    if job.config["same_url"]:
        yield from _url_keys(job, outputs, alive)


def _taking_part(job: Job, outputs: Outputs, remembered: Remembered) -> Mask:
    """Documents that no stage before dropped, but those whose evidence is remembered."""
    path = outputs.run_path(layout.signatures(job.shard))
    ids = pa.concat_arrays([pa.array([], pa.binary(16)), *(b.column(0) for b in batches(path, SIGNATURES, ["doc_id"]))])
    alive = alive_of_shard(job, outputs, job.shard, len(ids))
    outputs.count(documents_in=int(alive.sum()))
    if len(remembered.left_out):
        alive &= ~pc.is_in(ids, value_set=remembered.left_out).to_numpy(zero_copy_only=False)
    return alive


def _url_keys(job: Job, outputs: Outputs, alive: Mask) -> Iterator[tuple[Keys, Ints]]:
    start = 0
    for batch in batches(outputs.run_path(layout.documents(job.shard)), DOCUMENTS, URL_COLUMNS):
        hashes = batch_url_hashes(batch)
        rows = np.flatnonzero(alive[start : start + batch.num_rows] & (hashes != 0).any(axis=1))
        yield _of_kind(hashes[rows, 0], URL), rows + start
        start += batch.num_rows


def _of_kind(keys: NDArray[np.uint64], kind: int) -> Keys:
    return keys ^ np.uint64((int(_MIX) * (kind + 1)) % 2**64)
