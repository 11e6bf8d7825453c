"""``tokenmill bench index``: 10,000 documents into a dedup index of one million, beside deduplicating them alone.

The documents are made of the sample's real sentences, twelve in random order in each; of a new batch, one in five is an
edited copy of an earlier document, one in twenty an equal one, and the same shares of each other.  Everything lies in
a scratch folder (3 GB for a million documents) and goes when it is done.  $TOKENMILL_BENCH_DOCUMENTS makes another size
than a million; $TOKENMILL_BENCH_INDEX names a folder where the indexes are built, or taken from while they are as they
were built: what is added stays in them, so a folder serves one run.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base.errors import UserError
from pipeline.bench.corpus import ARTICLES
from pipeline.dedup.index.writer import Batch

DOCUMENTS, BATCH_DOCUMENTS, REPEATS = 1_000_000, 10_000, 3
SENTENCES = 12
EDITED, EQUAL = 0.2, 0.05
PIECE = 5_000


def run(documents: int | None = None, batch_documents: int = BATCH_DOCUMENTS) -> list[dict[str, Any]]:
    """Builds indexes of a hundredth, a tenth and all of the documents, and adds batches to each.

    Args:
        documents: Documents of the largest index.
        batch_documents: Documents of a batch.
    """
    documents = documents or int(os.environ.get("TOKENMILL_BENCH_DOCUMENTS", DOCUMENTS))
    maker = Maker(documents, batch_documents)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tokenmill-index-") as place:
        folder = Path(place)
        indexes = Path(os.environ.get("TOKENMILL_BENCH_INDEX", folder))
        alone = _median(lambda repeat: _dedup_alone(folder, maker, repeat))
        rows.append({"name": "dedup run of the batch alone", "documents": batch_documents, **alone})
        for size in sorted({documents // 100, documents // 10, documents}):
            rows += [
                build(indexes / str(size), maker, size),
                *_used(indexes / str(size), folder, maker, size, alone),
            ]
    return rows


def build(index: Path, maker: "Maker", size: int) -> dict[str, Any]:
    """Builds an index, unless one is there as it was built."""
    from pipeline.dedup.index.reader import open_index
    from pipeline.dedup.index.state import Corpus, is_index
    from pipeline.dedup.index.writer import build_index
    from pipeline.recipe.minhash import MINHASH

    started = time.perf_counter()
    built = not is_index(index)
    if built:
        build_index(index, MINHASH, [(Corpus("earlier"), maker.earlier(size))])
    took = {"seconds": round(time.perf_counter() - started, 2)} if built else {}
    with open_index(index) as opened:
        if opened.documents != size:
            raise UserError(f"{index}: {opened.documents:,} documents, not the {size:,} it was built of; remove it")
    disk = sum(path.stat().st_size for path in index.rglob("*") if path.is_file())
    return {"name": "build", "index_documents": size, **took, "bytes_a_document": round(disk / size)}


def _used(index: Path, folder: Path, maker: "Maker", size: int, alone: dict[str, Any]) -> list[dict[str, Any]]:
    added = _median(lambda repeat: _add(index, folder / f"batch-{repeat}.jsonl"))
    added["times_dedup_alone"] = round(added["seconds"] / alone["seconds"], 2)
    added["times_dedup_alone_processor"] = round(added["processor_seconds"] / alone["processor_seconds"], 2)
    queried = _median(lambda repeat: _query(index, maker.batch(repeat + REPEATS + 1)))
    found = {"add the batch": added, "query 1,000 documents": queried, "remove 10 documents": _remove(index)}
    return [{"name": name, "index_documents": size, **figures} for name, figures in found.items()]


class _Clock:
    """Wall and processor time of this process since it was made; the latter bears a busy machine."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def figures(self) -> dict[str, Any]:
        """Seconds so far."""
        wall, processor = time.perf_counter() - self._wall, time.process_time() - self._processor
        return {"seconds": round(wall, 3), "processor_seconds": round(processor, 3)}


