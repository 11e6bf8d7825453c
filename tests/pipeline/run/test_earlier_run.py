"""A run that was made before the modules were moved into their rooms is still done: no manifest names a module.

``earlier_run/`` holds the recipe, the texts and the manifests of such a run.  What is done is decided by the manifests
and by the sizes of the outputs, so files of the right size stand for the outputs.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flows.session.stages import plan
from pipeline.clean import settings
from pipeline.clean import stage as clean
from pipeline.filter import stage as filter_stage
from pipeline.recipe.filter_options import Filter
from pipeline.recipe.load import load_recipe
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import canonical_json

EARLIER = Path(__file__).with_name("earlier_run")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run as it stood, below another folder, with the logic versions and keys that the steps had then."""
    monkeypatch.setattr(clean, "STEP", replace(clean.STEP, logic_version=1))
    monkeypatch.setattr(filter_stage, "SIGNALS_STEP", replace(filter_stage.SIGNALS_STEP, logic_version=2))
    monkeypatch.setattr(filter_stage, "VERDICTS_STEP", replace(filter_stage.VERDICTS_STEP, logic_version=1))
    shutil.copytree(EARLIER / "texts", tmp_path / "texts")
    shutil.copy(EARLIER / "recipe.toml", tmp_path)
    root = tmp_path / "run"
    manifests = json.loads((EARLIER / "manifests.json").read_text())
    clean_then, filter_then = (manifests[f"{step}/00000.json"]["config"] for step in ("clean", "filter"))
    by_digest = settings._with_lists_by_digest
    # more marks are known today, the language model reads fewer letters, and our own extractor is the default
    as_then = {key: clean_then["clean"][key] for key in ("opt_outs", "language_characters", "extractor")}
    monkeypatch.setattr(
        settings,
        "_with_lists_by_digest",
        lambda values: {k: v for k, v in (by_digest(values) | as_then).items() if k in clean_then["clean"]},
    )
    of_later = Filter.model_fields.keys() - filter_then.keys()
    monkeypatch.setattr(filter_stage, "NOT_IN_THE_BYTES", (*filter_stage.NOT_IN_THE_BYTES, *of_later))  # type: ignore[attr-defined]
    for name, values in manifests.items():
        manifest = root / layout.MANIFESTS / name
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(canonical_json(values))
        for output in values["outputs"] if "shard" in values else ():
            path = root / output["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(output["bytes"]))
    return Run(str(root), load_recipe(tmp_path / "recipe.toml"))


def states(run: Run) -> dict[str, str]:
    return {planned.stage: planned.state for planned in plan(run, run.recipe.stages)}


def test_every_stage_of_an_earlier_run_is_done(run: Run) -> None:
    assert states(run) == dict.fromkeys(("clean", "dedup", "filter", "tokenize"), "done")


def test_another_text_is_noticed(run: Run, tmp_path: Path) -> None:
    """Guards the test above: not everything would be called done."""
    (tmp_path / "texts/one.txt").write_text("another text")
    assert states(run)["clean"] == "run"
