"""First pass over the user's files, in worker processes: what every record is, small enough to keep.

A job writes to the scratch folder:
- ``NNNNN.arrow``   one row per record: text hash, shingles, characters, row, byte range, id, URL hash
- ``NNNNN.keys``    band keys, 64 bits each; one block per batch, band after band in a block
- ``NNNNN.values``  signatures, where pairs are not verified
- ``NNNNN.lost``    records without a text (quarantine)

A second, partial pass writes ``NNNNN.sets``: shingle sets of the records that have candidates.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.arrow import array_hashes, doc_id_column, name_hashes, text_bytes
from pipeline.dedup.files.fields import WantedFields, field_of
from pipeline.dedup.files.input_files import Part
from pipeline.dedup.files.items import in_words
from pipeline.dedup.files.records import PartBatch, RecordReader, merged
from pipeline.dedup.rule.shingle_sets import SetWriter
from pipeline.dedup.rule.signing import Signer, band_keys, url_hashes
from pipeline.readers.jsonl import parse_object, records_of_line
from pipeline.readers.records import Damaged, Record
from pipeline.recipe.minhash import MinHash
from pipeline.run.table_files import TableWriter
from pipeline.run.tables import BATCH_ROWS, BATCH_TEXT_BYTES, QUARANTINE

RECORDS = pa.schema(
    [
        ("text_hash", pa.binary(16)),
        ("url_hash", pa.binary(16)),
        ("num_shingles", pa.int32()),
        ("characters", pa.int64()),
        ("row", pa.int64()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("id", pa.string()),
        ("id_hash", pa.uint64()),
    ]
)


@dataclass(frozen=True)
class ScanJob:
    """What one call of a worker does.

    Attributes:
        name: Five digits; the files it writes.
        parts: What it reads.
        folder: The scratch folder.
        wanted: Fields to read.
        minhash: What similarity means.
        exact_only: Only equal texts are looked for: no signatures, no band keys.
        keep_signatures: Write signatures too.
        url_field: Field with the URL; None where URLs do not count.
        policy_fields: Those of the fields that the survivor policy looks at.
    """

    name: str
    parts: tuple[Part, ...]
    folder: Path
    wanted: WantedFields
    minhash: MinHash
    exact_only: bool = False
    keep_signatures: bool = False
    url_field: str | None = None
    policy_fields: tuple[str, ...] = ()

    def path(self, suffix: str) -> Path:
        """A file of this job in the scratch folder."""
        return self.folder / f"{self.name}.{suffix}"


@dataclass
class Scanned:
    """What a job found.

    Attributes:
        records: Records with a text, by part.
        rows: Rows by part, blank lines and damaged records included.
        quarantined: Records without a text.
        text_bytes: UTF-8 bytes of all texts.
        blocks: Records of each block of band keys.
        others: The fields of the policy by name, batch by batch.
        of_tables: Of each of these batches, whether its fields are text throughout.
        problem: The first record without a text, in words.
        excluded: Items that are no records, by reason.
    """

    records: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    quarantined: int = 0
    text_bytes: int = 0
    blocks: list[int] = field(default_factory=list)
    others: list[dict[str, pa.Array]] = field(default_factory=list)
    of_tables: list[bool] = field(default_factory=list)
    problem: str = ""
    excluded: Counter[str] = field(default_factory=Counter)


def scan(job: ScanJob) -> Scanned:
    """Reads the parts of a job, signs the texts, and writes the files of the first pass."""
    found = Scanned()
    signer = Signer.of(job.minhash)
    lost: list[Damaged] = []
    with (
        pa.OSFile(str(job.path("arrow")), "wb") as sink,
        pa.ipc.new_file(sink, RECORDS) as writer,
        open(job.path("keys"), "wb") as keys,
        open(job.path("values"), "wb") as values,
    ):
        for batch in _merged(job, _batches(job, found, lost)):
            num_shingles, signatures_NP = _sign(job, signer, batch.texts)
            if not job.exact_only:
                keys.write(band_keys(signatures_NP, job.minhash.bands).data)
            if job.keep_signatures:
                values.write(signatures_NP.data)
            writer.write_batch(_record_batch(job, batch, num_shingles))
            found.blocks.append(len(batch.texts))
            found.others.append({name: batch.others[name] for name in job.policy_fields})
            found.of_tables.append(batch.is_of_table)
            found.text_bytes += text_bytes(batch.texts)
    if lost:
        found.quarantined, found.problem = len(lost), in_words(lost[0])
        with TableWriter(job.path("lost"), QUARANTINE) as writer:
            writer.write(quarantine_table(lost))
    return found


def _batches(job: ScanJob, found: Scanned, lost: list[Damaged]) -> Iterator[PartBatch]:
    """The batches of all parts; counts them, and what else the parts hold."""
    for part in job.parts:
        reader = RecordReader(part, job.wanted)
        records = 0
        for batch in reader.batches():
            records += len(batch.texts)
            yield batch
        found.records.append(records)
        found.rows.append(reader.rows)
        found.excluded.update(reader.excluded)
        lost += reader.damaged


def _merged(job: ScanJob, batches: Iterator[PartBatch]) -> Iterator[PartBatch]:
    """The batches, small ones together: a folder of short texts gives one for each file."""
    held: list[PartBatch] = []
    rows = size = 0
    for batch in batches:
        if held and (job.wanted.others or rows + len(batch.texts) > BATCH_ROWS or size > BATCH_TEXT_BYTES):
            yield merged(held)
            held, rows, size = [], 0, 0
        held.append(batch)
        rows, size = rows + len(batch.texts), size + text_bytes(batch.texts)
    if held:
        yield merged(held)


def _sign(job: ScanJob, signer: Signer, texts: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
    if job.exact_only:
        signatures_NP, sets = np.empty((len(texts), 0), np.uint32), signer.hash(texts)
    else:
        signatures_NP, sets = signer.sign_and_hash(texts)
    return np.diff(sets.offsets).astype(np.int32), signatures_NP


def _record_batch(job: ScanJob, batch: PartBatch, num_shingles: NDArray[np.int32]) -> pa.RecordBatch:
    urls = np.zeros((len(batch.texts), 2), np.uint64)
    if job.url_field is not None:
        urls = url_hashes(batch.others[job.url_field].cast(pa.string()))
    columns = [
        doc_id_column(array_hashes(batch.texts)),
        doc_id_column(urls),
        pa.array(num_shingles),
        pc.utf8_length(batch.texts).cast(pa.int64()),
        pa.array(batch.rows),
        pa.array(np.ascontiguousarray(batch.ranges[:, 0])),
        pa.array(np.ascontiguousarray(batch.ranges[:, 1])),
        batch.ids,
        pa.array(np.ascontiguousarray(name_hashes(batch.ids.to_pylist())[:, 0])),
    ]
    return pa.record_batch(columns, schema=RECORDS)


def quarantine_table(lost: Sequence[Damaged]) -> pa.Table:
    """Rows of the quarantine table."""
    columns = {
        "source": ["" for _ in lost],
        "path": [item.path for item in lost],
        "offset": [item.offset for item in lost],
        "length": [item.length for item in lost],
        "reason": [item.reason for item in lost],
        "detail": [item.detail for item in lost],
        "head": [item.head for item in lost],
    }
    return pa.table(columns, schema=QUARANTINE.schema)


def write_sets(job: ScanJob, numbers: NDArray[np.int64], ranges: NDArray[np.int64], parts: list[int]) -> None:
    """Reads some records of a job again and writes their shingle sets, in order.

    Args:
        job: The job that scanned them.
        numbers: The records, counted within the job, ascending, shape (n,).
        ranges: Their byte ranges, shape (n, 2).
        parts: Records of each part.
    """
    signer = Signer.of(job.minhash)
    with SetWriter(job.path("sets")) as writer:
        first = 0
        for part, count in zip(job.parts, parts, strict=True):
            low, high = np.searchsorted(numbers, (first, first + count))
            if high > low:
                for texts in _texts(job, part, numbers[low:high] - first, ranges[low:high]):
                    writer.write(signer.hash(texts))
            first += count


def _texts(job: ScanJob, part: Part, numbers: NDArray[np.int64], ranges: NDArray[np.int64]) -> Iterator[pa.Array]:
    if part.splittable:
        yield from _texts_by_range(job, part, ranges)
        return
    start = 0
    for batch in RecordReader(part, WantedFields(job.wanted.text, job.wanted.id, csv=job.wanted.csv)).batches():
        low, high = np.searchsorted(numbers, (start, start + len(batch.texts)))
        if high > low:
            yield batch.texts.take(pa.array(numbers[low:high] - start))
        start += len(batch.texts)


def _texts_by_range(job: ScanJob, part: Part, ranges: NDArray[np.int64]) -> Iterator[pa.Array]:
    """Texts of lines of a plain JSON Lines file, read one by one."""
    part.file.check()
    texts: list[str] = []
    size = 0
    with open(part.file.local, "rb", buffering=0) as opened:
        descriptor = opened.fileno()
        for start, end in ranges.tolist():
            text = _text_at(job, part, os.pread(descriptor, end - start, start), start)
            texts.append(text)
            size += len(text)
            if size > BATCH_TEXT_BYTES:
                yield pa.array(texts, pa.large_string())
                texts, size = [], 0
    if texts:
        yield pa.array(texts, pa.large_string())
    part.file.check()


def _text_at(job: ScanJob, part: Part, line: bytes, start: int) -> str:
    """The text of a line, or of the record's share of it."""
    data = line.removesuffix(b"\n")
    value = parse_object(data, part.file.path, start)
    if isinstance(value, dict):
        for name in job.wanted.names["text"]:
            if isinstance(text := field_of(value, name), str):
                return text
    found = next((item for item in records_of_line(data, part.file.path, start, job.wanted)), None)
    if not isinstance(found, Record):
        part.file.check()  # it had a text a moment ago
        raise AssertionError(f"{part.file.path}: no text at byte {start}")
    return found.text
