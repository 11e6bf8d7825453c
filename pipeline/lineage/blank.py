"""One table file without what was taken down.

``blank_file`` is used twice: on a published file when documents are taken down, and by the engine on a file that was
just made again.  Both give the same bytes, and a blanked file blanked again stays as it is.

Rows stay; what they say of the document goes:

- documents: text, url, id, title, metadata, ... are emptied; what is needed to account for a document that a model was
  trained on stays (doc_id, source, licence, language, path, offset)
- signatures: an empty signature, and the doc_id as hash of the text, so that nothing is a duplicate of it
- verdicts: ``takedown`` at the first stage that judges, null at the later ones
- tokens: end-of-text at the same length; the schema metadata names the rows, and a loader does not score them
- every other table with a doc_id column: all other columns are emptied, unless they hold only ids and counts (clusters,
  index)
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.engine import Outputs
from pipeline.errors import RunError
from pipeline.lineage import ledger
from pipeline.lineage.blank_tokens import blank_tokens, schema_metadata, table_as_written
from pipeline.lineage.ledger import Ledger
from pipeline.run import Run
from pipeline.tables import CLUSTERS, DOC_INDEX, TABLE_KEY, TOKENS, TableWriter

REASON = "takedown"
KEPT_COLUMNS = {"doc_id", "source", "licence", "licence_evidence", "language", "language_score", "path", "offset"}
UNTOUCHED = {CLUSTERS.name, DOC_INDEX.name}


def blank_outputs(root: str, outputs: Outputs, takedown: str) -> None:
    """Blanks what a step has just written, before it is published; called by the engine.

    Raises:
        RunError: If takedown.jsonl is not the one that the run was started under.
    """
    removed = ledger.load(root)
    if removed.digest != takedown:
        raise RunError(f"{root}: {ledger.FILE} changed while the run was working; run again")
    first_stage = first_verdict_stage(Run.open(root))
    for path, written in outputs.written().items():
        blanked = blank_file(written, path, removed, storage.scratch(root), first_stage)
        if blanked is not None:
            outputs.replace(path, blanked.scratch, blanked.rows)
            adjust_counts(outputs.counts, blanked)


def first_verdict_stage(run: Run) -> str | None:
    """The first stage of the recipe that judges documents."""
    return next((stage for stage in run.recipe.stages if stage in ("dedup", "filter", "tokenize")), None)


@dataclass
class Blanked:
    """A rewritten file, and what changed in it.

    ``verdicts`` has, for each row of a verdict table that changed, (keep before, reasons before, keep after).
    """

    scratch: Path
    rows: int
    verdicts: list[tuple[bool | None, list[str], bool | None]]


def adjust_counts(counts: dict[str, Any], blanked: Blanked) -> None:
    """Counts of a verdict shard: documents taken down are dropped, for that reason, where they were first judged."""
    reasons = dict(counts.get("reasons", {}))
    for before, old_reasons, after in blanked.verdicts:
        for name, value in (("kept", True), ("dropped", False)):
            if name in counts:
                counts[name] += (after is value) - (before is value)
        for reason in old_reasons:
            reasons[reason] = reasons.get(reason, 0) - 1
        if after is False:
            reasons[REASON] = reasons.get(REASON, 0) + 1
    if blanked.verdicts and "reasons" in counts:
        counts["reasons"] = {name: number for name, number in sorted(reasons.items()) if number}


def blank_file(written: Path, path: str, removed: Ledger, scratch: Path, first_stage: str | None) -> Blanked | None:
    """Writes ``scratch``, the file without what was taken down; None (nothing written) where it holds nothing of it.

    Args:
        written: The local file to read.
        path: Where it stands below the run folder.
        removed: What was taken down.
        scratch: Local path to write.
        first_stage: The first stage that judges documents.
    """
    if not path.endswith(".arrow"):
        return None
    reader = pa.ipc.open_file(pa.memory_map(str(written), "r"))
    table = (reader.schema.metadata or {}).get(TABLE_KEY, b"").decode()
    if table in UNTOUCHED or "doc_id" not in reader.schema.names:
        return None
    if table == TOKENS.name:
        rows = blank_tokens(written, path, removed, scratch)
        return None if rows is None else Blanked(scratch, rows, [])
    ids = pa.array([bytes.fromhex(doc_id) for doc_id in removed.documents], pa.binary(16))
    masks = [pc.is_in(reader.get_batch(n).column("doc_id"), value_set=ids) for n in range(reader.num_record_batches)]
    if not any(pc.any(mask).as_py() for mask in masks):
        return None
    blanked = Blanked(scratch, 0, [])
    with TableWriter(scratch, table_as_written(reader.schema), schema_metadata(reader.schema), reader.schema) as writer:
        for number, mask in enumerate(masks):
            batch = reader.get_batch(number)
            if pc.any(mask).as_py():
                batch = _blank_batch(batch, mask, table, path, first_stage, blanked)
            writer.write(batch)
    blanked.rows = writer.rows
    return blanked


def _blank_batch(
    batch: pa.RecordBatch, mask: pa.Array, table: str, path: str, first_stage: str | None, blanked: Blanked
) -> pa.RecordBatch:
    if table == "verdicts":
        return _blank_verdicts(batch, mask, is_first=path.split("/")[1] == first_stage, blanked=blanked)
    kept: Collection[str] = KEPT_COLUMNS if table == "documents" else ("doc_id",)
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if field.name in kept:
            columns.append(column)
        elif field.name == "text_hash":
            columns.append(_replace(column, mask, batch.column("doc_id")))
        elif field.name == "signature":
            columns.append(_replace(column, mask, _empty_signatures(column)))
        else:
            columns.append(_replace(column, mask, _nothing(field, len(batch))))
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _blank_verdicts(batch: pa.RecordBatch, mask: pa.Array, *, is_first: bool, blanked: Blanked) -> pa.RecordBatch:
    rows = np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist()
    keep, reasons = batch.column("keep").to_pylist(), batch.column("reasons").to_pylist()
    for row in rows:
        after, after_reasons = (False, [REASON]) if is_first else (None, [])
        blanked.verdicts.append((keep[row], reasons[row], after))
        keep[row], reasons[row] = after, after_reasons
    columns = {"keep": pa.array(keep, pa.bool_()), "reasons": pa.array(reasons, batch.schema.field("reasons").type)}
    others = {
        field.name: batch.column(field.name)
        if field.name == "doc_id"
        else _replace(batch.column(field.name), mask, _nothing(field, len(batch)))
        for field in batch.schema
        if field.name not in columns
    }
    return pa.RecordBatch.from_arrays([{**others, **columns}[name] for name in batch.schema.names], schema=batch.schema)


def _nothing(field: pa.Field, rows: int) -> pa.Array:
    """The value that says nothing: null where the column may be null, else the type's zero."""
    if field.nullable:
        return pa.nulls(rows, field.type)
    return pa.repeat(pa.scalar(_zero(field.type), field.type), rows)


def _empty_signatures(column: pa.Array) -> pa.Array:
    """The signature of a text without words, as long as the others."""
    length = pc.max(pc.list_value_length(column)).as_py() or 0
    return pa.repeat(pa.scalar([0xFFFFFFFF] * length, column.type), len(column))


def _zero(kind: pa.DataType) -> Any:
    if pa.types.is_fixed_size_list(kind):
        return [_zero(kind.value_type)] * kind.list_size
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return []
    if pa.types.is_fixed_size_binary(kind):
        return bytes(kind.byte_width)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ""
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return b""
    return False if pa.types.is_boolean(kind) else 0


def _replace(column: pa.Array, mask: pa.Array, replacement: pa.Array) -> pa.Array:
    """``replacement`` in the rows of ``mask``: through take, which serves every type."""
    rows = len(column)
    chosen = np.where(mask.to_numpy(zero_copy_only=False), np.arange(rows) + rows, np.arange(rows))
    return pa.concat_arrays([column, replacement]).take(pa.array(chosen))
