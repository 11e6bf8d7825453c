"""What heeding opt-outs would cost: documents and tokens by mark, robot and licence."""

import json
from pathlib import Path

import pytest

from flows.cli.questions.lineage import count_rights
from pipeline.base.errors import UserError
from pipeline.clean.facts.robots import Robots
from pipeline.lineage.rights import rights
from pipeline.recipe.load import load_recipe
from pipeline.recipe.opt_outs import AI_AGENTS
from pipeline.run.folder import Run
from tests.pipeline.clean.inputs import page, response
from tests.pipeline.lineage.conftest import run_stages

RECIPE = """
name = "rights"
stages = ["clean"]

[[sources]]
name = "web"
paths = ["web.warc"]
licence = "CC-BY-4.0"

[clean]
opt_outs = ["noai"]
"""
ROBOTS = """
User-agent: GPTBot
User-agent: CCBot
Disallow: /private/

User-agent: *
Content-Usage: /drafts/ train-ai=n
Disallow:
"""
PAGES = {
    "https://a.example/private/1": "",
    "https://a.example/private/2": "",
    "https://a.example/open": "",
    "https://a.example/drafts/1": "",
    "https://b.example/1": '<meta name="robots" content="noimageai">',
    "https://b.example/2": '<meta name="robots" content="noai">',
    "https://c.example/reserved/1": "",
    "https://c.example/free": "",
}


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of eight pages, and a folder of what their sites say."""
    folder = tmp_path_factory.mktemp("rights")
    records = (response(page(f"The mill at {url} stands.", head), url) for url, head in PAGES.items())
    (folder / "web.warc").write_bytes(b"".join(records))
    (folder / "recipe.toml").write_text(RECIPE)
    for host, name, text in (
        ("a.example", "robots.txt", ROBOTS),
        ("c.example", "tdmrep.json", json.dumps([{"location": "/reserved/*", "tdm-reservation": 1}])),
    ):
        (folder / "robots" / host).mkdir(parents=True)
        (folder / "robots" / host / name).write_text(text)
    run_stages(Run(str(folder / "run"), load_recipe(folder / "recipe.toml")))
    return folder


def by_mark(found: dict) -> dict:
    return {(row["mark"], row["agent"]): (row["documents"], row["excluded"]) for row in found["opt_outs"]}


def test_marks_of_pages_are_counted_in_the_run_and_left_out_of_it(crawl: Path) -> None:
    found = rights(Run.open(crawl / "run"))
    assert found["documents"] == 7
    assert by_mark(found) == {("noimageai", None): (1, 0), ("noai", None): (0, 1)}
    assert found["tokens_are_estimated"]
    assert (found["together"]["documents"], found["together"]["excluded"]) == (1, 1)
    assert [(row["licence"], row["documents"]) for row in found["licences"]] == [("CC-BY-4.0", 7)]


def test_robots_txt_is_judged_before_it_is_applied(crawl: Path) -> None:
    run = Run.open(crawl / "run")
    found = rights(run, str(crawl / "robots"))
    assert found["sites"] == 2
    assert by_mark(found) == {
        ("robots", "GPTBot"): (2, 0),
        ("robots", "CCBot"): (2, 0),
        ("content-usage", None): (1, 0),
        ("tdm-reservation", None): (1, 0),
        ("noimageai", None): (1, 0),
        ("noai", None): (0, 1),
    }
    assert found["together"]["documents"] == 5
    assert 0 < found["together"]["tokens"] < found["tokens"]
    assert found["together"]["share"] == pytest.approx(5 / 7, abs=0.05)
    some = rights(run, str(crawl / "robots"), ["CCBot", "Other"])
    assert {agent for mark, agent in by_mark(some) if mark == "robots"} == {"CCBot"}


def test_cost_is_what_applying_leaves_out(crawl: Path, tmp_path: Path) -> None:
    """The same folder given to the clean stage excludes the documents that the question has counted."""
    marks = '["noai", "noimageai", "robots", "tdm-reservation"]'
    text = RECIPE.replace('["noai"]', f'{marks}\nrobots = "{crawl}/robots"').replace("web.warc", f"{crawl}/web.warc")
    (tmp_path / "recipe.toml").write_text(text)
    run = Run(str(tmp_path / "run"), load_recipe(tmp_path / "recipe.toml"))
    run_stages(run)
    asked, applied = rights(Run.open(crawl / "run"), str(crawl / "robots")), rights(run)
    assert asked["documents"] - applied["documents"] == asked["together"]["documents"]
    assert applied["together"] == {"documents": 0, "tokens": 0, "share": 0.0, "excluded": 6}
    assert by_mark(applied) == {
        ("robots", "GPTBot"): (0, 2),  # the first robot that a rule keeps out is the one that excluded/ names
        ("content-usage", None): (0, 1),
        ("tdm-reservation", None): (0, 1),
        ("noimageai", None): (0, 1),
        ("noai", None): (0, 1),
    }


def test_robots_that_a_file_does_not_name_are_treated_alike() -> None:
    said = Robots("User-agent: *\nDisallow: /x\n\nUser-agent: google\nAllow: /x\n\nUser-agent: ccbot/2.0\nDisallow: /y")
    for url in ("https://a.example/x", "https://a.example/y", "https://a.example/z"):
        assert said.refuses(url, AI_AGENTS) == [agent for agent in AI_AGENTS if not said.allows(url, agent)]
    assert len(said.refuses("https://a.example/x", AI_AGENTS)) > len(AI_AGENTS) - 4


def test_command_and_its_text(crawl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(crawl / "run")
    assert count_rights(root, robots=str(crawl / "robots")) == 0
    text = capsys.readouterr().out
    assert "about" in text.splitlines()[0]
    assert [line.split()[:3] for line in text.splitlines() if "GPTBot" in line] == [["robots", "GPTBot", "2"]]
    with pytest.raises(UserError, match="no such folder"):
        rights(Run.open(root), f"{crawl}/none")
