"""The step ``tokenize.split``: every kept document to its side, once, before anything is trained or encoded.

Reads the verdicts of the stages before, the clusters and the signatures; writes ``verdicts/tokenize/NNNNN.arrow``: a
verdict table with one more column, ``split`` ("train", "validation", or null where the document is not kept), and with
``cut_spans`` where the filter stage cuts text out of documents.

Of each document one byte is held, its side, beside the signatures of those held out and the ids of those that share a
cluster; ids and cuts are read again when they are written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.arrow import DocIds, doc_id_array, doc_id_column
from pipeline.base.errors import UserError
from pipeline.filter.rules.cuts import CUT_FIELD, CUT_SPANS
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import batches, open_table, read_table
from pipeline.run.tables import BATCH_ROWS, DOC_ID, DOCUMENTS, SIGNATURES, SURVIVORS, VERDICTS
from pipeline.run.tables.alive import alive
from pipeline.tokens.documents.split import NearValidation, SharedClusters, side_hashes, validation_mask

NEAR_VALIDATION = "tokenize.near_validation"
SPLIT_SCHEMA = VERDICTS.schema.append(pa.field("split", pa.string()))
HELD_OUT_REASON = "tokenize.held_out"
DROPPED, TRAIN, VALIDATION, NEAR, HELD_OUT = range(5)
REASONS = {NEAR: NEAR_VALIDATION, HELD_OUT: HELD_OUT_REASON}


@dataclass
class _Shard:
    """One document shard: the side of each document."""

    name: str
    sides: NDArray[np.uint8]


def assign(job: Job, outputs: Outputs) -> None:
    """Job "all" of the step.

    ``job.config``: ``seed``, ``validation_share``, ``exclude_near_validation``, ``similarity``, ``shards`` (names) and
    ``stages`` (those whose verdicts count); ``held_out`` where a table of documents that must not train is given
    (its path is in ``job.arguments``).
    """
    clusters = _shared_clusters(job, outputs)
    shards = [_judge(job, outputs, name, clusters) for name in job.config["shards"]]
    alone = job.config["validation_share"] > 0 and _hold_one_out(job, outputs, shards, clusters)
    if job.config["exclude_near_validation"]:
        _exclude(job, outputs, shards)
        _exclude_remembered(job, outputs, shards)
    if alone and not any((shard.sides == TRAIN).any() for shard in shards):
        _undo(shards)
        outputs.count(indivisible=1)
    if "held_out" in job.config:
        _exclude_held_out(job, outputs, shards)
    sides = np.zeros(5, np.int64)
    for shard in shards:
        _write(job, outputs, shard)
        sides += np.bincount(shard.sides, minlength=5)
    outputs.count(
        train_documents=int(sides[TRAIN]), validation_documents=int(sides[VALIDATION]), near_validation=int(sides[NEAR])
    )
    if "held_out" in job.config:
        outputs.count(held_out=int(sides[HELD_OUT]))


def _shared_clusters(job: Job, outputs: Outputs) -> SharedClusters | None:
    if layout.SURVIVORS not in job.inputs:
        return None
    table = read_table(outputs.run_path(layout.SURVIVORS), SURVIVORS).combine_chunks()
    if job.arguments.get("survivors"):
        table = _with_remembered(table, job.arguments["survivors"])
    ids = (pa.concat_arrays([pa.array([], DOC_ID), *table[name].chunks]) for name in ("doc_id", "cluster_id"))
    return SharedClusters(*ids)


def _with_remembered(table: pa.Table, remembered: dict[str, str]) -> pa.Table:
    """The clusters with those that documents were in before another one was taken down: their ids decide on."""
    old = {bytes.fromhex(doc_id): bytes.fromhex(cluster) for doc_id, cluster in remembered.items()}
    found = list(zip(table["doc_id"].to_pylist(), table["cluster_id"].to_pylist(), strict=True))
    renamed: dict[bytes, bytes] = {}
    for doc_id, cluster in found:
        if doc_id in old:  # where two old clusters are one by now, it still stays on one side
            renamed[cluster] = min(renamed.get(cluster, old[doc_id]), old[doc_id])
    deciding = old | {doc_id: renamed.get(cluster, cluster) for doc_id, cluster in found}
    return pa.table([list(deciding), list(deciding.values())], schema=SURVIVORS.schema)


def _judge(job: Job, outputs: Outputs, name: str, clusters: SharedClusters | None) -> _Shard:
    """Sides of a shard's documents before the exclusion."""
    doc_ids, kept = kept_documents(job, outputs, name)
    validation = validation_mask(doc_ids, job.config["seed"], job.config["validation_share"], clusters)
    sides = np.where(kept, np.where(validation, VALIDATION, TRAIN), DROPPED).astype(np.uint8)
    return _Shard(name, sides)


