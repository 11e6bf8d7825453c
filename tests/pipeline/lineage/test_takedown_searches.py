import re
from pathlib import Path

import pytest

from flows.cli.questions.lineage import takedown_text
from pipeline.base.errors import UserError
from pipeline.lookup import find, listing
from pipeline.run import ledger
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import DOCUMENTS
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down
from tests.pipeline.lineage.helpers import documents, mentions, read_document, tree


def phrase_of(text: str) -> str:
    """Eight words from the middle of a text, written in another way."""
    words = text.split()
    return "  ".join(words[len(words) // 2 :][:8]).upper()


def test_a_phrase_takes_the_one_document_down_that_has_it(run: Run) -> None:
    document = read_document(run)
    phrase = phrase_of(document["text"])
    planned = take_down(run, Choice(phrases=(phrase,)), dry_run=True)
    assert [row["doc_id"] for row in planned["documents"]] == [document["doc_id"]]
    told = takedown_text(planned, [])
    assert told.startswith(f"--phrase {phrase!r} is a phrase: 1 document\n  {document['doc_id']}  ")
    done = take_down(run, Choice(phrases=(phrase,)))
    assert (done["status"], done["files"]) == ("done", planned["files"])
    assert mentions(Path(run.root), [document["text"][20:60].encode()]) == []


def test_the_ledger_holds_a_hash_of_what_was_looked_for_which_is_known_again(run: Run) -> None:
    document = read_document(run)
    phrase = phrase_of(document["text"])
    take_down(run, Choice(phrases=(phrase,)))
    assert phrase.split()[0].encode() not in ledger.read(run.root)
    again = take_down(run, Choice(phrases=(phrase,)))
    assert (again["status"], again["already_taken_down"]) == ("nothing to do", [document["doc_id"]])


def test_what_fits_several_is_refused_shown_and_changes_nothing(run: Run) -> None:
    before = tree(run)
    count = sum(row["path"] == "web.jsonl" for row in documents(run))
    choice = Choice(paths=("web.jsonl",))
    with pytest.raises(UserError, match=rf"--path 'web.jsonl' fits {count} documents, and none was taken down") as told:
        take_down(run, choice)
    assert len(re.findall(r"^  [0-9a-f]{32}  web.jsonl at ", str(told.value), re.MULTILINE)) == 10
    planned = take_down(run, choice, dry_run=True)
    assert (planned["status"], planned["found"][0]["documents"], len(planned["documents"])) == (
        "ambiguous",
        count,
        count,
    )
    assert "without --all-matches none is taken down" in takedown_text(planned, [])
    assert tree(run) == before


def test_all_matches_takes_all_of_them(run: Run) -> None:
    names = [row["doc_id"].hex() for row in documents(run) if row["path"] == "web.jsonl"]  # type: ignore[attr-defined]
    done = take_down(run, Choice(paths=("web.jsonl",), all_matches=True))
    assert sorted(row["doc_id"] for row in done["documents"]) == sorted(names)
    left = [row for path in Path(run.root).glob("documents/*.arrow") for row in read_table(path, DOCUMENTS).to_pylist()]
    assert not any(row["text"] for row in left if row["path"] == "web.jsonl")
    assert all(row["text"] for row in left if row["path"] != "web.jsonl")


def test_path_and_offset_take_one_down(run: Run) -> None:
    document = read_document(run)
    done = take_down(run, Choice(paths=(f"{document['path']}:{document['offset']}",)))
    assert [row["doc_id"] for row in done["documents"]] == [document["doc_id"]]


def test_documents_and_those_near_to_them_are_told_with_their_files(run: Run) -> None:
    planned = take_down(run, Choice(ids=("near twin",)), dry_run=True)
    (document,), (near,) = planned["documents"], planned["near_duplicates"]
    for row in (document, near):
        assert (row["source"], row["path"]) == ("web", "web.jsonl")
        assert f"  {row['doc_id']}" in takedown_text(planned, [])
        assert f"web.jsonl at {row['offset']:,} (web)" in takedown_text(planned, [])


def test_what_was_taken_down_is_still_found_by_its_id_and_url(run: Run) -> None:
    document = read_document(run)
    take_down(run, Choice(ids=(document["doc_id"],)))
    for asked in (document["id"], document["url"]):
        found = find.find(run, asked)
        assert [record["state"] for record in listing.listing(run, found)] == ["taken down"]


def test_a_name_that_no_document_has_is_refused(run: Run) -> None:
    for choice in (Choice(paths=("nowhere.html",)), Choice(phrases=("words that nobody wrote",))):
        with pytest.raises(UserError, match="no document of the run"):
            take_down(run, choice)
