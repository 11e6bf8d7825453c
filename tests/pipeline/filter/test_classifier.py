import json
import random
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.filter.classifier import Options, Scorer, area_under_curve, train
from pipeline.filter.classifier_texts import read_texts
from pipeline.tables import SIGNALS, read_table
from tests.pipeline.filter.helpers import make_run, run_filter
from tests.pipeline.filter.test_rules import GOOD

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


def test_training_again_gives_the_same_model(trained: Path) -> None:
    """One thread, and no weight from memory that was never set (fastText's NaN)."""
    junk = [np.full(50_000, np.nan, np.float32) for _ in range(40)]
    del junk
    good, bad = str(trained / "good.jsonl"), str(trained / "bad.jsonl")
    again = train([good], [bad], trained / "again", QUICK)
    assert again["model"]["digest"] == json.loads((trained / "model" / "card.json").read_text())["model"]["digest"]


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
    with pytest.raises(UserError, match="word_ngrams = 1"):
        train(["a"], ["b"], tmp_path, Options(word_ngrams=1))
    with pytest.raises(UserError, match="no such file"):
        train([str(tmp_path / "no.jsonl")], ["b"], tmp_path, Options())
    (tmp_path / "few.jsonl").write_text('{"text": "a b"}\n')
    with pytest.raises(UserError, match="at least 10 and 1 are needed"):
        train([str(tmp_path / "few.jsonl")], [str(trained / "bad.jsonl")], tmp_path, Options())


def test_area_under_the_curve_counts_ties_half() -> None:
    assert area_under_curve(np.array([0.9, 0.5], np.float32), np.array([0.5, 0.1], np.float32)) == 0.875