def _hold_one_out(job: Job, outputs: Outputs, shards: list[_Shard], clusters: SharedClusters | None) -> bool:
    """Where the share holds nothing out, the document of the smallest hash is, with those it must not be parted from.

    A share of few documents may be none of them, and a training that is to be validated could not begin.  Returns
    whether that was so.
    """
    if any((shard.sides == VALIDATION).any() for shard in shards):
        return False

    def hashes(shard: _Shard) -> NDArray[np.uint64]:
        doc_ids = _doc_ids(job, outputs, shard.name)
        return side_hashes(doc_ids[shard.sides == TRAIN], job.config["seed"], clusters)

    smallest = min((found.min() for shard in shards if len(found := hashes(shard))), default=None)
    for shard in shards if smallest is not None else ():
        shard.sides[np.flatnonzero(shard.sides == TRAIN)[hashes(shard) == smallest]] = VALIDATION
    return smallest is not None


def _undo(shards: list[_Shard]) -> None:
    """What is left is one document, or such as must not be parted: all of it trains."""
    for shard in shards:
        shard.sides[np.isin(shard.sides, (VALIDATION, NEAR))] = TRAIN


def _cuts(job: Job, outputs: Outputs, name: str) -> pa.Array | None:
    """The byte ranges to cut out of each text, where an earlier stage's verdicts have some."""
    for stage in job.config["stages"]:
        path = outputs.run_path(layout.verdicts(stage, name))
        if CUT_SPANS in open_table(path, VERDICTS).schema.names:
            return read_table(path, VERDICTS, [CUT_SPANS])[CUT_SPANS].combine_chunks()
    return None


def kept_documents(job: Job, outputs: Outputs, name: str) -> tuple[DocIds, NDArray[np.bool_]]:
    """doc_ids of a document shard, and which of them every stage before keeps."""
    doc_ids = _doc_ids(job, outputs, name)
    paths = [outputs.run_path(layout.verdicts(stage, name)) for stage in job.config["stages"]]
    return doc_ids, alive(paths, len(doc_ids))


def _doc_ids(job: Job, outputs: Outputs, name: str) -> DocIds:
    """The doc_ids of a document shard: the first stage's verdicts are smaller than the documents."""
    stages = job.config["stages"]
    path, table = (layout.verdicts(stages[0], name), VERDICTS) if stages else (layout.documents(name), DOCUMENTS)
    ids = read_table(outputs.run_path(path), table, ["doc_id"])["doc_id"]
    return np.concatenate([np.empty((0, 16), np.uint8), *(doc_id_array(chunk) for chunk in ids.chunks)])


def _exclude(job: Job, outputs: Outputs, shards: list[_Shard]) -> None:
    """Turns training documents that are near a validation document to ``NEAR``."""
    held_out: list[NDArray[np.uint32]] = []
    for shard in shards:
        for first, signatures, has_words in _signatures(outputs, shard.name):
            sides = shard.sides[first : first + len(signatures)]
            held_out.append(signatures[(sides == VALIDATION) & has_words])
    if not any(len(part) for part in held_out):
        return
    _exclude_near(outputs, shards, NearValidation(np.concatenate(held_out), job.config["similarity"]))


