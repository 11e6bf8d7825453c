"""What the pages say: in words, the counts that decide in the row, and nothing of the machine that made them."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.base.pool import InProcess
from pipeline.recipe.load import load_recipe
from pipeline.recipe.rule_sets import RULE_SETS
from pipeline.report.charts.svg import draw_svg
from pipeline.report.collect import collect
from pipeline.report.compare import compare_page, names_of, recipe_changes
from pipeline.report.figures import Figures, FunnelRow
from pipeline.report.hidden import Places, is_legible
from pipeline.report.labels import SIGNALS, signal_label
from pipeline.report.plots import charts
from pipeline.report.stage import write
from pipeline.report.summary import remarks, tiles
from pipeline.run.context import Context
from pipeline.run.folder import Run
from pipeline.run.stages import run_stage

STAGES = {
    "clean": "pipeline.clean.stage:run",
    "dedup": "pipeline.dedup.stage.plan:run",
    "filter": "pipeline.filter.stage:run",
}
RECIPE = """
name = "leads"
stages = ["clean", "dedup", "filter", "report"]
[[sources]]
name = "web"
paths = ["{folder}/in/*.jsonl"]
licence = "CC0-1.0"
[clean]
max_quarantined = 1.0
[filter]
rules = ["gopher_quality"]
"""
PNG = b"\x89PNG\x1a\x00\x00\x00IHDR\x00\x00\x01\x00\x08\x06\xff\xfe\xfa"


class _Text(HTMLParser):
    """The text of a page, without its style."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.found += [value or "" for name, value in attrs if name in ("aria-label", "alt", "title")]

    def handle_data(self, data: str) -> None:
        if self._tag != "style":
            self.found.append(data)


def text_of(page: str) -> str:
    parser = _Text()
    parser.feed(page)
    return " ".join(" ".join(parser.found).split())


