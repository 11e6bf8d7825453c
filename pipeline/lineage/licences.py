"""Tokens by licence and source in what a model was trained on, and the attribution file to publish with it.

A token counts each time that it was a target.  Which windows the steps so far have read is arithmetic; a prefix sum
over a source's windows then gives every document's share, so the time grows with documents and windows, not tokens.
"""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.arrow import doc_id_column
from pipeline.base.progress import each
from pipeline.base.words import aligned, counted
from pipeline.lineage.training import Training
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS
from pipeline.tokens.restored import parse_name
from pipeline.tokens.shards.shard_facts import token_layout

UNKNOWN = "unknown"
TITLES = ("licence", "source", "evidence", "documents", "tokens", "share")


def licences(run: Run, steps: int | None = None) -> dict[str, Any]:
    """Counts what the first ``steps`` steps (default: all trained) read.

    Where nothing was trained yet, every training token counts once, and ``trained`` is false.

    Returns:
        ``rows``: licence, source, evidence, documents, tokens, share; and the totals.
    """
    training = Training(run)
    done = training.steps_done if steps is None else steps
    if steps:
        training.require_step(steps - 1)
    training.check_checkpoints("the licences of what it was trained on")
    rows: dict[tuple[str, str, str], list[int]] = {}
    taken_down = 0
    removed = ledger.load(run.root).documents
    for read in documents_read(training, done):
        facts = _licences_of(run, read)
        if removed:
            gone = [row for row, doc_id in enumerate(read.doc_ids) if bytes(doc_id).hex() in removed]
            taken_down += int(read.tokens[gone].sum())
        for key, documents, count in _grouped(facts, read.source, read.tokens):
            row = rows.setdefault(key, [0, 0])
            row[0] += documents
            row[1] += count
    total = sum(count for _, count in rows.values())
    table: list[dict[str, Any]] = [
        {
            "licence": licence,
            "source": source,
            "evidence": evidence,
            "documents": documents,
            "tokens": count,
            "share": count / total if total else 0.0,
        }
        for (licence, source, evidence), (documents, count) in sorted(rows.items(), key=_largest_first)
    ]
    unknown = sum(row["tokens"] for row in table if row["licence"] == UNKNOWN)
    return {
        "root": run.root,
        "trained": done > 0,
        "steps": done,
        "tokens": total,
        "documents": sum(row["documents"] for row in table),
        "unknown_tokens": unknown,
        "unknown_share": unknown / total if total else 0.0,
        "tokens_since_taken_down": taken_down,
        "rows": table,
    }


def _largest_first(item: tuple[tuple[str, str, str], list[int]]) -> tuple[int, tuple[str, str, str]]:
    return -item[1][1], item[0]


@dataclass(frozen=True)
class Read:
    """What a training read of the documents of one token shard, in its order.

    ``tokens`` counts the targets of each document, once for each time that it was read; ``lengths`` its tokens.
    """

    shard: str  # of documents/
    source: str
    doc_ids: NDArray[np.uint8]
    tokens: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def columns(self, run: Run, names: Sequence[str]) -> pa.Table | None:
        """Columns of the documents, in this order; None where the run has no such documents (imported tokens)."""
        path = layout.documents(self.shard)
        if not storage.exists(run.url(path)):
            return None
        table = read_table(run.local(path), DOCUMENTS, ["doc_id", *names]).combine_chunks()
        return table.take(pc.index_in(doc_id_column(self.doc_ids), value_set=table["doc_id"].combine_chunks()))


def documents_read(training: Training, steps: int) -> Iterator[Read]:
    """What the first ``steps`` steps read of every training shard of the run; with 0 steps, every token once."""
    dataset = training.dataset
    used = dataset.mixture.counts(steps * training.sequences)
    own = dataset.data.folders[0]
    base = 0
    stream = -1
    for shard in each(dataset.data.shards, "licences", "shard"):
        while stream < 0 or (shard.tokens and base >= dataset.streams[stream].base + dataset.streams[stream].tokens):
            stream += 1
            windows = dataset.windows[stream]
            reads = _window_reads(training, stream, used[stream]) if steps else np.ones(windows, np.int64)
            before = np.concatenate([[0], np.cumsum(reads)]) * training.context_length
        held = token_layout(shard.path)
        inside = base - dataset.streams[stream].base + np.concatenate([[0], np.cumsum(held.lengths)])
        counts = np.diff(_targets_before(inside, reads, before, training.context_length))
        base += shard.tokens
        name = shard.path.stem
        if shard.path.parent == dataset.data.restored_folder:
            yield Read(parse_name(name)[1], shard.source, held.doc_ids, counts, held.lengths)
        elif shard.path.parent == own:
            yield Read(name, shard.source, held.doc_ids, counts, held.lengths)


