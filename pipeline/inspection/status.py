"""The state of a run: what is done, what failed or is missing, what was never looked for; in words, from one table.

``STATES`` is the table: what each state means, what ``tokenmill explain`` says of a document where the stage would have
spoken, and how ``tokenmill verify`` ends.  A state is found from manifests, sizes and locks alone; ``verify.py`` reads
every byte.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import FormatError, TokenmillError, UnansweredError, parse_json
from pipeline.base.locks import is_held
from pipeline.base.words import counted
from pipeline.inspection.manifests_of import StepManifests, read_steps
from pipeline.lineage.training import metrics_lines
from pipeline.order.trained import check_tokens
from pipeline.recipe.stage_names import CURATION, STAGES, in_order, stage_of
from pipeline.report.stage import is_current
from pipeline.run import checkpoints, layout
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run
from pipeline.run.logs import failed_stages, stage_seconds


@dataclass(frozen=True)
class State:
    """One row of the table.

    Attributes:
        means: What it is, for ``status``.
        of_a_document: What ``explain`` says where the stage says nothing of a document.
        verify: Exit code of ``verify`` where a stage is in this state.
    """

    means: str
    of_a_document: str
    verify: int = 0


GO_ON = "run the same command again to go on"
AGAIN = "the next run makes it again"
STATES = {  # the worst first: a stage has the first state that one of its steps has
    "damaged": State(
        "a file is not what its manifest says",
        "not to be trusted: {stage} is damaged; `tokenmill verify` says where",
        1,
    ),
    "missing": State("files were removed", "not known: files of {stage} are missing", 1),
    "unrecorded": State(
        "files stand that no manifest names", "not to be trusted: the manifests of {stage} are gone", 1
    ),
    "failed": State("the last try failed", "not known: {stage} failed"),
    "running": State("a process is at work", "not known yet: a process is at work on {stage}"),
    "interrupted": State("not finished, and no process is at work", "not known: {stage} was interrupted"),
    "outdated": State("made from earlier tables", "of earlier tables, if anything: {stage} is outdated"),
    "imported": State("brought in with `tokenmill tokens import`", "none"),
    "done": State("every output stands", "none"),
    "not begun": State("nothing made yet", "not looked for yet: {stage} has not run"),
    "not in the recipe": State("no stage of this recipe", "not looked for: {stage} is no stage of this recipe"),
}

# where the files of a stage stand; of tokenize without index/, which holds an index of one's own making too
FOLDERS = {stage: layout.STAGE_FOLDERS[stage] for stage in (*CURATION, "train")}


def status_rows(run: Run) -> dict[str, dict[str, Any]]:
    """For each step with manifests, and each stage: its figures, state and problems.

    A row has shards ``done`` and in ``total``, ``bytes`` of the outputs, ``counts``, ``seconds`` of the stage,
    ``state`` (a key of ``STATES``), and ``problems`` in words.
    """
    steps, failed = read_steps(run.root), failed_stages(run)
    seen = _Seen(run, steps)
    seconds = stage_seconds(run)
    rows = {}
    for step in in_order({*steps, *failed, *STAGES}):
        found = steps.get(step, StepManifests())
        state, problems = seen.state(step)
        if step in failed and state in ("done", "running", "interrupted", "outdated", "not begun"):
            state, problems = "failed", [failed[step]]
        if step == "report" and step not in steps:
            rows[step] = _report_row(run, state, problems)
        else:
            rows[step] = {
                "done": len(found.shards),
                "total": seen.total(step),
                "bytes": sum(output.bytes for m in found.shards.values() for output in m.outputs),
                "counts": manifests.total_counts(found.shards.values()),
                "state": state,
                "problems": problems,
            }
        rows[step]["seconds"] = seconds.get(step.split(".")[0], 0.0)
    return rows


def stage_states(rows: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The state of each stage: the worst one of its steps."""
    found: dict[str, set[str]] = {stage: set() for stage in STAGES}
    for step, row in rows.items():
        found.setdefault(stage_of(step), set()).add(row["state"])
    return {stage: next(state for state in STATES if state in states) for stage, states in found.items()}


