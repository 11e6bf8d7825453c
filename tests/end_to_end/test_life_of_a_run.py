"""The life of a run after its first success: whatever is done to it, in whatever order, nothing finished is lost.

Random sequences of commands on one run folder: run to the end, change the settings, begin anew, interrupt, delete and
damage outputs, take a document down, sample, export.  After each of them:

- a model that was finished still stands, or its successor does;
- weights are used with the tokenizer that they were trained with, or not at all;

and at the end the run is brought to one state, which has the bytes of a run that went there straight.
"""

import contextlib
import gzip
import json
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flows.session.stages import run_stage, working_context
from model.evaluation.generate import Sampling
from model.evaluation.scoring import sample_run
from model.export.folder import export_run
from model.network.transformer import Transformer
from model.training.report import Reporter
from model.training.start import train_run
from model.training.trainer import Stopped  # type: ignore[attr-defined]
from pipeline.base.errors import UserError
from pipeline.base.pool import InProcess
from pipeline.inspection.verify import ANOTHER, verify_run
from pipeline.recipe.load import load_recipe
from pipeline.run import checkpoints, layout
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from tests.end_to_end.tiny import RECIPE, promised
from tests.trees import tree

SHORT = """steps = 6
log_every_steps = 1
checkpoint_every_steps = 2
threads = 1
precision = "float32"
"""
VARIANTS = {
    "as it is": (),
    "another rate": ("train.learning_rate=0.0005",),
    "other tokens": ("tokenize.vocabulary_size=400",),
}
SEQUENCES = 12
CURATION = ("clean", "dedup", "filter", "tokenize")
REBUILT = (layout.DOCUMENTS, layout.SIGNATURES, layout.VERDICTS, layout.TOKENS, layout.TOKENIZER_FOLDER)


class Interrupting(Reporter):
    """Asks for the end of the training, as a signal does, when it has logged so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__(leads=False, events=False)
        self._left = steps

    def metrics(self, line: dict[str, Any], steps: int, left: float | None) -> None:
        self._left -= "loss" in line
        if self._left == 0:
            signal.raise_signal(signal.SIGTERM)


def write_recipe(folder: Path, sample: Path) -> Path:
    """A recipe over 120 articles, whose training takes six steps."""
    (folder / "raw").mkdir(parents=True)
    with gzip.open(sample / "wikipedia-leads.jsonl.gz", "rb") as lines:
        (folder / "raw" / "prose.jsonl").write_bytes(b"".join(next(lines) for _ in range(120)))
    start, end = RECIPE.index('[[sources]]\nname = "web"'), RECIPE.index("[clean]")
    recipe = (RECIPE[:start] + RECIPE[end:]).replace("prose.jsonl.gz", "prose.jsonl").replace("steps = 12\n", SHORT)
    (folder / "recipe.toml").write_text(recipe)
    return folder / "recipe.toml"


def curate(recipe: Path, root: Path, variant: str) -> Run:
    run = Run(str(root), load_recipe(recipe, VARIANTS[variant]))
    with run.lock(), InProcess() as workers:
        run.write_recipe()
        for stage in CURATION:
            run_stage(stage, working_context(run, workers))
    return run


class Life(RuleBasedStateMachine):
    """One run folder, and what must be true of it."""

    recipe: Path  # set by the test
    straight: dict[str, dict[str, bytes]]  # variant -> the bytes of a run that was made in one go

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="tokenmill-life-")
        self.root = Path(self._folder.name) / "run"
        self.variant, self.exports, self.finished, self.taken = "as it is", 0, False, False

    @initialize()
    def first_success(self) -> None:
        train_run(curate(self.recipe, self.root, self.variant), Interrupting(0))
        self.finished = True

    # -- what is done to it

    @rule(variant=st.sampled_from(sorted(VARIANTS)))
    def change(self, variant: str) -> None:
        self.variant = variant

    @rule()
    def curate(self) -> None:
        curate(self.recipe, self.root, self.variant)

    @rule(restart=st.booleans())
    def train(self, restart: bool) -> None:
        run = curate(self.recipe, self.root, self.variant)
        before = tree(self.root / layout.CHECKPOINTS)
        refused = ""
        try:
            train_run(run, Interrupting(0), restart=restart)
        except UserError as error:
            refused = str(error)
        if refused:
            note(refused)
            assert not restart
            assert "--restart" in refused
            assert tree(self.root / layout.CHECKPOINTS) == before

    @rule(steps=st.integers(1, 5))
    def interrupt(self, steps: int) -> None:
        run = curate(self.recipe, self.root, self.variant)
        with contextlib.suppress(Stopped):  # a restart that was interrupted before may have fewer steps left
            train_run(run, Interrupting(steps), restart=True)

    @rule(number=st.integers(0, 1000), damage=st.booleans())
    def lose_an_output(self, number: int, damage: bool) -> None:
        files = [name for name in sorted(tree(self.root)) if name.startswith(REBUILT)]
        name = files[number % len(files)]
        path = self.root / name
        if damage:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 255
            path.write_bytes(data)
        else:
            path.unlink()
        found = verify_run(str(self.root), delete=True)[1]
        assert name in {entry["path"] for entry in found}
        for entry in found:
            if entry["cure"].startswith(ANOTHER):  # there is no copy
                (self.root / entry["path"]).unlink(missing_ok=True)

    @precondition(lambda self: not self.taken)
    @rule()
    def take_a_document_down(self) -> None:
        run = curate(self.recipe, self.root, self.variant)
        ids = read_table(run.local(layout.documents("00000")), DOCUMENTS, ["doc_id"])["doc_id"]
        take_down(run, Choice(ids=(ids[3].as_py().hex(),)))
        self.taken = True

    # -- what must be true of it

    @invariant()
    def a_model_stands_and_is_used_with_its_own_tokenizer(self) -> None:
        if not self.finished:
            return
        Transformer.from_run(str(self.root))
        run = Run.open(self.root)
        sample_run(run, "The", 2, Sampling(seed=1))
        self.exports += 1
        output = Path(self._folder.name) / f"export-{self.exports}"
        export_run(run, output)
        step = checkpoints.chosen(run.root)
        assert digest_file(output / "tokenizer.json") == checkpoints.read_state(run.root, step)["tokenizer"]
        weights = json.loads((output / "config.json").read_text())["vocab_size"]
        assert weights >= len(json.loads((output / "tokenizer.json").read_text())["model"]["vocab"])

    def teardown(self) -> None:
        if self.finished:
            run = curate(self.recipe, self.root, self.variant)
            train_run(run, Interrupting(0), restart=True)
            if not self.taken:
                assert promised(self.root) == self.straight[self.variant]
        self._folder.cleanup()


def straight_runs(folder: Path, recipe: Path) -> dict[str, dict[str, bytes]]:
    found = {}
    for number, variant in enumerate(VARIANTS):
        root = folder / f"straight-{number}"
        train_run(curate(recipe, root, variant), Interrupting(0))
        found[variant] = promised(root)
    return found


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_nothing_finished_is_lost_or_mixed_up_in_any_order(tmp_path: Path, sample: Path) -> None:
    recipe = write_recipe(tmp_path, sample)
    Life.recipe, Life.straight = recipe, straight_runs(tmp_path, recipe)
    few = settings(
        max_examples=SEQUENCES,
        stateful_step_count=8,
        deadline=None,
        phases=[Phase.generate],  # a sequence of seconds is not worth minutes of shrinking
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Life, settings=few)