def make(folder: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> Run:
    """A run of a few texts, a short one and a line that is a picture, by a command with whole paths."""
    (folder / "in").mkdir(parents=True, exist_ok=True)
    long = " ".join(
        f"the {word} harbour was of another river, and that was with the children" for word in ["ancient"] * 12
    )
    lines = [json.dumps({"text": f"{long} {n} times"}).encode() for n in range(5)]
    lines += [json.dumps({"text": f"the sea is of number {n}"}).encode() for n in range(3)] + [PNG]
    (folder / "in" / "x.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    recipe = folder / "leads.toml"
    recipe.write_text(RECIPE.format(folder=folder))
    root = folder / "runs" / "leads"
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["tokenmill", "run", str(recipe), f"--root={root}", "--set", "x=/opt/other/y.txt"])
    run = Run(str(root), load_recipe(recipe, list(overrides)))
    run.write_recipe()
    for stage, function in STAGES.items():
        run_stage(stage, function, Context(run, InProcess()))
    return run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return make(tmp_path / "ann" / "corpus", monkeypatch)


def page_of(run: Run) -> str:
    write(run)
    return (Path(run.root) / "report/index.html").read_text()


def test_no_page_names_a_place_of_the_machine(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make(tmp_path / "bob" / "corpus", monkeypatch, "filter.gopher_quality.min_words=3")
    for page in (page_of(run), compare_page(run, other)):
        assert str(tmp_path) not in page
        assert "/opt/other" not in page
        assert not re.search(r"""(?<![\w.:/<…])/(root|home|tmp|usr|opt|private|var)/""", text_of(page))
    assert "tokenmill run leads.toml --root=runs/leads --set x=…/y.txt" in text_of(page_of(run))
    assert 'paths = [ "in/*.jsonl"' in text_of(page_of(run)).replace("[  ", "[ ").replace("[ \n", "[ ")


def test_number_that_decides_stands_in_the_row(run: Run) -> None:
    page = page_of(run)
    row = re.search(r"<summary>(?:(?!</summary>).)*gopher_quality\.min_words.*?</summary>", page, re.DOTALL)
    assert row is not None
    assert "3 documents" in text_of(row[0])
    assert "alone" in text_of(row[0])
    assert "fewer than 50 words" in text_of(row[0])


def test_row_of_nothing_has_no_bar(run: Run) -> None:
    page = page_of(run)
    assert "width:0.000%" not in page
    assert page.count('class="bar') > 3


def test_picture_among_the_records_is_not_shown_as_text(run: Run) -> None:
    page = page_of(run)
    assert "IHDR" not in page
    assert f"Its first {len(PNG)} bytes are no text." in page


def test_first_screen_says_what_went_in_what_stayed_and_why_the_rest_went(run: Run) -> None:
    words = text_of(page_of(run)[: page_of(run).index("<nav")])
    for told in ("9 records", "from 1 source", "5 documents", "56 % of what went in", "4 records", "dropped by filter",
                 "fewer than 50 words", "1 record could not be read", "nothing was trained"):  # fmt: skip
        assert told in words, told


def figures_of(score: float, baseline: float, losses: tuple[float, ...] = (5.0, 4.0)) -> Figures:
    figures = Figures(result={"bits_per_byte": score, "unigram_bits_per_byte": baseline, "steps": 20})
    figures.funnel = [FunnelRow("records read", 10, 1.0, "total"), FunnelRow("documents kept", 10, 1.0, "total")]
    figures.training = [{"step": 1, "loss": 5.0}]
    figures.validation = [{"step": step, "validation_loss": loss} for step, loss in enumerate(losses)]
    return figures


def test_model_is_measured_against_the_unigram_baseline() -> None:
    better = tiles(figures_of(2.0, 2.5))[-1]
    assert (better.value, better.unit, better.tone) == ("2.00", "bits per byte", "good")
    assert better.words[0] == "20\N{NARROW NO-BREAK SPACE}% fewer than the unigram baseline (2.50)"
    assert tiles(figures_of(3.0, 2.5))[-1].tone == "bad"
    told = [remark.words for remark in remarks(figures_of(3.0, 2.5))]
    assert any("no fewer bits per byte than the unigram baseline" in words for words in told)
    assert not any("unigram" in remark.words for remark in remarks(figures_of(2.0, 2.5)))


@pytest.mark.parametrize("value", [1e308, -1e308, float("inf"), float("nan"), 0.0, "x", None, True])
def test_metrics_of_any_value_can_be_drawn(value: object) -> None:
    figures = figures_of(2.0, 2.5)
    figures.training = [{"step": step, "loss": value, "grad_norm": value} for step in (1, 2)] + [
        {"step": 3, "loss": 2.0}
    ]
    figures.validation = [{"step": 1, "validation_loss": value, "bits_per_byte": value}] * 2
    for chart in charts(figures).values():
        assert "nan" not in str(draw_svg(chart, "")).lower().replace("name", "")
    assert tiles(figures)
    assert isinstance(remarks(figures), list)


def test_loss_that_has_risen_again_is_something_to_look_at() -> None:
    told = [remark.words for remark in remarks(figures_of(2.0, 2.5, (5.0, 4.0, 4.5)))]
    assert told == ["The validation loss was lowest at step 1, and has risen since"]
    assert remarks(figures_of(2.0, 2.5)) == []


def test_every_signal_of_a_rule_has_its_words() -> None:
    signals = {rule.signal for rules in RULE_SETS.values() for rule in rules}
    assert {signal for signal in signals if signal not in SIGNALS and "gram" not in signal} == set()
    assert all("_" not in signal_label(signal) for signal in signals)


def test_bits_per_byte_have_one_name(repository: Path) -> None:
    for file in (*repository.glob("pipeline/report/**/*.*"), *repository.glob("pipeline/ablation/*.py")):
        if file.suffix != ".pyc":
            assert not re.search(r"bits a byte|bits/byte", file.read_text("utf-8")), file


def test_two_recipes_differ_in_values_as_a_recipe_has_them() -> None:
    one = {"sources": [{"name": "hf", "licence": None, "paths": ["a"]}], "clean": {"pii": "keep", "x": None}}
    other = {"sources": [{"name": "web", "licence": "CC0-1.0", "paths": ["a"]}], "clean": {"pii": True, "x": 1}}
    changes = recipe_changes(one, other)
    assert ("clean.pii", '"keep"', "true") in changes
    assert ("clean.x", "-", "1") in changes
    assert ("sources.hf", '{name = "hf", paths = ["a"]}', "-") in changes
    assert not any(words in value for change in changes for value in change[1:] for words in ("None", "True", "{'"))


def test_two_runs_of_one_name_are_told_apart_without_their_whole_paths(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "bob" / "runs" / "leads"
    shutil.copytree(run.root, other)
    names = names_of((run, Run.open(str(other))))
    assert names[0] != names[1]
    assert all(str(tmp_path) not in name for name in names)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("tokenmill run a.toml", "tokenmill run a.toml"),
        ("tokenmill run /w/c/a.toml --root /w/c", "tokenmill run a.toml --root ."),
        ("tokenmill run s3://bucket/a.toml https://a.org/b", "tokenmill run s3://bucket/a.toml https://a.org/b"),
        ("tokenmill run file:///etc/a.toml", "tokenmill run …/a.toml"),
        (
            shlex.join(["run", '--set=sources.0.paths=["/data/a b/*.gz"]']),
            "run '--set=sources.0.paths=[\"…/a b/*.gz\"]'",
        ),
        ("read https://a.org/x-/y?q=/etc/z and /etc/z", "read https://a.org/x-/y?q=/etc/z and …/z"),
        ("run ~/x/a.toml ../b.toml and/or 3/4 / -", "run …/a.toml ../b.toml and/or 3/4 / -"),
    ],
)
def test_places_are_shortened_and_nothing_else(typed: str, shown: str) -> None:
    assert Places(["/w/c"]).in_text(typed) == shown


@pytest.mark.parametrize(
    ("make_text", "legible"),
    [
        (lambda: "naïve café, 東京\n\tmore", True),
        (lambda: "caf\xe9 au lait, tr\xe8s bien".encode("latin-1").decode("utf-8", "replace"), True),
        (lambda: PNG.decode("utf-8", "replace"), False),
        (lambda: bytes(range(128, 256)).decode("utf-8", "replace"), False),
        (lambda: "", True),
    ],
)
def test_bytes_of_binaries_are_told_from_text(make_text: Callable[[], str], legible: bool) -> None:
    assert is_legible(make_text()) is legible


@pytest.mark.parametrize("count", [2, 4, 6])
def test_lines_of_what_was_left_out_add_up(count: int) -> None:
    figures = Figures()
    figures.funnel = [FunnelRow(f"reason {n}", 10 + n, 0.1, "loss") for n in range(count)]
    tile = next(tile for tile in tiles(figures) if tile.name == "left out")
    assert sum(int(line.split()[0]) for line in tile.words) == sum(row.count for row in figures.funnel)
    assert len(tile.words) == min(count, 4)


def test_web_pages_are_told_by_type_and_the_worst_of_those_kept_are_shown(tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    prose = "".join(
        f"<p>The ferry of number {n} was late, and the children on the pier began to sing.</p>" for n in range(9)
    )
    cards = "".join(f"<div class='card'><a href='/{n}'>Boat {n}</a><span>{n} EUR</span></div>" for n in range(40))
    (folder / "good.html").write_text(f"<title>Ferry</title><main><article><h1>Ferry</h1>{prose}</article></main>")
    (folder / "poor.html").write_text(f"<title>Boats</title><div class='grid'>{cards}</div>")
    recipe = folder / "pages.toml"
    recipe.write_text(
        'name = "pages"\nstages = ["clean", "report"]\n[[sources]]\nname = "web"\npaths = ["*.html"]\n'
        '[clean]\nextractor = "tokenmill"\n'
    )
    run = Run(str(tmp_path / "run"), load_recipe(recipe, []))
    run.write_recipe()
    run_stage("clean", STAGES["clean"], Context(run, InProcess()))
    figures = collect(run)
    assert sum(found.documents for found in figures.page_types.values()) == 2
    assert sum(found.kept for found in figures.page_types.values()) == 2
    shown = figures.doubtful_pages
    assert [any("poor.html" in fact for fact in example.facts) for example in shown] == [True]
    words = text_of(page_of(run))
    assert "Web pages: their types" in words
    assert "The most doubtful texts that were kept" in words
    assert shown[0].measured[0] in words
