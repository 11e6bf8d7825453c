"""Another fastText model than the package's: its labels, its digest, and what is refused."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.clean.languages.identify import detect, label_of
from pipeline.clean.stage import plan_jobs
from pipeline.filter.classifier import fasttext_fit
from pipeline.recipe.options import Recipe
from tests.pipeline.clean.inputs import Clean

WORDS = {
    "kin_Latn": "omuntu ekitabo okusoma enkya ennyumba abaana emmere",
    "eng_Latn": "the mill stands by a river and turns",
    "x-mill": "klap klop klap klip klop",
    "zxx_Zyyy": "00110 10101 0110 1110 0001",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of four labels, in the form of GlotLID's and others."""
    folder = tmp_path_factory.mktemp("model")
    rng = random.Random(1)
    lines = [
        f"__label__{name} {' '.join(rng.choices(words.split(), k=8))}"
        for name, words in WORDS.items()
        for _ in range(60)
    ]
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    options = {
        "input": str(folder / "train.txt"),
        "dim": 8,
        "epoch": 30,
        "lr": 0.5,
        "bucket": 1000,
        "minn": 2,
        "maxn": 4,
    }
    (folder / "options.json").write_text(json.dumps({"options": options, "output": str(folder / "own.bin")}))
    command = [sys.executable, str(fasttext_fit.__file__), str(folder / "options.json")]
    assert subprocess.run(command, env=fasttext_fit.ENVIRONMENT, check=False).returncode == 0
    return folder / "own.bin"


def test_labels_become_languages(model: Path, tmp_path: Path, clean: Clean) -> None:
    rows = [{"text": words} for words in WORDS.values()]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = clean(tmp_path / "a.jsonl", language_model=str(model), language_labels={"x-mill": "fy"}).documents
    assert [row["language"] for row in found] == ["kin", "en", "fy", None]
    assert found[3]["language_score"] is None, "no language at all is no label"
    assert all(row["language_score"] > 0.9 for row in found[:3])
    assert [row["language"] for row in clean(tmp_path / "a.jsonl").documents][1] == "en"


def test_model_is_known_by_its_content(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    sources = [{"name": "a", "paths": [str(tmp_path / "a.txt")]}]

    def config(path: Path) -> object:
        recipe = Recipe.model_validate({"sources": sources, "clean": {"language_model": str(path)}})
        return plan_jobs(recipe)[0].config["clean"]["language_model"]

    copy = tmp_path / "copy.bin"
    copy.write_bytes(model.read_bytes())
    assert config(copy) == config(model)
    copy.write_bytes(model.read_bytes() + b"x")
    assert config(copy) != config(model)
    copy.write_bytes(b"no model")
    with pytest.raises(UserError, match=r"copy\.bin'\: expected a fastText model"):
        config(copy)
    with pytest.raises(UserError, match="no such file"):
        config(tmp_path / "missing.bin")


def test_damaged_model_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.bin").write_bytes(model.read_bytes()[:4] + b"\0" * 40)
    with pytest.raises(UserError, match=r"cut\.bin is no fastText classifier"):
        detect(["text"], 300, str(tmp_path / "cut.bin"))


@pytest.mark.parametrize(
    ("name", "language"),
    [("en", "en"), ("nob_Latn", "no"), ("cmn_Hani", "zh"), ("kin_Latn", "kin"), ("mul_Latn", None), ("Other", "Other")],
)
def test_label_that_is_a_language_code_needs_no_map(name: str, language: str | None) -> None:
    assert label_of(name, {}) == language
