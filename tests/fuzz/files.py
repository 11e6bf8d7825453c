"""Small files of every format, and from a number the faulty file that belongs to it."""

import bz2
import gzip
import io
import json
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache

import brotli
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import zstandard

WORDS = "The lamp on the pier burned all night, and nobody came to put it out."
NUMBERS = (b"0", b"-1", b"9" * 19, b"9" * 40, b"1e999", b"18446744073709551616", b"2147483648", b"00000000001")
WIDE = tuple(struct.pack("<Q", n) for n in (0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1))
PIECES = (
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b"\n", b'"', b"{", b"}", b"[", b"]", b",", b"\\ud800"),
    *(b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PK\x01\x02", b"WARC/1.0\r\n", b"ustar\0", b"\xed\xa0\x80"),
    *(b"From ", b"<!--", b"-->", b"<![CDATA[", b"charset=", b"\x50\x2a\x4d\x18\xff\xff\xff\xff", *NUMBERS, *WIDE),
)


def _rows() -> list[dict[str, object]]:
    return [{"id": str(n), "text": f"{WORDS} {n}", "n": n, "d": {"a": [n, None]}} for n in range(6)]


def _lines() -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in _rows())


def _record(block: bytes, kind: str = "response") -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: https://site.example/\r\n"
    head += f"Content-Length: {len(block)}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def _responses() -> list[bytes]:
    page = f"<!doctype html><html><head><meta charset=utf-8></head><body><p>{WORDS}</p></body></html>".encode()
    bodies = {
        "x": page,
        "gzip": gzip.compress(page) * 2,
        "br": brotli.compress(page),
        "deflate": zlib.compress(page),
        "zstd": zstandard.ZstdCompressor().compress(page),
    }
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
    found = [_record(f"{head}Content-Encoding: {name}\r\n\r\n".encode() + body) for name, body in bodies.items()]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (page[:20], page[20:], b""))
    return [
        *found,
        _record(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks),
        _record(b"a: b\r\n", "warcinfo"),
    ]


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data, zipfile.ZIP_STORED if name == "mimetype" else None)
    return buffer.getvalue()


def _tar(style: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style) as archive:
        for name, data in {"a.jsonl": _lines(), "d" * 90 + "/b.txt": WORDS.encode(), "é.txt": b"words"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _works() -> dict[str, bytes]:
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    document = f'<w:document xmlns:w="{w}"><w:body><w:p><w:r><w:t>{WORDS}</w:t></w:r></w:p></w:body></w:document>'
    text = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
    opf = (
        '<package><manifest><item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>'
    )
    container = '<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>'
    letter = (
        "From: a@example.org\nSubject: =?utf-8?q?Caf=C3=A9?=\nDate: Tue, 02 Jan 2024 03:04:05 +0100\n"
        f'Content-Type: multipart/mixed; boundary="x"\n\n--x\nContent-Type: text/plain; charset=utf-8\n\n{WORDS}\n--x\n'
        f"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nPHA+eDwvcD4=\n--x--\n"
    )
    content = f'<a xmlns:t="{text}"><t:p>{WORDS}<t:s t:c="3"/></t:p></a>'
    book = {"META-INF/container.xml": container.encode(), "b.opf": opf.encode(), "a.xhtml": b"<p>words</p>"}
    cells = [{"cell_type": "markdown", "source": ["a\n", "b"]}, {"cell_type": "code", "source": "print(1)"}]
    return {
        "a.docx": _zip({"[Content_Types].xml": b"x", "word/document.xml": document.encode()}),
        "a.odt": _zip({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": content.encode()}),
        "a.epub": _zip({"mimetype": b"application/epub+zip", **book}),
        "a.eml": letter.encode(),
        "a.mbox": f"From a@example.org Tue Jan  2 03:04:05 2024\n{letter}\n".encode() * 3,
        "a.ipynb": json.dumps({"cells": cells, "metadata": {"language_info": {"name": "python"}}}).encode(),
    }


def _tables() -> dict[str, bytes]:
    table = pa.Table.from_pylist(_rows())
    parquet, arrow, stream = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet, row_group_size=3)
    feather.write_feather(table, arrow)
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return {"a.parquet": parquet.getvalue(), "a.arrow": arrow.getvalue(), "stream.arrow": stream.getvalue()}


@cache
def seeds() -> dict[str, bytes]:
    """The sound files, by name."""
    responses, frame = _responses(), zstandard.ZstdCompressor().compress
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": frame,
    }
    members = {
        "a.jsonl": _lines(),
        "b/c.txt": WORDS.encode(),
        "d.csv": b"id,text\n1,words\n",
        "e.jsonl.gz": gzip.compress(_lines()),
    }
    return {
        "a.jsonl": _lines(),
        "a.json": json.dumps(_rows(), indent=1).encode(),
        "b.json": _lines().replace(b"\n", b" "),
        "a.csv": b"id,text,n\n" + b"".join(f'{n},"{WORDS}",{n}\n'.encode() for n in range(6)),
        "a.tsv": b"id\ttext\n1\ttwo words\n2\tthree\n",
        "a.txt": WORDS.encode() * 3,
        "utf16.txt": WORDS.encode("utf-16"),
        "a.html": f"<html><head><meta charset=utf-8></head><body><p>{WORDS}</p></body></html>".encode(),
        "a.warc": b"".join(responses),
        "a.warc.gz": b"".join(map(gzip.compress, responses)),
        "a.warc.zst": struct.pack("<II", 0x184D2A50, 4) + b"1234" + b"".join(map(frame, responses)),
        **{f"a.jsonl.{suffix}": pack(_lines()) + pack(_lines()) for suffix, pack in packers.items()},
        "a.zip": _zip(members),
        "b.zip": _zip(members, zipfile.ZIP_LZMA),
        **{f"{style}.tar": _tar(style) for style in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)},
        "a.tar.gz": gzip.compress(_tar(tarfile.PAX_FORMAT)),
        "no suffix": _zip(members),
        **_works(),
        **_tables(),
    }


