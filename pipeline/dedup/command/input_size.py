"""How many records, and how much text, files hold: from their heads, before they are read."""

from collections.abc import Sequence

from pipeline.dedup.files.columns import row_count
from pipeline.dedup.files.input_files import COLUMNAR, File
from pipeline.readers.ranges import RangeReader
from pipeline.readers.streams import Limits, chunks

SAMPLED_FILES = 16
COLUMNAR_RATIO = 2.0  # text per byte of Parquet or Arrow, where nothing better is known
COLUMNAR_ROW_BYTES = 1500
DOCUMENT_BYTES = 10_000  # of a file that holds many, such as an archive
LINED = ("jsonl", "json", "csv", "tsv")
HOLDERS = ("warc", "zip", "tar", "epub", "mbox")


def estimate(files: Sequence[File]) -> tuple[int, int]:
    """Records and bytes of text: scaled from sampled files to all files of their format."""
    records = text_bytes = 0.0
    for head, kinds in ((_lines, LINED), (_columnar, COLUMNAR)):
        group = [file for file in files if file.format in kinds and file.size]
        sample = group[:: max(1, len(group) // SAMPLED_FILES)]
        heads = [head(file) for file in sample]
        size = sum(read for read, _, _ in heads)
        if size:
            scale = sum(file.size for file in group) / size
            records += scale * sum(found for _, found, _ in heads)
            text_bytes += scale * sum(text for _, _, text in heads)
    others = [file for file in files if file.format not in (*LINED, *COLUMNAR)]
    records += sum(max(1, file.size // DOCUMENT_BYTES) if file.format in HOLDERS else 1 for file in others)
    return int(records), int(text_bytes) + sum(file.size for file in others)


def _lines(file: File) -> tuple[int, float, int]:
    """Bytes read of the file, lines in them, and what they became."""
    with RangeReader(file.local, 0, file.size) as reader:
        first = next(chunks(reader, Limits()), b"")
        read = max(1, min(reader.position, file.size))
    if not isinstance(first, bytes):
        return read, 1, read
    if file.compression is None:
        read = len(first)
    return read, max(1, first.count(b"\n")), len(first)


def _columnar(file: File) -> tuple[int, float, int]:
    rows = row_count(file)
    return file.size, file.size / COLUMNAR_ROW_BYTES if rows is None else rows, int(file.size * COLUMNAR_RATIO)
