"""What is left to train on, and where the rest went: why a training cannot begin is seen there."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.base.words import counted
from pipeline.filter import stage as filter_stage
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifests, total_counts
from pipeline.run.outcome import FEW_KEPT, reasons_in_words

_IN_AND_OUT = {"clean": ("records_in", "documents")}


@dataclass(frozen=True)
class Passed:
    """How much a stage passed on; ``reasons`` in words, the commonest first."""

    stage: str
    total: int
    left: int
    reasons: str = field(default="", compare=False)

    @property
    def share(self) -> float:
        """Of what it was given."""
        return self.left / max(1, self.total)

    def in_words(self) -> str:
        """Such as "filter kept 1 of 690 documents"."""
        if self.stage == "clean":
            return f"clean made {counted(self.left, 'document')} of {counted(self.total, 'record')}"
        return f"{self.stage} kept {self.left:,} of {counted(self.total, 'document')}"


def passed_on(run: Run) -> Iterator[Passed]:
    """Each stage that passes documents on, in the order of the recipe, as far as its manifests stand."""
    for stage in ("clean", *run.recipe.selection_before("tokenize")):
        counts = total_counts(load_manifests(run.root, stage).values())
        names = _IN_AND_OUT.get(stage, ("documents_in", "kept"))
        if names[0] in counts:
            figures = filter_stage.summary(counts) if stage == "filter" else _by_reason(counts)
            yield Passed(stage, counts[names[0]], counts.get(names[1], 0), reasons_in_words(figures))


def _by_reason(counts: dict[str, int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for kind in ("quarantined_reasons", "excluded_reasons"):
        found[kind] = {key.removeprefix(f"{kind}."): n for key, n in counts.items() if key.startswith(f"{kind}.")}
    return found


def cannot_be_held_out(run: Run) -> bool:
    """Whether the split held no document out though a share was asked for: nothing would be left to train on."""
    split = total_counts(load_manifests(run.root, "tokenize.split").values())
    return bool(split.get("train_documents")) and not split.get("validation_documents")


def account(run: Run) -> str:
    """Where the text went, in a sentence, and what would leave more of it; empty where no manifest tells.

    The stage that passes on the smallest share is named with its reasons where that is little; else there is little
    text to begin with, and no rule is to blame.
    """
    stages = list(passed_on(run))
    if not stages:
        return ""
    worst = min(stages, key=lambda passed: passed.share)
    words = "; ".join(passed.in_words() + _because(passed, worst) for passed in stages)
    return f"{words}. {_cure(run, worst)}"


def _because(passed: Passed, worst: Passed) -> str:
    return f" ({passed.reasons})" if passed == worst and passed.share < FEW_KEPT and passed.reasons else ""


def _cure(run: Run, worst: Passed) -> str:
    if worst.share >= FEW_KEPT:
        return "There is little text to begin with: add some"
    if worst.stage == "filter":
        return f"`tokenmill filter {run.root} --set filter.preset=own` shows what rules for one's own text would keep"
    if worst.stage == "dedup":
        return "Most of it is said more than once: add other text"
    return f"`tokenmill inspect {run.root}` shows what was not read, and why"