def faulty(number: int) -> tuple[str, bytes]:
    """Name and bytes of the file that belongs to a number."""
    generator = random.Random(number)
    name = generator.choice(sorted(seeds()))
    data = seeds()[name]
    inside = name.endswith(".gz") and generator.random() < 0.5  # faults in what was compressed, not of it
    data = gzip.decompress(data) if inside else data
    for _ in range(generator.choice((1, 1, 1, 2, 3, 8))):
        data = generator.choice(FAULTS)(data, generator)
    if generator.random() < 0.02:
        name = generator.choice(sorted(seeds()))  # under the name of another format
    return name, gzip.compress(data) if inside else data


def _at(data: bytes, generator: random.Random) -> int:
    return generator.randrange(len(data) + 1)


def _flip(data: bytes, generator: random.Random) -> bytes:
    at = _at(data, generator)
    return data[:at] + bytes(byte ^ 1 << generator.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _overwrite(data: bytes, generator: random.Random) -> bytes:
    at, piece = _at(data, generator), generator.choice(PIECES)
    return data[:at] + piece + data[at + len(piece) :]


def _insert(data: bytes, generator: random.Random) -> bytes:
    at = _at(data, generator)
    return data[:at] + generator.choice(PIECES) * generator.choice((1, 1, 1, 50)) + data[at:]


def _delete(data: bytes, generator: random.Random) -> bytes:
    at = _at(data, generator)
    return data[:at] + data[at + generator.choice((1, 2, 8, 100, 1000)) :]


def _cut(data: bytes, generator: random.Random) -> bytes:
    return data[: _at(data, generator)]


def _repeat(data: bytes, generator: random.Random) -> bytes:
    at = _at(data, generator)
    return data[:at] + data[at : at + generator.choice((4, 46, 512))] * generator.choice((2, 3, 200)) + data[at:]


def _splice(data: bytes, generator: random.Random) -> bytes:
    other = seeds()[generator.choice(sorted(seeds()))]
    return data[: _at(data, generator)] + other[_at(other, generator) :]


def _renumber(data: bytes, generator: random.Random) -> bytes:
    """Another number in the place of one that is written in digits."""
    digits = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if not digits:
        return _overwrite(data, generator)
    at = generator.choice(digits)
    return data[:at] + generator.choice(NUMBERS) + data[at + 1 :]


FAULTS = (_flip, _flip, _overwrite, _overwrite, _insert, _delete, _cut, _repeat, _splice, _renumber)
