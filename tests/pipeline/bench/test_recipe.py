"""``bench recipe``: what is asked of our side, and how rounds become rows."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.bench.recipe import ours, rows
from pipeline.recipe.load import load_recipe


def test_like_for_like_leaves_out_what_datatrove_has_no_step_for(tmp_path: Path) -> None:
    found = {}
    for kind in (ours.LIKE_FOR_LIKE, ours.EVERYTHING_ON):
        ours.write_recipe(tmp_path / "recipe.toml", "texts/*.jsonl.gz", kind, tmp_path / "tokenizer.json")
        found[kind] = load_recipe(str(tmp_path / "recipe.toml"))
    like, everything = found.values()
    assert (like.clean.pii, everything.clean.pii) == ("off", "replace")
    assert like.tokenize.tokenizer
    assert not everything.tokenize.tokenizer
    assert like.tokenize.validation_share == 0.0 < everything.tokenize.validation_share
    assert like.filter == everything.filter, "the same documents are judged by the same rules"
    assert like.filter.languages == ["en"]


def measured(who: str, part: str, seconds: float, stage: str = "whole") -> dict[str, Any]:
    return {"input": part, "who": who, "workers": 2, "stage": stage, "seconds": seconds}


def test_figures_are_medians_of_the_rounds_and_ratios_are_between_rates() -> None:
    like = f"tokenmill, {ours.LIKE_FOR_LIKE}"
    rounds = [measured(like, "all", s) for s in (5.0, 4.0, 90.0)] + [measured(like, "sample", 1.0)]
    rounds += [measured("datatrove", "sample", s) for s in (20.0, 10.0, 40.0)]
    rounds += [measured("datatrove", "sample", 8.0, "filters")]
    found = rows._with_ratios(rows._medians(rounds, {"all": 100_000_000, "sample": 2_000_000}))
    assert [row["seconds"] for row in found] == [5.0, 1.0, 20.0, 8.0]
    assert [row["megabytes_per_second"] for row in found] == [20.0, 2.0, 0.1, 0.25]
    assert (found[2]["ours_over_this_same_input"], found[2]["ours_over_this_all_input"]) == (20.0, 200.0)
    assert "ours_over_this_same_input" not in found[3], "stages of two pipelines are not the same work"


@pytest.mark.slow
def test_both_sides_do_the_whole_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENMILL_BENCH_CORPUS", raising=False)
    monkeypatch.setattr(rows, "PEER_RECORDS", 200)
    monkeypatch.setattr(rows, "WORKERS", (2,))
    whole = {row["who"]: row for row in rows.run(1) if row["stage"] == "whole" and row["input"] == "sample"}
    documents = [row["documents"] for row in whole.values()]
    assert len(documents) == 2
    assert min(documents) > 20
    assert max(documents) - min(documents) < 5, "the same documents by the same rules"
