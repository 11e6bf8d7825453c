"""All records of the user's files as the first pass left them: what the join needs in memory, the rest on disk.

Records are numbered in input order: files by path in byte order, then rows.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_array
from pipeline.base.errors import UserError
from pipeline.dedup.command.request import Request
from pipeline.dedup.command.scan import ScanJob, Scanned, write_sets
from pipeline.dedup.command.workers import Workers, call_all
from pipeline.dedup.files.fields import with_numbers
from pipeline.dedup.files.input_files import File
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.shingle_sets import SpilledSets


class FileCorpus:
    """Columns of N records.

    Args:
        jobs: The jobs of the first pass.
        found: What each found.
        request: Names the fields.
    """

    def __init__(self, jobs: Sequence[ScanJob], found: Sequence[Scanned], request: Request) -> None:
        self.jobs, self.found, self._request = jobs, found, request
        counts = [sum(scanned.records) for scanned in found]
        self.bases = np.append(0, np.cumsum(np.array(counts, np.int64)))
        self._tables = [pa.ipc.open_file(pa.memory_map(str(job.path("arrow")))).read_all() for job in jobs]
        self.part_files = [part.file for job in jobs for part in job.parts]
        self.files = list({file.path: file for file in self.part_files}.values())
        records = [count for scanned in found for count in scanned.records]
        self.part_bases = np.append(0, np.cumsum(np.array(records, np.int64)))
        self.num_shingles: NDArray[np.int32] = self.numbers("num_shingles").astype(np.int32)
        self._first_rows = _first_rows(self.part_files, [rows for scanned in found for rows in scanned.rows])

    def __len__(self) -> int:
        return int(self.bases[-1])

    def hashes(self, name: str) -> Keys:
        """A column of 128-bit hashes, shape (N, 2)."""
        chunks = [chunk for table in self._tables for chunk in table.column(name).chunks]
        pieces = [doc_id_array(chunk).view("<u8") for chunk in chunks]
        return np.concatenate([*pieces, np.zeros((0, 2), np.uint64)])

    def numbers(self, name: str) -> NDArray[Any]:
        """A column of numbers, shape (N,)."""
        return np.concatenate([table.column(name).to_numpy() for table in self._tables])

    def url_hashes(self) -> Keys:
        """Hashes of the URLs, shape (N, 2), zeros for none.

        Raises:
            UserError: If no record has one.
        """
        hashes = self.hashes("url_hash")
        if len(self) and not hashes.any():
            field = self._request.url_field
            raise UserError(f"--same-url: no record has a URL in the field {field}; --url-field names another")
        return hashes

    def values(self, name: str) -> list[pa.Array]:
        """See ``PolicyColumns``."""
        pieces = self._known(f"--keep {name}", name)
        return with_numbers(pieces, [flag for scanned in self.found for flag in scanned.of_tables])

    def licences(self) -> pa.ChunkedArray:
        """See ``PolicyColumns``."""
        field = self._request.licence_field
        return pa.chunked_array([piece.cast(pa.string()) for piece in self._known(f"--licence-field {field}", field)])

    def lengths(self) -> Ints:
        """See ``PolicyColumns``."""
        return self.numbers("characters")

    def _known(self, flag: str, name: str) -> list[pa.Array]:
        pieces = [others[name] for scanned in self.found for others in scanned.others]
        if pieces and all(piece.null_count == len(piece) for piece in pieces) and sum(map(len, pieces)):
            raise UserError(f"{flag}: no record has this field")
        return pieces

    def sources(self) -> pa.DictionaryArray:
        """The path of each record's file, shape (N,); see ``PolicyColumns``."""
        codes = np.repeat(np.arange(len(self.part_files), dtype=np.int32), np.diff(self.part_bases))
        return pa.DictionaryArray.from_arrays(codes, [file.path for file in self.part_files])

    def file_rows(self) -> Ints:
        """Row in its file of each record, shape (N,)."""
        rows = self.numbers("row") + np.repeat(self._first_rows, np.diff(self.part_bases))
        return rows.astype(np.int64)

    def file_bounds(self, files: Sequence[File]) -> list[tuple[int, int]]:
        """First record, and one past the last, of each file."""
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for file, low, high in zip(self.part_files, self.part_bases[:-1], self.part_bases[1:], strict=True):
            first.setdefault(file.path, int(low))
            last[file.path] = int(high)
        return [(first[file.path], last[file.path]) for file in files]

    def places(self, records: Ints) -> tuple[list[str], Ints]:
        """Path and row of records."""
        parts = np.searchsorted(self.part_bases, records, side="right") - 1
        rows = self._take("row", records).to_numpy() + self._first_rows[parts]
        return [self.part_files[part].path for part in parts.tolist()], rows

    def names(self, records: Ints) -> list[str]:
        """The id of records, ``path:row`` for one without."""
        paths, rows = self.places(records)
        ids = self._take("id", records).to_pylist()
        places = zip(ids, paths, rows.tolist(), strict=True)
        return [f"{path}:{row}" if name is None else name for name, path, row in places]

    def cluster_names(self, clusters: Ints) -> "ClusterNames":
        """The names of clusters by their first records: their ids, ``path:row`` where two clusters have one id.

        Args:
            clusters: First record of each record's cluster, shape (N,); a record alone is its own.
        """
        firsts = np.flatnonzero(np.bincount(clusters, minlength=len(self)) > 1)
        hashes = self.numbers("id_hash")[firsts] if len(firsts) else np.empty(0, np.uint64)
        values, counts = np.unique(hashes, return_counts=True)
        shared = firsts[np.isin(hashes, values[(counts > 1) & (values != 0)])]
        return ClusterNames(self, shared)

    def _take(self, name: str, records: Ints) -> pa.ChunkedArray | pa.Array:
        """Values of records, which may come in any order and repeat."""
        jobs = np.searchsorted(self.bases, records, side="right") - 1
        order = np.argsort(jobs, kind="stable")
        pieces = []
        for job in np.unique(jobs).tolist():
            chosen = records[order[np.searchsorted(jobs[order], job) : np.searchsorted(jobs[order], job, "right")]]
            pieces += self._tables[job].column(name).take(pa.array(chosen - self.bases[job])).chunks
        column = pa.chunked_array(pieces, self._tables[0].schema.field(name).type) if self._tables else pa.nulls(0)
        back = np.empty(len(records), np.int64)
        back[order] = np.arange(len(records))
        return column.take(pa.array(back))

    def keys(self, band: int) -> Keys:
        """Band keys of all records in one band, shape (N,)."""
        found = np.empty(len(self), np.uint64)
        filled = 0
        for job, scanned in zip(self.jobs, self.found, strict=True):
            with open(job.path("keys"), "rb") as file:
                start = 0
                for count in scanned.blocks:
                    file.seek(start + 8 * count * band)
                    found[filled : filled + count] = np.fromfile(file, np.uint64, count)
                    start += 8 * count * job.minhash.bands
                    filled += count
        return found

    def job_ranges(self, job: int, numbers: Ints) -> Ints:
        """Byte ranges of some records of a job, counted within it, shape (n, 2)."""
        table = self._tables[job]
        columns = [table.column(name).take(pa.array(numbers)).to_numpy() for name in ("start", "end")]
        return np.stack(columns, axis=1)

    def write_sets(self, workers: Workers, records: Ints) -> SpilledSets:
        """The shingle sets of some records: their texts are read again, each file once and in order, and hashed.

        Where pairs are not verified, it is their signatures instead, which are there.
        """
        if self.jobs and self.jobs[0].keep_signatures:
            signatures = [_signatures(job, scanned) for job, scanned in zip(self.jobs, self.found, strict=True)]
            return SpilledSets([], self.bases, np.zeros(0, np.int64), self.num_shingles, signatures)
        wanted = np.unique(records)
        starts = np.full(len(self), -1, np.int64)
        calls: list[tuple[Any, ...]] = []
        for number, (low, high) in enumerate(pairwise(np.searchsorted(wanted, self.bases).tolist())):
            job, chosen = self.jobs[number], wanted[low:high] - self.bases[number]
            sizes = np.cumsum(self.num_shingles[wanted[low:high]], dtype=np.int64)
            starts[wanted[low:high]] = np.append(0, sizes)[:-1]
            if high > low:
                calls.append((job, chosen, self.job_ranges(number, chosen), self.found[number].records))
            else:
                job.path("sets").touch()
        call_all(workers, write_sets, calls, "dedup: reading what may be alike")
        return SpilledSets([job.path("sets") for job in self.jobs], self.bases, starts, self.num_shingles)


