"""``tokenmill bench index``: 10,000 documents into a dedup index of one million, beside deduplicating them alone.

The documents are made of the sample's real sentences, twelve in random order in each; of a new batch, one in five is an
edited copy of an earlier document, one in twenty an equal one, and the same shares of each other.  Everything lies in
a scratch folder ($TOKENMILL_BENCH_SCRATCH, or the temporary one: 4 GB for a million) and goes when it is done.
$TOKENMILL_BENCH_DOCUMENTS makes another size than a million.
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

from pipeline.dedup.index_write import Batch

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "wikipedia-en.parquet"
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
    maker = _Maker(documents, batch_documents)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tokenmill-index-", dir=os.environ.get("TOKENMILL_BENCH_SCRATCH")) as place:
        folder = Path(place)
        alone = _median(lambda repeat: _dedup_alone(folder, maker, repeat))
        rows.append({"name": "dedup run of the batch alone", "documents": batch_documents, **alone})
        for size in sorted({documents // 100, documents // 10, documents}):
            rows += _index_rows(folder / str(size), maker, size, alone["seconds"])
    return rows


def _index_rows(folder: Path, maker: "_Maker", size: int, alone_seconds: float) -> list[dict[str, Any]]:
    from pipeline.dedup.index_format import Corpus, Definition
    from pipeline.dedup.index_write import build_index

    started = time.perf_counter()
    build_index(folder, Definition(), [(Corpus("earlier"), maker.earlier(size))])
    built = time.perf_counter() - started
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    rows: list[dict[str, Any]] = [
        {"name": "build", "index_documents": size, "seconds": round(built, 2), "bytes_a_document": round(disk / size)}
    ]
    added = _median(lambda repeat: _add(folder, maker, repeat))
    rows.append(
        {
            "name": "add the batch",
            "index_documents": size,
            **added,
            "times_dedup_alone": round(added["seconds"] / alone_seconds, 2),
        }
    )
    queried = _median(lambda repeat: _query(folder, maker, repeat))
    rows.append({"name": "query 1,000 documents", "index_documents": size, **queried})
    rows.append({"name": "remove 10 documents", "index_documents": size, **_remove(folder)})
    return rows


def _median(work: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """The measured run of median time; the first one warms kernels and files."""
    found = [work(repeat) for repeat in range(REPEATS + 1)][1:]
    return sorted(found, key=lambda item: float(item["seconds"]))[len(found) // 2]


def _dedup_alone(folder: Path, maker: "_Maker", repeat: int) -> dict[str, Any]:
    from pipeline.dedup.command import Request
    from pipeline.dedup.command import run as dedup_run
    from pipeline.options import Dedup

    path = folder / f"batch-{repeat}.jsonl"
    maker.write(path, repeat)
    started = time.perf_counter()
    summary = dedup_run(Request((str(path),), folder / f"alone-{repeat}", Dedup()))
    seconds = time.perf_counter() - started
    removed = summary["records_removed_exact"] + summary["records_removed_near"]
    return {"seconds": round(seconds, 3), "removed": removed}


def _add(folder: Path, maker: "_Maker", repeat: int) -> dict[str, Any]:
    from pipeline.dedup.index_add import add_new
    from pipeline.dedup.index_format import Corpus
    from pipeline.dedup.index_inputs import Inputs

    path = folder.parent / f"batch-{repeat}.jsonl"
    started = time.perf_counter()
    done = add_new(folder, Corpus(f"batch-{repeat}"), Inputs([str(path)]).batches())
    return {"seconds": round(time.perf_counter() - started, 3), "removed": len(done.removed)}


def _query(folder: Path, maker: "_Maker", repeat: int) -> dict[str, Any]:
    from pipeline.dedup.index import open_index

    texts = maker.batch(repeat).texts.to_pylist()[:1000]
    started = time.perf_counter()
    with open_index(folder) as index:
        found = index.query(texts)
    return {"seconds": round(time.perf_counter() - started, 3), "matched": sum(map(bool, found))}


def _remove(folder: Path) -> dict[str, Any]:
    from pipeline.dedup.index import open_index

    started = time.perf_counter()
    with open_index(folder) as index:
        removed = index.remove([f"d{number}" for number in range(0, 100, 10)])
    return {"seconds": round(time.perf_counter() - started, 3), "removed": removed}


class _Maker:
    """Documents by number: the same number is the same text in every run."""

    def __init__(self, documents: int, batch_documents: int) -> None:
        texts = pq.read_table(SAMPLE, columns=["text"])["text"].to_pylist()
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
            "".join(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n" for name, text in rows)
        )
