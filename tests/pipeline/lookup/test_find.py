import json
import re
from typing import Any

import pytest

from flows.cli.questions.lineage import explain_document
from pipeline.base.errors import UserError
from pipeline.inspection.describe import describe
from pipeline.lookup import find, listing
from pipeline.run.folder import Run
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down


def matches(run: Run, asked: str) -> tuple[str, list[dict[str, Any]]]:
    """What it was taken for, and every record."""
    found = find.find(run, asked)
    return found.taken_for, listing.listing(run, found, None)


def explained(capsys: pytest.CaptureFixture[str], *what: str, **options: Any) -> str:
    """Standard output of ``tokenmill explain``, which ends well."""
    assert explain_document(*what, **options) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "taken_for", "paths"),
    [
        ("sql-select.html", "a file's name", ["guide/sql/sql-select.html"]),
        ("SQL-Select.html", "a file's name (upper and lower case aside)", ["guide/sql/sql-select.html"]),
        ("sql/sql-select.html", "the end of a path", ["guide/sql/sql-select.html"]),
        ("./guide/sql/sql-select.html", "the path", ["guide/sql/sql-select.html"]),
        ("/home/me/docs/guide/sql/sql-select.html", "a longer path", ["guide/sql/sql-select.html"]),
        ("/home/me/docs/sub/README.md", "a longer path", ["sub/README.md"]),
        ("guide/sql/", "a folder or archive", ["guide/sql/sql-insert.html", "guide/sql/sql-select.html"]),
        ("*-insert.*", "a glob of paths", ["guide/sql/sql-insert.html"]),
        ("**/README.md", "a glob of paths", ["README.md", "sub/README.md"]),
        ("Übersicht.txt", "a file's name", ["guide/old/Übersicht.txt"]),
        ("U\u0308bersicht.txt", "a file's name", ["guide/old/Übersicht.txt"]),
        ("old.zip", "a folder or archive", ["old.zip/inner/letter.txt"]),
        ("letter.txt", "a file's name", ["old.zip/inner/letter.txt"]),
        ("logo.png", "a file's name", ["guide/logo.png"]),
        ("https://example.org/7/", "a URL", ["rows.jsonl"]),
        ("http://example.org/7", "a URL but for its scheme, fragment or last slash", ["rows.jsonl"]),
        ("row 7", "a record's id", ["rows.jsonl"]),
        ("rows are RETRIEVED from a table", "a phrase", ["guide/sql/sql-select.html"]),
        ("STRASSE und", "a phrase", []),
        ("straße  und", "a phrase", ["guide/old/Übersicht.txt"]),
    ],
)
def test_a_record_is_found_as_people_name_it(found_run: Run, asked: str, taken_for: str, paths: list[str]) -> None:
    if not paths:
        with pytest.raises(UserError, match="no doc_id, URL, record's id, path or file name in this run"):
            matches(found_run, asked)
        return
    told, records = matches(found_run, asked)
    assert (told, [record["path"] for record in records]) == (taken_for, paths)


def test_a_doc_id_goes_before_everything_else(found_run: Run) -> None:
    (record,) = matches(found_run, "README.md")[1]
    for asked in (record["doc_id"], record["doc_id"][:9], record["doc_id"][:9] + "…"):
        told, records = matches(found_run, asked)
        assert records[0]["doc_id"] == record["doc_id"]
        assert told == ("a doc_id" if len(asked) == 32 else "the beginning of a doc_id")


def test_the_file_of_the_path_goes_before_others_of_its_name_which_are_told(found_run: Run) -> None:
    found = find.find(found_run, "README.md")
    assert (found.count, found.taken_for) == (1, "the path")
    assert "1 more record: ask for **/README.md" in listing.heading(found)


def test_path_and_offset_name_one_record_of_a_file(found_run: Run) -> None:
    records = matches(found_run, "rows.jsonl")[1]
    assert len(records) == 31
    told, (record,) = matches(found_run, f"rows.jsonl:{records[3]['offset']}")
    assert record["doc_id"] == records[3]["doc_id"]
    assert told == f"the path, and the offset {records[3]['offset']}"
    shown = re.search(r"rows.jsonl at [\d,]+", listing.as_text(find.find(found_run, "rows.jsonl"), records[9:]))
    assert shown is not None
    assert matches(found_run, shown[0])[1][0]["doc_id"] == records[9]["doc_id"]


