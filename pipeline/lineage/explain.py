"""Everything that a run knows of one document."""

from typing import Any

from pipeline.base import storage
from pipeline.base.errors import RunError, TokenmillError, UnansweredError, UserError
from pipeline.base.words import counted, figure, place
from pipeline.filter.rules.compared import compared
from pipeline.filter.rules.cuts import CUT_SPANS
from pipeline.lineage.training import Training
from pipeline.lookup.locate import PLACE, DocIndex, Located, places_of
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.ledger import Ledger
from pipeline.run.rows import behind, read_row, read_rows, rows_of_id
from pipeline.run.tables import CLUSTERS, DOCUMENTS, SIGNALS, SIGNATURES, VERDICTS
from pipeline.tokens import restored

SHOWN_TWINS = 20
DOUBTFUL = ("damaged", "missing", "unrecorded", "outdated")  # states in which a stage's word stands beside a warning


def explain(run: Run, located: Located, index: DocIndex | None = None) -> dict[str, Any]:
    """Collects what is known; parts that the run has not made yet are null or empty.

    Args:
        run: The run.
        located: The document.
        index: The run's index, where it is open already.

    Returns:
        A JSON-able dict: ``doc_id``, ``shard``, ``row``, ``takedown``, ``record``, ``signals``, ``rules``,
        ``verdicts``, ``duplicates``, ``tokens``, ``training``.
    """
    shard = located.shard
    index = index or DocIndex(run)
    edges = index.edges(shard)
    record = read_row(run, layout.documents(shard), DOCUMENTS, located.row, edges=edges)
    text = record.pop("text", "")
    if record.pop("doc_id", None) != located.doc_id:
        raise behind(run.root)
    signals = read_row(run, layout.signals(shard), SIGNALS, located.row)
    signals.pop("doc_id", None)
    verdicts = _verdicts(run, located)
    return {
        "root": run.root,
        "doc_id": located.doc_id.hex(),
        "shard": shard,
        "row": located.row,
        "takedown": _takedown(ledger.load(run.root), located),
        "restored": _restored(run, located),
        "record": {**record, "characters": len(text), "begins": text[:200]},
        "signals": signals,
        "rules": _rules(run, record, signals, verdicts),
        "verdicts": verdicts,
        "duplicates": _duplicates(run, located, verdicts, index),
        **_training(run, located),
    }


def _takedown(removed: Ledger, located: Located) -> dict[str, Any] | None:
    found = removed.documents.get(located.doc_id.hex())
    if found is None:
        return None
    return next((dict(r) for r in removed.requests if r["request"] == found.request), {"request": found.request})


def _restored(run: Run, located: Located) -> int | None:
    """Number of the restoration that brought the document back; None where none did."""
    name = located.doc_id.hex()
    return next((r.number for r in restored.load(run.root) if any(name == row[0] for row in r.documents)), None)


def _verdicts(run: Run, located: Located) -> list[dict[str, Any]]:
    """The verdict of each stage that has judged the document, in the recipe's order."""
    found = []
    for stage in run.recipe.stages:
        row = read_row(run, layout.verdicts(stage, located.shard), VERDICTS, located.row)
        if row:
            row.pop("doc_id")
            found.append({"stage": stage, **row})
    return found


