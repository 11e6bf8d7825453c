"""Commands that compare: ablate (the same small model on each variant of a recipe) and bench (peers in one run).

A benchmark is a module with ``run() -> list of rows``; a row is a dict of figures with its name and unit in the keys.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from flows.display.answer import answer
from flows.display.options import DryRun, Json, Overrides, Repeated, Workers
from pipeline.base import storage
from pipeline.base.console import emit, say
from pipeline.base.errors import UserError
from pipeline.base.sizes import parse_memory
from pipeline.base.words import figure

MIN_SEEDS = 2
MAX_SEEDS = 100
BENCHMARKS = {
    "recipe": "pipeline.bench.recipe.rows",
    "clean": "pipeline.bench.clean",
    "dedup": "pipeline.bench.dedup",
    "dedup_accuracy": "pipeline.bench.dedup_accuracy",
    "dedup_buckets": "pipeline.bench.dedup_buckets",
    "dedup_join": "pipeline.bench.dedup_join",
    "dedup_scale": "pipeline.bench.dedup_scale",
    "filter": "pipeline.bench.filter",
    "growth": "pipeline.bench.growth",
    "tokenize": "pipeline.bench.tokens",
    "loader": "model.bench.loader",
    "train": "model.bench.train",
    "lineage": "pipeline.bench.lineage",
    "index": "pipeline.bench.index",
}
ON_GPUS = {"gpu": "model.bench.gpu"}  # only where it is named


def ablate(
    recipe: str,
    *,
    vary: Repeated,
    seeds: int = 3,
    root: str | None = None,
    set: Overrides | None = None,
    base: str | None = None,
    validate_on: Repeated | None = None,
    validation: str = "1MB",
    workers: Workers = 0,
    dry_run: DryRun = False,
    json: Json = False,
) -> int:
    """Train the same small model on each variant of a recipe: bits per byte with confidence intervals, and cost.

    Example: tokenmill ablate configs/demo.toml --vary train.learning_rate=[1e-3,2e-3] --vary filter.rules=[[],["c4"]]

    Parameters
    ----------
    recipe
        The recipe, a TOML file; its own values, without --vary, make the base run that holds the scored text out.
    vary
        KEY=[VALUE, ...] in TOML; given several times, every combination is a variant. The first is the reference.
    seeds
        Trainings of each variant, each from another seed; the same seeds for all variants.
    root
        Folder of the ablation, on a local disk; runs/NAME-ablation by default.
    set
        KEY=VALUE that overrides the recipe for every variant; may be given several times.
    base
        A finished run of this recipe whose text and signals are taken over instead of made again.
    validate_on
        Source whose held-out text is scored; may be given several times; by default all.
    validation
        Held-out text that is scored, at most.
    workers
        Worker processes of the data steps; 0: one for each processor.
    dry_run
        Say what would be trained, and write nothing.
    """
    from pipeline.ablation.results import summary_lines
    from pipeline.ablation.variants import read_variants
    from pipeline.recipe.load import load_recipe

    if not MIN_SEEDS <= seeds <= MAX_SEEDS:
        raise UserError(f"--seeds {seeds}: expected {MIN_SEEDS} to {MAX_SEEDS}; an interval needs at least two")
    base_recipe = load_recipe(recipe, set or [])
    if "tokenize" not in base_recipe.stages:
        raise UserError(f"{recipe}: stages has no tokenize; an ablation trains on tokens: add it")
    if base_recipe.tokenize.validation_share == 0.0:
        raise UserError(f"{recipe}: tokenize.validation_share = 0.0 leaves no text to score on; set it above 0")
    folder = root or str(Path("runs") / f"{base_recipe.name}-ablation")
    if not storage.is_local(folder):
        raise UserError(f"--root {folder}: expected a local folder: the variants of an ablation share files by links")
    from pipeline.ablation.runner import Plan

    plan = Plan(
        root=str(storage.local_path(folder).absolute()),
        base=base_recipe,
        variants=read_variants(recipe, set or [], vary),
        seeds=[base_recipe.train.seed + number for number in range(seeds)],
        validate_on=validate_on or [],
        validation_bytes=parse_memory(validation, "--validation"),
        base_run=_base_run(base),
    )
    _say_plan(plan)
    if dry_run:
        if json:
            names = [variant.name for variant in plan.variants]
            emit({"root": plan.root, "status": "planned", "variants": names, "seeds": plan.seeds})
        return 0
    found = _run(plan, workers)
    lines = [*summary_lines(found), f"page: {storage.join(plan.root, 'ablation.html')}"]
    return answer(json, found, "\n".join(lines), made=True)


def _base_run(base: str | None) -> str:
    from pipeline.run.folder import Run

    if base is None:
        return ""
    if not storage.is_local(base):
        raise UserError(f"--base {base}: expected a local run folder")
    return str(storage.local_path(Run.open(base).root).absolute())


def _say_plan(plan: Any) -> None:
    train = plan.base.train
    tokens = sum(v.recipe.train.steps * v.recipe.train.global_batch_tokens for v in plan.variants) * len(plan.seeds)
    say(f"{len(plan.variants)} variants x {len(plan.seeds)} seeds ({', '.join(map(str, plan.seeds))}):")
    for variant in plan.variants:
        say(f"  {variant.name}")
    say(f"{len(plan.variants) * len(plan.seeds)} trainings, {tokens:,} tokens in all; optimizer {train.optimizer}")


def _run(plan: Any, workers: int) -> dict[str, Any]:
    from flows.display.terminal import Terminal
    from flows.session.stages import STAGES
    from pipeline.ablation.page import publish
    from pipeline.ablation.results import results
    from pipeline.ablation.runner import Runner
    from pipeline.base.pool import Pool
    from pipeline.run.folder import Run

    def write(seeds: Any) -> None:
        publish(plan, results(plan, seeds))

    with Run(plan.root, plan.base).lock(), Pool(workers or None) as pool, Terminal() as progress:
        Runner(plan, pool, progress, STAGES, "model.trial:score_trial").execute(write)
    return results(plan, plan.seeds)


def bench(*names: str, json: Json = False) -> int:
    """Time tokenmill against installed peers, side by side, as a table of ratios.

    Without names: all but gpu, which wants one.

    Example: tokenmill bench dedup filter

    Parameters
    ----------
    names
        Benchmarks; a name that is none says which there are.
    """
    known = BENCHMARKS | ON_GPUS
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    rows = [{"benchmark": name, **row} for name in names or BENCHMARKS for row in import_module(known[name]).run()]
    lines = ["  ".join(f"{key} {figure(value)}" for key, value in row.items()) for row in rows]
    return answer(json, {"rows": rows}, "\n".join(lines))
