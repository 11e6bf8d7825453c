"""A signal ends a training with a checkpoint, whoever gets it: one process, ranks, torchrun, what started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model.checkpoints.steps import complete_steps
from model.stage import launch_command
from model.training import signals
from model.training.metrics import read_lines
from pipeline.base.processes import alive, descendants
from pipeline.run.folder import Run
from tests.model.runs import make_run

LONG = ("train.steps=1000000", "train.checkpoint_every_steps=0")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def program(run: Run) -> list[str]:
    return ["-m", "model.train", "--recipe", f"{run.root}/recipe.toml", "--root", run.root]


@contextmanager
def training(command: list[str], *, ignored: signal.Signals | None = None) -> Iterator["subprocess.Popen[str]"]:
    """A training in its first steps, with the signals answered as for a command that a person starts."""

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts a background job with it ignored
        if ignored is not None:
            signal.signal(ignored, signal.SIG_IGN)

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=prepare, env=environment
    ) as process:
        try:
            read_until(process, "step ")
            yield process
        except BaseException:
            process.kill()
            raise


def read_until(process: "subprocess.Popen[str]", start: str) -> str:
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith(start):
            return said
    raise AssertionError(said)


def rest(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    return process.stderr.read()


def saved_step(run: Run) -> int:
    """The step of the only checkpoint, which is that of the last line of metrics."""
    (step,) = complete_steps(run.root)
    assert read_lines(run.root)[-1]["step"] == step > 0
    return step


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 0)], ids=lambda value: str(value))
def test_signal_saves_a_checkpoint_and_says_where_the_next_start_begins(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    run = make_run(tmp_path, overrides=LONG)
    with training([sys.executable, *program(run)]) as process:
        process.send_signal(number)
        said = rest(process)
        assert process.wait() == code, said
    assert "Ctrl-C again ends at once, and then the next start begins at step 0" in said
    assert f"the next start begins at step {saved_step(run):,}: run the same command again to go on" in said


def test_training_under_nohup_goes_on_when_the_terminal_closes(tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=LONG)
    with training([sys.executable, *program(run)], ignored=signal.SIGHUP) as process:
        process.send_signal(signal.SIGHUP)
        read_until(process, "step ")
        process.send_signal(signal.SIGTERM)
        said = rest(process)
        assert process.wait() == 0
    assert f"stopped by SIGTERM at step {saved_step(run)}" in said


def test_signal_before_the_first_step_ends_with_a_sentence(tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=LONG)
    with subprocess.Popen([sys.executable, *program(run)], stderr=subprocess.PIPE, text=True) as process:
        read_until(process, "tokens to read")
        process.send_signal(signal.SIGTERM)
        said = rest(process)
        assert process.wait() == 0
    assert "stopped by SIGTERM" in said
    assert "the next start begins at step " in said


def test_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    long_step = (*LONG, "train.global_batch_tokens=131072")
    run = make_run(tmp_path, overrides=long_step)
    with training([sys.executable, *program(run)]) as process:
        process.send_signal(signal.SIGINT)
        read_until(process, "saving a checkpoint after this step")
        process.send_signal(signal.SIGINT)
        assert "interrupted twice, ended at once; the next start begins at step 0" in rest(process)
        assert process.wait() == 130
    assert complete_steps(run.root) == []


@pytest.mark.parametrize("parallel", [pytest.param("ddp", marks=pytest.mark.slow), "fsdp"])
def test_sigterm_to_one_rank_of_two_stops_both_at_the_same_step(tmp_path: Path, parallel: str) -> None:
    run = make_run(tmp_path, overrides=(*LONG, f"train.parallel={parallel}"))
    with training([sys.executable, *TORCHRUN, *program(run)]) as process:
        os.kill(rank(process, 1), signal.SIGTERM)
        said = rest(process)
        assert process.wait() == 0, said
    assert f"stopped by SIGTERM at step {saved_step(run)}" in said


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)], ids=lambda value: str(value))
def test_tokenmill_train_with_two_processes_ends_with_the_code_of_one(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    run = make_run(tmp_path, overrides=LONG)
    with training(launch_command(f"{run.root}/recipe.toml", run.root, 2)) as process:
        process.send_signal(number)
        said = rest(process)
        assert process.wait() == code, said
    assert "Traceback" not in said
    assert f"the next start begins at step {saved_step(run)}" in said


@pytest.mark.slow
def test_ranks_save_a_checkpoint_when_torchrun_is_killed(tmp_path: Path) -> None:
    run = make_run(tmp_path, overrides=LONG)
    with training([sys.executable, *TORCHRUN, *program(run)]) as process:
        ranks = [rank(process, 0), rank(process, 1)]
        process.kill()
        rest(process)  # until both have ended
        assert_gone(ranks)
    assert saved_step(run)


STAGE = """
from model.stage import run
from pipeline.run.context import Context
from pipeline.run.folder import Run
run(Context(Run.open({root!r})))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_stage_that_is_interrupted_or_killed_leaves_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    run = make_run(tmp_path, overrides=LONG)
    command = [sys.executable, "-c", STAGE.format(root=run.root)]
    allow = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, preexec_fn=allow, **quiet) as process:  # type: ignore[call-overload]
        metrics = Path(run.root) / "metrics/train.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.01)
        below = descendants(process.pid)
        assert len(below) == 1, "the training must be running"
        process.send_signal(number)
    assert_gone(below)
    assert saved_step(run)


def rank(process: "subprocess.Popen[str]", number: int) -> int:
    """The process of one rank below torchrun."""
    for pid in descendants(process.pid):
        if f"RANK={number}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return pid
    raise AssertionError("no such rank")


def assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert alive(pids) == []


def test_one_interrupt_of_all_processes_is_not_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchrun passes on what its processes got as well; a person's second Ctrl-C comes later."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    now, told = [100.0], list[str]()
    monkeypatch.setattr("model.training.signals.time.monotonic", lambda: now[0])
    answer = signals.Remembered(lambda: told.append("asked"), lambda: told.append("at once"))
    answer(signal.SIGINT, None)
    answer(signal.SIGINT, None)
    assert (told, answer.number) == (["asked"], signal.SIGINT)
    now[0] += signals.ECHO_SECONDS
    answer(signal.SIGINT, None)
    assert told == ["asked", "at once"]
