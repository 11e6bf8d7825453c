"""The program that runs other people's suites, tried on a folder of a few files."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.conformance import judge, page, reasons, run
from tests.conformance.apart import Apart, DiedError, HungError
from tests.conformance.cases import Case, Finding, Row, Rows, Settings, exactly
from tests.conformance.clones import Clone, Clones, MissingSuiteError, Repository
from tests.conformance.law import complaints
from tests.conformance.product import Outcome
from tests.conformance.suites.delimited import simple_score, table_of
from tests.conformance.suites.http import _messages

SPECTRUM = [{"id": "1", "words": "two, and a line\nbreak"}, {"id": "2", "words": 'a "quoted" one'}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clones without a history: one suite's, and an empty one's."""
    place = tmp_path / "suites"
    for name in ("csv-spectrum/csvs", "csv-spectrum/json", "xz"):
        (place / name).mkdir(parents=True)
    table = 'id,words\n1,"two, and a line\nbreak"\n2,"a ""quoted"" one"\n'
    (place / "csv-spectrum/csvs/quotes.csv").write_text(table)
    (place / "csv-spectrum/json/quotes.json").write_text(json.dumps(SPECTRUM))
    return place


def test_suites_that_are_there_are_run_and_the_others_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [part for name in ("csv-spectrum", "xz", "llhttp") for part in ("--only", name)]
    code = run.main(["--suites", str(folder), "--no-fetch", *wanted, "--json", str(tmp_path / "made.json")])
    said = capsys.readouterr().out
    (made,) = json.loads((tmp_path / "made.json").read_text())
    assert code == 0, said
    assert (made["suite"], made["files"], made["counts"]["documents"]) == ("csv-spectrum", 1, 2)
    assert (made["deaths"], made["hangs"], made["silent"], made["unnamed"]) == (0, 0, 0, [])
    assert made["counts"]["bytes_in"] == (folder / "csv-spectrum/csvs/quotes.csv").stat().st_size
    assert made["sources"][0]["commit"] == "no history"
    assert f"not run: xz: {folder / 'xz'}: none of its files is there" in said
    assert f"not run: llhttp: no clone of https://github.com/nodejs/llhttp at {folder / 'llhttp'}" in said


def test_suite_is_named_by_its_beginning(folder: Path) -> None:
    with pytest.raises(SystemExit):
        run.main(["--suites", str(folder), "--only", "nothing"])


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_clone_is_read_as_it_is_committed(tmp_path: Path) -> None:
    clone = tmp_path / "work"
    clone.mkdir()
    git = ["git", "-C", str(clone), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for name, words in (
        ("old.txt", b"moved away"),
        ("new.txt", b"one\r\ntwo"),
        ("big.bin", b"version https://git-lfs"),
    ):
        (clone / name).write_bytes(words)
    commands = (["init", "-q"], ["add", "."], ["commit", "-qm", "1"], ["rm", "-q", "old.txt"], ["commit", "-qm", "2"])
    for command in commands:
        subprocess.run([*git, *command], check=True, capture_output=True)
    (clone / "new.txt").write_bytes(b"changed, and not committed")
    for place in (clone, clone / ".git"):
        found = Clone(place)
        assert list(found.files()) == [("new.txt", b"one\r\ntwo")]
        assert found.absent == ["big.bin"]
        assert list(found.files("old", parent=True)) == [("old.txt", b"moved away")]
        assert len(found.commit()) == 12


def test_clone_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Repository, "url", property(lambda repository: f"{tmp_path}/nowhere"))
    with pytest.raises(MissingSuiteError, match=r"git clone .* failed"):
        Clones(tmp_path / "suites").get(Repository("a", "b"))


def answers(how: str) -> str:
    if how == "dies":
        os.abort()
    if how == "hangs":
        time.sleep(600)
    return how


def test_function_apart_dies_and_hangs_alone() -> None:
    with Apart(answers, 30) as apart:
        assert apart("one") == "one"
        with pytest.raises(DiedError, match="-6"):
            apart("dies")
        assert apart("two") == "two"
    with Apart(answers, 0.2) as apart, pytest.raises(HungError):
        apart("hangs")


