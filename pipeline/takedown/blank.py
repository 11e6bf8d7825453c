"""One table file without what was taken down.

``Blanker`` is used twice: on a published file when documents are taken down, and by the engine on a file that was
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

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base import storage
from pipeline.base.errors import RunError
from pipeline.lookup.keys import write as write_keys
from pipeline.recipe.stage_names import JUDGES
from pipeline.run import layout, ledger
from pipeline.run.engine import Outputs
from pipeline.run.folder import Run
from pipeline.run.ledger import Ledger
from pipeline.run.rows import numbered_shards
from pipeline.run.table_files import TABLE_KEY, TableWriter
from pipeline.run.tables import CLUSTERS, DOC_INDEX, DOCUMENTS, KEY_INDEX, TOKENS, VERDICTS
from pipeline.takedown.blank_tokens import blank_tokens, schema_metadata, table_as_written

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
        raise RunError(f"{root}: {layout.TAKEDOWN} changed while the run was working; run again")
    blanker = Blanker(Run.open(root), removed)
    for path, written in outputs.written().items():
        blanked = blanker.blank(written, path, storage.scratch(root))
        if blanked is not None:
            outputs.replace(path, blanked.scratch, blanked.rows)
            adjust_counts(outputs.counts, blanked)
            if path in outputs.read and blanked.batches is not None:
                outputs.read[path]["documents"] = [documents for documents, _ in blanked.batches]
                outputs.read[path]["tokens"] = [tokens for _, tokens in blanked.batches]


@dataclass
class Blanked:
    """A rewritten file, and what changed in it.

    ``verdicts`` has, for each row of a verdict table that changed, (keep before, reasons before, keep after); ``keys``
    the entries that are left of a key index; ``batches`` the documents and tokens of a token shard's record batches.
    """

    scratch: Path
    rows: int
    verdicts: list[tuple[bool | None, list[str], bool | None]]
    keys: int | None = None
    tokens_added: tuple[str, int, int] | None = None  # split, documents and tokens put back into a rebuilt shard
    batches: list[tuple[int, int]] | None = None
    sides: list[str] = field(default_factory=list)  # of a split table: the count that each emptied row was part of


def adjust_counts(counts: dict[str, Any], blanked: Blanked) -> None:
    """Counts of a blanked shard: documents taken down are dropped, for that reason, where they were first judged."""
    if blanked.keys is not None:
        counts["keys"] = blanked.keys
    if blanked.tokens_added is not None:
        split, documents, tokens = blanked.tokens_added
        for name, added in (("documents", documents), ("tokens", tokens)):
            for key in (name, f"{split}_{name}"):
                if key in counts:
                    counts[key] += added
    for name in blanked.sides:
        counts[name] -= 1
    reasons = dict(counts.get("reasons", {}))
    for before, old_reasons, after in blanked.verdicts:
        if "documents_in" in counts:
            counts["documents_in"] += (after is not None) - (before is not None)
        for name, value in (("kept", True), ("dropped", False)):
            if name in counts:
                counts[name] += (after is value) - (before is value)
        for reason in old_reasons:
            reasons[reason] = reasons.get(reason, 0) - 1
        if after is False:
            reasons[REASON] = reasons.get(REASON, 0) + 1
    if blanked.verdicts and "reasons" in counts:
        counts["reasons"] = {name: number for name, number in sorted(reasons.items()) if number}


class Blanker:
    """Blanks the files of a run.

    Args:
        run: The run; its recipe says which stage judges first.
        removed: What was taken down.
    """

    def __init__(self, run: Run, removed: Ledger) -> None:
        self.removed = removed
        judges = [stage for stage in run.recipe.stages if stage in JUDGES]
        self._first_verdicts = tuple(map(layout.verdicts_folder, judges[:1]))
        self._ids = pa.array([bytes.fromhex(doc_id) for doc_id in removed.documents], pa.binary(16))
        numbers = {name: number for number, name in enumerate(numbered_shards(run))}
        self._places = {(numbers.get(found.shard, -1), found.row) for found in removed.documents.values()}

    def blank(self, written: Path, path: str, scratch: Path) -> Blanked | None:
        """Writes ``scratch``, a file without what was taken down.

        Args:
            written: The local file to read.
            path: Where it stands below the run folder.
            scratch: Local path to write.

        Returns:
            What was written; None, and nothing is written, where the file holds nothing of it.
        """
        if not path.endswith(".arrow"):
            return None
        reader = pa.ipc.open_file(pa.memory_map(str(written), "r"))
        table = (reader.schema.metadata or {}).get(TABLE_KEY, b"").decode()
        if table == KEY_INDEX.name:
            return self._blank_keys(reader, scratch)
        if table in UNTOUCHED or "doc_id" not in reader.schema.names:
            return None
        if table == TOKENS.name:
            made = blank_tokens(written, path, self.removed, scratch)
            if made is None:
                return None
            added = (layout.split_of(path), *made.added)
            return Blanked(scratch, made.rows, [], tokens_added=added, batches=made.batches)
        return self._blank_rows(reader, table, path, scratch)

    def _blank_rows(self, reader: Any, table: str, path: str, scratch: Path) -> Blanked | None:
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        masks = [pc.is_in(batch.column("doc_id"), value_set=self._ids) for batch in batches]
        if not any(pc.any(mask).as_py() for mask in masks):
            return None
        blanked = Blanked(scratch, 0, [])
        schema = reader.schema
        with TableWriter(scratch, table_as_written(schema), schema_metadata(schema), schema) as writer:
            for batch, mask in zip(batches, masks, strict=True):
                if not pc.any(mask).as_py():
                    writer.write(batch)
                elif table == VERDICTS.name:
                    is_first = path.startswith(self._first_verdicts)
                    writer.write(_blank_verdicts(batch, mask, is_first=is_first, blanked=blanked))
                else:
                    writer.write(_blank_batch(batch, mask, KEPT_COLUMNS if table == DOCUMENTS.name else {"doc_id"}))
        blanked.rows = writer.rows
        return blanked

    def _blank_keys(self, reader: Any, scratch: Path) -> Blanked | None:
        """The key index without the entries of documents taken down: as it is when made again from blanked ones."""
        table = reader.read_all()
        keys, shards, rows = (table[name].to_numpy() for name in ("key", "shard", "row"))
        places = zip(shards.tolist(), rows.tolist(), strict=True)
        stays = np.fromiter((place not in self._places for place in places), bool, len(keys))
        if stays.all():
            return None
        with TableWriter(scratch, KEY_INDEX) as writer:
            write_keys(writer, keys[stays], shards[stays], rows[stays])
        return Blanked(scratch, writer.rows, [], keys=writer.rows)


def _blank_batch(batch: pa.RecordBatch, mask: pa.Array, kept: set[str]) -> pa.RecordBatch:
    columns = []
    for described, column in zip(batch.schema, batch.columns, strict=True):
        if described.name in kept:
            columns.append(column)
        elif described.name == "text_hash":
            columns.append(_replace(column, mask, batch.column("doc_id")))
        elif described.name == "signature":
            columns.append(_replace(column, mask, _empty_signatures(column)))
        else:
            columns.append(_replace(column, mask, _nothing(described, len(batch))))
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _blank_verdicts(batch: pa.RecordBatch, mask: pa.Array, *, is_first: bool, blanked: Blanked) -> pa.RecordBatch:
    rows = np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist()
    keep, reasons = batch.column("keep").to_pylist(), batch.column("reasons").to_pylist()
    if "split" in batch.schema.names:
        splits = batch.column("split").to_pylist()
        sides = [
            f"{splits[row]}_documents" if splits[row] else "near_validation" for row in rows if keep[row] is not None
        ]
        blanked.sides += sides
    for row in rows:
        after, after_reasons = (False, [REASON]) if is_first else (None, [])
        blanked.verdicts.append((keep[row], reasons[row], after))
        keep[row], reasons[row] = after, after_reasons
    columns = {"keep": pa.array(keep, pa.bool_()), "reasons": pa.array(reasons, batch.schema.field("reasons").type)}
    others = {
        column.name: batch.column(column.name)
        if column.name == "doc_id"
        else _replace(batch.column(column.name), mask, _nothing(column, len(batch)))
        for column in batch.schema
        if column.name not in columns
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
