"""A token shard without what was taken down: end-of-text at the same length, named in the schema metadata.

Every other token keeps its place, so that the order of training, the traces of old steps and a resumed run stay valid.
A loader does not score the rows that the metadata names (model/data/batches.py).
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_column
from pipeline.run.ledger import Ledger, TokenRows
from pipeline.run.table_files import FORMAT_KEY, TABLE_KEY, Table, TableWriter
from pipeline.run.tables import TABLES
from pipeline.tokens.shards.shard_facts import TokenLayout, token_layout
from pipeline.tokens.shards.token_shard import END_OF_TEXT_KEY, WAS_KEY, WITHDRAWN_KEY, map_batches


def table_as_written(schema: pa.Schema) -> Table:
    """The table that a file says it is, at the version that it was written in."""
    metadata = schema.metadata or {}
    major, _, minor = metadata[FORMAT_KEY].decode().partition(".")
    name = metadata[TABLE_KEY].decode()
    known = next((table for table in TABLES if table.name == name), None)
    compression = known.compression if known else "zstd"
    return Table(name, "", (int(major), int(minor)), (), "", compression)


def schema_metadata(schema: pa.Schema) -> dict[str, str]:
    """The schema metadata as text."""
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}


@dataclass(frozen=True)
class MadeTokens:
    """What was written: documents and tokens of each record batch, and (documents, tokens) more than before."""

    batches: list[tuple[int, int]]
    added: tuple[int, int]

    @property
    def rows(self) -> int:
        """Documents in all."""
        return sum(documents for documents, _ in self.batches)


def blank_tokens(written: Path, path: str, removed: Ledger, scratch: Path) -> MadeTokens | None:
    """Writes ``scratch``, the token shard without what was taken down.

    Returns:
        What was written; None, and nothing is written, where there is nothing to do.
    """
    layout = token_layout(written)
    gone = {bytes.fromhex(doc_id) for doc_id in removed.documents}
    stays = np.array([row.tobytes() not in gone for row in layout.doc_ids], bool)
    place = removed.tokens.get(path)
    wanted = _with_rows(layout, stays, place) if place else None
    if wanted is None and bool(stays.all()):
        return None
    if wanted is None or place is None:
        wanted, place = _without(layout, stays), TokenRows(path, "", "", (), ())
    mapped = map_batches(written)
    tokens = np.concatenate([batch.tokens for batch in mapped] or [np.empty(0, np.uint16)])
    tokens = tokens[np.repeat(stays, layout.lengths)]
    schema = pa.ipc.open_file(pa.memory_map(str(written), "r")).schema
    _write_tokens(scratch, schema, wanted, tokens, place)
    added = len(wanted.doc_ids) - len(layout.doc_ids), int(wanted.lengths.sum() - layout.lengths.sum())
    edges = np.cumsum([0, *wanted.batches])
    sizes = [int(wanted.lengths[first:end].sum()) for first, end in pairwise(edges.tolist())]
    return MadeTokens(list(zip(wanted.batches, sizes, strict=True)), added)


def _with_rows(layout: TokenLayout, stays: NDArray[np.bool_], place: TokenRows) -> TokenLayout | None:
    """The shard with the blanked rows at their places; None when that is not the layout that was recorded."""
    rows = int(stays.sum()) + len(place.rows)
    if sum(place.batches) != rows:
        return None
    blank = np.zeros(rows, bool)
    blank[[row for row, _, _ in place.rows]] = True
    ids, lengths = np.empty((rows, 16), np.uint8), np.empty(rows, np.int64)
    ids[~blank], lengths[~blank] = layout.doc_ids[stays], layout.lengths[stays]
    ids[blank] = np.frombuffer(b"".join(bytes.fromhex(doc_id) for _, doc_id, _ in place.rows), np.uint8).reshape(-1, 16)
    lengths[blank] = [length for _, _, length in place.rows]
    merged = TokenLayout(ids, lengths, place.batches)
    return merged if merged.digest() == place.layout else None


def _without(layout: TokenLayout, stays: NDArray[np.bool_]) -> TokenLayout:
    edges = np.cumsum([0, *layout.batches])
    batches = tuple(int(stays[a:b].sum()) for a, b in pairwise(edges.tolist()))
    return TokenLayout(layout.doc_ids[stays], layout.lengths[stays], tuple(size for size in batches if size))


def _write_tokens(scratch: Path, schema: pa.Schema, layout: TokenLayout, stay: NDArray[Any], place: TokenRows) -> None:
    """Writes a shard of ``layout``: end-of-text in the rows of ``place``, the tokens ``stay`` in the others."""
    metadata = {key: value for key, value in schema_metadata(schema).items() if key not in (WITHDRAWN_KEY, WAS_KEY)}
    blank_rows = [row for row, _, _ in place.rows]
    if blank_rows:
        metadata[WAS_KEY] = place.was
        metadata[WITHDRAWN_KEY] = ",".join(str(row) for row in blank_rows)
    is_blank = np.zeros(len(layout.doc_ids), bool)
    is_blank[blank_rows] = True
    flat = np.full(int(layout.lengths.sum()), int(metadata[END_OF_TEXT_KEY]), stay.dtype)
    flat[np.repeat(~is_blank, layout.lengths)] = stay
    ends = np.cumsum([0, *layout.lengths]).astype(np.int64)
    plain = pa.schema(list(schema), metadata={k: v for k, v in schema.metadata.items() if k.decode() in metadata})
    first = 0
    with TableWriter(scratch, table_as_written(schema), metadata, plain) as writer:
        for size in layout.batches:
            end = first + size
            offsets = pa.array(ends[first : end + 1] - ends[first])
            lists = pa.LargeListArray.from_arrays(offsets, pa.array(flat[ends[first] : ends[end]]))
            writer.write(pa.record_batch([doc_id_column(layout.doc_ids[first:end]), lists], schema=writer.schema))
            first = end