def test_bytes_between_items_must_be_framing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'[{"text": "one"},\n {"text": "two"}]')
    assert complaints(str(path), Settings("json")) == []
    monkeypatch.setattr("tests.conformance.law.FRAMING", b" \n[]")
    assert complaints(str(path), Settings("json")) == ["1 bytes at 16 belong to nothing: b','"]


def row(**values: str) -> Row:
    return {"id": None, "text": "", "reason": "", "detail": "", **values}


def test_findings_are_counted_and_the_meant_ones_named(monkeypatch: pytest.MonkeyPatch) -> None:
    meant = reasons.Meant("s", "VALUE", r"^g/b: ", "it is right so")
    monkeypatch.setattr(reasons, "MEANT", (meant,))
    cases = [Case("g", name, b"", check=exactly(2)) for name in ("a", "b", "c", "d")]
    rows = {
        "g/a": Rows([row()]),
        "g/b": Rows([row()] * 3),
        "g/c": Rows([row()], [], [row(reason="process_died")]),
    }
    made = judge.result("s", cases, Outcome(rows, {}, [Finding("HANG", "g/d", "no end")]), [])
    assert (made.files, made.deaths, made.hangs, made.silent, made.deviations) == (4, 1, 1, 1, 1)
    assert made.named == [{"kind": "VALUE", "reason": "it is right so", "count": 1, "example": "g/b"}]
    assert sorted(finding["case"] for finding in made.unnamed) == ["g/a", "g/c", "g/d"]


def test_columns_of_a_table_stand_as_in_the_file_whatever_their_names_are() -> None:
    # the header has lost a delimiter: its names are one fewer than the fields, and one is of two columns
    rows = Rows([{"text": "t", "metadata": '{"ab": "1", "c": "2", " (2)": "3"}', "id": "i"}])
    table = table_of(rows, "d", ["a", "b", "id", "c", '"d'])
    assert table == [["ab", "id", "c", "d", " (2)"], ["1", "i", "2", "t", "3"]]


def test_simple_score() -> None:
    table = [["a", "b"], ["1", "x y"], ["2", "true"]]
    assert simple_score(table, [["a", "b"], ["1.0", "x  y"], ["2", "1"]]) == 10.0
    assert simple_score(table, []) == 1.0
    assert simple_score(table, table[:2]) == pytest.approx(1 + 3 + (1 + 1 / 2 + 2 / 3) + (1 + 4 / 6 + 4 / 5))


def test_messages_of_a_page_of_llhttp() -> None:
    text = (
        "## A title\n\n```http\nHTTP/1.1 200 OK\nA: b\\\nc\n\nbo\\x64y\n```\n\n"
        '```log\noff=1 len=4 span[body]="body"\noff=9 message complete\n```\n'
    )
    (message,) = _messages(text)
    assert (message.title, message.body, message.refused) == ("A title", "body", False)
    assert message.data == b"HTTP/1.1 200 OK\r\nA: bc\r\n\r\nbody"


def test_page_is_that_of_the_results(repository: Path) -> None:
    results = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    assert (repository / "docs" / "conformance.md").read_text(encoding="utf-8") == page.page(results) + "\n"
    made = [suite["suite"] for suite in results["suites"]]
    assert made == [name for name in run.ORDER if name in made]
    assert list(run.known_suites()) == [*run.ORDER]
    for suite in results["suites"]:
        assert (suite["deaths"], suite["hangs"], suite["silent"], suite["unnamed"]) == (0, 0, 0, []), suite["suite"]


def test_every_reason_explains_something() -> None:
    results = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    reasons_shown = {group["reason"] for suite in results["suites"] for group in suite["named"]}
    made = {suite["suite"] for suite in results["suites"]}
    assert reasons_shown == {meant.reason for meant in reasons.MEANT if meant.suite in made}
