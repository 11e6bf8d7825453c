"""More steps: wsd goes on from before its rate fell, to the bytes of a training that had them from the start."""

import re
import shutil
from pathlib import Path

import pytest

from model.checkpoints import checkpoint
from model.network.transformer import Transformer
from model.training.report import Reporter
from model.training.start import train_run
from model.training.trainer import Trainer
from pipeline.base.errors import UserError
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.model.runs import losses, make_run, promised

WSD = ("train.schedule=wsd",)
LONGER = (*WSD, "train.steps=16")


def changed(run: Run, *overrides: str) -> Run:
    return Run(run.root, load_recipe(Path(run.root).parent / "recipe.toml", overrides))


@pytest.fixture(scope="module", params=["adamw", pytest.param("muon", marks=pytest.mark.slow)])
def optimizer(request: pytest.FixtureRequest) -> str:
    return f"train.optimizer={request.param}"


@pytest.fixture(scope="module")
def from_the_start(optimizer: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("whole"), overrides=(*LONGER, optimizer))
    train_run(run)
    return run


@pytest.fixture
def finished(optimizer: str, tmp_path: Path) -> Run:
    run = make_run(tmp_path, overrides=(*WSD, optimizer))
    train_run(run)
    assert checkpoint.complete_steps(run.root) == [4, 6, 8], "the one before the rate falls is kept"
    return run


class Killed(BaseException):
    pass


def killed_at(step: int, run: Run) -> list[str]:
    """Trains until ``step`` steps are made, then dies; returns what was said."""
    real, said = Trainer._one_step, []

    def die(self: Trainer, batch: object) -> object:
        if self.progress.step == step:
            self.checkpoints.settle(self.progress)
            raise Killed
        return real(self, batch)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_one_step", die)
        patch.setattr(Reporter, "note", lambda self, text: said.append(text))
        with pytest.raises(Killed):
            train_run(run)
    return said


def test_finished_training_is_extended_to_the_bytes_of_the_longer_one(
    finished: Run, from_the_start: Run, optimizer: str
) -> None:
    assert train_run(changed(finished, *LONGER, optimizer))["steps"] == 16
    assert promised(finished) == promised(from_the_start)
    assert losses(finished) == losses(from_the_start)


def test_old_model_stays_until_the_first_checkpoint_of_the_longer_one(
    finished: Run, from_the_start: Run, optimizer: str
) -> None:
    before = Transformer.from_run(finished.root).state_dict()
    said = killed_at(5, changed(finished, *LONGER, optimizer))
    assert "training continues from checkpoints/step-0000004" in said
    assert any(line.startswith("checkpoints/step-0000006, checkpoints/step-0000008: replaced as soon") for line in said)
    now = Transformer.from_run(finished.root).state_dict()
    assert all(now[name].equal(value) for name, value in before.items())
    said = killed_at(7, changed(finished, *LONGER, optimizer))
    assert checkpoint.complete_steps(finished.root) == [6], "the one at step 4 is none that the longer one asks for"
    assert not all(Transformer.from_run(finished.root).state_dict()[n].equal(value) for n, value in before.items())
    train_run(changed(finished, *LONGER, optimizer))
    assert promised(finished) == promised(from_the_start)


@pytest.mark.parametrize("step", [4, 5, 7])
def test_unfinished_training_is_extended_too(optimizer: str, from_the_start: Run, tmp_path: Path, step: int) -> None:
    run = make_run(tmp_path, overrides=(*WSD, optimizer))
    killed_at(step, run)
    train_run(changed(run, *LONGER, optimizer))
    assert promised(run) == promised(from_the_start)


def test_training_whose_rate_never_falls_goes_on_from_its_last_step(tmp_path: Path) -> None:
    flat = (*WSD, "train.decay_share=0.0")
    run, whole = make_run(tmp_path / "a", overrides=flat), make_run(tmp_path / "b", overrides=(*flat, "train.steps=16"))
    train_run(run)
    train_run(whole)
    train_run(changed(run, *flat, "train.steps=16"))
    ours, theirs = promised(run), promised(whole)
    assert ours.keys() == theirs.keys()
    tensors = [path for path in ours if path.endswith(".safetensors")]
    assert [path for path in tensors if ours[path] != theirs[path]] == []
    # state.json also remembers the validation that ended the shorter training
    assert losses(run) == losses(whole)


def test_warmup_that_would_grow_is_refused_with_the_key_that_extends(tmp_path: Path) -> None:
    short = (*WSD, "train.steps=20", "train.checkpoint_every_steps=0")
    run = make_run(tmp_path, overrides=short)
    train_run(run)
    longer = (*short, "train.steps=40")
    with pytest.raises(UserError, match="Its warm-up took 1 steps, and would now take 2") as refused:
        train_run(changed(run, *longer))
    advised = re.search(r"--set (train\.warmup_steps=\d+)", str(refused.value))
    assert advised
    assert train_run(changed(run, *longer, advised[1]))["steps"] == 40
    whole = make_run(tmp_path / "whole", overrides=(*longer, advised[1]))
    train_run(whole)
    assert promised(run) == promised(whole)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("train.steps=6",), "train.steps = 8, and the recipe now asks for 6. A model of 8 steps cannot be taken back"),
        (("train.steps=16", "train.learning_rate=0.5"), "train.learning_rate = 0.001, and the recipe now asks for 0.5"),
        (("train.steps=16", "train.global_batch_tokens=512"), "train.global_batch_tokens = 256, and"),
        (("train.steps=16", "train.schedule=cosine"), "train.schedule = 'wsd', and the recipe now asks for 'cosine'"),
        (("train.decay_share=0.25",), "train.decay_share = 0.5, and the recipe now asks for 0.25"),
    ],
)
def test_what_cannot_be_extended_is_refused_in_words(
    finished: Run, optimizer: str, overrides: tuple[str, ...], said: str
) -> None:
    before = promised(finished)
    with pytest.raises(UserError, match=re.escape(said)):
        train_run(changed(finished, *WSD, optimizer, *overrides))
    assert promised(finished) == before


def test_without_a_checkpoint_before_the_rate_fell_it_is_said(finished: Run, optimizer: str) -> None:
    shutil.rmtree(Path(finished.root, "checkpoints/step-0000004"))
    with pytest.raises(UserError, match="Its rate fell from step 4 on, and no checkpoint up to there is left"):
        train_run(changed(finished, *LONGER, optimizer))
