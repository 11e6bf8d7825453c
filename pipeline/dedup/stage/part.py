"""The linked documents of one part: what selection must know of them, from every shard's range.

Shape letters: n documents of the part, in document order; B bands.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_array
from pipeline.base.errors import UserError, naming_size
from pipeline.dedup.rule.deduplicate import Facts
from pipeline.dedup.rule.join import Ints, Keys, find_nodes
from pipeline.dedup.rule.policy import LICENCE, SOURCE, survivor_policy
from pipeline.dedup.rule.shingle_sets import SpilledSets
from pipeline.dedup.stage.columns import common_type
from pipeline.dedup.stage.linked_sets import KEEP, PRESENT, ROWS
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import RangeReader
from pipeline.run.tables import SETS

MAPPED = 256  # ranges whose files are held open at a time


class Part:
    """n documents of a run.

    Args:
        job: Names the shards and the number of the part.
        outputs: Says where they stand.
        sets: The file that their shingle sets are copied to, in the order in which they come.

    Attributes:
        numbers: Of the documents, among all of the run, shape (n,).
        doc_ids: Of the documents.
        sets: Their shingle sets.
    """

    def __init__(self, job: Job, outputs: Outputs, sets: Path) -> None:
        self._config = job.config
        self._ranges: list[pa.RecordBatch] = []
        self._known = self._all = 0
        self._written, starts = 0, [np.zeros(0, np.int64)]
        self._whole = 0  # so many of the ranges, the first ones, hold no file
        sets.touch()
        for shard in job.arguments["shards"]:
            with RangeReader(outputs.url(layout.shard_table(layout.SETS, shard)), SETS) as reader:
                starts.append(self._take(reader, job.arguments["number"], sets))
        self._combine()
        self.numbers = self._numbers("document", np.int64)
        self.num_shingles = self._numbers("num_shingles", np.int32)
        self.text_hash = self._hashes("text_hash")
        bands = [np.zeros((0, job.config["bands"]), np.uint64)]
        bands += [
            r.column("band_keys").flatten().to_numpy().reshape(r.num_rows, -1) for r in self._ranges if r.num_rows
        ]
        self._keys_nB = np.concatenate(bands)
        self.doc_ids = self._column("doc_id", pa.binary(16))
        where = np.concatenate(starts)
        nodes = find_nodes(self.text_hash, np.argsort(where < 0, kind="stable"))  # those that have a set come first
        where = where[nodes.representative[nodes.of_record]] if len(where) else where
        self.sets = SpilledSets([sets], np.array([0, len(where)]), where, self.num_shingles)

    def _take(self, reader: RangeReader, number: int, sets: Path) -> Ints:
        """Takes a shard's range; where each document's set begins in the file, -1 where an earlier one has its text."""
        found = reader.read(number)
        notes = reader.schema.metadata or {}
        self._known += int(notes.get(PRESENT.encode(), b"0"))
        self._all += int(notes.get(ROWS.encode(), b"0"))
        shingles = found.column("shingles")
        values = np.ascontiguousarray(shingles.flatten().to_numpy())
        if len(values):
            with naming_size(str(sets), values.nbytes), open(sets, "ab") as file:
                file.write(values.data)
        starts = np.where(shingles.is_valid().to_numpy(zero_copy_only=False), _offsets(shingles) + self._written, -1)
        self._written += len(values)
        self._ranges.append(found.drop_columns(["shingles"]))
        if len(self._ranges) - self._whole == MAPPED:
            self._combine()
        return starts

    def _combine(self) -> None:
        """Makes one batch, in memory, of those that were read since: these keep their files mapped."""
        kinds = [found.schema.field(KEEP).type for found in self._ranges[self._whole :] if KEEP in found.schema.names]
        kind = common_type(kinds)
        taken = [_as(found, kind) for found in self._ranges[self._whole :]]
        self._ranges[self._whole :] = pa.Table.from_batches(taken).combine_chunks().to_batches() if taken else []
        self._whole = len(self._ranges)

    def facts(self) -> Facts:
        """What selection must know of the documents."""
        config = self._config
        policy = survivor_policy(config["keep"], config["prefer_sources"], config["prefer_licences"], self)
        return Facts(
            self.text_hash, self.num_shingles, policy, self._hashes("url_hash") if config["same_url"] else None
        )

    def keys(self, band: int) -> Keys:
        """Band keys of the documents in one band, shape (n,)."""
        return np.ascontiguousarray(self._keys_nB[:, band])

    def sources(self) -> pa.ChunkedArray:
        """See ``PolicyColumns``."""
        return self._column(SOURCE, pa.string())

    def licences(self) -> pa.ChunkedArray:
        """See ``PolicyColumns``."""
        return self._column(LICENCE, pa.string())

    def lengths(self) -> Ints:
        """See ``PolicyColumns``."""
        return self._numbers("text_length", np.int64)

    def values(self, name: str) -> list[pa.Array]:
        """The column that ``keep`` names; its type is that of all documents of the run.

        Raises:
            UserError: If no document of the run has it.
        """
        if self._all and not self._known:
            raise UserError(
                f"dedup.keep = {name!r}: no document has it; give first, longest, a column of documents, a field of "
                "the records, or a signal where filter runs before dedup"
            )
        kind = common_type([found.column(KEEP).type for found in self._ranges])
        return [found.column(KEEP).cast(kind) for found in self._ranges]

    def _column(self, name: str, kind: pa.DataType) -> pa.ChunkedArray:
        return pa.chunked_array([found.column(name) for found in self._ranges], kind)

    def _numbers(self, name: str, kind: Any) -> NDArray[Any]:
        return np.concatenate([np.zeros(0, kind), *(found.column(name).to_numpy() for found in self._ranges)])

    def _hashes(self, name: str) -> Keys:
        columns = [found.column(name).fill_null(bytes(16)) for found in self._ranges if found.num_rows]
        return np.concatenate([np.zeros((0, 2), np.uint64), *(doc_id_array(column).view("<u8") for column in columns)])


def _offsets(lists: pa.ListArray) -> Ints:
    """Where each list begins among the values of all, shape (n,); a null has none."""
    sizes: Ints = lists.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    return np.cumsum(sizes) - sizes


def _as(batch: pa.RecordBatch, kind: pa.DataType) -> pa.RecordBatch:
    """The batch with ``keep`` as a common type, where it has the column."""
    if KEEP not in batch.schema.names:
        return batch
    at = batch.schema.get_field_index(KEEP)
    return batch.set_column(at, pa.field(KEEP, kind), batch.column(at).cast(kind))
