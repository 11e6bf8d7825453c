import ctypes
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.filter.classifier.card import area_under_curve
from pipeline.filter.classifier.fasttext_fit import DIVERGED, ENVIRONMENT, fit
from pipeline.filter.classifier.scorer import Scorer
from pipeline.filter.classifier.texts import read_texts
from pipeline.filter.classifier.train import Options, train
from pipeline.filter.whatif import what_if
from pipeline.recipe.load import RecipeError
from pipeline.run.table_files import read_table
from pipeline.run.tables import SIGNALS
from tests.pipeline.filter.helpers import GOOD, make_run, run_filter

QUICK = Options(dimension=16, learning_rate=0.5, epochs=8, keep_rate=0.4)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    rng = random.Random(1)
    for name, words in (
        ("good", "river valley council history season museum"),
        ("bad", "cheap pills click offer win now"),
    ):
        lines = [" ".join(rng.choices([*words.split(), "the", "of", "and"], k=40)) for _ in range(120)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    train([str(folder / "good.jsonl")], [str(folder / "bad.jsonl")], folder / "model", QUICK)
    return folder


def test_held_out_report_and_card(trained: Path) -> None:
    card = json.loads((trained / "model" / "card.json").read_text())
    report = card["held_out"]
    assert report["auc"] > 0.99
    assert report["positive"] + report["negative"] == sum(data["held_out"] for data in card["data"].values()) > 20
    assert card["threshold"]["keep_rate"] == pytest.approx(0.4, abs=0.1)
    assert (trained / "model" / "calibration.png").stat().st_size > 5_000
    assert card["model"]["digest"] in (trained / "model" / "card.md").read_text()


@contextmanager
def freed_memory(byte: int, megabytes: int) -> Iterator[None]:
    """Leaves freed, contiguous memory full of a byte to the next allocation, as a long-lived process has it."""
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.restype, library.free.argtypes = None, [ctypes.c_void_p]
    pieces = [library.malloc(100_000) for _ in range(10 * megabytes)]
    last = library.malloc(100_000)  # keeps the pieces below it from going back to the system
    for piece in pieces:
        ctypes.memset(piece, byte, 100_000)
        library.free(piece)
    try:
        yield
    finally:
        library.free(last)


@pytest.mark.parametrize("byte", [0x7F, 0xFF, 0x3C])
def test_training_again_gives_the_same_model(trained: Path, byte: int) -> None:
    """Whatever freed memory the process has: large numbers, NaN, or plausible weights (0.0115)."""
    good, bad = str(trained / "good.jsonl"), str(trained / "bad.jsonl")
    with freed_memory(byte, megabytes=200):
        again = train([good], [bad], trained / "again", QUICK)
    assert again["model"]["digest"] == json.loads((trained / "model" / "card.json").read_text())["model"]["digest"]


@pytest.mark.slow
def test_fifty_trainings_give_one_model(trained: Path) -> None:
    good, bad = str(trained / "good.jsonl"), str(trained / "bad.jsonl")
    digests = set()
    for n in range(50):
        with freed_memory((37 * n + 11) % 256, megabytes=20 + 4 * n):
            digests.add(train([good], [bad], trained / "again", QUICK)["model"]["digest"])
    assert len(digests) == 1


def test_allocator_that_reuses_memory_as_it_was_is_told_from_one_that_sets_it() -> None:
    """The probe sees what fastText would see: without the setting, memory written before; with it, zeros."""
    code = "from pipeline.filter.classifier.fasttext_fit import memory_is_set; print(memory_is_set())"
    for extra, expected in (({}, "False"), (ENVIRONMENT, "True")):
        plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        done = subprocess.run(
            [sys.executable, "-c", code], env=plain | extra, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_words_alone_train_without_nan(trained: Path) -> None:
    """No sub-words and no word n-grams: the small matrix that reused memory used to spoil."""
    good, bad = str(trained / "good.jsonl"), str(trained / "bad.jsonl")
    options = replace(QUICK, word_ngrams=1)
    with freed_memory(0xFF, megabytes=20):
        card = train([good], [bad], trained / "words", options)
    assert card["held_out"]["auc"] > 0.99
    assert card["model"]["bytes"] < 10_000


def test_diverged_training_is_refused(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nan(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("Encountered NaN.")

    monkeypatch.setattr("fasttext.train_supervised", nan)
    monkeypatch.setattr("pipeline.filter.classifier.fasttext_fit.memory_is_set", lambda: True)
    assert fit({}, trained / "never.bin") == DIVERGED
    assert not (trained / "never.bin").exists()


def test_scores_are_probabilities_of_every_text(trained: Path) -> None:
    scorer = Scorer(trained / "model" / "model.bin")
    scores = scorer.scores(["river museum history", "win cheap pills", "", "\n\n", "漢字"]).to_pylist()
    assert scores[0] > 0.8 > 0.2 > scores[1]
    assert all(0.0 <= score <= 1.0 for score in scores)


def test_quality_score_is_a_signal_and_a_rule_of_a_run(trained: Path, tmp_path: Path) -> None:
    options = f'rules = []\nclassifiers.quality = {{ path = "{trained}/model/model.bin", min_score = 0.5 }}'
    rows = [{"text": "river valley museum and history"}, {"text": "click now win cheap pills offer"}]
    context = make_run(tmp_path, {"00000": rows}, options)
    assert run_filter(context)["reasons"] == {"classifier.quality": 1}
    scores = read_table(context.run.local("signals/00000.arrow"), SIGNALS)["quality_score"].to_pylist()
    assert scores[0] > 0.5 > scores[1]


TRAINED_HERE = """rules = []
[filter.classifiers.quality]
positive = ["source=web&language=en"]
negative = ["language=de", "licence=ads"]
dimension = 16
buckets = 1000
learning_rate = 0.5
max_texts = {most}
"""


def some_documents() -> list[dict[str, str]]:
    rng = random.Random(3)
    good = ["river", "valley", "council", "history", "season", "museum"]
    bad = ["cheap", "pills", "click", "offer", "win", "now"]
    rows = [{"text": " ".join(rng.choices(good, k=20)) + f" {n}"} for n in range(30)]
    rows += [{"text": " ".join(rng.choices(bad, k=20)) + f" {n}", "language": "de"} for n in range(30)]
    return [*rows, *({"text": f"buy {n} now", "language": "fr", "licence": "ads"} for n in range(5))]


def test_recipe_trains_a_classifier_from_the_documents_of_its_run(tmp_path: Path) -> None:
    rows = some_documents()
    context = make_run(tmp_path, {"00000": rows[:40], "00001": rows[40:]}, TRAINED_HERE.format(most=28))
    run_filter(context)
    card = json.loads(context.run.local("classifiers/quality/card.json").read_text())
    texts = {label: [source["texts"] for source in data["sources"]] for label, data in card["data"].items()}
    assert texts == {"__label__positive": [28], "__label__negative": [28, 5]}
    scores = read_table(context.run.local("signals/00000.arrow"), SIGNALS)["quality_score"].to_pylist()
    assert min(scores[:30]) > max(scores[30:])
    changed = what_if(context.root, ["filter.classifiers.quality.min_score=1.0"])
    assert changed["after"]["reasons"]["classifier.quality"] > 30
    with pytest.raises(UserError, match="needs signals that the run does not have"):
        what_if(context.root, ["filter.classifiers.quality.epochs=6"])


def test_recipe_with_a_query_that_cannot_be_is_refused(tmp_path: Path) -> None:
    shards, options = {"00000": some_documents()}, TRAINED_HERE.format(most=28)
    with pytest.raises(UserError, match=r"min_word_count=3.*allowed are source, language, licence"):
        run_filter(make_run(tmp_path / "a", shards, options.replace("language=de", "min_word_count=3")))
    with pytest.raises(UserError, match="no document of this run fits"):
        run_filter(make_run(tmp_path / "b", shards, options.replace("language=de", "language=xx")))
    with pytest.raises(RecipeError, match="either path"):
        make_run(tmp_path / "c", shards, options + 'path = "model.bin"')


def test_query_over_a_run_chooses_by_columns(tmp_path: Path) -> None:
    rows = [{"text": f"{n} {GOOD}"} for n in range(5)] + [{"text": "short", "language": "de"}]
    context = make_run(tmp_path, {"00000": rows})
    run_filter(context)
    assert len(read_texts([f"{context.root}?kept=true"]).texts) == 5
    assert read_texts([f"{context.root}?language=de&max_word_count=3"]).texts == ["short"]
    with pytest.raises(UserError, match="did you mean min_word_count"):
        read_texts([f"{context.root}?min_word_cout=3"])
    with pytest.raises(UserError, match="no text found"):
        read_texts([f"{context.root}?language=fr"])


@pytest.mark.parametrize("damage", ["truncated", "other format", "empty"])
def test_damaged_model_file_is_refused(trained: Path, tmp_path: Path, damage: str) -> None:
    data = (trained / "model" / "model.bin").read_bytes()
    path = tmp_path / "model.bin"
    path.write_bytes({"truncated": data[: len(data) // 2], "other format": b"PK\x03\x04" * 100, "empty": b""}[damage])
    with pytest.raises(UserError, match=r"truncated|not a fastText model"):
        Scorer(path)


def test_wrong_label_and_wrong_options_are_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no label '__label__x'; it has __label__"):
        Scorer(trained / "model" / "model.bin", "__label__x")
    with pytest.raises(UserError, match="word_ngrams = 0"):
        train(["a"], ["b"], tmp_path, Options(word_ngrams=0))
    with pytest.raises(UserError, match="no such file"):
        train([str(tmp_path / "no.jsonl")], ["b"], tmp_path, Options())
    (tmp_path / "few.jsonl").write_text('{"text": "a b"}\n')
    with pytest.raises(UserError, match="at least 10 and 1 are needed"):
        train([str(tmp_path / "few.jsonl")], [str(trained / "bad.jsonl")], tmp_path, Options())


def test_area_under_the_curve_counts_ties_half() -> None:
    assert area_under_curve(np.array([0.9, 0.5], np.float32), np.array([0.5, 0.1], np.float32)) == 0.875
