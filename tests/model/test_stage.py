"""The train stage inside a run: planned without work, done by a process of its own, ended with its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock

import pytest

from model import stage
from model.stage import run as run_stage
from pipeline.base.errors import RunError, UserError
from pipeline.base.progress import Moment, Silent
from pipeline.recipe.load import load_recipe
from pipeline.run import logs
from pipeline.run.context import Context, NeedsWork
from pipeline.run.folder import Run
from tests.model.runs import make_run

DEMO = Path(__file__).parents[2] / "configs" / "demo.toml"


class Remembering(Silent):
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []
        self.lines: list[str] = []
        self.moments: list[Moment] = []

    def step_started(self, step: str, total: int, skipped: int, unit: str = "shard") -> None:
        self.steps.append((f"{step} {unit}", total, skipped))

    def moment(self, moment: Moment) -> None:
        self.moments.append(moment)

    def shard_done(self, step: str, shard: str, counts: dict[str, int], seconds: float) -> None:
        self.lines.append(shard)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Remembering, dict[str, Any]]:
    run, progress = make_run(tmp_path_factory.mktemp("stage")), Remembering()
    with pytest.raises(NeedsWork, match="train") as planned:
        run_stage(Context(run, dry=True))
    assert planned.value.what == "8 steps"
    return run, progress, run_stage(Context(run, progress=progress))


def test_summary_has_the_keys_of_the_interface(finished: tuple[Run, Remembering, dict[str, Any]]) -> None:
    keys = {"steps", "tokens", "train_loss", "validation_loss", "bits_per_byte", "tokens_per_second", "checkpoint"}
    assert keys <= finished[2].keys()
    assert finished[2]["checkpoint"] == "checkpoints/step-0000008"
    assert finished[2]["bits_per_byte"] > 0 < finished[2]["unigram_bits_per_byte"]


def test_progress_counts_steps_and_passes_the_logged_lines_on(
    finished: tuple[Run, Remembering, dict[str, Any]],
) -> None:
    progress = finished[1]
    assert progress.steps == [("train step", 8, 0)]
    assert progress.moments[0].at == "getting ready"
    assert progress.moments[1].at.endswith("of 8")
    assert any(word.startswith("loss ") for word in progress.moments[1].words)
    assert len(progress.lines) == 8
    assert progress.lines[-1].startswith("step 8 of 8: loss ")


def test_finished_training_is_skipped_and_a_changed_recipe_is_not(
    finished: tuple[Run, Remembering, dict[str, Any]],
) -> None:
    run = finished[0]
    context = Context(run, dry=True)
    assert run_stage(context)["steps"] == 8
    assert (context.shards_run, context.shards_skipped) == (0, 1)
    longer = Run(run.root, load_recipe(f"{run.root}/recipe.toml", ("train.steps=9",)))
    with pytest.raises(UserError, match=r"train.steps = 8, and the recipe now asks for 9.*--restart"):
        run_stage(Context(longer, dry=True))
    with pytest.raises(NeedsWork) as planned:
        run_stage(Context(longer, dry=True, restart=True))
    assert planned.value.reasons == {"all": "--restart: it begins anew"}
    oftener = Run(run.root, load_recipe(f"{run.root}/recipe.toml", ("train.log_every_steps=4",)))
    assert run_stage(Context(oftener, dry=True))["steps"] == 8


def test_error_of_the_training_process_reaches_the_stage(tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=("train.micro_batch_sequences=3",))
    with pytest.raises(UserError, match="does not divide the 8 sequences"):
        run_stage(Context(run))


def test_training_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=("train.steps=1000000", "train.checkpoint_every_steps=5"))
    code = (
        "from model.stage import run; from pipeline.run.context import Context; from pipeline.run.folder import Run; "
        f"run(Context(Run.open({run.root!r})))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as parent:
        metrics = Path(run.root) / "metrics/train.jsonl"
        while parent.poll() is None and not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.01)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text(encoding="utf-8").split()
        assert len(children) == 1, "the training must be running"
        os.kill(parent.pid, signal.SIGKILL)
    child = Path(f"/proc/{children[0]}/cmdline")
    deadline = time.monotonic() + 20
    while child.exists() and b"model.train" in child.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not (child.exists() and b"model.train" in child.read_bytes())


STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"event": "note", "text": "saving a large checkpoint"}', flush=True)
time.sleep(600)
"""


