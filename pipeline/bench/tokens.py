"""``tokenmill bench tokenize``: document shards to token shards, beside ``tokenizers`` and datatrove, one process each.

Input: the JSONL.gz files of ``bench clean`` as one document shard, and what clean makes of its WARC files as a second.
Ours is the job of the stage, whole: it checks and reads a shard, encodes, orders, and writes both token shards with
their digests; the second shard goes on with the encoder of the first, as in a worker of the stage.  ``tokenizers``'
``encode_batch`` is given the texts as Python strings, and writes nothing.  The peers, which take long, read an even
sample of the documents on one thread, and so does a further row of ours; ratios are within the same documents.
"""

import gzip
import itertools
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from pipeline.base.digests import digest
from pipeline.base.errors import RunError
from pipeline.base.pool import Pool
from pipeline.bench.clean import ours as clean
from pipeline.bench.corpus import corpus, sample_jsonl
from pipeline.bench.rates import row_of, sum_of, with_ratios
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.manifest import canonical_json, digest_file
from pipeline.run.table_files import TableWriter, read_table
from pipeline.run.tables import BATCH_ROWS, BATCH_TEXT_BYTES, DOCUMENTS, VERDICTS
from pipeline.tokens.documents.assign import SPLIT_SCHEMA
from pipeline.tokens.encode import encode_shard
from pipeline.tokens.shards.token_shard import SOURCE_KEY, map_batches
from pipeline.tokens.tokenizer.definition import vocabulary_size
from pipeline.tokens.tokenizer.engines import forget_encoder
from pipeline.tokens.tokenizer.training import train

RECORDS, PEER_RECORDS = 200_000, 18_000
VOCABULARY, END_OF_TEXT = 32_768, "<|endoftext|>"
TRAINING_BYTES = 20_000_000
DOCUMENT_SHARD, SPLIT_SHARD = layout.documents("00000"), layout.verdicts("tokenize", "00000")


def run() -> list[dict[str, Any]]:
    """Rows: who, seconds, rates, and the ratio of ours to them."""
    with tempfile.TemporaryDirectory(prefix="tokenmill-bench-") as name:
        folder = Path(name)
        texts, part = read_texts(folder, RECORDS), read_texts(folder, PEER_RECORDS)
        definition = _definition(texts)
        pages = read_pages(folder)
        given = {"full": texts, "pages": pages, "part": part}
        jobs = {name: make_run(folder / name, of_it, definition) for name, of_it in given.items()}
        sizes = {name: _sizes(of_it) for name, of_it in given.items()}
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        with Pool(1) as pool:
            ((_, rows),) = pool.run(encode_rows, [((folder, jobs, sizes), None)])
        path = folder / "part" / layout.TOKENIZER
        rows += [
            row_of("sample", "tokenizers encode_batch", *sizes["part"], lambda: encode_batch(path, part)),
            row_of("sample", "datatrove DocumentTokenizer", *sizes["part"], lambda: _datatrove(path, part, folder)),
        ]
        _check_equal(folder / "part", encode_batch(path, part), part)
    return with_ratios(rows)


