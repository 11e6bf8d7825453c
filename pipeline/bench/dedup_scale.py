"""``tokenmill bench dedup_scale``: `dedup run` on 100 thousand to a million documents: time, memory, disk, growth.

Documents are made of sentences of the corpus in random order, a fifth of them copies of earlier ones with some
sentences changed; the same ones every time.  Memory is that of all processes together, a page that several of them hold
counted once, mapped files included; disk is the largest size of the scratch folder.  Both are sampled, and shown beside
what the command said before it began.
"""

import functools
import math
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipeline.base.console import say
from pipeline.base.processes import descendants
from pipeline.bench.corpus import corpus, texts_of
from pipeline.bench.program import dedup_run

SIZES = (100_000, 300_000, 1_000_000)
SENTENCES = (6, 20)  # of a document
COPIES = 0.2
SAMPLE_SECONDS = 0.2


def run(sizes: Sequence[int] = SIZES) -> list[dict[str, Any]]:
    """One row per size; the last one has the growth exponents of time and memory."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        folder, rows = Path(name), []
        for size in sizes:
            path = folder / f"{size}.jsonl"
            write_documents(path, size)
            rows.append(measure(path, folder / f"out{size}"))
            say(orjson.dumps(rows[-1]).decode())
            path.unlink()
    first, last = rows[0], rows[-1]
    grown = math.log(last["documents"] / first["documents"]) if len(rows) > 1 else 0.0
    if grown:
        for figure in ("seconds", "peak_memory_megabytes"):
            last[f"growth_exponent_{figure}"] = round(math.log(last[figure] / first[figure]) / grown, 2)
    return rows


def write_documents(path: Path, count: int) -> None:
    """Documents as JSON Lines."""
    generator = np.random.default_rng(11)
    sentences = np.array(corpus_sentences(), object)
    recent: list[list[str]] = []
    with open(path, "wb") as file:
        for number in range(count):
            if recent and generator.random() < COPIES:
                words = list(recent[int(generator.integers(len(recent)))])
                for _ in range(int(generator.integers(0, 3))):
                    words[int(generator.integers(len(words)))] = sentences[int(generator.integers(len(sentences)))]
            else:
                words = sentences[generator.integers(len(sentences), size=int(generator.integers(*SENTENCES)))].tolist()
            if len(recent) < 50_000:
                recent.append(words)
            else:
                recent[int(generator.integers(len(recent)))] = words
            file.write(orjson.dumps({"id": str(number), "text": " ".join(words)}) + b"\n")


@functools.cache
def corpus_sentences() -> tuple[str, ...]:
    """The sentences of the corpus that are neither short nor long."""
    texts = texts_of(corpus("text", "*.jsonl.gz"))
    return tuple(sentence for text in texts for sentence in text.split(". ") if 40 <= len(sentence) <= 300)


def measure(path: Path, output: Path) -> dict[str, Any]:
    """Runs the command on a file, watched."""
    started, said = time.perf_counter(), output.with_suffix(".said")
    with (
        open(said, "wb") as messages,
        subprocess.Popen(dedup_run(path, output), stdout=subprocess.PIPE, stderr=messages) as process,
    ):
        watch = _Watch(process.pid, output.parent / f".{output.name}.partial" / ".scratch")
        watch.start()
        assert process.stdout is not None  # it is a pipe
        summary = orjson.loads(process.stdout.read())
        process.wait()
    watch.join()
    expected = re.search(r"memory about ([\d,]+) MB, disk about ([\d,]+) MB", said.read_text("utf-8"))
    assert expected is not None, "the command says what it expects to need"
    memory, disk = (int(figure.replace(",", "")) for figure in expected.groups())
    return {
        "documents": summary["records_in"],
        "megabytes": round(summary["text_bytes"] / 1e6, 1),
        "seconds": round(time.perf_counter() - started, 2),
        "kept": summary["records_kept"],
        "removed_exact": summary["records_removed_exact"],
        "removed_near": summary["records_removed_near"],
        "peak_memory_megabytes": round(watch.memory / 1e6),
        "peak_memory_without_mapped_files": round(watch.anonymous / 1e6),
        "said_memory_megabytes": memory,
        "peak_scratch_megabytes": round(watch.disk / 1e6),
        "said_scratch_megabytes": disk,
    }


class _Watch(threading.Thread):
    """Samples a process tree and a folder until the process ends."""

    def __init__(self, pid: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self._pid, self._folder = pid, folder
        self.memory = self.anonymous = self.disk = 0

    def run(self) -> None:
        while Path(f"/proc/{self._pid}").exists():
            held = [_held_bytes(pid) for pid in (self._pid, *descendants(self._pid))]
            self.memory = max(self.memory, sum(everything for everything, _ in held))
            self.anonymous = max(self.anonymous, sum(anonymous for _, anonymous in held))
            self.disk = max(self.disk, sum(_size(place) for place in self._folder.glob("*")))
            time.sleep(SAMPLE_SECONDS)


def _held_bytes(pid: int) -> tuple[int, int]:
    """A process's share of the pages that it holds, all of them and those of no file."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    except OSError:
        return 0, 0
    figures = {line.split()[0]: 1024 * int(line.split()[1]) for line in lines[1:]}
    return figures["Pss:"], figures["Pss_Anon:"]


def _size(place: Path) -> int:
    try:
        return place.stat().st_size
    except OSError:
        return 0