def test_trainer_that_takes_too_long_to_save_is_ended_when_the_run_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cancelled(Silent):
        def note(self, text: str) -> None:
            raise KeyboardInterrupt

    started: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def start(*arguments: Any, **values: Any) -> "subprocess.Popen[str]":
        started.append(real(*arguments, **values))
        return started[-1]

    monkeypatch.setattr(stage, "launch_command", lambda *_: [sys.executable, "-c", STUBBORN])
    monkeypatch.setattr(stage, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(stage.subprocess, "Popen", start)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        run_stage(Context(make_run(tmp_path), progress=Cancelled()))
    assert started[0].returncode == -signal.SIGKILL


def test_trainer_that_saves_is_not_ended_by_a_signal_that_comes_once_more(tmp_path: Path) -> None:
    class Lines:
        """The signal comes three times while the trainer saves."""

        said: ClassVar = [KeyboardInterrupt, KeyboardInterrupt, '{"event": "note", "text": "saved"}', None]

        def get(self, timeout: float | None) -> str | None:
            said = self.said.pop(0)
            if said is KeyboardInterrupt:
                raise KeyboardInterrupt
            return said

    process, progress = Mock(poll=Mock(return_value=None)), Mock()
    run = Run(str(tmp_path), load_recipe(DEMO))
    stage._Processes(Context(run, progress=progress))._ask_to_end(process, Lines())  # type: ignore[arg-type]
    process.send_signal.assert_called_once_with(signal.SIGTERM)
    assert progress.note.call_args_list[-1].args == ("saved",)


def test_a_cancelled_run_leaves_its_trainer_half_of_the_ten_seconds() -> None:
    assert 1.0 <= stage.GRACE_SECONDS <= 5.0  # type: ignore[attr-defined]


STARTED = """print('{"event": "started", "step": 0}', flush=True)"""


@pytest.mark.parametrize("restart", [False, True])
def test_time_of_a_training_that_is_thrown_away_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    run, clock = make_run(tmp_path), Mock(return_value=0.0)
    logs.remember_seconds(run, "train", 400.0, finished=False)
    context = Context(run, restart=restart)
    context.begin(attempt := logs.Attempt(run, "train", clock))
    monkeypatch.setattr(stage, "launch_command", lambda *_: [sys.executable, "-c", STARTED])
    clock.return_value = 7.0
    with pytest.raises(KeyboardInterrupt):  # it has begun, and is not finished
        run_stage(context)
    assert attempt.total(goes_on=context.goes_on) == (7.0 if restart else 407.0)
    assert logs.stage_seconds(run)["train"] == (7.0 if restart else 400.0)


FALLS_OUT = """
import os, sys
if {when}:
    sys.stderr.write("the card of this process\\nhas fallen out")
    sys.stderr.flush()
    os._exit(7)
"""


@pytest.mark.parametrize(
    ("processes", "when"),
    [
        (1, "'model.train' in sys.orig_argv"),
        pytest.param(2, "os.environ.get('RANK') == '1'", marks=pytest.mark.slow),
    ],
)
def test_message_of_a_training_that_ends_without_one_has_the_last_words_of_its_process(
    processes: int, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, overrides=(f"train.processes={processes}",))
    (tmp_path / "first").mkdir()
    (tmp_path / "first/sitecustomize.py").write_text(FALLS_OUT.format(when=when))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'first'}:{os.environ.get('PYTHONPATH', '')}")
    with pytest.raises(RunError, match="exit code 7; the last that it said:") as caught:
        run_stage(Context(run))
    assert "the card of this process" in str(caught.value)
    assert "has fallen out" in str(caught.value)
