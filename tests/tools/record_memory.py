# ruff: noqa: T201  a script that prints its findings
"""What one large record takes at its peak in each stage, in multiples of its bytes.

``python -m tests.tools.record_memory [KIND ...] --megabytes 20`` writes 300 small records and a large one, runs the
stages over them in one process, after a warm-up with a small one in its place, and prints of each stage the highest
resident memory (``VmHWM``) beyond what was held before it.  docs/reliability.md has the figures.
"""

import argparse
import ctypes
import gc
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base import storage
from pipeline.base.pool import InProcess
from pipeline.bench.growth import STAGES
from pipeline.recipe.options import Recipe
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.stages import run_stage
from tests.pipeline.clean.inputs import response, zip_with

SMALL, SMALL_BYTES = 300, 2_000
CODE = "from tests.tools.record_memory import report; report({!r}, {}, {!r})"
OPTIONS = {"filter": {"rules": [], "min_language_score": 0}, "tokenize": {"vocabulary_size": 2_000}}


def english(generator: random.Random, size: int) -> str:
    """Lines of words, as often as words are; few of their n-grams are repeated."""
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(generator.choices(letters, k=generator.randrange(2, 10))) for _ in range(50_000)]
    return _lines(generator, words, size, 15, " ", ".\n")


def chinese(generator: random.Random, size: int) -> str:
    """Lines of characters of three bytes."""
    return _lines(generator, [chr(0x4E00 + k) for k in range(4_000)], size, 40, "", "。\n")


def emoji(generator: random.Random, size: int) -> str:
    """Lines of characters of four bytes."""
    return _lines(generator, [chr(0x1F600 + k) for k in range(79)], size, 10, "", "\n")


def one_emoji(generator: random.Random, size: int) -> str:
    """English with one character beyond U+FFFF, for which Python gives four bytes to each."""
    return "😀 " + english(generator, size)


def one_line(generator: random.Random, size: int) -> str:
    """English without a line feed."""
    return english(generator, size).replace("\n", " ")


def addresses(generator: random.Random, size: int) -> str:
    """English with a mail address in each kilobyte, which is replaced."""
    text = english(generator, size)
    return "".join(f"{text[at : at + 1000]} person{at}@firm.com " for at in range(0, len(text), 1000))


def _lines(generator: random.Random, words: list[str], size: int, of: int, between: str, end: str) -> str:
    lines, made = [], 0
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(words))))
    while made < size:
        lines.append(between.join(generator.choices(words, cum_weights=weights, k=of)) + end)
        made += len(lines[-1].encode())
    return "".join(lines)


def json_line(text: str, key: str = "text") -> bytes:
    """A record of JSON Lines."""
    return json.dumps({"text": "A short text.", key: text}, ensure_ascii=False).encode() + b"\n"


def html(text: str) -> bytes:
    """A page of paragraphs."""
    paragraphs = "".join(f"<p>{part}</p>\n" for part in text.split("\n"))
    return f"<html><body><article>{paragraphs}</article></body></html>".encode()


def word_file(text: str) -> bytes:
    """A Word file; its record is what it holds unpacked."""
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in text.split("\n"))
    document = f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
    return zip_with({"[Content_Types].xml": b"<Types/>", "word/document.xml": document.encode()})


