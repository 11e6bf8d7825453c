"""The kept documents of a run, batch by batch: their side of the split, and their text without what is cut out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.filter.rules.cuts import CUT_SPANS, cut_texts
from pipeline.run import layout
from pipeline.run.engine import Outputs
from pipeline.run.table_files import batches, open_table, read_table
from pipeline.run.tables import DOCUMENTS, VERDICTS
from pipeline.tokens.documents.assign import DROPPED, TRAIN, VALIDATION
from pipeline.tokens.shards.token_shard import SOURCE_KEY


def shard_sources(outputs: Outputs, shards: list[str]) -> dict[str, str]:
    """The source of each document shard, from its schema metadata."""
    found = {}
    for name in shards:
        metadata = open_table(outputs.run_path(layout.documents(name)), DOCUMENTS).schema.metadata
        found[name] = metadata[SOURCE_KEY.encode()].decode()
    return found


def kept_batches(
    outputs: Outputs, name: str, columns: list[str]
) -> Iterator[tuple[pa.RecordBatch, NDArray[np.uint8], NDArray[np.intp]]]:
    """Kept documents of a shard: batch of ``columns``, their sides, and their rows in the shard.

    A text is without what the filter stage cuts out of it.
    """
    sides = read_split(outputs, name)
    cuts = read_cuts(outputs, name) if "text" in columns else None
    first = 0
    for batch in batches(outputs.run_path(layout.documents(name)), DOCUMENTS, columns):
        rows = np.flatnonzero(sides[first : first + batch.num_rows] != DROPPED)
        kept = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
        rows = rows + first
        if cuts is not None:
            texts = cut_texts(kept.column("text"), cuts.take(pa.array(rows)))
            kept = kept.set_column(kept.schema.get_field_index("text"), kept.schema.field("text"), texts)
        yield kept, sides[rows], rows
        first += batch.num_rows


def read_cuts(outputs: Outputs, name: str) -> pa.Array | None:
    """The byte ranges to cut out of each document's text (list<int32>), or None where the shard has none."""
    return cuts_of(outputs.run_path(layout.verdicts("tokenize", name)))


def cuts_of(verdicts: Path) -> pa.Array | None:
    """The same of any verdict shard."""
    if CUT_SPANS not in open_table(verdicts, VERDICTS).schema.names:
        return None
    cuts = read_table(verdicts, VERDICTS, [CUT_SPANS])[CUT_SPANS].combine_chunks()
    return cuts if cuts.null_count < len(cuts) else None


def read_split(outputs: Outputs, name: str) -> NDArray[np.uint8]:
    """The side of each document of a shard: ``TRAIN``, ``VALIDATION`` or ``DROPPED``."""
    column = read_table(outputs.run_path(layout.verdicts("tokenize", name)), VERDICTS, ["split"])["split"]
    values = column.combine_chunks()
    sides = np.zeros(len(values), np.uint8)
    for side, label in ((TRAIN, "train"), (VALIDATION, "validation")):
        sides[pc.equal(values, label).fill_null(fill_value=False).to_numpy(zero_copy_only=False)] = side
    return sides
