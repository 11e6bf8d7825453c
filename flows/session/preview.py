"""What ``run --dry-run`` says beside the plan: the sources, and an estimate of documents, minutes and disk."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.words import counted, rounded
from pipeline.preview.room import free_bytes, too_little
from pipeline.preview.sources import Looked, look_at_sources
from pipeline.proposal.estimate import Estimate, estimate
from pipeline.proposal.sizes import CPU_FLOPS
from pipeline.run.folder import Run
from pipeline.run.stages import StagePlan

START_SECONDS = 20  # of the server, of processes, of a tokenizer's training


@dataclass(frozen=True)
class Training:
    """What the train stage will take; ``seconds`` on this machine's processors, None where it has a GPU."""

    seconds: float | None
    checkpoint_bytes: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What lies in the sources, and what a run makes of it."""

    run: Run
    sources: list[Looked]
    estimate: Estimate
    tokens: int
    training: Training | None
    workers: int

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        found, sample = self.estimate, self.estimate.sample
        names = ("documents", "unique", "text_bytes", "seconds", "disk_bytes", "not_sampled")
        figures = {
            "sampled_bytes": sample.bytes,
            "share": found.share,
            **{name: round(getattr(found, name)) for name in names},
            "kept": round(found.kept.documents),
            "kept_bytes": round(found.kept.bytes),
            "judged": found.judged,
        }
        estimated = {"none": found.why_none} if found.why_none else figures
        more = {"tokens": self.tokens, "minutes": round(self.minutes, 1), "disk_free_bytes": free_bytes(self.run.root)}
        return {"sources": {s.name: s.as_dict() for s in self.sources}, "estimate": {**estimated, **more}}

    @property
    def minutes(self) -> float:
        """Of the curation, by as many workers."""
        return (START_SECONDS + self.estimate.seconds / self.workers) / 60

    def lines(self) -> Iterator[str]:
        """For a person."""
        for source in self.sources:
            yield from source.lines()
        if self.estimate.why_none:
            yield self.estimate.why_none
            return
        yield from self._documents()
        yield from self._minutes()
        yield from self._disk()

    def _documents(self) -> Iterator[str]:
        found, sample = self.estimate, self.estimate.sample
        size = f"{sample.bytes / 1e6:,.1f} MB"
        looked = f"all {size} looked at" if found.whole else f"by a sample of {size} ({min(found.share, 0.999):.1%})"
        twins = found.documents - found.unique
        same = f"; {twins / found.documents:.0%} are the same as others" if round(twins) else ""
        kept = f"; the rules keep {found.kept.documents / max(1.0, found.unique):.0%}" if found.judged else ""
        others = " of the others" if same and kept else " of them" if kept else ""
        yield (
            f"estimate, {looked}: about {counted(round(found.documents), 'document')} with "
            f"{found.text_bytes / 1e6:,.1f} MB of text{same}{kept}{others}; some {rounded(self.tokens)} tokens"
            + ("" if found.whole else ", before duplicates go that the sample does not show")
        )
        if found.not_sampled:
            yield f"  without {counted(found.not_sampled, 'file')} that must be read whole and are large"

    def _minutes(self) -> Iterator[str]:
        took = f"estimate: {in_minutes(self.minutes)} for the curation with {counted(self.workers, 'worker')}"
        if self.training is None:
            yield took
            return
        seconds = self.training.seconds
        more = "`tokenmill plan` has the hours of GPUs" if seconds is None else in_minutes(seconds / 60)
        yield f"{took}; training: {more}"
        yield from self.training.warnings

    def _disk(self) -> Iterator[str]:
        needed = self.estimate.disk_bytes + (self.training.checkpoint_bytes if self.training else 0)
        free = free_bytes(self.run.root)
        room = "" if free is None else f"; {free / 1e9:,.1f} GB are free on its disk"
        yield f"estimate: {needed / 1e9:,.2f} GB in the run folder{room}"
        if told := too_little(self.run.root, needed, "an estimate"):
            yield told


def in_minutes(minutes: float) -> str:
    """Such as "some 3 minutes"; an estimate has no more digits.

    Example:
        >>> [in_minutes(minutes) for minutes in (0.4, 7.3, 300)]
        ['under a minute', 'some 7 minutes', 'some 5 hours']
    """
    if minutes < 1:
        return "under a minute"
    return f"some {counted(round(minutes), 'minute')}" if minutes < 120 else f"some {round(minutes / 60)} hours"


def preview(run: Run, plans: Sequence[StagePlan], workers: int) -> Preview | None:
    """What is to be said of the sources; None where they are not read any more.

    Raises:
        UserError: If a path names no file.
    """
    working = [planned.stage for planned in plans if planned.state != "done"]
    if "clean" not in working:
        return None
    found = estimate(run.recipe)
    tokens = found.tokens(run.recipe.tokenize)
    training = _training(run, found, tokens) if "train" in working else None
    return Preview(
        run, look_at_sources(run.recipe, run.root), found, tokens, training, workers or len(os.sched_getaffinity(0))
    )


def _training(run: Run, found: Estimate, tokens: int) -> Training:
    from model.devices.gpus import visible_gpus
    from model.plan.enough import warnings
    from model.plan.flops import flops_per_token
    from model.plan.plan import estimate as plan
    from model.training.refusals import wanted_shape

    config, train = wanted_shape(run), run.recipe.train
    gpu = bool(visible_gpus()) and train.device != "cpu"
    flops = flops_per_token(config) * train.steps * train.global_batch_tokens
    seconds = None if gpu else flops / (CPU_FLOPS * len(os.sched_getaffinity(0)))
    goes_on = run.recipe.model.init is not None
    told = () if found.why_none else tuple(warnings(config, train, max(1, tokens), goes_on=goes_on))
    return Training(seconds, (train.keep_last + 1) * int(plan(config, train)["checkpoint_bytes"]), told)
