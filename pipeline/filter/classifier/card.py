"""What a classifier says of itself: its threshold, the held-out report, and the card that stands beside the model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.words import counted
from pipeline.run.manifest import canonical_json

BINS = 10
CARD_FILES = ("card.json", "card.md", "calibration.png")

Scores = NDArray[np.float32]


def chosen_threshold(scores: Scores, keep_rate: float | None, measured_on: str) -> dict[str, Any]:
    """The score from which a text is kept: 0.5, or the one that keeps the wanted share.

    Args:
        scores: Of the texts that it is measured on.
        keep_rate: The share of them that is to be kept; None for 0.5.
        measured_on: What these texts are, for the card.
    """
    value = 0.5
    if keep_rate is not None:
        ordered = np.sort(scores)[::-1]
        value = float(ordered[min(len(ordered) - 1, max(0, round(keep_rate * len(ordered)) - 1))])
    kept = float((scores >= np.float32(value)).mean())
    return {"value": value, "wanted_keep_rate": keep_rate, "keep_rate": kept, "measured_on": measured_on}


def held_out_report(positive: Scores, negative: Scores, threshold: float) -> dict[str, Any]:
    """Precision and recall at the threshold, area under the ROC curve, and calibration in ten bins."""
    limit = np.float32(threshold)
    hits, false_hits = int((positive >= limit).sum()), int((negative >= limit).sum())
    scores = np.concatenate([positive, negative])
    wanted = np.concatenate([np.ones(len(positive)), np.zeros(len(negative))])
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    calibration = [
        {
            "from": k / BINS,
            "texts": int((bins == k).sum()),
            "mean_score": float(scores[bins == k].mean()),
            "positive_share": float(wanted[bins == k].mean()),
        }
        for k in range(BINS)
        if (bins == k).any()
    ]
    return {
        "positive": len(positive),
        "negative": len(negative),
        "precision": hits / (hits + false_hits) if hits + false_hits else 0.0,
        "recall": hits / len(positive),
        "auc": area_under_curve(positive, negative),
        "accuracy": (hits + len(negative) - false_hits) / len(scores),
        "calibration": calibration,
    }


def area_under_curve(positive: Scores, negative: Scores) -> float:
    """Chance that a positive text scores above a negative one; ties count half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).sum() / 2 / (len(positive) * len(negative)))


def write_card(card: dict[str, Any], folder: Path) -> None:
    """Writes ``CARD_FILES`` beside the model."""
    (folder / "card.json").write_text(canonical_json(card), encoding="utf-8")
    (folder / "card.md").write_text("\n".join(_page(card)) + "\n", encoding="utf-8")
    _plot(card["held_out"]["calibration"], folder / "calibration.png")


def _page(card: dict[str, Any]) -> Iterator[str]:
    report, threshold = card["held_out"], card["threshold"]
    yield f"# Classifier {card['name']}"
    yield ""
    yield f"fastText, signal `{card['signal']}`, label `{card['model']['label']}`, digest `{card['model']['digest']}`."
    yield ""
    for label, data in card["data"].items():
        yield f"- {label}: {counted(data['trained'], 'text')} trained on, {data['held_out']:,} held out"
        for source in data["sources"]:
            yield f"  - `{source['spec']}`: {counted(source['texts'], 'text')}, digest `{source['digest']}`"
    yield f"- texts in both classes, left out: {card['in_both_classes']:,}"
    yield ""
    yield f"Held out: precision {report['precision']:.4f}, recall {report['recall']:.4f}, AUC {report['auc']:.4f}"
    yield f"at threshold {threshold['value']:.6f}, which keeps {threshold['keep_rate']:.2%} of the"
    yield f"{threshold['measured_on']}. Calibration: ![calibration](calibration.png)"


def _plot(calibration: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    scores, shares = [b["mean_score"] for b in calibration], [b["positive_share"] for b in calibration]
    axes.plot(scores, shares, marker="o", label="held-out texts")
    for score, share, found in zip(scores, shares, calibration, strict=True):
        axes.annotate(f"{found['texts']:,}", (score, share), textcoords="offset points", xytext=(4, -10), fontsize=7)
    axes.set(xlabel="mean score", ylabel="share of positive texts", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend()
    figure.savefig(path, metadata={"Software": None})
