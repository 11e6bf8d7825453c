"""Step ``dedup.sets``: what selection must know of a shard's linked documents, dealt to parts.

Connected documents go to one part, whichever shard they stand in: the part is a hash of the first one's number.  The
shard's texts are read and hashed here, so that no other task has to.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.arrow import doc_id_array, doc_id_column, one_array
from pipeline.base.progress import count_done
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.policy import FIRST, LICENCE, LONGEST, SOURCE
from pipeline.dedup.rule.signing import Signer, band_keys
from pipeline.dedup.stage.columns import common_type, shard_column
from pipeline.dedup.stage.corpus import URL_COLUMNS, batch_url_hashes, signature_matrix
from pipeline.kernels import verify
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import RangeWriter, batches, read_range, read_table
from pipeline.run.tables import COMPONENTS, DOCUMENTS, GROUPS, SETS, SIGNATURES

KEEP = "keep"  # the column that dedup.keep names
PRESENT, ROWS = "keep.present", "keep.rows"  # how many documents of the shard have it, of how many


def write_sets(job: Job, outputs: Outputs) -> None:
    """Writes the linked documents of one shard, a range for each part."""
    rows, components = _linked(job, outputs)
    part = part_of(components, job.config["partitions"])
    by_part = np.argsort(part, kind="stable")  # document order within a part
    columns, notes = _columns(job, outputs, rows)
    whole = pa.table(columns).take(pa.array(by_part)).combine_chunks()
    shingles = _shingles(job, outputs, rows, columns, by_part)
    at = SETS.schema.get_field_index("shingles")
    whole = whole.add_column(at, SETS.schema.field(at), shingles)
    edges = np.searchsorted(part[by_part], np.arange(job.config["partitions"] + 1)).tolist()
    keep = [whole.schema.field(KEEP)] if KEEP in whole.schema.names else []
    schema = pa.schema([*SETS.schema, *keep])
    with RangeWriter(outputs.table(layout.shard_table(layout.SETS, job.shard), SETS, notes, schema)) as ranges:
        ranges.write_all(whole, edges)
    outputs.count(linked_documents=len(rows), shingles=len(shingles.values))


def part_of(components: Ints, parts: int) -> Ints:
    """The part of each document by the number of the first one that it is connected with, shape (n,)."""
    mixed = components.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):  # the finaliser of SplitMix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    found: Ints = (mixed % np.uint64(parts)).astype(np.int64)
    return found


def _linked(job: Job, outputs: Outputs) -> tuple[Ints, Ints]:
    """Rows of the documents that share a key with another one, ascending, and what they are connected with."""
    base = job.config["base"]
    groups = read_table(outputs.run_path(layout.shard_table(layout.GROUPS, job.shard)), GROUPS)
    global_ = read_range(outputs.url(layout.COMPONENTS), COMPONENTS, job.arguments["number"])
    outer = global_.column("row").to_numpy().astype(np.int64)
    inner, firsts = (groups[name].to_numpy().astype(np.int64) for name in ("row", "first"))
    rows = np.union1d(inner, outer)
    first_of = rows.copy()
    first_of[np.searchsorted(rows, inner)] = firsts
    component = rows + base
    component[np.searchsorted(rows, outer)] = global_.column("component").to_numpy()
    return rows, component[np.searchsorted(rows, first_of)]


def _columns(job: Job, outputs: Outputs, rows: Ints) -> tuple[dict[str, pa.Array], dict[str, str]]:
    """The columns of the table but the shingles, in the order of the rows, and notes on the whole shard."""
    notes = {}
    chosen, path = pa.array(rows), outputs.run_path(layout.signatures(job.shard))
    names = ["doc_id", "text_hash", "num_shingles", "text_length"]
    table = pa.Table.from_batches(batches(path, SIGNATURES, names), pa.schema(map(SIGNATURES.schema.field, names)))
    found = {"document": pa.array(rows + job.config["base"])}
    found |= {name: one_array(table[name].take(chosen)) for name in names}
    keys_nB = np.concatenate([np.zeros((0, job.config["bands"]), np.uint64), *_band_keys(job, outputs, rows)])
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * job.config["bands"]
    found["band_keys"] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(keys_nB.reshape(-1)))
    found["url_hash"] = _url_hashes(job, outputs, rows)
    for name, wanted in ((SOURCE, "prefer_sources"), (LICENCE, "prefer_licences")):
        if job.config[wanted]:
            pieces = shard_column(job, outputs, name, job.shard)
            found[name] = one_array(pa.chunked_array(pieces, pa.string()).take(chosen))
        else:
            found[name] = pa.nulls(len(rows), pa.string())
    if job.config["keep"] not in (FIRST, LONGEST):
        pieces = shard_column(job, outputs, job.config["keep"], job.shard)
        kind = common_type([piece.type for piece in pieces])
        found[KEEP] = one_array(pa.chunked_array([piece.cast(kind) for piece in pieces], kind).take(chosen))
        present = sum(len(piece) - piece.null_count for piece in pieces)
        notes = {PRESENT: str(present), ROWS: str(sum(map(len, pieces)))}
    return found, notes


def _band_keys(job: Job, outputs: Outputs, rows: Ints) -> list[Keys]:
    """Band keys of the rows, batch by batch, each of shape (rows of the batch, bands)."""
    found, start = [], 0
    for batch in batches(outputs.run_path(layout.signatures(job.shard)), SIGNATURES, ["signature"]):
        low, high = np.searchsorted(rows, [start, start + batch.num_rows])
        found.append(band_keys(signature_matrix(batch)[rows[low:high] - start], job.config["bands"]).T)
        start += batch.num_rows
    return found


def _url_hashes(job: Job, outputs: Outputs, rows: Ints) -> pa.Array:
    if not job.config["same_url"]:
        return pa.nulls(len(rows), pa.binary(16))
    path = outputs.run_path(layout.documents(job.shard))
    hashes = [batch_url_hashes(batch) for batch in batches(path, DOCUMENTS, URL_COLUMNS)]
    found = np.concatenate([np.zeros((0, 2), np.uint64), *hashes])[rows]
    known = pa.array((found != 0).any(axis=1))
    return pc.if_else(known, doc_id_column(found), pa.scalar(None, pa.binary(16)))


def _shingles(job: Job, outputs: Outputs, rows: Ints, columns: dict[str, pa.Array], order: Ints) -> pa.Array:
    """Shingle hashes of the rows, in another order; none of those that have an earlier one's text."""
    repeats = np.ones(len(rows), bool)
    text_hash = doc_id_array(columns["text_hash"]).view("<u8")
    repeats[np.unique(text_hash, axis=0, return_index=True)[1]] = False
    sizes = np.where(repeats, 0, columns["num_shingles"].to_numpy()).astype(np.int64)
    ends = np.append(0, np.cumsum(sizes[order]))
    places, dealt = np.empty(len(rows), np.int64), np.empty(int(ends[-1]), np.uint64)
    places[order] = ends[:-1]
    signer, start = Signer(job.config["ngram"], 1), 0
    for batch in batches(outputs.run_path(layout.documents(job.shard)), DOCUMENTS, ["text"]):
        low, high = np.searchsorted(rows, [start, start + batch.num_rows])
        chosen = np.arange(low, high)[~repeats[low:high]]
        if len(chosen):
            sets = signer.hash(batch.column("text").take(pa.array(rows[chosen] - start)))
            assert (np.diff(sets.offsets) == sizes[chosen]).all(), "signatures and sets are of the same texts"
            verify.gather(sets.hashes, sets.offsets[:-1], sets.offsets[1:], dealt, places[chosen])
        start += batch.num_rows
        count_done(batch.num_rows)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(dealt), mask=pa.array(repeats[order]))
