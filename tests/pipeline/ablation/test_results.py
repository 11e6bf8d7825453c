"""From the scores of trials to a verdict, a table and a page."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.ablation.page import publish, render
from pipeline.ablation.results import results, summary_lines
from pipeline.ablation.runner import Plan
from pipeline.ablation.variants import read_variants
from pipeline.recipe.load import load_recipe
from pipeline.run.manifest import Manifest

RECIPE = '[[sources]]\nname = "s"\npaths = ["x"]\n'
SCORES = {  # a variant's bits per byte by seed: the reference, one clearly worse, one within the noise
    0: [2.000, 2.010, 1.990, 2.005],
    1: [2.050, 2.061, 2.041, 2.052],
    2: [2.001, 2.008, 1.992, 2.004],
}


def make_plan(folder: Path, values: str) -> Plan:
    path = folder / "recipe.toml"
    path.write_text(RECIPE)
    variants = read_variants(str(path), [], [f"train.weight_decay={values}"])
    return Plan(str(folder), load_recipe(path), variants, [1, 2, 3, 4])


def write_trials(plan: Plan, scores: dict[int, list[float]]) -> None:
    for variant in plan.variants:
        data = Path(plan.data_root(variant))
        for step, counts in (
            ("tokenize", {"train_documents": 10}),
            ("tokenize.split", {"held_out": 2, "near_validation": 1}),
        ):
            made = Manifest(step, "all", "", 1, {}, {}, {}, [], counts)
            (data / "manifests" / step).mkdir(parents=True, exist_ok=True)
            (data / "manifests" / step / "all.json").write_bytes(made.to_bytes())
        for number, seed in enumerate(plan.seeds):
            trial = Path(plan.trial_roots(seed)[variant.number])
            (trial / "ablation").mkdir(parents=True)
            (trial / "metrics").mkdir()
            score = scores[variant.number][number]
            figures = {"bits_per_byte": score, "bytes": 1000, "tokens": 300}
            used = {"source": "s", "tokens_available": 5000, "tokens": 100, "share": 1.0, "epochs": 0.02}
            found = {**figures, "by_source": {"s": figures}, "parameters": 7, "flops_per_token": 10, "training": [used]}
            (trial / "ablation/score.json").write_text(json.dumps(found))
            (trial / "metrics/train.jsonl").write_text(json.dumps({"step": 1, "seconds": 2.5}) + "\n")


@pytest.fixture
def found(tmp_path: Path) -> tuple[Plan, dict[str, Any]]:
    plan = make_plan(tmp_path, "[0.1, 0.2, 0.3]")
    write_trials(plan, SCORES)
    return plan, results(plan, plan.seeds)


def test_difference_beyond_the_noise_is_shown_and_one_within_is_not(found: tuple[Plan, dict[str, Any]]) -> None:
    rows = found[1]["variants"]
    assert [row["verdict"] for row in rows] == ["reference", "worse", "no difference shown"]
    assert rows[1]["difference"]["mean"] == pytest.approx(0.04975)
    assert rows[1]["difference"]["low"] > 0.0
    assert rows[2]["difference"]["low"] < 0.0 < rows[2]["difference"]["high"]
    assert 0.0 < found[1]["detection_limit"] < 0.01
    assert found[1]["cost"] == {
        "data_seconds": 0.0, "training_seconds": 30.0, "flops": 12 * 819_200 * 10.0, "trained_tokens": 12 * 819_200,
        "trials": 12,
    }  # fmt: skip


def test_identical_variants_have_trials_of_their_own_and_no_difference(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, "[0.1, 0.1]")
    assert len(set(plan.trial_roots(1).values())) == 2
    write_trials(plan, {0: SCORES[0], 1: SCORES[0]})
    row = results(plan, plan.seeds)["variants"][1]
    assert row["verdict"] == "no difference shown"
    assert row["difference"]["mean"] == 0.0


def test_first_seed_alone_gives_scores_without_a_claim(found: tuple[Plan, dict[str, Any]]) -> None:
    early = results(found[0], [1])
    assert early["status"] == "running"
    assert early["detection_limit"] is None
    assert {row["verdict"] for row in early["variants"]} == {"reference", "no difference shown"}
    render(found[0], early)


def test_table_of_the_terminal_has_every_variant_and_the_limit(found: tuple[Plan, dict[str, Any]]) -> None:
    text = "\n".join(summary_lines(found[1]))
    assert "train.weight_decay=0.2" in text
    assert "would be shown with a chance of 80 %" in text
    assert "each widened for 2 comparisons" in text


def test_page_escapes_hostile_values_and_has_no_script(found: tuple[Plan, dict[str, Any]]) -> None:
    plan, result = found
    result["variants"][1]["name"] = 'x="<script>alert(1)</script><img src=//evil onerror=a>"'
    publish(plan, result)
    page = (Path(plan.root) / "ablation.html").read_text()

    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.seen: set[str] = set()

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.seen.add(tag)

    parser = Tags()
    parser.feed(page)
    assert {"table", "svg", "circle"} <= parser.seen
    assert not {"script", "img"} & parser.seen
    assert json.loads((Path(plan.root) / "ablation.json").read_text())["status"] == "done"
