"""The summary of training content: its figures, its open places, its formats, and what is refused."""

import datetime
import html.parser
import importlib.util
import json
import re
from pathlib import Path

import pytest

from flows.cli.commands import build_app
from pipeline.base.errors import UserError
from pipeline.clean import pii
from pipeline.disclosure.answers import KINDS, Answers, read_answers
from pipeline.disclosure.crawlers import warcinfo
from pipeline.disclosure.domains import must_be_named
from pipeline.disclosure.facts import Facts, collect
from pipeline.disclosure.page import Choice, Field, Open, Said, Summary, Table
from pipeline.disclosure.processing import MARKS, PII_WORDS
from pipeline.disclosure.summary import summary_of, write
from pipeline.lineage.credits import write_attribution
from pipeline.lineage.licences import licences
from pipeline.lineage.terms import terms_of
from pipeline.recipe.opt_outs import OPT_OUTS
from pipeline.run.folder import Run
from pipeline.takedown.choose import Choice as Chosen
from pipeline.takedown.takedown import take_down
from tests.full_disk import files_of_at_most
from tests.pipeline.disclosure.conftest import STEPS
from tests.trees import tree

TODAY = datetime.date(2026, 8, 2)
SOURCES = {"crawl": "crawled", "essays": "public"}


@pytest.fixture
def facts(run: Run) -> Facts:
    return collect(run, STEPS)


def summary(facts: Facts, answers: Answers | None = None, *, sme: bool = False) -> Summary:
    return summary_of(facts, answers or Answers(), sme=sme, today=TODAY)


def field(made: Summary, key: str) -> Field:
    return next(found for section in made.sections for found in section.fields if found.key == key)


def words(found: Field) -> str:
    return " ".join(block.text for block in found.blocks if isinstance(block, Said | Open))


def test_figures_are_those_of_licences(run: Run, facts: Facts) -> None:
    told = licences(run)
    assert facts.total == told
    assert facts.size.read == told["tokens"] == STEPS * 64
    assert facts.size.documents == told["documents"]
    by_source: dict[str, int] = {}
    for row in told["rows"]:
        by_source[row["source"]] = by_source.get(row["source"], 0) + row["tokens"]
    assert {name: found.size.read for name, found in facts.sources.items()} == by_source
    assert sum(size.read for size in facts.languages.values()) == told["tokens"]
    table = field(summary(facts), "2.sources").blocks[0]
    assert isinstance(table, Table)
    assert sum(int(row[4].replace(",", "")) for row in table.rows) == told["tokens"]


def test_an_earlier_checkpoint_has_figures_of_its_own(run: Run) -> None:
    assert collect(run, 10).size.read == 10 * 64 == licences(run, 10)["tokens"]


def test_the_crawl_tells_its_crawler_its_months_and_its_domains(facts: Facts) -> None:
    crawl = facts.sources["crawl"]
    assert crawl.formats == {"warc"}
    assert crawl.months == {"2026-02", "2026-05"}  # not the dates of publication
    assert set(crawl.domains) == {"news.co.uk", "example.org", "example.net"}
    assert sum(size.documents for size in crawl.domains.values()) == crawl.size.documents
    (crawler,) = facts.crawlers
    assert dict(crawler.said) == {
        "operator": "Example Ltd",
        "software": "spider/1.2",
        "http-header-user-agent": "ExampleBot/1.0",
    }
    made = summary(facts, Answers(kinds=SOURCES))
    assert "ExampleBot/1.0" in words(field(made, "2.3.names"))
    assert "from 02/2026 to 05/2026" in words(field(made, "2.3.period"))
    assert "news.co.uk" in words(field(made, "2.3.domains"))
    assert "05/2026" in words(field(made, "1.3.latest"))


def test_pages_that_opted_out_are_counted(facts: Facts) -> None:
    assert facts.excluded["opt_out"] == 3
    assert "3 pages were left out" in words(field(summary(facts), "3.1.measures"))


def test_inputs_that_have_gone_leave_the_crawler_to_a_person(run: Run, disclosed: Path, tmp_path: Path) -> None:
    text = Path(run.url("recipe.toml")).read_text(encoding="utf-8")
    moved = text.replace(str(disclosed.parent), str(tmp_path / "gone"))
    assert moved != text
    Path(run.url("recipe.toml")).write_text(moved, encoding="utf-8")
    found = collect(Run.open(run.root), STEPS)
    assert [crawler.unread for crawler in found.crawlers] == [1]
    assert "do not say" in words(field(summary(found, Answers(kinds=SOURCES)), "2.3.names"))


def test_only_a_person_says_what_a_source_is(facts: Facts) -> None:
    nothing = summary(facts)
    for key in ("2.1.used", "2.2.1.used", "2.3.used", "2.4.model", "2.5.used", "2.6.used"):
        boxes = field(nothing, key).blocks[0]
        assert isinstance(boxes, Choice)
        assert not any(chosen for _, chosen in boxes.boxes)
    told = summary(facts, Answers(kinds=SOURCES))
    assert field(told, "2.1.used").blocks == (Choice((("Yes", True), ("No", False))),)
    assert field(told, "2.2.1.used").blocks == (Choice((("Yes", False), ("No", True))),)
    assert words(field(told, "2.5.models")) == "Not applicable."
    assert len(told.open_places()) < len(nothing.open_places())


