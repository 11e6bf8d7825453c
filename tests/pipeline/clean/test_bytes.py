"""Every byte of an input belongs to something: documents, excluded, quarantined, framing."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import zstandard

from pipeline.base.errors import GateError
from pipeline.clean import stage
from pipeline.readers.parts import part_reader
from pipeline.readers.parts.inputs import InputFile
from pipeline.readers.parts.part_reader import PartReader, ReadOptions
from pipeline.readers.parts.partition import split
from pipeline.readers.records import Damaged, Excluded, Fields, Item, Record
from pipeline.run.manifest import Manifest
from tests.pipeline.clean.inputs import Clean, damage, lines, page, response, warc, warc_record

TEXT = "The lamp on the pier burned all night, and nobody came to put it out."
ROWS = [{"id": str(n), "text": f"{TEXT} {n}"} for n in range(60)]
OBJECTS = [json.dumps(row).encode() for row in ROWS]


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", b"\n".join(OBJECTS))
        archive.writestr("b.txt", TEXT)
        archive.writestr("c.png", b"\x89PNG\r\n\x1a\n" + bytes(500))
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT.encode()))
    return buffer.getvalue()


def table(write: Callable[[pa.Table, io.BytesIO], None]) -> bytes:
    buffer = io.BytesIO()
    write(pa.Table.from_pylist(ROWS), buffer)
    return buffer.getvalue()


PAGES = [
    *warc(5),
    warc_record(b"fields", "https://site.example/", "warcinfo"),
    response(b"x", content_type="image/png"),
]
FILES: dict[str, bytes] = {
    "lines.jsonl": b"\xef\xbb\xbf" + b"\r\n".join(OBJECTS) + b"\n\n \n",
    "bad.jsonl": b"\n".join([*OBJECTS[:5], b"{broken", b"[1, 2]", *OBJECTS[5:]]),
    "list.json": b" [\n" + b",\n".join(OBJECTS) + b"\n] \n",
    "pretty.json": json.dumps(ROWS, indent=2).encode(),
    "rows.csv": b"id,text\n" + b"".join(f'{row["id"]},"{row["text"]}"\n'.encode() for row in ROWS),
    "ragged.csv": b"id,text\n1,two\nthree\n\n4,five,six\n7,eight\n",
    "rows.tsv": b"id\ttext\r\n" + b"".join(f"{row['id']}\t{row['text']}\r\n".encode() for row in ROWS),
    "one.txt": TEXT.encode(),
    "utf16.jsonl": b"\n".join(OBJECTS).decode().encode("utf-16"),
    "one.html": page(TEXT),
    "noise.txt": bytes(range(256)) * 30,
    "named.txt": b"%PDF-1.4\n" + bytes(9000),
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(9000),
    "pages.warc": b"".join(PAGES),
    "apart.warc": b"".join([*PAGES[:2], b"\r\n\r\nlost words\r\n", PAGES[2][:-40], *PAGES[3:]]),
    "pages.warc.gz": b"".join(map(gzip.compress, PAGES)),
    "together.warc.gz": gzip.compress(b"".join(PAGES)),
    "hurt.warc.gz": b"".join(
        [*map(gzip.compress, PAGES[:2]), damage(gzip.compress(PAGES[2]), 80), gzip.compress(PAGES[3])]
    ),
    "a.zip": zipped(),
    "a.tar": tarred(),
    "a.tar.gz": gzip.compress(tarred()),
    "a.parquet": table(pq.write_table),
    "a.arrow": table(lambda rows, out: feather.write_feather(rows, out)),
    "empty.txt": b"",
}
FILES |= {
    f"lines.jsonl.{suffix}": pack(b"\n".join(OBJECTS))
    for suffix, pack in {
        **{"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress},
        **{"zst": zstandard.ZstdCompressor().compress},
    }.items()
}
FILES |= {
    "cut.jsonl.gz": gzip.compress(lines(0, 60))[:-2000],
    "hurt.jsonl.gz": gzip.compress(lines(0, 9))
    + damage(gzip.compress(lines(9, 60)), 4000)
    + gzip.compress(lines(60, 70)),
    "hurt.json.gz": gzip.compress(b"[" + b",\n".join(OBJECTS[:30])) + damage(gzip.compress(b",\n".join(OBJECTS)), 90),
}
# bytes that belong to no item, beyond which something is lost: line ends, brackets, header rows, directories
FRAMING = {
    **{
        "lines.jsonl": 130,
        "bad.jsonl": 62,
        "utf16.jsonl": 130,
        "list.json": 131,
        "pretty.json": 700,
        "rows.csv": 8,
        "ragged.csv": 9,
    },
    **{"rows.tsv": 9, "pages.warc": 0, "apart.warc": 4, "pages.warc.gz": 7, "together.warc.gz": 1, "hurt.warc.gz": 9},
    **{"a.tar": 10240, "a.tar.gz": 500, "a.zip": 300, "hurt.jsonl.gz": 40, "cut.jsonl.gz": 400, "hurt.json.gz": 40},
}


@pytest.mark.parametrize("name", FILES)
def test_bytes_in_are_those_of_documents_excluded_quarantined_and_framing(
    tmp_path: Path, clean: Clean, name: str
) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    cleaned = clean(tmp_path / name)
    counts: Counter[str] = cleaned.counts
    assert counts["bytes_in"] == len(FILES[name])
    parts = {kind: counts[f"bytes_{kind}"] for kind in ("documents", "excluded", "quarantined", "framing")}
    assert sum(parts.values()) == len(FILES[name])
    assert min(parts.values()) >= 0
    assert parts["framing"] <= FRAMING.get(name, 60), parts
    assert (parts["quarantined"] > 0) == bool(cleaned.quarantined)
    assert (parts["documents"] > 0) == bool(cleaned.documents)
    assert "unread_bytes" not in cleaned.reasons


def items_of(path: Path) -> list[Item]:
    part = next(split(InputFile(path.name, str(path), path.stat().st_size), "auto", 1 << 40))
    return list(PartReader(str(path.parent), ReadOptions(Fields({}, None))).read(part))


@pytest.mark.parametrize(
    "name", ["lines.jsonl", "bad.jsonl", "list.json", "pretty.json", "one.txt", "pages.warc", "apart.warc"]
)
def test_ranges_of_a_reader_lie_apart_and_between_them_is_framing(tmp_path: Path, name: str) -> None:
    data = FILES[name].removeprefix(b"\xef\xbb\xbf")
    (tmp_path / name).write_bytes(data)
    position, between = 0, b""
    items = items_of(tmp_path / name)
    assert len(items) >= 1
    for item in items:
        assert isinstance(item, Record | Damaged | Excluded)
        assert item.offset >= position, item
        between += data[position : item.offset]
        position = item.offset + (item.length or 0)
    between += data[position:]
    assert between.strip(b" \t\r\n,[]") == b""


def test_what_a_reader_leaves_is_quarantined(tmp_path: Path, clean: Clean, monkeypatch: pytest.MonkeyPatch) -> None:
    def lazy(chunks, path, *more):  # type: ignore[no-untyped-def]
        yield Record(path, 0, "words", length=len(next(chunks)))

    monkeypatch.setattr(part_reader, "read_jsonl", lazy)
    (tmp_path / "a.jsonl").write_bytes(lines(0, 9, 200_000))
    cleaned = clean(tmp_path / "a.jsonl")
    assert cleaned.reasons == ["unread_bytes"]
    assert cleaned.quarantined[0]["offset"] + cleaned.quarantined[0]["length"] == (tmp_path / "a.jsonl").stat().st_size


def test_gate_looks_at_bytes_too() -> None:
    """A lost file is one record of a hundred, and half of the input."""
    counts = {"records_in": 100, "quarantined": 1, "bytes_in": 1000, "bytes_quarantined": 500}
    manifest = Manifest.__new__(Manifest)
    object.__setattr__(manifest, "counts", {**counts, "quarantined_reasons": {"truncated": 1}})
    with pytest.raises(GateError, match=r"500 of 1,000 bytes are damaged \(50.0%\).*truncated 1"):
        stage._check_gate("run", {"00000": manifest}, 0.05)
    stage._check_gate("run", {"00000": manifest}, 0.5)


def test_gate_counts_a_damaged_paper_as_one_record() -> None:
    """One damaged book among a hundred notes, with most of the bytes in its pictures."""
    counts = {"records_in": 100, "quarantined": 1, "bytes_in": 1000, "bytes_quarantined": 520}
    manifest = Manifest.__new__(Manifest)
    object.__setattr__(manifest, "counts", {**counts, "bytes_of_papers_quarantined": 500})
    stage._check_gate("run", {"00000": manifest}, 0.05)
    with pytest.raises(GateError, match=r"20 of 500 bytes are damaged \(4.0%\)"):
        stage._check_gate("run", {"00000": manifest}, 0.03)


def test_file_with_a_damaged_region_is_lost_as_a_whole(tmp_path: Path, clean: Clean) -> None:
    hurt = gzip.compress(lines(0, 9)) + damage(gzip.compress(lines(9, 60)), 4000) + gzip.compress(lines(60, 70))
    for name in ("a.txt", "a.html", "a.ipynb"):
        (tmp_path / f"{name}.gz").write_bytes(hurt)
    cleaned = clean(tmp_path)
    assert (cleaned.texts, cleaned.reasons) == ([], ["corrupt_compression"] * 3)
    assert cleaned.counts["bytes_quarantined"] == cleaned.counts["bytes_in"]