def parquet(text: str) -> bytes:
    """A Parquet file of one row."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": pa.array([text], pa.large_string())}), sink)
    return sink.getvalue().to_pybytes()


def zipped(text: str) -> bytes:
    """A text as a member of a ZIP."""
    return zip_with({"a.txt": text.encode()})


def mail(text: str) -> bytes:
    """A message."""
    head = "From: a@b.example\nSubject: s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
    return head.encode() + text.encode()


def pdf(text: str) -> bytes:
    """A PDF file of pages of 50 lines."""
    lines = text.split("\n")
    streams = []
    for first in range(0, len(lines), 50):
        drawn = "".join(f"({line}) Tj T*\n" for line in lines[first : first + 50])
        streams.append(f"BT /F1 8 Tf 12 TL 20 800 Td\n{drawn}ET".encode())
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(streams)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(streams)} >>".encode(),
    ]
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, stream in enumerate(streams):
        resources = "/Resources << /Font << /F1 3 0 R >> >> /MediaBox [0 0 600 840]"
        objects.append(f"<< /Type /Page /Parent 2 0 R {resources} /Contents {5 + 2 * number} 0 R >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n" % len(stream) + stream + b"\nendstream")
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))
    return bytes(out) + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + trailer


# name -> the file's name, the text, the file made of it
KINDS: dict[str, tuple[str, Callable[[random.Random, int], str], Callable[[str], bytes]]] = {
    "jsonl": ("a.jsonl", english, json_line),
    "jsonl-one-line": ("a.jsonl", one_line, json_line),
    "jsonl-chinese": ("a.jsonl", chinese, json_line),
    "jsonl-emoji": ("a.jsonl", emoji, json_line),
    "jsonl-one-emoji": ("a.jsonl", one_emoji, json_line),
    "jsonl-addresses": ("a.jsonl", addresses, json_line),
    "jsonl-other-field": ("a.jsonl", english, lambda text: json_line(text, "more")),
    "text": ("a.txt", english, str.encode),
    "text-one-emoji": ("a.txt", one_emoji, str.encode),
    "zip": ("a.zip", english, zipped),
    "parquet": ("a.parquet", english, parquet),
    "page": ("a.warc", english, lambda text: response(html(text))),
    "page-one-emoji": ("a.warc", one_emoji, lambda text: response(html(text))),
    "docx": ("a.docx", english, word_file),
    "mail": ("a.eml", english, mail),
    "pdf": ("a.pdf", english, pdf),
}


def report(kind: str, size: int, stages: list[str]) -> None:
    """Prints the figures of one kind, made in this process."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-record-") as folder:
        for name, bytes_of_record in (("small", SMALL_BYTES), ("large", size)):
            place = Path(folder, name)
            given = write(place / "in", kind, bytes_of_record)
            peaks = run(place, stages)
    figures = "  ".join(f"{stage} {peak / given:.1f}" for stage, peak in peaks.items())
    print(f"{kind:18} {given / 1e6:5.1f} MB  {figures}", flush=True)


def write(folder: Path, kind: str, size: int) -> int:
    """Writes small records, and the one; returns its bytes as a reader holds them, unpacked."""
    folder.mkdir(parents=True)
    generator = random.Random(5)
    small = (english(generator, SMALL_BYTES) for _ in range(3))
    (folder / "small.jsonl").write_bytes(b"".join(json_line(text) for text in small) * (SMALL // 3))
    name, words, make = KINDS[kind]
    text = words(generator, size)
    data = make(text)
    (folder / name).write_bytes(data)
    return max(len(data), len(text.encode()))


def run(folder: Path, stages: list[str]) -> dict[str, int]:
    """Runs the stages; how far each has gone beyond what was held before it, in bytes."""
    source = {"name": "s", "paths": [str(folder / "in")]}
    recipe = Recipe.model_validate({"sources": [source], "stages": stages, **OPTIONS})
    made, peaks = Run(str(folder / "run"), recipe), {}
    storage.local_path(made.root).mkdir()
    with made.lock():
        for stage in stages:
            gc.collect()
            pa.default_memory_pool().release_unused()
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
            held = memory("VmRSS")
            run_stage(stage, STAGES[stage], Context(made, InProcess()))
            peaks[stage] = memory("VmHWM") - held
    return peaks


def memory(name: str) -> int:
    """What the system says of this process's memory, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:"))) * 1024


def main() -> None:
    """Each kind in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; by default all")
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES))
    options = parser.parse_args()
    for kind in options.kinds or KINDS:
        size = options.megabytes * 1_000_000
        if kind.startswith("page"):
            size = min(size, 10_000_000)
        subprocess.run([sys.executable, "-c", CODE.format(kind, size, options.stages)], check=True)


if __name__ == "__main__":
    main()