def test_every_field_can_be_answered(facts: Facts) -> None:
    given: dict[str, str] = {}
    kinds = dict.fromkeys(facts.sources, "own")
    for _ in range(2):  # a yes opens further places
        for found, place in summary(facts, Answers(given, kinds)).open_places():
            given[found.key] = "yes" if place.text == "tick one" else "It is so.\n\nSecond paragraph."
        given |= {"2.3.used": "yes", "2.5.used": "yes"}
    assert summary(facts, Answers(given, kinds)).open_places() == []


def test_answers_that_nobody_asked_for_are_refused(facts: Facts, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no field of the template; did you mean 1\.1\.provider\?"):
        summary(facts, Answers({"1.1.providr": "x"}))
    with pytest.raises(UserError, match="expected yes or no"):
        summary(facts, Answers({"2.5.used": "perhaps"}))
    path = tmp_path / "answers.toml"
    cases = {
        "[sources]\ncrawll = 'crawled'": "no source of this run; did you mean crawl",
        "[sources]\ncrawl = 'web'": f"expected one of {', '.join(KINDS)}",
        "provider = 'x'": r"expected the sections \[answers\] and \[sources\]",
        "[answers]\n1.1.provider = 'x'": "names with a dot in quotes",
        "[answers": "not a TOML file",
    }
    for text, message in cases.items():
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_answers(path, facts.sources)
    with pytest.raises(UserError, match="no such file"):
        read_answers(tmp_path / "none.toml", facts.sources)


def test_sme_names_fewer_domains() -> None:
    sizes = {f"d{n}.org": 100_000 - n for n in range(50_000)}
    assert len(must_be_named(sizes, sme=False)) == 5_000
    assert len(must_be_named(sizes, sme=True)) == 1_000
    assert must_be_named(dict.fromkeys(("b.org", "a.org"), 1), sme=True) == ["a.org"]
    assert must_be_named({}, sme=False) == []


@pytest.mark.parametrize("suffix", ["md", "html", "docx"])
def test_each_format_says_all_and_marks_each_open_place(facts: Facts, tmp_path: Path, suffix: str) -> None:
    made = summary(facts)
    path = tmp_path / f"summary.{suffix}"
    write(made, path)
    text = read_text(path)
    assert text.count("TO WRITE:") == len(made.open_places())
    for section in made.sections:
        assert section.title in text
    assert f"{facts.size.read:,} tokens" in text
    assert "news.co.uk" in text
    assert [place.name for place in tmp_path.iterdir() if "summary" in place.name] == [path.name]


def read_text(path: Path) -> str:
    """What a person reads of a file."""
    if path.suffix == ".docx":
        docx = pytest.importorskip("docx")
        return " ".join(
            node.text or "" for node in docx.Document(str(path)).element.body.iter() if node.tag.endswith("}t")
        )
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        reader = _Reader()
        reader.feed(text)
        assert not {"script", "link", "img", "iframe"} & reader.tags
        assert "src=" not in text
        return reader.text
    return re.sub(r"\\(.)", r"\1", text)


class _Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("suffix", ["md", "html", "docx"])
def test_text_from_outside_is_no_markup(facts: Facts, tmp_path: Path, suffix: str) -> None:
    bad = "<script>alert(1)</script> [x](javascript:y) **b** \x00\x0b\u202e"
    facts.total["rows"][0]["licence"] = bad
    path = tmp_path / f"summary.{suffix}"
    write(summary(facts, Answers({"1.1.provider": bad})), path)
    if suffix == "docx":
        assert "<script>alert(1)</script>" in read_text(path)  # as text
    else:
        text = path.read_text(encoding="utf-8")
        assert "<script>" not in text.replace(r"\<script\>", "")
        assert suffix == "html" or "](" not in text.replace(r"\](", "")
        assert "\u202e" not in text


def test_without_python_docx_nothing_is_begun(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "docx" else find(name, *rest))
    with pytest.raises(UserError, match=r"python-docx, which is not installed: pip install python-docx"):
        build_app([])(["disclose", run.root, "--output", str(tmp_path / "a.docx")])
    assert not (tmp_path / "a.docx").exists()


def test_command_counts_the_open_places(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = tmp_path / "answers.toml"
    answers.write_text('[sources]\ncrawl = "crawled"\nessays = "own"\n[answers]\n"1.1.provider" = "Example Ltd"\n')
    output, works = tmp_path / "summary.html", tmp_path / "ATTRIBUTION.md"
    command = ["disclose", run.root, "--output", str(output), "--answers", str(answers), "--attribution", str(works)]
    assert build_app([])([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["open"] == len(told["to_write"]) == read_text(output).count("TO WRITE:")
    assert "1.1.provider" not in {place["key"] for place in told["to_write"]}
    assert told["works"] == works.read_text().count("\n- “")
    assert build_app([])([*command, "--overwrite"]) == 0
    assert f"{told['open']} places are marked TO WRITE" in capsys.readouterr().out


def test_what_cannot_be_told_is_refused_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("mine")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "bad.toml").write_text("[sources]\nnone = 'own'")
    before = tree(tmp_path)
    cases = {
        ("summary.pdf",): r"expected a name that ends with \.md, \.html, \.docx, found \.pdf",
        ("there.md",): "holds a file of 4 bytes.*--overwrite",
        ("folder.md",): "is a folder",
        ("none/summary.md",): "cannot be written: No such file",
        ("a.md", "--attribution", str(tmp_path / "a.md")): "is --output too",
        ("a.md", "--answers", str(tmp_path / "bad.toml")): "no source of this run",
        ("a.md", "--checkpoint", "11"): "no complete checkpoint of this run.*whose steps are 10, 30",
    }
    for (name, *more), message in cases.items():
        with pytest.raises(UserError, match=message):
            build_app([])(["disclose", run.root, "--output", str(tmp_path / name), *more])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("suffix", ["md", "html", "docx"])
def test_a_full_disk_ends_in_one_error_and_leaves_nothing(run: Run, tmp_path: Path, suffix: str) -> None:
    before = tree(tmp_path)
    with files_of_at_most(2_000), pytest.raises(UserError, match="cannot be written: File too large"):
        build_app([])(["disclose", run.root, "--output", str(tmp_path / f"summary.{suffix}")])
    assert tree(tmp_path) == before


def test_a_run_without_a_model_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        build_app([])(["disclose", str(tmp_path), "--output", str(tmp_path / "a.md")])
    for step in (10, STEPS):
        Path(run.url(f"checkpoints/step-{step:07d}/state.json")).unlink()
    with pytest.raises(UserError, match="no complete checkpoint in checkpoints"):
        build_app([])(["disclose", run.root, "--output", str(tmp_path / "a.md")])
    assert not (tmp_path / "a.md").exists()


def test_attribution_names_the_works_that_ask_for_it(run: Run, tmp_path: Path) -> None:
    found = licences(run)
    works = write_attribution(found, run, tmp_path / "A.md")
    text = (tmp_path / "A.md").read_text(encoding="utf-8")
    named = [line for line in text.splitlines() if line.startswith("- “")]
    essays = sum(row["documents"] for row in found["rows"] if row["licence"] == "CC-BY-4.0")
    assert works == len(named) == essays > 0
    assert "Essay &#91;" in named[0]
    assert "author: Ada \\| Lovelace; source: https://e.org/" in named[0]
    assert "Free" not in text  # CC0 asks for nothing
    assert "https://creativecommons.org/licenses/by/4.0/" in text
    assert "personal data found in it was replaced" in text


def test_attribution_says_how_many_works_were_taken_down(run: Run, tmp_path: Path) -> None:
    write_attribution(licences(run), run, tmp_path / "before.md")
    urls = re.findall(r"https://e\.org/\d+", (tmp_path / "before.md").read_text())
    take_down(run, Chosen(urls=(urls[0],)))
    write_attribution(licences(run), run, tmp_path / "after.md")
    after = (tmp_path / "after.md").read_text()
    assert urls[0] + ";" not in after
    assert "- 1 work taken down since" in after
    assert "1 document was taken back out" in words(field(summary(collect(run, STEPS)), "3.1.measures"))


@pytest.mark.parametrize(
    ("licence", "listed", "asks"),
    [
        ("CC-BY-SA-4.0", True, "adaptations under the same licence"),
        ("cc_by_nc_nd_3.0", True, "no adaptations passed on"),
        ("MIT", True, "copyright notice"),
        ("ODC-By-1.0", True, "credit"),
        ("PDDL-1.0 AND CC0-1.0", False, "nothing"),
        ("public-domain", False, "nothing"),
        ("all rights reserved", True, "not known to tokenmill"),
        (None, False, "no licence is known"),
    ],
)
def test_terms_are_read_off_names(licence: str | None, listed: bool, asks: str) -> None:
    found = terms_of(licence)
    assert found.listed is listed
    assert asks in found.asks


def test_a_file_that_begins_with_no_warcinfo_says_nothing() -> None:
    assert warcinfo(b"") == []
    assert warcinfo(b"\x1f\x8b\x08\x00damaged") == []
    assert warcinfo(b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: x\r\n\r\noperator: A\r\n") == []
    assert warcinfo(b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 13\r\n\r\noperator: A\r\n") == []


def test_every_mark_and_kind_of_personal_data_that_clean_knows_has_words() -> None:
    assert set(MARKS) == set(OPT_OUTS)
    assert set(PII_WORDS) == set(pii.KINDS)
