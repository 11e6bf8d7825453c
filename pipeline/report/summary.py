"""The first screen of a run's page: what went in, what was kept and why the rest went, what the model reached."""

from dataclasses import dataclass
from typing import Any

from pipeline.base.words import counted, visible
from pipeline.clean.stage import empty_in_words
from pipeline.report.figures import Figures, Reason
from pipeline.report.labels import BITS
from pipeline.report.training import finite
from pipeline.report.written import number, percent, short_number

REASONS_SHOWN = 4
LINES = 4  # of a tile
REMARKS_SHOWN = 5
FEW_KEPT = 0.3  # of the records, or of a source's documents
MANY_ALONE = 0.05  # of the documents, by one rule alone
FEW_DOCUMENTS = 20  # of a source, of which no share is told
RISEN = 1.02  # the last validation loss against the lowest


@dataclass(frozen=True)
class Tile:
    """One figure of the first screen; ``tone`` is "", "good" or "bad"."""

    name: str
    value: str
    unit: str
    words: list[str]
    tone: str = ""


@dataclass(frozen=True)
class Remark:
    """Something to look at, and the section that shows it."""

    anchor: str
    words: str
    tone: str = ""


def tiles(figures: Figures) -> list[Tile]:
    """What went in, what was kept, what went, what the model reached."""
    return [_read(figures), _kept(figures), _gone(figures), _model(figures)]


def _counted(count: int, noun: str) -> tuple[str, str]:
    value, _, unit = counted(count, noun).partition(" ")
    return value, unit


def _read(figures: Figures) -> Tile:
    sources = len(figures.mixes["source"].documents) if "source" in figures.mixes else 0
    words = [f"from {counted(sources, 'source')}"] if sources else []
    return Tile("went in", *_counted(figures.count("records read"), "record"), words)


def _kept(figures: Figures) -> Tile:
    kept, read = figures.count("documents kept"), figures.count("records read")
    words = [f"{percent(kept / read)} of what went in"] if read else []
    if tokens := figures.tokens.get("train_tokens"):
        words.append(f"{short_number(tokens)} tokens to train on")
    return Tile("kept", *_counted(kept, "document"), words)


def _gone(figures: Figures) -> Tile:
    lost = sorted((row for row in figures.funnel if row.kind == "loss" and row.count), key=lambda row: -row.count)
    shown = lost if len(lost) <= LINES else lost[: LINES - 1]  # so that they add up
    words = [f"{row.count:,} {row.name}" for row in shown]
    if rest := sum(row.count for row in lost[len(shown) :]):
        words.append(f"{rest:,} for other reasons")
    return Tile("left out", *_counted(sum(row.count for row in lost), "record"), words)


def reached(figures: Figures) -> tuple[float, float | None, str] | None:
    """Bits per byte of the model, those of the unigram baseline, and at what point; None before a validation."""
    baseline = figures.result.get("unigram_bits_per_byte")
    score, steps = figures.result.get("bits_per_byte"), figures.result.get("steps")
    if finite(score):
        assert isinstance(score, int | float)
        return float(score), baseline if finite(baseline) else None, f"after {number(steps)} steps" if steps else ""
    held = [line for line in figures.validation if finite(line.get("bits_per_byte"))]
    if not held:
        return None
    return float(held[-1]["bits_per_byte"]), None, f"at step {number(held[-1].get('step', 0))}, not finished"


def _model(figures: Figures) -> Tile:
    found = reached(figures)
    if found is None:
        return Tile("the model", "none", "", ["nothing was trained and validated"])
    score, baseline, when = found
    words = [when] if when else []
    tone = ""
    if baseline:
        gap = 1 - score / baseline
        tone = "good" if gap > 0 else "bad"
        fewer = f"{percent(abs(gap))} {'fewer' if gap > 0 else 'more'}" if gap else "as many"
        words = [f"{fewer} than the unigram baseline ({baseline:.2f})", *words]
    return Tile("the model", f"{score:.2f}", BITS, words, tone)


def largest_reasons(figures: Figures) -> list[tuple[str, Reason]]:
    """The reasons that took most, over all stages, each with its stage."""
    every = [(stage, reason) for stage, found in figures.reasons.items() for reason in found]
    return sorted(every, key=lambda item: (-item[1].documents, item[1].name))[:REASONS_SHOWN]


def remarks(figures: Figures) -> list[Remark]:
    """What to look at first; only what was seen is said."""
    found = [
        *_of_conservation(figures),
        *_of_the_model(figures),
        *_of_yield(figures),
        *_of_rules(figures),
        *_of_damage(figures),
    ]
    found += [Remark("samples", "What the model writes")] if figures.samples else []
    near = [cluster.similarity for cluster in figures.clusters if cluster.rule == "near"]
    found += [Remark("duplicates", f"The most doubtful duplicates: similarity {min(near):.2f}")] if near else []
    return found[:REMARKS_SHOWN]


def _of_conservation(figures: Figures) -> list[Remark]:
    return [Remark("funnel", "The records do not add up", "bad")] if figures.conservation else []


def _of_the_model(figures: Figures) -> list[Remark]:
    remarks = []
    found = reached(figures)
    if found and found[1] and found[0] >= found[1]:
        words = (
            f"The model needs no fewer {BITS} than the unigram baseline, which knows only how frequent each token is"
        )
        remarks.append(Remark("training", words, "bad"))
    losses: list[tuple[float, Any]] = [
        (line["validation_loss"], line.get("step", 0)) for line in figures.validation if finite(line["validation_loss"])
    ]
    if losses and losses[-1][0] > RISEN * min(losses)[0]:
        words = f"The validation loss was lowest at step {number(min(losses)[1])}, and has risen since"
        remarks.append(Remark("training", words, "bad"))
    leaked, looked = figures.tokens.get("leakage_at_0_8"), figures.tokens.get("leakage_sample")
    if leaked:
        remarks.append(Remark("tokenizer", f"{leaked:,} of {looked:,} held-out documents were trained on too", "bad"))
    return remarks


def _of_yield(figures: Figures) -> list[Remark]:
    kept, read = figures.count("documents kept"), figures.count("records read")
    remarks = []
    if read and kept / read < FEW_KEPT:
        remarks.append(Remark("reasons", f"Only {percent(kept / read)} of what went in was kept", "bad"))
    mix = figures.mixes.get("source")
    rows = mix.rows() if mix else []
    poor = [row for row in rows if row["yield"] < FEW_KEPT and row["documents"] >= FEW_DOCUMENTS]
    for row in sorted(poor, key=lambda row: -row["documents"])[:2]:
        words = f"{percent(row['yield'])} of {visible(row['name'])} ({row['documents']:,} documents) was kept"
        remarks.append(Remark("mixes", words))
    return remarks


def _of_rules(figures: Figures) -> list[Remark]:
    documents = figures.count("documents")
    rules = [reason for reason in figures.reasons.get("filter", []) if reason.alone > MANY_ALONE * documents]
    worst = sorted(rules, key=lambda reason: -reason.alone)[:2]
    return [
        Remark(
            "reasons-filter",
            f"“{reason.words or visible(reason.name)}” alone drops {counted(reason.alone, 'document')}",
        )
        for reason in worst
    ]


def _of_damage(figures: Figures) -> list[Remark]:
    damaged = figures.count("quarantined")
    words = f"{counted(damaged, 'record')} could not be read"
    found = [Remark("reasons-quarantined", words)] if damaged else []
    if figures.empty_files:
        found.append(Remark("funnel", visible(empty_in_words(figures.empty_files))))
    return found
