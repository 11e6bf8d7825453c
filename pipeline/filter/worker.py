"""The step functions of the filter stage, which run in worker processes."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.engine import Job, Outputs
from pipeline.errors import RunError
from pipeline.filter.columns import read_columns
from pipeline.filter.document_rules import DOCUMENT_COLUMNS
from pipeline.filter.rules import Mask, as_mask
from pipeline.filter.verdicts import (
    DATATROVE_REASONS,
    OVERLAP_SHARES,
    OVERLAP_SPANS,
    all_failures,
    counts,
    item_column,
    overlap_column,
    score_column,
    verdict_batch,
    verdict_schema,
    wanted_cuts,
)
from pipeline.options import Filter
from pipeline.tables import DOCUMENTS, SIGNALS, VERDICTS, batches, read_table

REASONS = pa.list_(pa.string())


def signals_schema(config: dict[str, Any]) -> pa.Schema:
    """The signals table's schema, with the columns of classifiers, evaluation sets and datatrove filters."""
    schema = SIGNALS.schema
    for name in config["classifiers"]:
        schema = schema.append(pa.field(score_column(name), pa.float32(), nullable=False))
    for name in config["evaluation_sets"]:
        schema = schema.append(pa.field(overlap_column(name), pa.float32(), nullable=False))
        schema = schema.append(pa.field(item_column(name), pa.string()))
    if config["evaluation_sets"]:
        schema = schema.append(pa.field(OVERLAP_SPANS, pa.list_(pa.int32()), nullable=False))
        schema = schema.append(pa.field(OVERLAP_SHARES, pa.list_(pa.float32()), nullable=False))
    if config["datatrove"]:
        schema = schema.append(pa.field(DATATROVE_REASONS, REASONS, nullable=False))
    return schema


def measure_shard(job: Job, outputs: Outputs) -> None:
    """Signals of every document of a shard, row-aligned with it."""
    from pipeline.filter.measure import measure

    schema = signals_schema(job.config)
    extras = _extra_signals(job, outputs)
    with outputs.table(f"signals/{job.shard}.arrow", SIGNALS, schema=schema) as writer:
        for batch in batches(outputs.run_path(f"documents/{job.shard}.arrow"), DOCUMENTS):
            table = measure(batch["text"], batch["language"])
            columns = [batch["doc_id"], *table.columns]
            for extra in extras:
                columns += extra(batch)
            writer.write(pa.table(columns, schema=schema.with_metadata(writer.schema.metadata)))
        rows = writer.rows
    outputs.count(documents=rows)


def _extra_signals(job: Job, outputs: Outputs) -> list[Any]:
    """Functions from a document batch to further columns, in the order of ``signals_schema``."""
    extras: list[Any] = []
    for name, classifier in job.config["classifiers"].items():
        from pipeline.filter.classifier import Scorer
        from pipeline.filter.stage import model_path

        given = job.arguments["classifiers"].get(name)
        path = storage.open_local(given) if given else outputs.run_path(model_path(name))
        scorer = Scorer(path, classifier["label"])
        extras.append(lambda batch, scorer=scorer: [scorer.scores(batch["text"])])
    if job.config["evaluation_sets"]:
        from pipeline.filter.decontaminate import Index
        from pipeline.filter.stage import INDEX_PATHS

        index = Index.load(*(outputs.run_path(path) for path in INDEX_PATHS))
        extras.append(lambda batch: index.columns(batch["text"]))
    if job.config["datatrove"]:
        from pipeline.interop import from_datatrove

        steps = [from_datatrove(path, **arguments) for path, arguments in job.config["datatrove"].items()]
        extras.append(lambda batch: [_datatrove_reasons(batch, steps)])
    return extras


def _datatrove_reasons(batch: pa.RecordBatch, steps: list[Any]) -> pa.Array:
    judged = [step.judge(batch) for step in steps]
    return pa.array([[reason for reasons in row for reason in reasons] for row in zip(*judged, strict=True)], REASONS)


def train_classifier(job: Job, outputs: Outputs) -> None:
    """Trains a classifier on documents of the run; its name is the job's shard."""
    from pipeline.filter.classifier import FILES, NEGATIVE, POSITIVE, Options, train_texts
    from pipeline.filter.classifier_texts import texts_of_shards

    config = job.config
    classes = {
        label: texts_of_shards(outputs, config["shards"], config["stages"], config[key], config["max_texts"])
        for label, key in ((POSITIVE, "positive"), (NEGATIVE, "negative"))
    }
    names = ("epochs", "learning_rate", "dimension", "word_ngrams", "buckets", "seed")
    options = Options(name=job.shard, **{name: config[name] for name in names})
    with tempfile.TemporaryDirectory() as folder:
        card = train_texts(classes, Path(folder), options)
        for name in FILES:
            shutil.copyfile(Path(folder, name), outputs.file(f"classifiers/{job.shard}/{name}"))
    outputs.count(texts=sum(data["trained"] + data["held_out"] for data in card["data"].values()))


def index_evaluation_sets(job: Job, outputs: Outputs) -> None:
    """Hashes of the n-grams of every evaluation set."""
    from pipeline.filter.decontaminate import build_index
    from pipeline.filter.stage import INDEX_PATHS

    index = build_index(job.config["sets"], job.arguments["paths"], job.config["ngram"])
    index.save(*(outputs.file(path) for path in INDEX_PATHS))
    outputs.count(items=index.num_items, ngrams=index.num_ngrams)


def judge_shard(job: Job, outputs: Outputs) -> None:
    """Verdicts of a shard, from its signals and document columns."""
    options = Filter.model_validate(job.arguments["options"])
    signals = read_table(outputs.run_path(f"signals/{job.shard}.arrow"), SIGNALS)
    documents = read_columns(outputs.run_path(f"documents/{job.shard}.arrow"), DOCUMENTS, DOCUMENT_COLUMNS)
    if documents.num_rows != signals.num_rows:
        raise RunError(
            f"signals/{job.shard}.arrow has {signals.num_rows:,} rows for {documents.num_rows:,} documents; "
            "`tokenmill verify RUN --delete` removes what is damaged, then run again"
        )
    alive = alive_documents(
        [read_table(outputs.run_path(p), VERDICTS, ["keep"]) for p in job.inputs if p.startswith("verdicts/")],
        signals.num_rows,
    )
    failures = all_failures(signals, documents, options, read_blocklist(options.url.blocklist))
    cuts = wanted_cuts(signals, options)
    with outputs.table(f"verdicts/filter/{job.shard}.arrow", VERDICTS, schema=verdict_schema(options)) as writer:
        writer.write(verdict_batch(signals["doc_id"], failures, alive, writer.schema, cuts))
    outputs.count(**counts(failures, alive, cuts))


def alive_documents(verdicts: list[pa.Table], rows: int) -> Mask:
    """True where no earlier verdict drops the document."""
    alive = np.ones(rows, dtype=bool)
    for verdict in verdicts:
        alive &= as_mask(pc.fill_null(verdict["keep"], False))
    return alive


def read_blocklist(path: str | None) -> frozenset[str]:
    """Domains of a blocklist: one a line, # begins a comment, and ``0.0.0.0 domain`` as in a hosts file."""
    if not path:
        return frozenset()
    lines = storage.read_bytes(path).decode("utf-8", "replace").splitlines()
    words = (line.split("#", 1)[0].split() for line in lines)
    return frozenset(found[-1].lower().strip(".") for found in words if found)
