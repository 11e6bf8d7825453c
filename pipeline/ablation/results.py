"""The result of an ablation, from the scores of its finished trials."""

import math
from collections.abc import Sequence
from typing import Any

from pipeline.ablation.runner import Plan
from pipeline.ablation.statistics import CONFIDENCE, POWER, Interval, detection_limit, interval
from pipeline.ablation.variants import Variant
from pipeline.base import storage
from pipeline.base.errors import parse_json
from pipeline.lineage.training import read_json_lines
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.logs import stage_seconds
from pipeline.run.manifest import load_manifests, total_counts

RESULT = "ablation.json"
BETTER, WORSE, NOT_SHOWN, REFERENCE = "better", "worse", "no difference shown", "reference"


def results(plan: Plan, seeds: Sequence[int]) -> dict[str, Any]:
    """The result over ``seeds``, of which every variant has a finished trial.

    Args:
        plan: What was run.
        seeds: At least two; with fewer there are scores but no intervals.
    """
    trials = {variant.number: [_trial(plan, variant, seed) for seed in seeds] for variant in plan.variants}
    scores = {number: [trial["bits_per_byte"] for trial in found] for number, found in trials.items()}
    differences = {
        number: [own - other for own, other in zip(values, scores[0], strict=True)]
        for number, values in scores.items()
        if number
    }
    enough = len(seeds) > 1
    rows = [_row(variant, trials[variant.number], scores, differences, enough) for variant in plan.variants]
    for row, variant in zip(rows, plan.variants, strict=True):
        row["data"] = _data(plan, variant, trials[variant.number][0])
    return {
        "root": plan.root,
        "status": "done" if len(seeds) == len(plan.seeds) else "running",
        "seeds": list(seeds),
        "confidence": CONFIDENCE,
        "comparisons": len(differences),
        "detection_limit": detection_limit(list(differences.values())) if enough else None,
        "power": POWER,
        "validation": _validation(trials[0][0]),
        "tokenizer": "of each variant" if plan.own_tokenizers else "of the base run",
        "variants": rows,
        "cost": _total_cost(plan, rows),
    }


def _row(
    variant: Variant,
    trials: list[dict[str, Any]],
    scores: dict[int, list[float]],
    differences: dict[int, list[float]],
    enough: bool,
) -> dict[str, Any]:
    own = scores[variant.number]
    row: dict[str, Any] = {
        "name": variant.name,
        "settings": variant.settings,
        "bits_per_byte": {"by_seed": own, **_interval(interval(own) if enough else None, own)},
        "by_source": {
            source: math.fsum(trial["by_source"][source]["bits_per_byte"] for trial in trials) / len(trials)
            for source in trials[0]["by_source"]
        },
        "difference": None,
        "verdict": REFERENCE if variant.number == 0 else NOT_SHOWN,
        "cost": {
            "training_seconds": math.fsum(trial["seconds"] for trial in trials),
            "flops": math.fsum(trial["flops"] for trial in trials),
            "trained_tokens": sum(trial["trained_tokens"] for trial in trials),
            "trials": len(trials),
        },
    }
    if variant.number:
        values = differences[variant.number]
        found = interval(values, comparisons=len(differences)) if enough else None
        row["difference"] = {"by_seed": values, **_interval(found, values)}
        if found is not None and found.excludes_zero:
            row["verdict"] = BETTER if found.mean < 0 else WORSE
    return row


def _interval(found: Interval | None, values: Sequence[float]) -> dict[str, Any]:
    if found is None:
        return {"mean": math.fsum(values) / len(values), "low": None, "high": None}
    return {"mean": found.mean, "low": found.low, "high": found.high}


def _trial(plan: Plan, variant: Variant, seed: int) -> dict[str, Any]:
    """Score and cost of one finished trial."""
    root = plan.trial_roots(seed)[variant.number]
    scored: dict[str, Any] = parse_json(storage.read_bytes(storage.join(root, layout.SCORE)))
    lines = read_json_lines(storage.join(root, layout.TRAIN_METRICS))
    tokens = variant.recipe.train.steps * variant.recipe.train.global_batch_tokens
    return {
        **scored,
        "seconds": max((line.get("seconds", 0.0) for line in lines), default=0.0),
        "trained_tokens": tokens,
        "flops": tokens * scored["flops_per_token"],
    }


