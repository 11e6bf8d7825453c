"""What ``clean-up`` leaves of a finished training is enough to go on from."""

from pathlib import Path

from model.training.start import train_run
from pipeline.inspection.disk import clean_up
from pipeline.recipe.load import load_recipe
from pipeline.run.folder import Run
from tests.model.runs import make_run
from tests.trees import tree


def test_training_that_was_cleaned_up_is_extended_to_the_bytes_of_one_that_was_not(tmp_path: Path) -> None:
    wsd = ('train.schedule="wsd"',)
    runs = []
    for name in ("whole", "cleaned"):
        run = make_run(tmp_path / name, overrides=wsd)
        train_run(run)
        if name == "cleaned":
            assert clean_up(run)["bytes"] > 0
        longer = Run(run.root, load_recipe(f"{run.root}/recipe.toml", (*wsd, "train.steps=12")))
        train_run(longer)
        runs.append(tree(Path(run.root) / "checkpoints/step-0000012"))
    assert runs[0] == runs[1]