def _window_reads(training: Training, stream: int, used: int) -> NDArray[np.int64]:
    """How often each window of a stream was read in its first ``used`` sequences."""
    windows = training.dataset.windows[stream]
    passes, rest = divmod(used, windows) if windows else (0, 0)
    reads = np.full(windows, passes, np.int64)
    if rest:
        ordinals = np.arange(passes * windows, passes * windows + rest, dtype=np.int64)
        reads[training.dataset.windows_of(stream, ordinals)] += 1
    return reads


def _targets_before(
    tokens: NDArray[np.int64], reads: NDArray[np.int64], before: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    """How many targets were read before each token of a stream; window w has the targets w * length + 1 and on."""
    if not len(reads):
        return np.zeros(len(tokens), np.int64)
    places = np.maximum(tokens - 1, 0)
    windows = np.minimum(places // length, len(reads))
    inside = np.where(windows < len(reads), places - windows * length, 0)
    targets: NDArray[np.int64] = before[windows] + inside * np.append(reads, 0)[windows]
    return targets


def _licences_of(run: Run, read: Read) -> pa.Table:
    """Licence and its evidence of each document of a token shard, in its order."""
    found = read.columns(run, ["licence", "licence_evidence"])
    if found is None:
        unknown = pa.array([UNKNOWN] * len(read.doc_ids))
        return pa.table({"licence": unknown, "evidence": unknown})
    return pa.table(
        {
            "licence": found["licence"].fill_null(UNKNOWN),
            "evidence": found["licence_evidence"].fill_null("none"),
        }
    )


def _grouped(
    facts: pa.Table, source: str, tokens: NDArray[np.int64]
) -> Iterator[tuple[tuple[str, str, str], int, int]]:
    """Documents that were read, and their tokens, by licence, source and evidence."""
    read = pa.array(tokens > 0)
    table = facts.append_column("tokens", pa.array(tokens)).filter(read)
    groups = table.group_by(["licence", "evidence"]).aggregate([("tokens", "sum"), ("tokens", "count")])
    for row in groups.to_pylist():
        yield (row["licence"], source, row["evidence"]), row["tokens_count"], row["tokens_sum"]


def as_text(found: dict[str, Any]) -> str:
    """The table for a person."""
    steps = counted(found["steps"], "step")
    what = f"in the first {steps}" if found["trained"] else "in the training set (nothing trained yet)"
    lines = [
        f"{counted(found['tokens'], 'token')} of {counted(found['documents'], 'document')} {what}",
        "",
        *aligned([TITLES, *map(_cells, found["rows"])], names=3),
    ]
    lines += ["", f"licence unknown: {counted(found['unknown_tokens'], 'token')}, {found['unknown_share']:.2%}"]
    if found["tokens_since_taken_down"]:
        gone = counted(found["tokens_since_taken_down"], "token")
        lines.append(f"of documents taken down since: {gone} (their text is gone)")
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> list[str]:
    figures = [f"{row['documents']:,}", f"{row['tokens']:,}", f"{row['share']:.2%}"]
    return [row["licence"], row["source"], row["evidence"], *figures]


def attribution(found: dict[str, Any], run: Run) -> str:
    """The attribution file, Markdown: what the model was trained on, by licence and source."""
    steps = counted(found["steps"], "step") if found["trained"] else "no steps yet"
    lines = [
        "# Attribution",
        "",
        f"Training data of `{cell(run.recipe.name)}`: {counted(found['tokens'], 'token')} of "
        f"{counted(found['documents'], 'document')}, {steps}.",
        "",
        "| licence | source | evidence | documents | tokens | share |",
        "|---|---|---|---:|---:|---:|",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {cell(row['licence'])} | {cell(row['source'])} | {cell(row['evidence'])} | {row['documents']:,} | "
            f"{row['tokens']:,} | {row['share']:.2%} |"
        )
    lines += [
        "",
        f"The licence of {found['unknown_share']:.2%} of the tokens ({found['unknown_tokens']:,}) is unknown: neither "
        "the record nor the recipe named one.",
        "",
        "Evidence: where the licence was read: in the record, in the page (json-ld, rel, meta, link), or in the "
        "recipe, which states it for the whole source.",
    ]
    if found["tokens_since_taken_down"]:
        lines += [
            "",
            f"Trained on before their documents were taken down: {counted(found['tokens_since_taken_down'], 'token')}.",
        ]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    r"""Text from outside, harmless in a Markdown table, and legible where nothing shows it as one.

    Example:
        >>> print(cell("L'art | <b>\n[x](y)"))
        L'art \| &lt;b&gt; &#91;x](y)
    """
    harmless = html.escape(" ".join(text.split()), quote=False)
    return harmless.replace("|", "\\|").replace("`", "&#96;").replace("[", "&#91;")