def _first_rows(files: Sequence[File], rows: Sequence[int]) -> Ints:
    """The row of its file that each part begins with."""
    before = np.append(0, np.cumsum(np.array(rows, np.int64)))[:-1]
    starts = np.array([number == 0 or files[number] != files[number - 1] for number in range(len(files))], bool)
    base: Ints = before - before[np.maximum.accumulate(np.where(starts, np.arange(len(files)), 0))]
    return base


def _signatures(job: ScanJob, scanned: Scanned) -> NDArray[np.uint32]:
    width, count = job.minhash.permutations, sum(scanned.records)
    if not count:
        return np.zeros((0, width), np.uint32)
    return np.memmap(job.path("values"), np.uint32, "r", shape=(count, width))


class ClusterNames:
    """Names that no two clusters share.

    Args:
        corpus: The records.
        shared: First records of the clusters whose ids several have, in order.
    """

    def __init__(self, corpus: FileCorpus, shared: Ints) -> None:
        self._corpus, self._shared = corpus, shared

    def of(self, firsts: Ints) -> list[str]:
        """The names of the clusters of these first records."""
        names = self._corpus.names(firsts)
        again = np.flatnonzero(np.isin(firsts, self._shared)) if len(self._shared) else np.empty(0, np.int64)
        if len(again):
            paths, rows = self._corpus.places(firsts[again])
            for place, path, row in zip(again.tolist(), paths, rows.tolist(), strict=True):
                names[place] = f"{path}:{row}"
        return names
