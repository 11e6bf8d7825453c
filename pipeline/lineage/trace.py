"""What a training step read: documents, sources, languages and licences of its global batch."""

import math
from collections import Counter
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import counted, largest_first
from pipeline.lineage.training import Training, metrics_lines
from pipeline.lookup.locate import DocIndex, Located
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.rows import behind, read_rows
from pipeline.run.tables import DOCUMENTS
from pipeline.run.tokenizer import Tokenizer

UNKNOWN = "unknown"
MAX_STEPS = 10_000  # of one trace: a longer range is better asked of `licences`
FACTS = ["doc_id", "source", "language", "licence", "url", "path", "offset", "id"]


def trace(run: Run, first: int, last: int) -> dict[str, Any]:
    """What the steps ``first`` to ``last`` (counted from 0, both included) read.

    Returns:
        ``documents``, a row each, most tokens first; ``sources``, ``languages`` and ``licences``: tokens by value.

    Raises:
        UserError: If a step is beyond the run, or the range is empty or too long.
    """
    training = Training(run)
    if last < first or last - first >= MAX_STEPS:
        raise UserError(f"steps {first} to {last}: expected a range of 1 to {MAX_STEPS:,} steps")
    training.require_step(first)
    training.require_step(last)
    training.check_checkpoints("what these steps read")
    counts, shards, unscored = training.targets_by_document(first, last)
    facts = _facts(run, counts, shards)
    documents = [
        {"doc_id": doc_id.hex(), "tokens": tokens, **facts[doc_id]} for doc_id, tokens in largest_first(counts)
    ]
    return {
        "root": run.root,
        "steps": [first, last],
        "sequences": (last - first + 1) * training.sequences,
        "context_length": training.context_length,
        "tokens": sum(counts.values()),
        "tokens_taken_down": unscored,
        "trained": last < training.steps_done,
        **{f"{name}s": _by(documents, name) for name in ("source", "language", "licence")},
        "documents": documents,
    }


def _by(documents: list[dict[str, Any]], name: str) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for document in documents:
        totals[document[name] or UNKNOWN] += document["tokens"]
    return dict(largest_first(totals))


def _facts(run: Run, counts: Counter[bytes], shards: dict[bytes, str]) -> dict[bytes, dict[str, Any]]:
    """The document columns of each doc_id; documents of another run that is mixed in have none."""
    index = DocIndex(run)
    by_shard: dict[str, list[Located]] = {}
    facts: dict[bytes, dict[str, Any]] = {}
    removed = ledger.load(run.root).documents
    for doc_id in counts:
        located = next(index.from_key(doc_id), None)
        if located is not None and located.doc_id == doc_id:
            by_shard.setdefault(located.shard, []).append(located)
        else:
            facts[doc_id] = {**dict.fromkeys(FACTS[1:]), "taken_down": False}
    for shard, found in sorted(by_shard.items()):
        path, rows = run.local(layout.documents(shard)), [place.row for place in found]
        table = read_rows(path, DOCUMENTS, rows, FACTS, index.edges(shard))
        for row in table.to_pylist():
            doc_id = row.pop("doc_id")
            facts[doc_id] = {**row, "taken_down": doc_id.hex() in removed}
    if facts.keys() != counts.keys():
        raise behind(run.root)
    return facts


def window_text(run: Run, step: int, window: int) -> dict[str, Any]:
    """The text of one window of a step's batch, as the model read it, with the documents that it is made of.

    Raises:
        UserError: If the step or the window does not exist.
    """
    training = Training(run)
    training.require_step(step)
    if not 0 <= window < training.sequences:
        raise UserError(f"window {window}: step {step} has the windows 0 to {training.sequences - 1}")
    training.check_checkpoints("what this window held")
    position = step * training.sequences + window
    tokens = training.window_tokens(position).tolist()
    decode = _decoder(run)
    parts = [
        {
            "doc_id": part.doc_id.hex(),
            "tokens": part.stop - part.start,
            "taken_down": part.withdrawn,
            "text": "" if part.withdrawn else decode(tokens[part.start : part.stop]),
        }
        for part in training.window_parts(position)
    ]
    return {"step": step, "window": window, "tokens": len(tokens), "parts": parts}


