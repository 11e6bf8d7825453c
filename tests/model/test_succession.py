"""A finished model stays until the first checkpoint of its successor is complete, wherever the process is killed."""

import signal
import subprocess
from pathlib import Path

import pytest

from model.checkpoints import checkpoint
from model.network.transformer import Transformer
from model.training.start import train_run
from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.recipe.load import load_recipe
from pipeline.run import checkpoints
from pipeline.run.folder import Run
from tests.model import dying
from tests.model.runs import make_run, promised

SLOWER = "train.learning_rate=0.0005"


def changed(run: Run, *overrides: str) -> Run:
    return Run(run.root, load_recipe(Path(run.root).parent / "recipe.toml", overrides))


def weights(run: Run) -> bytes:
    return Transformer.from_run(run.root).token_embedding.detach().numpy().tobytes()


@pytest.fixture
def finished(tmp_path: Path) -> Run:
    run = make_run(tmp_path)
    train_run(run)
    return run


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = make_run(tmp_path_factory.mktemp("slower"), overrides=(SLOWER,))
    train_run(run)
    return run


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (SLOWER, "train.learning_rate = 0.001, and the recipe now asks for 0.0005"),
        ("train.steps=16", "train.steps = 8, and the recipe now asks for 16. With train.schedule = 'cosine'"),
        ("train.steps=4", "cannot be taken back to 4"),
        ("train.global_batch_tokens=512", "train.global_batch_tokens = 256, and the recipe now asks for 512"),
        ("model.layers=3", "model.layers = 2, and the recipe now asks for 3"),
        ("train.seed=2", "train.seed = 1, and the recipe now asks for 2"),
    ],
)
def test_other_settings_are_refused_in_words_and_change_nothing(finished: Run, override: str, said: str) -> None:
    before = promised(finished) | {"recipe": Path(finished.root, "recipe.toml").read_bytes()}
    with pytest.raises(UserError) as refused:
        train_run(changed(finished, override))
    message = str(refused.value)
    assert said in message
    assert "--restart" in message
    assert "--root" in message
    assert promised(finished) | {"recipe": Path(finished.root, "recipe.toml").read_bytes()} == before


def test_restart_ends_in_the_bytes_of_a_training_of_its_own(finished: Run, slower: Run) -> None:
    train_run(changed(finished, SLOWER), restart=True)
    assert promised(finished) == promised(slower)


MOMENTS = [
    ("begin", "before", 1),
    ("begin", "after", 1),
    ("publish", "before", 1),
    ("rename", "after", 1),
    ("promote", "before", 2),
    ("remove", "before", 1),
    ("remove", "after", 1),
    ("remove", "after", 2),
    ("begin", "after", 2),
    ("move", "before", 1),
    ("move", "after", 1),
    ("publish", "after", 1),
]
FAST = {MOMENTS[2], MOMENTS[6], MOMENTS[9]}


@pytest.mark.parametrize("every", [3, 8], ids=["first-at-3", "first-at-8-as-the-old-one"])
@pytest.mark.parametrize(
    "moment",
    [pytest.param(m, marks=[] if m in FAST else [pytest.mark.slow], id="-".join(map(str, m))) for m in MOMENTS],
)
def test_restart_killed_anywhere_leaves_a_model_and_goes_on(
    finished: Run, slower: Run, moment: tuple[str, str, int], every: int
) -> None:
    old, arguments = weights(finished), ["--root", finished.root, "--restart"]
    recipe = Path(finished.root).parent / "recipe.toml"
    settings = ["--recipe", str(recipe), "--set", SLOWER, "--set", f"train.checkpoint_every_steps={every}"]
    killed = subprocess.run(dying.command("", moment, *settings, *arguments), capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    replaced = any(
        path.startswith(("checkpoints/next", f"checkpoints/step-{every:07d}")) for path in standing(finished)
    )
    now = weights(finished)
    if moment in MOMENTS[:3]:
        assert now == old, "the old model is used until a new one is complete"
    elif replaced and every == 3:
        assert now != old
    train_run(changed(finished, SLOWER, f"train.checkpoint_every_steps={every}"), restart=True)
    assert weights(finished) == weights(slower)
    assert not Path(finished.root, "checkpoints/next").exists()
    assert not Path(finished.root, "checkpoints/succession.json").exists()
    if every == 3:
        assert promised(finished) == promised(slower)


def standing(run: Run) -> list[str]:
    return list(checkpoints.standing(run.root).values())


def test_restart_that_is_killed_after_its_first_checkpoint_goes_on_from_it(finished: Run, slower: Run) -> None:
    from model.training.trainer import Trainer

    class Killed(Exception):  # noqa: N818
        pass

    real = Trainer._one_step

    def die(self: Trainer, batch: object) -> object:
        if self.progress.step == 5:
            self.checkpoints.close()
            raise Killed
        return real(self, batch)  # type: ignore[arg-type]

    patch = pytest.MonkeyPatch()
    patch.setattr(Trainer, "_one_step", die)
    with pytest.raises(Killed):
        train_run(changed(finished, SLOWER), restart=True)
    patch.undo()
    assert checkpoint.complete_steps(finished.root) == [3]
    said: list[str] = []

    from model.training.report import Reporter

    patch.setattr(Reporter, "note", lambda self, text: said.append(text))
    train_run(changed(finished, SLOWER), restart=True)
    patch.undo()
    assert "training continues from checkpoints/step-0000003" in said
    assert promised(finished) == promised(slower)


def test_same_settings_can_be_restarted(finished: Run) -> None:
    before = promised(finished)
    train_run(finished, restart=True)
    assert promised(finished) == before


def test_a_model_in_an_object_store_is_replaced_as_on_a_disk(
    slower: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMILL_CACHE", str(tmp_path / "cache"))
    local, root = make_run(tmp_path), f"memory://{tmp_path.name}/run"
    for name in storage.list_files(local.root):
        storage.publish_bytes(Path(local.root, name).read_bytes(), storage.join(root, name))
    stored = Run(root, local.recipe)
    train_run(stored)
    with pytest.raises(UserError, match="the recipe now asks for"):
        train_run(Run(root, changed(local, SLOWER).recipe))
    train_run(Run(root, changed(local, SLOWER).recipe), restart=True)
    url = storage.join(root, "checkpoints")
    found = {f"checkpoints/{name}": storage.read_bytes(f"{url}/{name}") for name in storage.list_files(url)}
    assert found == {path: data for path, data in promised(slower).items() if path.startswith("checkpoints/")}
