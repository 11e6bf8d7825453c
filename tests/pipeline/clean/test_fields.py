"""Where a record's text, language and metadata are taken from, in every format that has fields."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.base.pool import InProcess
from pipeline.clean.shard import doc_id
from pipeline.clean.stage import run as run_clean
from pipeline.recipe.options import Recipe, Source
from pipeline.run.context import Context
from pipeline.run.folder import Run

Clean = Callable[..., Any]
FORMATS = ("jsonl", "json", "parquet", "arrow", "csv")


def write(folder: Path, kind: str, records: list[dict[str, Any]]) -> Path:
    """Some records as a file; in CSV what is no string stands as JSON, as spreadsheets and exports have it."""
    path = folder / f"in.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    elif kind == "json":
        path.write_text(json.dumps(records))
    elif kind == "csv":
        sink = io.StringIO()
        writer = csv.DictWriter(sink, list(records[0]))
        writer.writeheader()
        for record in records:
            writer.writerow({k: v if isinstance(v, str) else json.dumps(v) for k, v in record.items()})
        path.write_text(sink.getvalue())
    else:
        table = pa.Table.from_pylist(records)
        with path.open("wb") as file:
            if kind == "parquet":
                pq.write_table(table, file)
            else:
                with pa.ipc.new_file(file, table.schema) as writer_of_arrow:
                    writer_of_arrow.write_table(table)
    return path


def page(n: int) -> dict[str, Any]:
    body = f"<p>The harbour of our town was dug by hand, says page {n} of the dump of our wiki.</p>"
    return {"id": f"p{n}", "title": f"Page {n}", "body": {"storage": {"value": body}}}


@pytest.mark.parametrize("kind", FORMATS)
def test_each_page_of_a_dump_is_a_document(clean: Clean, tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, [{"space": "ENG", "pages": [page(n) for n in range(3)]}])
    fields = {"html": "pages.body.storage.value", "id": "pages.id"}
    found = clean(path, source={"fields": fields})
    assert [document["id"] for document in found.documents] == ["p0", "p1", "p2"]
    assert [f"says page {n} of" in text for n, text in enumerate(found.texts)] == [True] * 3
    assert not any("<p>" in text for text in found.texts)
    offsets = {document["offset"] for document in found.documents}
    assert len(offsets) == 1
    (offset,) = offsets
    ids = [doc_id("test", path.name, offset, n) for n in range(3)]
    assert [document["doc_id"] for document in found.documents] == ids
    metadata = json.loads(found.documents[1]["metadata"])
    assert (metadata["space"], metadata["pages"]["title"]) == ("ENG", "Page 1")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_list_on_the_way_to_a_text_is_one_text(clean: Clean, tmp_path: Path, kind: str) -> None:
    records = [{"parts": [{"text": "First part."}, {"text": "Second part."}], "n": 1}]
    found = clean(write(tmp_path, kind, records), source={"fields": {"text": "parts.text"}})
    assert found.texts == ["First part.\n\nSecond part."]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_list_with_its_mark_is_a_document_each(clean: Clean, tmp_path: Path, kind: str) -> None:
    data = [{"title": "a", "paragraphs": [{"context": "One."}, {"context": "Two."}]}, {"title": "b", "paragraphs": []}]
    data += [{"title": "c", "paragraphs": [{"context": "Three."}]}]
    found = clean(
        write(tmp_path, kind, [{"data": data}]),
        source={"fields": {"text": "data[].paragraphs.context", "id": "data.title"}},
    )
    assert [(d["id"], d["text"]) for d in found.documents] == [("a", "One.\n\nTwo."), ("c", "Three.")]
    assert found.reasons == ["missing_text"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_list_of_strings_is_one_text(clean: Clean, tmp_path: Path, kind: str) -> None:
    fields = {"text": "lines" if kind != "csv" else "all.lines"}
    records = [{"lines": ["One.", "Two."]}] if kind != "csv" else [{"all": {"lines": ["One.", "Two."]}, "n": "1"}]
    assert clean(write(tmp_path, kind, records), source={"fields": fields}).texts == ["One.\n\nTwo."]


CHATS = [
    [{"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Fine."}],
    [{"from": "human", "value": "How are you?"}, {"from": "gpt", "value": "Fine."}],
    [
        {"role": "user", "content": [{"type": "text", "text": "How are"}, {"type": "text", "text": "you?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Fine."}]},
    ],
]
TOLD = ["user: How are you?\n\nassistant: Fine."] * 2 + ["user: How are\nyou?\n\nassistant: Fine."]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_chat_is_its_messages_with_their_roles(clean: Clean, tmp_path: Path, kind: str, number: int) -> None:
    path = write(tmp_path, kind, [{"id": "1", "talk": CHATS[number]}])
    found = clean(path, source={"fields": {"messages": "talk"}})
    assert (found.texts, found.documents[0]["id"]) == ([TOLD[number]], "1")


def test_text_that_names_a_chat_reads_it_too_where_it_is_a_list(clean: Clean, tmp_path: Path) -> None:
    path = write(tmp_path, "parquet", [{"messages": CHATS[0]}])
    assert clean(path, source={"fields": {"text": "messages"}}).texts == TOLD[:1]


def test_what_is_no_chat_is_damaged(clean: Clean, tmp_path: Path) -> None:
    records = [{"messages": value} for value in ("words", 5, ["a"], [{"role": "user"}], [])]
    found = clean(write(tmp_path, "jsonl", records), source={"fields": {"messages": "messages"}})
    assert found.reasons == ["wrong_type"] * 5
    assert "is no chat" in found.quarantined[0]["detail"]


def test_messages_without_text_leave_no_document(clean: Clean, tmp_path: Path) -> None:
    silent = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    found = clean(write(tmp_path, "jsonl", [{"m": silent}]), source={"fields": {"messages": "m"}})
    assert [row["reason"] for row in found.excluded] == ["empty"]


def test_a_list_is_no_text_unless_the_recipe_names_it(clean: Clean, tmp_path: Path) -> None:
    for kind in ("jsonl", "parquet"):
        assert clean(write(tmp_path, kind, [{"text": ["One.", "Two."]}])).reasons == ["wrong_type"]
    found = clean(write(tmp_path, "jsonl", [{"t": [1, 2]}, {"t": ["a", {}]}]), source={"fields": {"text": "t"}})
    assert found.reasons == ["wrong_type"] * 2


def test_an_empty_dump_is_told(clean: Clean, tmp_path: Path) -> None:
    path = write(tmp_path, "jsonl", [{"pages": []}])
    found = clean(path, source={"fields": {"html": "pages.body"}})
    assert [(row["reason"], row["detail"]) for row in found.excluded] == [("empty", "no item in pages.body")]


def test_a_name_with_a_dot_goes_before_the_way(clean: Clean, tmp_path: Path) -> None:
    path = write(tmp_path, "jsonl", [{"a.b": "One.", "a": [{"b": "Two."}]}])
    assert clean(path, source={"fields": {"text": "a.b"}}).texts == ["One."]


def test_bytes_of_a_dump_are_counted_once(clean: Clean, tmp_path: Path) -> None:
    path = write(tmp_path, "jsonl", [{"pages": [page(n) for n in range(9)]}])
    found = clean(path, source={"fields": {"html": "pages.body.storage.value"}})
    counted = {name: found.counts[name] for name in ("bytes_in", "bytes_documents", "bytes_framing")}
    assert counted["bytes_in"] == path.stat().st_size == counted["bytes_documents"] + counted["bytes_framing"]


# -- language


GERMAN = "Der Hafen unserer Stadt wurde von Hand gegraben, und zweihundert Leute haben daran gearbeitet."


@pytest.mark.parametrize("kind", FORMATS)
def test_a_known_language_is_believed_and_others_are_identified(clean: Clean, tmp_path: Path, kind: str) -> None:
    stated = ["English", "en-GB", "klingon", "", "deu_Latn"]
    records = [{"text": f"{GERMAN} {n}", "lang": code} for n, code in enumerate(stated)]
    found = clean(write(tmp_path, kind, records), source={"fields": {"language": "lang"}})
    assert [document["language"] for document in found.documents] == ["en", "en", "de", "de", "de"]
    assert [document["language_score"] is None for document in found.documents] == [True, True, False, False, True]
    assert [document["declared_language"] for document in found.documents] == [code or None for code in stated]
    assert found.counts["languages_stated"] == 3


def test_unknown_languages_and_metadata_are_told_at_the_end_of_the_stage(tmp_path: Path) -> None:
    records = [{"text": GERMAN, "lang": code} for code in ("klingon", "klingon", "de")]
    path = write(tmp_path, "jsonl", records)
    source = {"name": "s", "paths": [str(path)], "fields": {"language": "lang"}, "metadata": ["nowhere"]}
    recipe = Recipe.model_validate({"sources": [source]})
    summary = run_clean(Context(Run(str(tmp_path / "run"), recipe), InProcess()))
    assert summary["notes"] == [
        "2 records state a language that is not known ('klingon' 2); that of their texts was identified, and of 1 "
        "other it was believed",
        "source s: no record has the field 'nowhere' that `metadata` names",
    ]


# -- metadata


@pytest.mark.parametrize("kind", FORMATS)
def test_metadata_is_what_the_recipe_names(clean: Clean, tmp_path: Path, kind: str) -> None:
    records = [{"id": "1", "text": "A text.", "a": "one", "b": "two", "meta": {"x": "y", "z": "w"}}]
    path = write(tmp_path, kind, records)
    for metadata, kept in (
        (["a", "id"], {"a": "one", "id": "1"}),
        (["meta.x"], {"meta.x": "y"}),
        ([], None),
        (["absent"], None),
    ):
        (document,) = clean(path, source={"metadata": metadata}).documents
        assert (None if document["metadata"] is None else json.loads(document["metadata"])) == kept
        assert document["id"] == "1"
    (document,) = clean(path).documents
    assert set(json.loads(document["metadata"])) == {"a", "b", "meta"}


def test_fields_that_cannot_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="messages and text; a record's text is in one of them"):
        Source.model_validate({"name": "a", "paths": ["x"], "fields": {"text": "t", "messages": "m"}})
