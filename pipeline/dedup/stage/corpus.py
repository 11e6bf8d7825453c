"""The columns of a run's documents that clustering needs, and the shingle sets of those that are candidates.

Only the documents that take part are held: those that no earlier stage dropped, and of these, where the join runs in
parts (parts_join.py), the ones of one part.

Shape letters: N documents that take part, in document order.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_array
from pipeline.base.errors import UserError
from pipeline.dedup.rule.deduplicate import Facts
from pipeline.dedup.rule.join import Ints
from pipeline.dedup.rule.policy import LICENCE, SOURCE, survivor_policy
from pipeline.dedup.rule.shingle_sets import SetWriter, SpilledSets
from pipeline.dedup.rule.signing import Signer, band_keys, url_hashes
from pipeline.run import layout
from pipeline.run.alive import Mask, alive
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import batches
from pipeline.run.tables import DOCUMENTS, SIGNALS, SIGNATURES


@contextmanager
def scratch_folder(job: Job) -> Iterator[Path]:
    """A folder that goes with the task; ``arguments["scratch"]`` says where, None for the system's temporary one."""
    parent = job.arguments["scratch"]
    if parent is not None:
        Path(parent).mkdir(parents=True, exist_ok=True)  # nothing else of this run may have been written yet
    with tempfile.TemporaryDirectory(prefix="dedup-", dir=parent) as folder:
        yield Path(folder)


def doc_ids_of(outputs: Outputs, shards: Sequence[str]) -> pa.Array:
    """The doc_ids of all documents of some shards, in order."""
    paths = [outputs.run_path(layout.signatures(shard)) for shard in shards]
    pieces = [batch.column("doc_id") for path in paths for batch in batches(path, SIGNATURES, ["doc_id"])]
    return pa.concat_arrays([*pieces, pa.array([], pa.binary(16))])


def alive_of_shard(job: Job, outputs: Outputs, shard: str, rows: int) -> Mask:
    """Documents of a shard that no stage before this one dropped, shape (rows,)."""
    return alive([outputs.run_path(layout.verdicts(stage, shard)) for stage in job.config["stages_before"]], rows)


def signature_matrix(batch: pa.RecordBatch) -> NDArray[np.uint32]:
    """The signatures of a batch, shape (rows, P), not copied."""
    column = batch.column("signature")
    matrix: NDArray[np.uint32] = column.flatten().to_numpy().reshape(len(column), -1)
    return matrix