def of_a_document(states: dict[str, str]) -> dict[str, dict[str, str]]:
    """For ``explain``: the state of each stage, and what it means where the stage says nothing of a document."""
    return {
        stage: {"state": state, "says": STATES[state].of_a_document.format(stage=stage)}
        for stage, state in states.items()
    }


def unrecorded_files(run: Run, stage: str) -> list[str]:
    """Files in the folders of a stage, below the run folder."""
    return [f"{folder}{name}" for folder in FOLDERS.get(stage, ()) for name in storage.list_files(run.url(folder))]


class _Seen:
    """What the states are found from: every manifest, the locks, and what a takedown has left to do."""

    def __init__(self, run: Run, steps: dict[str, StepManifests]) -> None:
        self.run, self.steps = run, steps
        self.locked = run.is_locked()
        self.withdrawing = storage.exists(run.url(layout.TAKEDOWN_PLAN))
        self.outputs = {path: digest for found in steps.values() for path, digest in found.outputs().items()}

    def total(self, step: str) -> int:
        """Shards of a step; as long as it is not finished, those that are known so far."""
        found = self.steps.get(step)
        if found is None:
            return int(step == "train" and step in self.run.recipe.stages)  # one for the whole training
        if found.expected is not None:
            return len(found.expected)
        return max(len(self.steps["clean"].shards) if "clean" in self.steps else 0, len(found.shards))

    def state(self, step: str) -> tuple[str, list[str]]:
        """The state of a step and its problems in words, as far as files and manifests tell it."""
        found = self.steps.get(step)
        if found is None:
            return self._without_manifests(step)
        missing, damaged = self._outputs(found)
        if self.withdrawing and (missing or damaged):
            told = f"a takedown is under way; `tokenmill takedown {self.run.root}` finishes one that was interrupted"
            return self._unfinished([told])
        if damaged:
            return "damaged", [*damaged, *missing]
        if missing or ((found.gone or found.lost) and not self.locked):
            gone = [layout.shard_manifest(step, shard) + manifests.MISSING for shard in found.gone]
            gone += [layout.stage_manifest(step) + manifests.MISSING] * found.lost
            return "missing", [f"{problem}; {AGAIN}" for problem in [*missing, *gone]]
        if found.expected is None or found.gone or found.differs:
            return self._unfinished()
        if step == "train" and (told := self._succession()):
            return self._unfinished([told])
        earlier = self._earlier_inputs(found) or (self._other_tokens() if step == "train" else [])
        return ("outdated", earlier) if earlier else ("done", [])

    def _outputs(self, found: StepManifests) -> tuple[list[str], list[str]]:
        """What is missing, and what is damaged."""
        problems = [p for m in found.shards.values() if (p := manifests.missing_output(self.run.root, m))]
        missing = [problem for problem in problems if problem.endswith(manifests.MISSING)]
        return missing, [*found.problems.values(), *(problem for problem in problems if problem not in missing)]

    def _unfinished(self, more: Iterable[str] = ()) -> tuple[str, list[str]]:
        if self.locked or is_held(self._train_lock()):
            return "running", list(more)
        where = "" if storage.is_local(self.run.root) else " of this machine"
        return "interrupted", [*more, f"no process{where} works on this run; {GO_ON}"]

    def _train_lock(self) -> Any:
        url = self.run.url(layout.TRAIN_LOCK)
        return storage.local_path(url) if storage.is_local(url) else storage.cache_folder() / "none"

    def _succession(self) -> str:
        """That another training takes the place of the finished one, in words; empty where none does."""
        try:
            under_way = checkpoints.succession(self.run.root).training
        except FormatError as error:
            return str(error)
        return "another training takes the place of the finished model, which stands until then" if under_way else ""

    def _other_tokens(self) -> list[str]:
        """That the last checkpoint was trained on other tokens than those in the run, in words; empty where not."""
        try:
            standing = checkpoints.standing(self.run.root)
            if standing:
                check_tokens(self.run, max(standing), "which steps read which documents")
        except UnansweredError:
            raise
        except FileNotFoundError:  # of the tokens, which is told of their own stage
            return []
        except TokenmillError as error:
            return [str(error)]
        return []

    def _earlier_inputs(self, found: StepManifests) -> list[str]:
        """Inputs that other manifests say are another file now."""
        changed = {
            path
            for made in found.shards.values()
            for path, digest in made.inputs.items()
            if self.outputs.get(path, digest) != digest
        }
        shown = sorted(changed)[:3]
        more = f" and {len(changed) - len(shown):,} more" if len(changed) > len(shown) else ""
        return [f"made from an earlier {', '.join(shown)}{more}; {AGAIN}"] if changed else []

    def _without_manifests(self, step: str) -> tuple[str, list[str]]:
        if step == "report":
            return self._report()
        if any(stage_of(other) == step for other in self.steps):  # steps that prepare it are made
            return self._unfinished()
        files = unrecorded_files(self.run, step)
        if step == "train" and (files or is_held(self._train_lock())):
            return self._training()
        if step == "tokenize" and files and not unrecorded_files(self.run, "clean") and "clean" not in self.steps:
            return "imported", []
        if files and self.locked:
            return "running", []
        if files:
            folders = ", ".join(sorted({f"{path.split('/')[0]}/" for path in files}))
            told = "the manifests were removed, or a run was killed at its first shard"
            return "unrecorded", [
                f"{len(files):,} files in {folders} that no manifest names: {told}; the next run makes them"
            ]
        return ("not begun" if step in self.run.recipe.stages else "not in the recipe"), []

    def _training(self) -> tuple[str, list[str]]:
        """A training that is not finished: how far it is, and whether the tokens are still those it is trained on."""
        try:
            standing = checkpoints.standing(self.run.root)
        except FormatError as error:
            return "damaged", [str(error)]
        steps = self._steps_made()
        if not standing:
            return self._unfinished(steps)
        last = max(standing)
        path = f"{standing[last]}/{layout.CHECKPOINT_STATE}"
        try:
            trained = parse_json(storage.read_bytes(self.run.url(path))).get("tokenizer")
        except (ValueError, AttributeError):
            return "damaged", [f"{path}: damaged; `tokenmill verify {self.run.root} --delete` removes the checkpoint"]
        here = self.outputs.get(layout.TOKENIZER, trained)
        if trained is not None and trained != here:
            return "outdated", [f"{path}: trained on tokens of tokenizer {trained}; those here are of {here}"]
        if other := self._other_tokens():
            return "outdated", other
        return self._unfinished([*steps, f"the last checkpoint is of step {last:,}"])

    def _steps_made(self) -> list[str]:
        """How many steps the training has made, in words, as far as its metrics tell it."""
        made = max((line["step"] for line in metrics_lines(self.run)), default=0)
        return [f"{made:,} of {counted(self.run.recipe.train.steps, 'step')} made"] if made else []

    def _report(self) -> tuple[str, list[str]]:
        if not storage.exists(self.run.url(layout.REPORT_PAGE)):
            return ("not begun" if "report" in self.run.recipe.stages else "not in the recipe"), []
        if is_current(self.run):
            return "done", []
        renews = f"`tokenmill report {self.run.root}` renews it"
        return "outdated", [f"{layout.REPORT_PAGE} was made from earlier tables, or is not as it was made; {renews}"]


def _report_row(run: Run, state: str, problems: list[str]) -> dict[str, Any]:
    """The report stands outside the manifests, so its row is made from its files."""
    sizes = [storage.size(run.url(layout.REPORT, name)) or 0 for name in storage.list_files(run.url(layout.REPORT))]
    made = int(state in ("done", "outdated"))
    counts = {"files": len(sizes)} if made else {}
    return {"done": made, "total": made, "bytes": sum(sizes), "counts": counts, "state": state, "problems": problems}


def rebuild_command(run: Run) -> str:
    """The command that makes again what is missing, and starts no stage of the recipe that was never run."""
    begun = {stage_of(step) for step in manifests.steps_of(run.root)}
    begun |= {stage for stage in (*CURATION, "train") if unrecorded_files(run, stage)}
    if storage.list_files(run.url(layout.REPORT)):  # any of its files: the page may be what is gone
        begun.add("report")
    stages = [stage for stage in run.recipe.stages if stage in begun]
    command = f"tokenmill run {run.url(layout.RECIPE)} --root {run.root}"
    return command if stages == run.recipe.stages else f"{command} --stages {','.join(stages)}"