def _median(work: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """The measured run of median time; the first one warms kernels and files."""
    found = [work(repeat) for repeat in range(REPEATS + 1)][1:]
    return sorted(found, key=lambda item: float(item["seconds"]))[len(found) // 2]


def _dedup_alone(folder: Path, maker: "Maker", repeat: int) -> dict[str, Any]:
    from pipeline.dedup.command.request import Request
    from pipeline.dedup.command.run import run as dedup_run
    from pipeline.recipe.options import Dedup

    path = folder / f"batch-{repeat}.jsonl"
    maker.write(path, repeat)
    clock = _Clock()
    summary = dedup_run(Request(inputs=(str(path),), output=folder / f"alone-{repeat}", options=Dedup()))
    figures = clock.figures()
    return {**figures, "removed": summary["records_removed_exact"] + summary["records_removed_near"]}


def _add(index: Path, batch: Path) -> dict[str, Any]:
    from pipeline.dedup.index.add import add_new
    from pipeline.dedup.index.inputs import FileSource
    from pipeline.dedup.index.state import Corpus

    clock = _Clock()
    source = FileSource(Corpus(batch.stem), [str(batch)])
    done = add_new(index, source.corpus, source.batches())
    return {**clock.figures(), "removed": len(done.removed)}


def _query(index: Path, batch: Batch) -> dict[str, Any]:
    from pipeline.dedup.index.query import query
    from pipeline.dedup.index.reader import open_index

    texts = batch.texts.slice(0, 1000).to_pylist()
    clock = _Clock()
    with open_index(index) as opened:
        found = query(opened, texts)
    return {**clock.figures(), "matched": sum(map(bool, found))}


def _remove(index: Path) -> dict[str, Any]:
    from pipeline.dedup.index.writer import remove_documents

    clock = _Clock()
    removed = remove_documents(index, [f"d{number}" for number in range(0, 100, 10)])
    return {**clock.figures(), "removed": removed}


class Maker:
    """Documents by number: the same number is the same text in every run."""

    def __init__(self, documents: int, batch_documents: int) -> None:
        texts = pq.read_table(ARTICLES, columns=["text"])["text"].to_pylist()
        self._sentences = sorted({s.strip() for text in texts for s in text.split(". ") if len(s) > 40})
        self._documents, self._batch_documents = documents, batch_documents

    def text(self, number: int) -> str:
        """The text of a document."""
        chosen = np.random.default_rng(number).integers(0, len(self._sentences), SENTENCES)
        return ". ".join([self._sentences[place] for place in chosen.tolist()])

    def earlier(self, count: int) -> Iterator[Batch]:
        """Documents 0 to ``count``."""
        for start in range(0, count, PIECE):
            numbers = range(start, min(start + PIECE, count))
            texts = pa.array([self.text(number) for number in numbers], pa.large_string())
            yield Batch([f"d{number}" for number in numbers], texts)

    def batch(self, repeat: int) -> Batch:
        """A new batch: some documents repeat earlier ones of the smallest index, and so of each, or one another."""
        generator = np.random.default_rng([7, repeat])
        texts: list[str] = []
        for number in range(self._batch_documents):
            kind, source = generator.random(), int(generator.integers(0, self._documents // 100))
            earlier = texts[source % len(texts)] if texts and generator.random() < 0.5 else self.text(source)
            new = self.text(self._documents * (repeat + 2) + number)
            edited = earlier.replace(" the ", " this ", 2) + " and a few more words"
            texts.append(earlier if kind < EQUAL else edited if kind < EQUAL + EDITED else new)
        return Batch([f"b{repeat}-{number}" for number in range(len(texts))], pa.array(texts, pa.large_string()))

    def write(self, path: Path, repeat: int) -> None:
        """A batch as JSON Lines."""
        batch = self.batch(repeat)
        rows = zip(batch.ids, batch.texts.to_pylist(), strict=True)
        path.write_text(
            "".join(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n" for name, text in rows),
            encoding="utf-8",
        )
