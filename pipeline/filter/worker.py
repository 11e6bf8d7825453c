"""The step functions of the filter stage, which run in worker processes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import RunError
from pipeline.base.progress import count_done
from pipeline.filter.decontamination.reach import REACH
from pipeline.filter.rules.bad_words import COLUMN as BAD_WORDS
from pipeline.filter.rules.bad_words import bad_word_counts
from pipeline.filter.rules.document_rules import DOCUMENT_COLUMNS, read_blocklist
from pipeline.filter.rules.verdicts import (
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
from pipeline.recipe.filter_options import Filter
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import batches, read_table
from pipeline.run.tables import DOCUMENTS, SIGNALS, VERDICTS
from pipeline.run.tables.alive import alive

if TYPE_CHECKING:
    from pipeline.filter.decontamination.index import Index

REASONS = pa.list_(pa.string())


def signals_schema(config: dict[str, Any]) -> pa.Schema:
    """The signals table's schema, with the columns of classifiers, evaluation sets, bad words and datatrove filters."""
    schema = SIGNALS.schema
    for name in config["classifiers"]:
        schema = schema.append(pa.field(score_column(name), pa.float32(), nullable=False))
    for name in config["evaluation_sets"]:
        schema = schema.append(pa.field(overlap_column(name), pa.float32(), nullable=False))
        schema = schema.append(pa.field(item_column(name), pa.string()))
    if config["evaluation_sets"]:
        schema = schema.append(pa.field(OVERLAP_SPANS, pa.list_(pa.int32()), nullable=False))
        schema = schema.append(pa.field(OVERLAP_SHARES, pa.list_(pa.float32()), nullable=False))
    if "bad_words" in config:
        schema = schema.append(pa.field(BAD_WORDS, pa.int32()))
    if config["datatrove"]:
        schema = schema.append(pa.field(DATATROVE_REASONS, REASONS, nullable=False))
    return schema


def measure_shard(job: Job, outputs: Outputs) -> None:
    """Signals of every document of a shard, row-aligned with it."""
    from pipeline.filter.rules.measure import measure

    schema = signals_schema(job.config)
    extras = _extra_signals(job, outputs)
    unjudged = 0
    with outputs.table(layout.signals(job.shard), SIGNALS, schema=schema) as writer:
        for batch in batches(outputs.run_path(layout.documents(job.shard)), DOCUMENTS):
            table = measure(batch["text"], batch["language"])
            columns = [batch["doc_id"], *table.columns]
            for extra in extras:
                columns += extra(batch)
            written = pa.table(columns, schema=schema.with_metadata(writer.schema.metadata))
            unjudged += written[BAD_WORDS].null_count if BAD_WORDS in schema.names else 0
            writer.write(written)
            count_done(batch.num_rows)
        rows = writer.rows
    outputs.count(documents=rows, **({"without_bad_words": unjudged} if "bad_words" in job.config else {}))


def _extra_signals(job: Job, outputs: Outputs) -> list[Any]:
    def model(name: str) -> Path:
        given = job.arguments["classifiers"].get(name)
        return storage.open_local(given) if given else outputs.run_path(layout.classifier(name))

    def index() -> "Index":
        from pipeline.filter.decontamination.index import Index

        return Index.load(*(outputs.run_path(path) for path in layout.INDEX_OF_ITEMS))

    return extra_signals(job.config, model, index)


def extra_signals(config: dict[str, Any], model: Callable[[str], Path], index: Callable[[], "Index"]) -> list[Any]:
    """Functions from a document batch to further columns, in the order of ``signals_schema``.

    Args:
        config: From ``signal_config``.
        model: The model file of a classifier, by its name.
        index: The index of the evaluation sets; called where there are some.
    """
    extras: list[Any] = []
    for name, classifier in config["classifiers"].items():
        from pipeline.filter.classifier.scorer import Scorer

        scorer = Scorer(model(name), classifier["label"])
        extras.append(lambda batch, scorer=scorer: [scorer.scores(batch["text"])])
    if config["evaluation_sets"]:
        opened = index()
        extras.append(lambda batch: opened.columns(batch["text"]))
    if "bad_words" in config:
        extras.append(lambda batch: [bad_word_counts(batch["text"], batch["language"])])
    if config["datatrove"]:
        from pipeline.filter.datatrove import DatatroveStep

        steps = [DatatroveStep(path, **arguments) for path, arguments in config["datatrove"].items()]
        extras.append(lambda batch: [_datatrove_reasons(batch, steps)])
    return extras


def _datatrove_reasons(batch: pa.RecordBatch, steps: list[Any]) -> pa.Array:
    judged = [step.judge(batch) for step in steps]
    return pa.array([[reason for reasons in row for reason in reasons] for row in zip(*judged, strict=True)], REASONS)


def index_evaluation_sets(job: Job, outputs: Outputs) -> None:
    """Hashes of the n-grams of every evaluation set."""
    from pipeline.filter.decontamination.build import build_index

    index = build_index(job.config["sets"], job.arguments["paths"], job.config["ngram"])
    index.save(*(outputs.file(path) for path in layout.INDEX_OF_ITEMS))
    reach = {f"{kind}.{name}": n for name, own in index.reach().items() for kind, n in zip(REACH, own, strict=True)}
    outputs.count(items=index.num_items, ngrams=index.num_ngrams, **reach)


def judge_shard(job: Job, outputs: Outputs) -> None:
    """Verdicts of a shard, from its signals and document columns."""
    options = Filter.model_validate(job.arguments["options"])
    signals = read_table(outputs.run_path(layout.signals(job.shard)), SIGNALS)
    documents = read_table(outputs.run_path(layout.documents(job.shard)), DOCUMENTS, DOCUMENT_COLUMNS)
    if documents.num_rows != signals.num_rows:
        raise RunError(
            f"{layout.signals(job.shard)} has {signals.num_rows:,} rows for {documents.num_rows:,} documents; "
            "`tokenmill verify RUN --delete` removes what is damaged, then run again"
        )
    earlier = [outputs.run_path(path) for path in job.inputs if path.startswith(layout.VERDICTS)]
    still = alive(earlier, signals.num_rows)
    failures = all_failures(signals, documents, options, read_blocklist(options.url.blocklist))
    cuts = wanted_cuts(signals, options)
    with outputs.table(layout.verdicts("filter", job.shard), VERDICTS, schema=verdict_schema(options)) as writer:
        writer.write(verdict_batch(signals["doc_id"], failures, still, writer.schema, cuts))
    outputs.count(**counts(failures, still, cuts))
