import json
from pathlib import Path
from typing import Any

import pytest

from flows.cli.app import main
from pipeline.bench.dedup_scale import measure, write_documents
from pipeline.dedup.rule.cost import catch_chance, cost, plan, suggestion


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["dedup", *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def compare(capsys: pytest.CaptureFixture[str], folder: Path, left: str, right: str, *options: str) -> dict[str, Any]:
    (folder / "a.txt").write_text(left)
    (folder / "b.txt").write_text(right)
    code, shown, _ = call(capsys, "compare", str(folder / "a.txt"), str(folder / "b.txt"), *options)
    assert code == 0
    return {"shown": shown}


def test_curve_is_the_published_formula_and_costs_grow_with_documents() -> None:
    made = plan(0.8, 14, 8, [1000, 10_000], 3000, 1 << 30, 2)
    assert made["chance_at_threshold"] == pytest.approx(1 - (1 - 0.8**8) ** 14)
    chances = [point["chance"] for point in made["curve"]]
    assert chances == sorted(chances)
    assert catch_chance(made["even_chance_at"], 14, 8) == pytest.approx(0.5)
    few, many = made["costs"]
    assert many["text_bytes"] == 10 * few["text_bytes"]
    assert many["memory_bytes"] > few["memory_bytes"]
    assert many["disk_bytes"] > few["disk_bytes"]


@pytest.mark.parametrize(
    ("documents", "text_bytes", "memory", "disk"),
    [
        (100_000, 186_900_000, 301_000_000, 63_000_000),
        (1_000_000, 1_868_200_000, 969_000_000, 631_000_000),
    ],
)
def test_what_the_command_expects_holds_for_what_was_measured(
    documents: int, text_bytes: int, memory: int, disk: int
) -> None:
    expected = cost(documents, text_bytes, 14, 2_000_000_000, 2)
    assert memory <= expected.memory_bytes <= 2 * memory
    assert disk <= expected.disk_bytes <= 2 * disk


@pytest.mark.slow
def test_what_the_command_expects_is_not_exceeded_by_a_run(tmp_path: Path) -> None:
    write_documents(tmp_path / "in.jsonl", 50_000)
    found = measure(tmp_path / "in.jsonl", tmp_path / "out")
    # peaks are sampled, and a busy machine misses some: a lower bound would hold only on an idle one
    assert 0 < found["peak_memory_megabytes"] <= found["said_memory_megabytes"]
    assert 0 < found["peak_scratch_megabytes"] <= found["said_scratch_megabytes"]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
def test_suggested_banding_catches_99_percent_at_the_threshold(threshold: float) -> None:
    found = suggestion(threshold)
    assert found is not None
    assert catch_chance(threshold, *found) >= 0.99
    assert catch_chance(threshold - 0.2, *found) <= 0.5


def test_plan_prints_curve_and_costs(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, _ = call(capsys, "plan", "--documents", "5000")
    assert code == 0
    assert "14 bands x 8 rows = 112 permutations" in shown
    assert "92.35%" in shown
    assert "5,000" in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threshold", "0"], "--threshold 0"),
        (["--threshold", "1.5"], "--threshold 1.5"),
        (["--bands", "1000", "--rows", "1000"], "at most 4,096"),
        (["--memory", "lots"], "--memory lots"),
        (["--documents", "0"], "--documents 0"),
    ],
)
def test_option_out_of_range_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    code, _, error = call(capsys, "plan", *options)
    assert code == 2
    assert message in error


@pytest.mark.parametrize(
    ("right", "options", "expected"),
    [
        ("w0 w1 w2 w3 w4 w5 w6", [], "rule exact"),
        ("W0, w1 w2 w3 w4 w5 w6!", [], "rule near"),
        ("w0 w1 w2 w3 w4 w5 w6 w7", ["--ngram", "1", "--threshold", "0.9"], "below the threshold"),
        ("w0 w1 w2 w3 w4 w5 w6 w7", ["--ngram", "1", "--bands", "1", "--rows", "112"], "more bands"),
        ("", [], "below the threshold"),
    ],
)
def test_compare_tells_what_would_happen(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, right: str, options: list[str], expected: str
) -> None:
    assert expected in compare(capsys, tmp_path, "w0 w1 w2 w3 w4 w5 w6", right, *options)["shown"]


def test_compare_gives_figures_as_one_object(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" ".join(f"w{n}" for n in range(100)))
    (tmp_path / "b.txt").write_text(" ".join(f"w{n}" for n in range(104)))
    code, shown, _ = call(capfd, "compare", str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), "--json")
    assert code == 0
    found = json.loads(shown)
    assert (found["intersection"], found["union"], found["outcome"]) == (96, 100, "near")
    assert found["similarity"] == 0.96
    assert abs(found["estimated_similarity"] - 0.96) < 0.1


def test_compare_refuses_what_is_no_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xff")
    code, _, error = call(capsys, "compare", str(tmp_path / "a.txt"), str(tmp_path / "none.txt"))
    assert code == 2
    assert "not UTF-8" in error
    code, _, error = call(capsys, "compare", str(tmp_path / "none.txt"), str(tmp_path / "a.txt"))
    assert code == 2
    assert "none.txt" in error
    code, _, error = call(capsys, "compare", str(tmp_path / "a.txt" / "inside"), str(tmp_path / "a.txt"))
    assert code == 2
    assert "expected a text file: Not a directory" in error