def encode_rows(folder: Path, jobs: dict[str, Job], sizes: dict[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """Rows of the stage's work, in a worker of the stage."""
    encode(folder / "part", jobs["part"])  # loads the libraries
    forget_encoder()
    shards = [
        row_of(name, "tokenmill", *sizes[of_it], partial(encode, folder / of_it, jobs[of_it]))
        for name, of_it in (("first shard", "full"), ("next shard", "pages"))
    ]
    forget_encoder()
    sample = row_of("sample", "tokenmill", *sizes["part"], partial(encode, folder / "part", jobs["part"]))
    return [sum_of("both shards", "tokenmill", shards), *shards, sample]


def _sizes(texts: list[str]) -> tuple[int, int]:
    return len(texts), sum(len(text.encode()) for text in texts)


# --- inputs


def read_texts(folder: Path, records: int) -> list[str]:
    """An even sample of the corpus's texts."""
    sample_jsonl(folder / "texts.jsonl.gz", records)
    with gzip.open(folder / "texts.jsonl.gz", "rb") as lines:
        return [text for line in lines if (text := orjson.loads(line)["text"])]


def read_pages(folder: Path) -> list[str]:
    """The texts that the clean stage makes of the corpus's pages."""
    texts: list[str] = []
    for path in corpus("warc", "*.warc.gz"):
        clean(path, "warc", folder / path.stem)
        for shard in sorted((folder / path.stem).rglob(f"{layout.DOCUMENTS}*.arrow")):
            texts += read_table(shard, DOCUMENTS, ["text"])["text"].to_pylist()
    return texts


def _definition(texts: list[str]) -> str:
    step = max(1, _sizes(texts)[1] // TRAINING_BYTES)
    config = {"vocabulary_size": VOCABULARY, "pretokenizer": "gpt2", "end_of_text": END_OF_TEXT, "special_tokens": []}
    return train([texts[::step]], config)


def make_run(root: Path, texts: list[str], definition: str) -> Job:
    """A run folder with one document shard, its split and a tokenizer; returns the job that encodes it."""
    _write_documents(root / DOCUMENT_SHARD, texts)
    _write_split(root / SPLIT_SHARD, len(texts))
    size = vocabulary_size(orjson.loads(definition))
    encoding: dict[str, Any] = {"engine": "gigatoken", "cut_long_texts": True, "end_of_text_id": 0}
    encoding |= {"vocabulary_size": size, "special_tokens": {END_OF_TEXT: 0}}
    (root / layout.TOKENIZER).parent.mkdir()
    (root / layout.TOKENIZER).write_text(definition, encoding="utf-8")
    (root / layout.ENCODING).write_text(canonical_json(encoding), encoding="utf-8")
    names = [DOCUMENT_SHARD, SPLIT_SHARD, layout.TOKENIZER, layout.ENCODING]
    return Job("00000", {"seed": 1}, {name: digest_file(root / name) for name in names})


def _doc_ids(count: int) -> pa.Array:
    return pa.array([digest(str(n)) for n in range(count)], pa.binary(16))


def _write_documents(path: Path, texts: list[str]) -> None:
    ids, ends = _doc_ids(len(texts)), np.cumsum([len(text.encode()) for text in texts])
    batch_of = (ends // BATCH_TEXT_BYTES) * len(texts) + np.arange(len(texts)) // BATCH_ROWS
    edges = [*np.flatnonzero(np.diff(batch_of, prepend=-1)).tolist(), len(texts)]
    with TableWriter(path, DOCUMENTS, {SOURCE_KEY: "bench"}) as writer:
        for first, end in itertools.pairwise(edges):
            given = {"doc_id": ids[first:end], "text": pa.array(texts[first:end], pa.large_string())}
            columns = [given[f.name] if f.name in given else _filled(f, end - first) for f in writer.schema]
            writer.write(pa.record_batch(columns, schema=writer.schema))


def _filled(column: pa.Field, rows: int) -> pa.Array:
    if column.nullable:
        return pa.nulls(rows, column.type)
    return pa.repeat(pa.scalar("bench" if pa.types.is_string(column.type) else 0, column.type), rows)


def _write_split(path: Path, count: int) -> None:
    sides = pa.array(np.where(np.arange(count) % 50 == 0, "validation", "train").tolist(), pa.string())
    reasons = pa.array([[]] * count, pa.list_(pa.string()))
    columns = [_doc_ids(count), pa.repeat(pa.scalar(True), count), reasons, sides]
    with TableWriter(path, VERDICTS, schema=SPLIT_SCHEMA) as writer:
        writer.write(pa.Table.from_arrays(columns, schema=writer.schema))


# --- the sides


def encode(root: Path, job: Job) -> None:
    """The stage's job, its outputs published."""
    outputs = Outputs(str(root), job)
    encode_shard(job, outputs)
    outputs.publish()


def encode_batch(definition: Path, texts: list[str]) -> list[list[int]]:
    """``tokenizers`` on texts that are Python strings already."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(definition))
    tokenizer.encode_special_tokens = True
    found: list[list[int]] = [encoded.ids for encoded in tokenizer.encode_batch(texts, add_special_tokens=False)]
    return found


def _datatrove(definition: Path, texts: list[str], folder: Path) -> None:
    from datatrove.data import Document
    from datatrove.pipeline.tokens import DocumentTokenizer

    def documents() -> Iterator[Any]:
        for number, text in enumerate(texts):
            yield Document(text=text, id=str(number))

    step = DocumentTokenizer(str(folder / "datatrove"), str(definition), eos_token=END_OF_TEXT, seed=1)
    for _ in step.run(documents(), 0, 1) or ():
        pass


def _check_equal(root: Path, expected: list[list[int]], texts: list[str]) -> None:
    """A benchmark of something else than the same work would be worth nothing."""
    numbers = {doc_id.as_py(): number for number, doc_id in enumerate(_doc_ids(len(texts)))}
    checked = 0
    for side in ("train", "validation"):
        for batch in map_batches(root / layout.tokens(side, "00000")):
            for row, doc_id in enumerate(batch.doc_ids):
                ids = batch.tokens[batch.offsets[row] : batch.offsets[row + 1] - 1].tolist()
                if ids != expected[numbers[doc_id.tobytes()]]:
                    raise RunError(f"document {numbers[doc_id.tobytes()]} has other ids than tokenizers gives it")
                checked += 1
    if checked != len(texts):
        raise RunError(f"{checked} of {len(texts)} documents are in the token shards")