def batch_url_hashes(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    """Hashes of the canonical URLs of a batch, else of their URLs; zeros for none; shape (rows, 2)."""
    return url_hashes(pc.coalesce(batch.column("canonical_url"), batch.column("url")))


URL_COLUMNS = ["url", "canonical_url"]  # what ``batch_url_hashes`` needs


class RunCorpus:
    """N documents of a run.

    Args:
        job: Names the shards (``config["shards"]``) and the stages before.
        outputs: Gives their paths.
        left_out: Doc_ids that do not take part.
        chosen: Numbers of the documents to look at among all of the run, ascending; None: all.

    Attributes:
        numbers: Of the documents, among all of the run, shape (N,).
        bases: Number of the first document of each shard, and of all, shape (shards + 1,).
        doc_ids: Of the documents, N of them.
        documents_in: Documents that take part or are left out.
    """

    def __init__(
        self, job: Job, outputs: Outputs, left_out: pa.Array | None = None, chosen: Ints | None = None
    ) -> None:
        self._job, self._outputs = job, outputs
        self.shards: list[str] = job.config["shards"]
        self._rows: list[Ints] = []
        self.documents_in = 0
        bases, hashes, counts, lengths, ids = [0], [], [], [], []
        for shard in self.shards:
            columns = ["doc_id", "text_hash", "num_shingles", "text_length"]
            table = pa.Table.from_batches(
                batches(outputs.run_path(layout.signatures(shard)), SIGNATURES, columns),
                pa.schema([SIGNATURES.schema.field(name) for name in columns]),
            ).combine_chunks()
            taking_part = alive_of_shard(job, outputs, shard, table.num_rows)
            if chosen is not None:
                low, high = np.searchsorted(chosen, [bases[-1], bases[-1] + table.num_rows])
                is_chosen = np.zeros(table.num_rows, bool)
                is_chosen[chosen[low:high] - bases[-1]] = True
                taking_part &= is_chosen
            self.documents_in += int(taking_part.sum())
            if left_out is not None:
                taking_part &= ~pc.is_in(table.column("doc_id"), value_set=left_out).to_numpy()
            self._rows.append(np.flatnonzero(taking_part))
            bases.append(bases[-1] + table.num_rows)
            table = table.take(pa.array(self._rows[-1])).combine_chunks()
            hashes += [doc_id_array(chunk).view("<u8") for chunk in table.column("text_hash").chunks]
            counts.append(table.column("num_shingles").to_numpy())
            lengths.append(table.column("text_length").to_numpy())
            ids += table.column("doc_id").chunks
        self.bases = np.array(bases)
        self._starts = np.append(0, np.cumsum([len(rows) for rows in self._rows]))
        found = [rows + base for rows, base in zip(self._rows, bases, strict=False)]
        self.numbers = np.concatenate([*found, np.zeros(0, np.int64)])
        self.text_hash = np.concatenate([*hashes, np.zeros((0, 2), np.uint64)])
        self.num_shingles = np.concatenate([*counts, np.zeros(0, np.int32)])
        self._lengths = np.concatenate([*lengths, np.zeros(0, np.int64)])
        self.doc_ids = pa.chunked_array(ids, pa.binary(16))

    def facts(self) -> Facts:
        """What selection must know of the documents."""
        config = self._job.config
        policy = survivor_policy(config["keep"], config["prefer_sources"], config["prefer_licences"], self)
        return Facts(self.text_hash, self.num_shingles, policy, self._url_hashes() if config["same_url"] else None)

    def keys(self, band: int, rows: int) -> NDArray[np.uint64]:
        """Band keys of the documents in one band, shape (N,)."""
        found = []
        for shard, chosen in zip(self.shards, self._rows, strict=True):
            path, base = self._outputs.run_path(layout.signatures(shard)), 0
            for batch in batches(path, SIGNATURES, ["signature"]):
                low, high = np.searchsorted(chosen, [base, base + batch.num_rows])
                part = signature_matrix(batch)[:, band * rows : (band + 1) * rows][chosen[low:high] - base]
                found.append(band_keys(part, 1)[0])
                base += batch.num_rows
        return np.concatenate([*found, np.zeros(0, np.uint64)])

    def sources(self) -> pa.ChunkedArray:
        """See ``PolicyColumns``."""
        return self._names(SOURCE)

    def licences(self) -> pa.ChunkedArray:
        """See ``PolicyColumns``."""
        return self._names(LICENCE)

    def lengths(self) -> Ints:
        """See ``PolicyColumns``."""
        return self._lengths

    def _url_hashes(self) -> NDArray[np.uint64]:
        found = []
        for shard, rows in zip(self.shards, self._rows, strict=True):
            path = self._outputs.run_path(layout.documents(shard))
            hashes = [batch_url_hashes(batch) for batch in batches(path, DOCUMENTS, URL_COLUMNS)]
            found.append(np.concatenate([*hashes, np.zeros((0, 2), np.uint64)])[rows])
        return np.concatenate([*found, np.zeros((0, 2), np.uint64)])

    def _names(self, name: str) -> pa.ChunkedArray:
        """A column of strings of the documents that take part."""
        pieces: list[pa.Array] = []
        for shard, rows in enumerate(self._rows):
            pieces += pa.chunked_array(self._column(name, shard), pa.string()).take(pa.array(rows)).chunks
        return pa.chunked_array(pieces, pa.string())

    def values(self, name: str) -> list[pa.Array]:
        """The column that ``keep`` names; its type is that of all documents, taking part or not.

        Raises:
            UserError: If no document has it.
        """
        pieces: list[pa.Array] = []
        types: list[pa.DataType] = []
        present = total = 0
        for shard, rows in enumerate(self._rows):
            whole = self._column(name, shard)
            types += [piece.type for piece in whole]
            total += sum(len(piece) for piece in whole)
            present += sum(len(piece) - piece.null_count for piece in whole)
            common = _common_type([piece.type for piece in whole])
            column = pa.chunked_array([piece.cast(common) for piece in whole], common)
            pieces += column.take(pa.array(rows)).chunks
        if total and not present:
            raise UserError(
                f"dedup.keep = {name!r}: no document has it; give first, longest, a column of documents, a field of "
                "the records, or a signal where filter runs before dedup"
            )
        return [piece.cast(_common_type(types)) for piece in pieces]

    def _column(self, name: str, shard: int) -> list[pa.Array]:
        """A column of one shard, whole: of its signals, its documents or their metadata."""
        signals = layout.signals(self.shards[shard])
        if signals in self._job.inputs:
            path = self._outputs.run_path(signals)
            found = [batch for batch in batches(path, SIGNALS) if name in batch.schema.names]
            if found:
                return [batch.column(name) for batch in found]
        path = self._outputs.run_path(layout.documents(self.shards[shard]))
        if name in DOCUMENTS.schema.names:
            return [batch.column(name) for batch in batches(path, DOCUMENTS, [name])]
        return [_metadata_values(batch.column("metadata"), name) for batch in batches(path, DOCUMENTS, ["metadata"])]

    def write_sets(self, ngram: int, path: Path, documents: Ints) -> SpilledSets:
        """Reads the shards once, in order, and writes the shingle sets of some documents to ``path``."""
        signer = Signer(ngram, 1)
        starts = np.full(len(self.numbers), -1, np.int64)
        with SetWriter(path) as writer:
            for numbers, texts in self._texts(np.sort(documents)):
                sets = signer.hash(texts)
                starts[numbers] = writer.written + sets.offsets[:-1]
                writer.write(sets)
        return SpilledSets([path], np.array([0, len(self.numbers)]), starts, self.num_shingles)

    def _texts(self, documents: Ints) -> Iterator[tuple[Ints, pa.Array]]:
        """Some documents (ascending) with their texts, batch by batch of the shards, which are read once."""
        for shard, rows in enumerate(self._rows):
            low, high = np.searchsorted(documents, self._starts[shard : shard + 2])
            if low == high:
                continue
            mine, base = documents[low:high], 0
            in_shard = rows[mine - self._starts[shard]]
            path = self._outputs.run_path(layout.documents(self.shards[shard]))
            for batch in batches(path, DOCUMENTS, ["text"]):
                start, end = np.searchsorted(in_shard, [base, base + batch.num_rows])
                if end > start:
                    yield mine[start:end], batch.column("text").take(pa.array(in_shard[start:end] - base))
                base += batch.num_rows


def _common_type(types: list[pa.DataType]) -> pa.DataType:
    known = [kind for kind in types if not pa.types.is_null(kind)]
    if not known:
        return pa.null()
    return known[0] if all(kind == known[0] for kind in known) else pa.string()


def _metadata_values(column: pa.Array, name: str) -> pa.Array:
    """One key of the records' metadata: numbers where all are, else text."""
    values: list[Any] = [orjson.loads(item).get(name) if item else None for item in column.to_pylist()]
    if all(value is None or isinstance(value, int | float) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([value if value is None or isinstance(value, str) else str(value) for value in values], pa.string())