def _data(plan: Plan, variant: Variant, trial: dict[str, Any]) -> dict[str, Any]:
    """What the variant trained on: documents and tokens there were, and how often they were read."""
    root = plan.data_root(variant)
    counts = total_counts(load_manifests(root, "tokenize").values())
    split = total_counts(load_manifests(root, "tokenize.split").values())
    tokens = sum(source["tokens_available"] for source in trial["training"])
    return {
        "root": root,
        "documents": counts["train_documents"],
        "tokens": tokens,
        "excluded_near_validation": split["held_out"] + split["near_validation"],
        "epochs": trial["trained_tokens"] / tokens if tokens else None,
        "by_source": {s["source"]: {k: s[k] for k in ("tokens", "share", "epochs")} for s in trial["training"]},
        "parameters": trial["parameters"],
    }


def _validation(trial: dict[str, Any]) -> dict[str, Any]:
    return {"bytes": trial["bytes"], "by_source": {name: row["bytes"] for name, row in trial["by_source"].items()}}


def _total_cost(plan: Plan, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Seconds of the data steps and of all trainings, and the operations of these."""
    roots = sorted({storage.join(plan.root, "base"), *(plan.data_root(variant) for variant in plan.variants)})
    data = [stage_seconds(Run(root, plan.base)) for root in roots]
    return {
        "data_seconds": math.fsum(seconds for stages in data for seconds in stages.values()),
        **{key: math.fsum(row["cost"][key] for row in rows) for key in ("training_seconds", "flops")},
        "trained_tokens": sum(row["cost"]["trained_tokens"] for row in rows),
        "trials": sum(row["cost"]["trials"] for row in rows),
    }


def summary_lines(found: dict[str, Any]) -> list[str]:
    """The result as lines of a terminal."""
    names = ["variant", *(row["name"] for row in found["variants"])]
    width = max(len(name) for name in names)
    lines = [f"{'variant':<{width}}  bits per byte           difference, {_sure(found)} interval       verdict"]
    for row in found["variants"]:
        own, difference = row["bits_per_byte"], row["difference"]
        text = f"{row['name']:<{width}}  {own['mean']:.4f} {_bounds(own, '.4f'):16} "
        text += f"{difference['mean']:+.4f} {_bounds(difference, '+.4f'):19}" if difference else " " * 27
        lines.append(f"{text}  {row['verdict']}".rstrip())
    return [*lines, *notes(found)]


def _sure(found: dict[str, Any]) -> str:
    return f"{found['confidence']:.0%}".replace("%", " %")


def _bounds(values: dict[str, Any], form: str) -> str:
    return "" if values["low"] is None else f"[{values['low']:{form}}, {values['high']:{form}}]"


def notes(found: dict[str, Any]) -> list[str]:
    """What has to be known to read the table."""
    validation, cost = found["validation"], found["cost"]
    sources = ", ".join(f"{name} {size:,}" for name, size in validation["by_source"].items())
    lines = [
        f"scored on {validation['bytes']:,} bytes of text that the base run holds out ({sources}); the same for every "
        f"variant, none of it and nothing near it trained on; tokenizer {found['tokenizer']}",
        f"{len(found['seeds'])} seeds; differences are paired by seed, against the first variant; lower is better",
    ]
    if found["detection_limit"] is not None:
        several = f", each widened for {found['comparisons']} comparisons" if found["comparisons"] > 1 else ""
        lines.append(
            f"Student's t intervals over the seeds{several}. A true difference of {found['detection_limit']:.4f} bits "
            f"per byte would be shown with a chance of {found['power']:.0%}; a smaller one may exist".replace("%", " %")
        )
    lines.append(
        f"cost: {cost['trials']} trainings, {cost['trained_tokens']:,} tokens, {cost['flops']:.3g} operations, "
        f"{cost['training_seconds']:,.0f} s of training, {cost['data_seconds']:,.0f} s of data steps"
    )
    return lines