def test_what_became_no_document_is_found_with_its_reason(found_run: Run) -> None:
    (picture,) = matches(found_run, "logo.png")[1]
    assert (picture["state"], picture["reasons"]) == ("excluded", ["unsupported: image/png"])
    (broken,) = matches(found_run, "Secret Words of a")[1]
    assert (broken["state"], broken["path"], broken["doc_id"]) == ("quarantined", "broken.txt", None)
    (line,) = [record for record in matches(found_run, "rows.jsonl")[1] if record["doc_id"] is None]
    assert (line["state"], line["reasons"]) == ("quarantined", ["json_invalid"])
    assert line["offset"] > 0


def test_states_are_those_of_the_verdicts(found_run: Run) -> None:
    states = {path: matches(found_run, path)[1][0]["state"] for path in ("sql-insert.html", "sub/README.md")}
    assert states == {"sql-insert.html": "dropped by filter", "sub/README.md": "kept"}
    assert "gopher_quality.min_words" in matches(found_run, "sql-insert.html")[1][0]["reasons"]


def test_a_phrase_is_placed_in_bytes_of_the_text(found_run: Run) -> None:
    (record,) = matches(found_run, "und hafen")[1]
    text = find.located(found_run, find.find(found_run, "und hafen"))
    assert len(text) == 1
    assert record["end"] - record["start"] == len("und Hafen")
    assert record["around"].endswith("Straße und Hafen.")


def test_an_input_without_a_record_is_told_to_be_one(found_run: Run) -> None:
    with pytest.raises(UserError, match=r"an input of the run \(empty.txt\), .*: the file is empty"):
        find.find(found_run, "empty.txt")


def test_part_of_a_name_is_told_with_the_glob_that_finds_it(found_run: Run) -> None:
    with pytest.raises(UserError, match=r"it is a part of 1 path, such as .*/sql-insert.html: ask for '\*QL-inser\*'"):
        find.find(found_run, "QL-inser")
    assert matches(found_run, "*ql-inser*")[1][0]["path"].endswith("/sql-insert.html")


def test_explain_takes_a_file_name_and_says_so(found_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    told = explained(capsys, found_run.root, "sql-insert.html")
    assert "'sql-insert.html' is a file's name: 1 document" in told
    assert "gopher_quality.min_words" in told
    told = explained(capsys, found_run.root, "sql-insert.html", json=True)
    made = json.loads(told)
    assert (made["kind"], made["record"]["path"]) == ("path", "guide/sql/sql-insert.html")


def test_explain_lists_several_with_a_limit_that_is_told(found_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    told = explained(capsys, found_run.root, phrase="two hundred men", limit=4)
    assert "'two hundred men' is a phrase: 35 documents" in told
    assert "and 31 more; --limit shows more than 4" in told
    assert len(re.findall(r"^  [0-9a-f]{32}  ", told, re.MULTILINE)) == 4
    told = explained(capsys, found_run.root, path="guide", json=True)
    made = json.loads(told)
    assert (made["count"], made["documents"], len(made["matches"])) == (4, 3, 4)


def test_explain_of_a_quarantined_file_says_why(found_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    told = explained(capsys, found_run.root, "broken.txt")
    assert "1 record that became no document" in told
    assert "quarantined: " in told
    assert "broken.txt at 0 (docs)" in told


def test_inspect_lists_what_is_found_in_a_run(found_run: Run) -> None:
    found = describe(found_run.root, 2, "README.md")
    assert (found["kind"], found["asked"], found["count"], found["documents"]) == ("path", "README.md", 1, 1)
    assert "and 29 more; --rows shows more than 2" in describe(found_run.root, 2, "rows.jsonl")["text"]


def test_a_takedown_tells_of_damaged_records_that_have_the_phrase(found_run: Run) -> None:
    with pytest.raises(UserError, match=r"(?s)no document of the run; .*broken.txt at 0.*keeps the first 256 bytes"):
        take_down(found_run, Choice(phrases=("secret words of a broken file",)))