def _exclude_held_out(job: Job, outputs: Outputs, shards: list[_Shard]) -> None:
    """Turns documents of the given table, and exact twins of them, to ``HELD_OUT``, and what is near them to ``NEAR``.

    Raises:
        UserError: If its signatures were made by other settings than the recipe's.
    """
    path = Path(job.arguments["held_out"])
    table = read_table(path, SIGNATURES)
    _check_scheme(path, outputs.run_path(layout.signatures(shards[0].name)))
    ids, hashes = (set(table[name].to_pylist()) for name in ("doc_id", "text_hash"))
    for shard in shards:
        own = read_table(outputs.run_path(layout.signatures(shard.name)), SIGNATURES, ["doc_id", "text_hash"])
        rows = zip(own["doc_id"].to_pylist(), own["text_hash"].to_pylist(), strict=True)
        held = np.fromiter((doc_id in ids or text in hashes for doc_id, text in rows), bool, len(own))
        shard.sides[held & (shard.sides != DROPPED)] = HELD_OUT
    table = table.filter(pc.greater(table["num_shingles"], 0))
    signatures = table["signature"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    _exclude_near(outputs, shards, NearValidation(signatures, job.config["similarity"]))


def _check_scheme(given: Path, own: Path) -> None:
    schemes = [open_table(path, SIGNATURES).schema.metadata for path in (given, own)]
    differing = [k.decode() for k in (b"ngram", b"bands", b"rows", b"seed") if schemes[0][k] != schemes[1][k]]
    if differing:
        raise UserError(
            f"tokenize.held_out = {given}: its signatures were made with another {', '.join(differing)} than the "
            "[dedup] of this recipe; make it again with these settings"
        )


def _exclude_near(outputs: Outputs, shards: list[_Shard], near: NearValidation) -> None:
    """Turns training documents that are near to ``NEAR``."""
    for shard in shards:
        for first, signatures, has_words in _signatures(outputs, shard.name):
            sides = shard.sides[first : first + len(signatures)]
            training = np.flatnonzero((sides == TRAIN) & has_words)
            sides[training[near.mask(signatures[training])]] = NEAR


def _exclude_remembered(job: Job, outputs: Outputs, shards: list[_Shard]) -> None:
    """The same for documents that were near a validation document which was taken down since."""
    wanted = {bytes.fromhex(name) for name in job.arguments.get("near_validation", [])}
    for shard in shards if wanted else ():
        near = np.array([doc_id.tobytes() in wanted for doc_id in _doc_ids(job, outputs, shard.name)], bool)
        shard.sides[near & (shard.sides == TRAIN)] = NEAR


def _signatures(outputs: Outputs, name: str) -> Iterator[tuple[int, NDArray[np.uint32], NDArray[np.bool_]]]:
    """First row, signatures (N, P) and whether the text has words, batch by batch of a signature shard."""
    first = 0
    columns = ["signature", "num_shingles"]
    for batch in batches(outputs.run_path(layout.signatures(name)), SIGNATURES, columns):
        flat = batch.column("signature").flatten().to_numpy()
        signatures = flat.reshape(batch.num_rows, -1) if batch.num_rows else np.empty((0, 0), np.uint32)
        yield first, signatures, batch.column("num_shingles").to_numpy() > 0
        first += batch.num_rows


def _write(job: Job, outputs: Outputs, shard: _Shard) -> None:
    names = np.array([None, "train", "validation", None, None], object)
    doc_ids, cuts = _doc_ids(job, outputs, shard.name), _cuts(job, outputs, shard.name)
    schema = SPLIT_SCHEMA if cuts is None else SPLIT_SCHEMA.append(CUT_FIELD)
    with outputs.table(layout.verdicts("tokenize", shard.name), VERDICTS, schema=schema) as writer:
        for start in range(0, len(shard.sides), BATCH_ROWS):
            sides = shard.sides[start : start + BATCH_ROWS]
            dropped_here = np.isin(sides, list(REASONS))
            reasons = [[REASONS[side]] if side in REASONS else [] for side in sides.tolist()]
            columns: list[Any] = [
                doc_id_column(doc_ids[start : start + BATCH_ROWS]),
                pa.array(~dropped_here, mask=sides == DROPPED),
                pa.array(reasons, pa.list_(pa.string())),
                pa.array(names[sides], pa.string()),
            ]
            if cuts is not None:
                columns.append(cuts.slice(start, len(sides)))
            writer.write(pa.record_batch(columns, schema=writer.schema))
