"""A training that goes on from a checkpoint of another run: weights, and the state of the optimizer if asked."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model.export.folder import export_run
from model.network.transformer import load_model
from model.training.job import training_of, unfinished
from model.training.refusals import of_training
from model.training.start import train_run
from pipeline.base.errors import UserError
from pipeline.run.folder import Run
from tests.model.runs import RECIPE, make_run, promised

MUON = ("train.optimizer=muon", "model.architecture=qwen3")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("base"), overrides=(*MUON, "train.keep_every_steps=3"))
    train_run(run)
    return run


def continued(folder: Path, base: Run, step: int, *overrides: str) -> Run:
    """Another run on the same tokens, ready to go on from a checkpoint of ``base``."""
    folder.mkdir()
    run = make_run(folder, RECIPE, (f'model.init="{base.root}/checkpoints/step-{step:07d}"', *overrides))
    shutil.copytree(f"{base.root}/tokens", f"{run.root}/tokens", dirs_exist_ok=True)
    return run


@pytest.mark.parametrize("step", [3, 8])
def test_weights_are_those_of_the_kept_checkpoint(base: Run, tmp_path: Path, step: int) -> None:
    run = continued(tmp_path / "run", base, step, "train.steps=0", "train.optimizer=muon")
    train_run(run)
    found, expected = load_model(run.root).state_dict(), load_model(base.root, step).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert unfinished(run, training_of(run)) is None


def test_state_of_the_optimizer_goes_on_too(base: Run, tmp_path: Path) -> None:
    wanted = ("train.steps=1", "train.optimizer=muon", "train.warmup_steps=0")
    warm = continued(tmp_path / "warm", base, 8, *wanted, "train.init_optimizer=true")
    cold = continued(tmp_path / "cold", base, 8, *wanted)
    for run in (warm, cold):
        train_run(run)
    states = [json.loads(Path(run.root, "checkpoints/step-0000001/state.json").read_bytes()) for run in (warm, cold)]
    assert [state["updates"] for state in states] == [9, 1]
    before = load_file(f"{base.root}/checkpoints/step-0000008/optimizer.safetensors")
    after = [load_file(f"{run.root}/checkpoints/step-0000001/optimizer.safetensors") for run in (warm, cold)]
    name = next(name for name in before if name.endswith(".momentum_buffer"))
    gradient = after[1][name] / 0.05  # from nothing, a twentieth of the gradient
    assert torch.allclose(after[0][name], before[name].lerp(gradient, 0.05), atol=1e-6)
    assert training_of(warm).trajectory != training_of(cold).trajectory


def test_the_same_command_goes_on_to_the_same_bytes(base: Run, tmp_path: Path) -> None:
    wanted = ("train.optimizer=muon", "train.init_optimizer=true", "train.steps=6")
    whole, part = (continued(tmp_path / name, base, 3, *wanted) for name in ("whole", "part"))
    train_run(whole)
    shutil.copytree(f"{whole.root}/checkpoints/step-0000003", f"{part.root}/checkpoints/step-0000003")
    train_run(part)
    assert promised(part) == promised(whole)


def test_export_of_it_is_a_whole_folder(base: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = continued(tmp_path / "run", base, 8, "train.steps=1")
    train_run(run)
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= {*export_run(run, tmp_path / "hf")}
    assert "not there any more" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("init", "overrides", "message"),
    [
        ("", (), r"is a run folder; name one of its checkpoints: .*step-0000003.*step-0000008"),
        ("checkpoints/step-0000008", ("model.context_length=64",), r"context_length = 64: .*was trained with 32"),
        ("checkpoints/step-0000009", (), r"no such Hugging Face folder .* nor a checkpoint of a run"),
    ],
)
def test_what_cannot_be_gone_on_from_is_refused_beforehand(
    base: Run, tmp_path: Path, init: str, overrides: tuple[str, ...], message: str
) -> None:
    run = make_run(tmp_path, RECIPE, (f'model.init="{base.root}/{init}"', *overrides))
    (told,) = of_training(run)
    assert re.search(message, told)
    with pytest.raises(UserError, match=message):
        train_run(run)
    assert not Path(run.root, "checkpoints").exists()


def test_damage_and_other_optimizers_are_named(base: Run, tmp_path: Path) -> None:
    other = continued(tmp_path / "other", base, 8, "train.optimizer=adamw", "train.init_optimizer=true")
    with pytest.raises(UserError, match=r"was trained with 'muon', not train.optimizer = 'adamw'"):
        train_run(other)
    copy = tmp_path / "copy"
    shutil.copytree(f"{base.root}/checkpoints/step-0000008", copy)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    run = make_run(tmp_path, RECIPE, (f'model.init="{copy}"',))
    with pytest.raises(UserError, match=r"model.safetensors: damaged, its checksum .* copy the checkpoint anew"):
        train_run(run)
    (copy / "state.json").write_text("{")
    with pytest.raises(UserError, match=r"state.json: damaged .* name another checkpoint"):
        train_run(run)


def test_optimizer_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, RECIPE, ("train.init_optimizer=true",))
    with pytest.raises(UserError, match=r"there is no model.init.*leave the key out"):
        train_run(run)
