"""Reads a run's manifests and tables into the figures of the report.

1. records.py     what never became a document
2. documents.py   the walk over documents and verdicts: reasons, examples, mixes, lengths
3. duplicates.py  clusters, and texts side by side
4. signals.py     values behind the histograms
5. training.py    tokenizer, metrics, samples

Whole columns are read for counts; of the text, only the record batches that hold an example.
"""

from pipeline.report.documents import collect_documents
from pipeline.report.duplicates import collect_duplicates
from pipeline.report.figures import Figures, FunnelRow, Reason, rule_of, threshold_of
from pipeline.report.labels import REASONS, rule_words
from pipeline.report.records import collect_records
from pipeline.report.signals import collect_signals
from pipeline.report.training import collect_training
from pipeline.run import logs
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run
from pipeline.screen.kind_words import UNSUPPORTED, reason_named

STEPS = ("clean", "dedup.signatures", "filter.signals", "tokenize.tokenizer", "tokenize", "train")


def collect(run: Run) -> Figures:
    """Reads every figure of the report."""
    figures = Figures(seconds=logs.stage_seconds(run))
    records = collect_records(run, figures)
    judged = collect_documents(run, figures)
    _funnel(run, figures, records, judged)
    for reason in (reason for found in figures.reasons.values() for reason in found):
        reason.words = _words(run, reason)
    collect_duplicates(run, figures)
    collect_signals(run, figures)
    collect_training(run, figures)
    _environment(run, figures)
    return figures


def _funnel(run: Run, figures: Figures, records: dict[str, int], judged: dict[str, int]) -> None:
    read = records["records_in"]
    left = read

    def share(count: int) -> float:
        return count / read if read else 0.0

    def lose(name: str, count: int, anchor: str) -> None:
        nonlocal left
        figures.funnel.append(FunnelRow(name, count, share(count), "loss", share(left), anchor))
        left -= count

    def total(name: str, count: int) -> None:
        figures.funnel.append(FunnelRow(name, count, share(count), "total"))

    total("records read", read)
    lose("quarantined", records["quarantined"], "quarantined")
    lose("excluded", records["excluded"], "excluded")
    total("documents", records["documents"])
    for stage, count in judged.items():
        if stage != "kept" and (count or stage != "tokenize"):
            lose(f"dropped by {stage}", count, stage)
    total("documents kept", judged["kept"])
    dropped = sum(count for name, count in judged.items() if name != "kept")
    if records["documents"] != judged["kept"] + dropped:
        figures.conservation.append(
            f"documents made: {records['documents']:,}, but {judged['kept']:,} + {dropped:,} judged"
        )


def _words(run: Run, reason: Reason) -> str:
    rule = rule_of(reason.name) if reason.stage == "filter" else None
    if rule is None:
        return REASONS.get(reason.name) or _of_a_kind(reason.name)
    return rule_words(rule.signal, rule.bound, threshold_of(run.recipe, reason.name))


def _of_a_kind(reason: str) -> str:
    """What a kind of file that no reader reads is called; nothing for another reason."""
    return f"{reason_named(reason, 2)}: no reader reads them" if reason.startswith(UNSUPPORTED) else ""


def _environment(run: Run, figures: Figures) -> None:
    for step in STEPS:
        for found in manifests.load_manifests(run.root, step).values():
            figures.versions |= found.libraries
    figures.versions = dict(sorted(figures.versions.items()))
    known = logs.environments(run)
    figures.machine = next(reversed([entry["machine"] for entry in known.values()]), logs.machine())
    for stage, entry in known.items():
        figures.commands.append({"stage": stage, **{key: entry[key] for key in ("command", "folder", "finished")}})