def _decoder(run: Run) -> Any:
    path = layout.TOKENIZER
    if not storage.exists(run.url(path)):
        raise UserError(f"{run.url(path)}: missing, so tokens cannot be shown as text")
    return Tokenizer.open(run.local(path)).text


def spikes(run: Run, count: int = 1) -> list[dict[str, Any]]:
    """The largest loss spikes in metrics/train.jsonl: how far a loss lies above the mean of the lines around it.

    A line of metrics says the loss of one step; the steps in between are unknown.  A line at which steps were skipped
    stands for all steps since the line before.

    Returns:
        ``first``, ``last`` (steps, counted from 0), ``loss``, ``usual`` and ``above`` of each, largest first.

    Raises:
        UserError: If there are no metrics.
    """
    lines = [line for line in metrics_lines(run) if "loss" in line]
    if len(lines) < 3:
        raise UserError(f"{run.url(layout.TRAIN_METRICS)}: {len(lines)} lines with a loss; a spike needs three")
    found = []
    for number, line in enumerate(lines):
        around = [other["loss"] for other in lines[max(0, number - 4) : number + 5] if other is not line]
        finite = sorted(value for value in around if value is not None)
        if not finite or number == 0:  # the first line is the highest of every run
            continue
        loss = line["loss"]
        before = lines[number - 1]
        skipped = line.get("skipped_steps", 0) > before.get("skipped_steps", 0)
        usual = finite[len(finite) // 2]
        found.append(
            {
                "first": before["step"] if skipped else line["step"] - 1,
                "last": line["step"] - 1,
                "loss": loss,
                "usual": usual,
                "above": math.inf if loss is None else loss - usual,
            }
        )
    found.sort(key=lambda spike: (-spike["above"], spike["first"]))
    return [{**spike, "above": None if math.isinf(spike["above"]) else spike["above"]} for spike in found[:count]]


def as_text(found: dict[str, Any], shown: int) -> str:
    """The trace for a person: ``shown`` documents of it."""
    first, last = found["steps"]
    name = f"step {first}" if first == last else f"steps {first} to {last}"
    planned = "" if found["trained"] else "  (planned; not trained yet)"
    lines = [
        f"{name}: {counted(found['sequences'], 'window')} of {found['context_length']:,} tokens, "
        f"{counted(found['tokens'], 'target')}, "
        f"{counted(len(found['documents']), 'document')}{planned}"
    ]
    if found["tokens_taken_down"]:
        lines.append(
            f"  {found['tokens_taken_down']:,} of them of documents that were taken down since: not scored any more"
        )
    for title in ("sources", "languages", "licences"):
        lines += ["", title]
        lines += [
            f"  {value:32} {tokens:>12,}  {tokens / found['tokens']:6.1%}" for value, tokens in found[title].items()
        ]
    lines += ["", "documents (tokens, doc_id, source, language, licence, url or path)"]
    for row in found["documents"][:shown]:
        where = row["url"] or (f"{row['path']} @ {row['offset']}" if row["path"] else "")
        gone = "  TAKEN DOWN" if row["taken_down"] else ""
        facts = f"{row['source']}  {row['language'] or '-'}  {row['licence'] or UNKNOWN}"
        lines.append(f"  {row['tokens']:>6,}  {row['doc_id']}  {facts}  {where}{gone}")
    if len(found["documents"]) > shown:
        lines.append(f"  and {len(found['documents']) - shown:,} more; --documents N shows more, --json all")
    return "\n".join(lines)


def window_as_text(found: dict[str, Any]) -> str:
    """One window for a person."""
    lines = [f"step {found['step']}, window {found['window']}: {counted(found['tokens'], 'token')}"]
    for part in found["parts"]:
        gone = "  TAKEN DOWN" if part["taken_down"] else ""
        lines.append(f"--- {part['doc_id']} ({counted(part['tokens'], 'token')}){gone}")
        lines.append(part["text"])
    return "\n".join(lines)
