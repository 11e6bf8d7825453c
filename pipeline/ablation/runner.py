"""Runs an ablation: the base run, the data of each variant, and a trial for each variant and seed.

::

    ROOT/base/               the recipe as it is, up to its tokens: documents, signatures, signals, held-out text
    ROOT/data/<hash>/        the data of one variant or of several: links to what the base has, the rest made here
    ROOT/trials/<hash>/      one variant with one seed: links to its tokens; checkpoint, metrics, score
    ROOT/ablation.json       the result, ROOT/ablation.html the page

Each is a run folder as any other, so the manifests decide what is done, however the ablation was ended.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.ablation import sharing, validation
from pipeline.ablation.variants import Variant
from pipeline.base import storage
from pipeline.base.errors import TokenmillError, UserError
from pipeline.base.progress import Progress
from pipeline.recipe.load import Recipe
from pipeline.recipe.stage_names import CURATION
from pipeline.run import layout
from pipeline.run.context import Context, Workers
from pipeline.run.engine import load_function
from pipeline.run.folder import Run
from pipeline.run.manifest import Manifest
from pipeline.run.stages import run_stage
from pipeline.takedown import BLANK

SHARED_STEPS = (
    "clean",
    "dedup.signatures",
    "dedup.clusters",
    "dedup",
    "filter.classifier",
    "filter.index",
    "filter.signals",
    "filter",
)
TRIAL_STEPS = ("tokenize", "tokenize.tokenizer", validation.TOKENS_STEP.name)


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    root: str
    base: Recipe
    variants: Sequence[Variant]
    seeds: Sequence[int]
    validate_on: list[str] = field(default_factory=list)
    validation_bytes: int = 1_000_000
    base_run: str = ""  # a finished run whose outputs the base takes over

    def __post_init__(self) -> None:
        known = [source.name for source in self.base.sources]
        unknown = sorted(set(self.validate_on) - set(known))
        if unknown:
            raise UserError(f"--validate-on {', '.join(unknown)}: no such source; the recipe has {', '.join(known)}")

    @property
    def own_tokenizers(self) -> bool:
        """True where the tokenizer is what is varied: each variant then trains its own."""
        return any(key.startswith("tokenize.") for key in self.variants[0].settings)

    def data_root(self, variant: Variant) -> str:
        """The folder of a variant's data."""
        return storage.join(self.root, "data", variant.data_key())

    def trial_roots(self, seed: int) -> dict[int, str]:
        """The folder of each variant's trial with a seed; variants that are the same have one each."""
        roots: dict[int, str] = {}
        for variant in self.variants:
            root = storage.join(self.root, "trials", variant.trial_key(seed))
            twins = sum(taken.split("~")[0] == root for taken in roots.values())
            roots[variant.number] = f"{root}~{twins + 1}" if twins else root
        return roots


class Runner:
    """Does the work of a plan, one run folder after the other.

    Args:
        plan: What to run.
        workers: The pool that every folder's stages share.
        progress: Where lines go.
        functions: The stages by name, as ``module:run``.
        score_trial: The function that scores a trained trial, as ``module:name``.
    """

    def __init__(
        self, plan: Plan, workers: Workers, progress: Progress, functions: Mapping[str, str], score_trial: str
    ) -> None:
        self.plan, self._workers, self._progress = plan, workers, progress
        self._functions, self._score_trial = functions, score_trial

    def execute(self, after_seed: Callable[[Sequence[int]], None]) -> None:
        """Runs everything that is not done; ``after_seed`` is called with the seeds that every variant has finished.

        Seeds are the outer loop: an ablation that is ended early has compared every variant.
        """
        held_out = self._make_base()
        for variant in {variant.data_key(): variant for variant in self.plan.variants}.values():
            with _named(variant):
                self._make_data(variant, held_out)
        trials = len(self.plan.seeds) * len(self.plan.variants)
        for done, seed in enumerate(self.plan.seeds):
            for variant in self.plan.variants:
                number = done * len(self.plan.variants) + variant.number + 1
                self._progress.note(f"trial {number} of {trials}: {variant.name}, seed {seed}")
                with _named(variant):
                    self._run_trial(variant, seed)
            after_seed(self.plan.seeds[: done + 1])

    def _make_base(self) -> dict[str, Manifest]:
        run = Run(storage.join(self.plan.root, "base"), self.plan.base)
        with run.lock():
            if self.plan.base_run:
                sharing.share(self.plan.base_run, run.root, SHARED_STEPS)
            self._progress.note("base run: text, signals and what is held out")
            context = self._curate(run)
            return validation.hold_out_documents(context, self.plan.validate_on, self.plan.validation_bytes)

    def _make_data(self, variant: Variant, held_out: dict[str, Manifest]) -> None:
        root, base = self.plan.data_root(variant), storage.join(self.plan.root, "base")
        run = Run(root, self._data_recipe(variant, root))
        with run.lock():
            sharing.share(base, root, SHARED_STEPS)
            sharing.mirror(base, root, [validation.HELD_OUT_STEP.name])
            self._progress.note(f"data of {variant.name}")
            validation.sign_held_out(self._context(run), held_out)
            context = self._curate(run)
            padding = max(other.recipe.model.trained_context_length for other in self.plan.variants)
            validation.encode_held_out(context, held_out, padding)

    def _data_recipe(self, variant: Variant, root: str) -> Recipe:
        """The variant's recipe: nothing held out by itself, and the base run's tokenizer unless that is varied."""
        update: dict[str, Any] = {
            "validation_share": 0.0,
            "held_out": storage.join(root, layout.HELD_OUT_SIGNATURES),
        }
        if not self.plan.own_tokenizers:
            update["tokenizer"] = storage.join(self.plan.root, "base", layout.TOKENIZER)
        return variant.recipe.model_copy(update={"tokenize": variant.recipe.tokenize.model_copy(update=update)})

    def _context(self, run: Run) -> Context:
        return Context(run, self._workers, self._progress, before_publish=BLANK)

    def _curate(self, run: Run) -> Context:
        """Runs the stages from raw files to tokens; returns the last context."""
        run.write_recipe()
        context = self._context(run)
        for stage in run.recipe.stages:
            if stage in CURATION:
                context = self._context(run)
                run_stage(stage, self._functions[stage], context)
        return context

    def _run_trial(self, variant: Variant, seed: int) -> None:
        data = self.plan.data_root(variant)
        recipe = self._data_recipe(variant, data)
        recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"seed": seed})})
        run = Run(self.plan.trial_roots(seed)[variant.number], recipe)
        with run.lock():
            run.write_recipe()
            sharing.mirror(data, run.root, TRIAL_STEPS)
            context = self._context(run)
            run_stage("train", self._functions["train"], context)
            load_function(self._score_trial)(context)


@contextmanager
def _named(variant: Variant) -> Iterator[None]:
    """Errors inside name the variant."""
    try:
        yield
    except TokenmillError as error:
        raise type(error)(f"variant {variant.name}: {error}") from error
