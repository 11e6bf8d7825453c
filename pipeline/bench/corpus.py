"""The texts and pages that the benchmarks read: files below ``$TOKENMILL_BENCH_CORPUS``, else data/sample."""

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
LID_176 = Path(__file__).with_name("lid.176.ftz")  # a peer's language model
ARTICLES = SAMPLE / "wikipedia-en.parquet"


def corpus(kind: str, pattern: str) -> list[Path]:
    """Input files of a kind, in order."""
    named = os.environ.get("TOKENMILL_BENCH_CORPUS")
    return sorted(Path(named).joinpath(kind).glob(pattern)) if named else sorted(SAMPLE.glob(pattern))


def texts_of(paths: Iterable[Path]) -> Iterator[str]:
    """The texts of JSONL.gz files, a dump of Wikipedia's among them."""
    for path in paths:
        for line in gzip.decompress(path.read_bytes()).splitlines():
            value = orjson.loads(line)
            yield value.get("text") or value.get("extract") or ""


def sample_warc(target: Path, pages: int) -> tuple[int, int]:
    """Writes an even sample of response members; returns pages and bytes of HTML."""
    members = [member for path in corpus("warc", "*.warc.gz") for member in _members(path.read_bytes())]
    members = [(packed, plain) for packed, plain in members if b"\r\nWARC-Type: response\r\n" in plain[:1000]]
    step = max(1, len(members) // pages)
    chosen = members[::step][:pages]
    target.write_bytes(b"".join(packed for packed, _ in chosen))
    return len(chosen), sum(len(plain.split(b"\r\n\r\n", 2)[-1]) for _, plain in chosen)


def _members(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position, window = 0, 1 << 16
    while position < len(data):
        state = zlib.decompressobj(wbits=31)
        plain, at = [], position
        while not state.eof and at < len(data):
            plain.append(state.decompress(data[at : at + window]))
            at += window
        end = min(at, len(data)) - len(state.unused_data)
        yield data[position:end], b"".join(plain)
        position = end


def sample_jsonl(target: Path, records: int) -> tuple[int, int]:
    """Writes an even sample of lines with a ``text``; returns records and bytes of text."""
    lines = [line for path in corpus("text", "*.jsonl.gz") for line in gzip.decompress(path.read_bytes()).splitlines()]
    values = [value for line in lines if "text" in (value := orjson.loads(line))] or [
        {"text": orjson.loads(line).get("extract", "")} for line in lines
    ]
    chosen = values[:: max(1, len(values) // records)][:records]
    target.write_bytes(gzip.compress(b"".join(orjson.dumps(value) + b"\n" for value in chosen), 6))
    return len(chosen), sum(len(value["text"].encode()) for value in chosen)