def _rules(
    run: Run, record: dict[str, Any], signals: dict[str, Any], verdicts: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    if "filter" not in run.recipe.stages:
        return []
    return compared(run.recipe.filter, record, signals, {reason for row in verdicts for reason in row["reasons"]})


def _duplicates(run: Run, located: Located, verdicts: list[dict[str, Any]], index: DocIndex) -> dict[str, Any]:
    """The kept twin where the document was removed, and those that were removed in its favour."""
    kept = {verdict["stage"]: verdict["keep"] for verdict in verdicts}.get("dedup")
    kept_twin, removed = None, []
    # a kept document has no row of its own
    columns = ("kept_id",) if kept else ("doc_id", "kept_id")
    for column in columns if storage.exists(run.url(layout.EVIDENCE)) else ():
        path = run.local(layout.EVIDENCE)
        rows = list(rows_of_id(path, CLUSTERS, column, located.doc_id))
        for row in read_rows(path, CLUSTERS, rows).to_pylist() if rows else ():
            shown = {key: value.hex() if isinstance(value, bytes) else value for key, value in row.items()}
            if column == "doc_id":
                kept_twin = shown
            else:
                removed.append(shown)
    _add_places(run, index, [(kept_twin, "kept_id")] if kept_twin else [], "kept_")
    _add_places(run, index, [(twin, "doc_id") for twin in removed[:SHOWN_TWINS]], "")
    signature = read_row(
        run, layout.signatures(located.shard), SIGNATURES, located.row, ["doc_id", "num_shingles", "text_hash"]
    )
    return {
        "kept_twin": kept_twin,
        "removed_twins": len(removed),
        "removed_in_its_favour": removed[:SHOWN_TWINS],
        "shingles": signature.get("num_shingles"),
        "text_hash": signature["text_hash"].hex() if signature else None,
    }


def _add_places(run: Run, index: DocIndex, twins: list[tuple[dict[str, Any], str]], prefix: str) -> None:
    """Adds to each twin that stands in this run where it comes from: ``kept_path`` and the like."""
    located = {twin[key]: index.find(twin[key]) for twin, key in twins if key == "doc_id" or not twin["kept_corpus"]}
    places = places_of(run, located.values())
    for twin, key in twins:
        if twin[key] in located:
            twin |= {f"{prefix}{name}": value for name, value in places[located[twin[key]].doc_id].items()}


def _training(run: Run, located: Located) -> dict[str, Any]:
    training = Training(run)
    try:
        tokens = training.token_range(located)
    except UnansweredError:
        raise
    except RunError as error:
        return {"tokens": None, "training": {"note": str(error), "steps_trained": None, "reads": []}}
    if tokens is None:
        return {"tokens": None, "training": None}
    place = {
        "split": tokens.split,
        "shard": tokens.path,
        "row": tokens.row,
        "start": tokens.start,
        "end": tokens.start + tokens.tokens,
        "tokens": tokens.tokens,
    }
    if tokens.split == "validation":
        return {"tokens": place, "training": None}
    try:
        training.check_checkpoints()
        reads = training.reads(tokens, training.steps_done)
    except UnansweredError:
        raise
    except UserError as error:
        return {"tokens": place, "training": {"note": str(error), "steps_trained": 0, "reads": []}}
    except TokenmillError as error:
        return {"tokens": place, "training": {"note": str(error), "steps_trained": None, "reads": []}}
    seen = [{"step": step, "epoch": epoch, "tokens": targets} for step, epoch, targets in reads]
    return {
        "tokens": place,
        "training": {
            "steps_trained": training.steps_done,
            "steps": sorted({read["step"] for read in seen}),
            "epochs": sorted({read["epoch"] for read in seen}),
            "tokens": sum(read["tokens"] for read in seen),
            "reads": seen,
            "checkpoints": [s for s in training.checkpoints if any(read["step"] < s for read in seen)],
        },
    }


def _says(found: dict[str, Any], stage: str) -> str:
    """What it means that a stage says nothing of the document: the words of ``pipeline/inspection/status.py``."""
    told: str = found.get("stages", {}).get(stage, {}).get("says", "none")
    return told


def _doubts(found: dict[str, Any]) -> list[str]:
    """Stages whose word on the document is not to be trusted, or of earlier tables."""
    states = {stage: told["state"] for stage, told in found.get("stages", {}).items()}
    doubted = [stage for stage, state in states.items() if state in DOUBTFUL]
    return ["", *(f"{stage}: {_says(found, stage)}" for stage in doubted)] if doubted else []


def as_text(found: dict[str, Any]) -> str:
    """The explanation for a person; ``stages`` of ``found``, where it is there, says what was never looked for."""
    lines = [f"document {found['doc_id']}", f"  stands in       {layout.documents(found['shard'])}, row {found['row']}"]
    if found["takedown"]:
        lines.append(f"  TAKEN DOWN      request {found['takedown']['request']}: its text is gone")
    if found["restored"]:
        lines.append(f"  restored        came back (restoration {found['restored']}) after its twin was taken down")
    record = found["record"]
    names = ("source", "path", "offset", "id", "url", "title", "date", "language", "language_score", "characters")
    lines += [f"  {name:15} {_short(record[name])}" for name in names if record.get(name) is not None]
    evidence = f" (evidence: {record['licence_evidence']})" if record.get("licence_evidence") else ""
    lines.append(f"  licence         {record['licence'] or 'unknown'}{evidence}")
    if record["begins"]:
        lines.append(f"  begins          {record['begins']!r}")
    return "\n".join(
        [*lines, *_verdict_lines(found), *_duplicate_lines(found), *_training_lines(found), *_doubts(found)]
    )


def _verdict_lines(found: dict[str, Any]) -> list[str]:
    silent = [stage for stage in ("dedup", "filter") if stage not in {v["stage"] for v in found["verdicts"]}]
    lines = ["", "verdicts" if found["verdicts"] else "verdicts: none"]
    lines += [f"  {stage:15} {told}" for stage in silent if (told := _says(found, stage)) != "none"]
    for verdict in found["verdicts"]:
        word = {True: "kept", False: "dropped", None: "not asked: an earlier stage had dropped it"}[verdict["keep"]]
        lines.append(f"  {verdict['stage']:15} {word} {', '.join(verdict['reasons'])}".rstrip())
        spans = (verdict.get(CUT_SPANS) or []) if verdict["stage"] == "filter" else []
        lines += [f"    bytes {start:,} to {end:,} cut out" for start, end in zip(spans[::2], spans[1::2], strict=True)]
    if found["rules"] and found["signals"] and not found["takedown"]:
        lines += ["", "signals and thresholds"]
        for rule in found["rules"]:
            value = "-" if rule["value"] is None else figure(rule["value"])
            sign = ">=" if rule["bound"] == "min" else "<="
            failed = "  FAILED" if rule["failed"] else ""
            lines.append(f"  {rule['rule']:52} {value:>10} {sign} {figure(rule['threshold'])}{failed}")
        judged = {rule["signal"] for rule in found["rules"]}
        rest = {name: value for name, value in found["signals"].items() if name not in judged and value is not None}
        lines.append("  others: " + ", ".join(f"{name} {_short(value)}" for name, value in rest.items()))
    return lines


def _short(value: Any) -> str:
    return figure(value) if isinstance(value, float) else str(value)


def _duplicate_lines(found: dict[str, Any]) -> list[str]:
    duplicates = found["duplicates"]
    lines = ["", "duplicates"]
    twin = duplicates["kept_twin"]
    if twin:
        name = _twin_in_words(twin, "kept_id", "kept_")
        lines.append(
            f"  removed ({twin['rule']}); kept in its place: {name}, similarity {twin['similarity']:.4f} "
            f"({twin['intersection']:,} of {twin['union']:,} shingles), cluster {twin['cluster_id']}"
        )
    for other in duplicates["removed_in_its_favour"]:
        name = _twin_in_words(other, "doc_id", "")
        lines.append(f"  kept; removed in its favour: {name} ({other['rule']}, {other['similarity']:.4f})")
    more = duplicates["removed_twins"] - len(duplicates["removed_in_its_favour"])
    if more:
        lines.append(f"  and {more:,} more")
    return lines if len(lines) > 2 else ["", f"duplicates: {_says(found, 'dedup')}"]


def _twin_in_words(twin: dict[str, Any], key: str, prefix: str) -> str:
    known = {name: twin.get(f"{prefix}{name}") for name in PLACE}
    return f"{twin[key]}, {place(known)}" if known["path"] is not None else str(twin[key])


def _training_lines(found: dict[str, Any]) -> list[str]:
    tokens, training = found["tokens"], found["training"]
    if tokens is None and training is not None:
        return ["", f"tokens: not known: {training['note']}"]
    if tokens is None:
        told = _says(found, "tokenize")
        return ["", f"tokens: {told}{'; it is not in the training or validation set' if told == 'none' else ''}"]
    lines = [
        "",
        f"tokens: {tokens['tokens']:,} in {tokens['shard']}, row {tokens['row']}, tokens {tokens['start']:,} to "
        f"{tokens['end']:,} ({tokens['split']})",
    ]
    if training is None:
        return [*lines, "training: validation document, never trained on"]
    if "note" in training:
        return [*lines, f"training: {training['note']}"]
    steps, trained = training["steps"], counted(training["steps_trained"], "step")
    if not steps and not training["steps_trained"]:
        told = _says(found, "train")
        return [*lines, f"training: {'not read, no step was trained' if told == 'none' else told}"]
    if not steps:
        return [*lines, f"training: not read in the {trained} so far"]
    shown = ", ".join(str(step) for step in steps[:20]) + (", ..." if len(steps) > 20 else "")
    epochs = ", ".join(str(epoch) for epoch in training["epochs"])
    return [
        *lines,
        f"training: {training['tokens']:,} of its tokens in {len(steps):,} of {trained} "
        f"(counted from 0), epoch {epochs}",
        f"  steps           {shown}",
        f"  checkpoints     {', '.join(str(step) for step in training['checkpoints']) or 'none kept'}",
    ]
