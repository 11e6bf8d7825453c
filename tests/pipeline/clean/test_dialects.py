"""CSV as people have it: dialects that are told and dialects that are stated, and no row lost, merged or eaten."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import UserError
from pipeline.readers.parts.part_reader import PartReader, ReadOptions
from pipeline.readers.parts.partition import Part
from pipeline.readers.records import Damaged, Excluded, Fields, Item, Record
from pipeline.recipe.csv_options import Csv
from pipeline.recipe.load import load_recipe
from tests.pipeline.clean.conftest import Cleaned

Clean = Callable[..., Cleaned]
TEXTS = [f"Row {n}: the keeper wrote 1,5 | 2;5 at dawn" for n in range(6)]


def items(folder: Path, content: bytes | str, fields: dict[str, str] | None = None, **options: Any) -> list[Item]:
    """What the reader gives; its lengths are never more than the file's, whose last line end may be missing."""
    data = content.encode() if isinstance(content, str) else content
    (folder / "a.csv").write_bytes(data)
    csv = Csv(**options) if options else None
    reader = PartReader(str(folder), ReadOptions(Fields(fields or {}, None), csv=csv))
    found = list(reader.read(Part("a.csv", options.pop("kind", "csv"), 0, len(data))))
    assert sum(item.length or 0 for item in found) <= reader.ledger.given + (not data.endswith(b"\n"))
    return found


def texts(found: Sequence[Item]) -> list[str]:
    return [item.text for item in found if isinstance(item, Record)]


def reasons(found: Sequence[Item]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Damaged | Excluded)]


@pytest.mark.parametrize("mark", [";", "\t", "|", "~", "^", "||", "::", "|~|", "#@#", "\x01"])
def test_delimiters_of_exports_are_told(mark: str, tmp_path: Path) -> None:
    rows = [["id", "text", "note"], *([f"k{n}", f"plain text number {n}", "x"] for n in range(6))]
    found = items(tmp_path, "".join(mark.join(row) + "\r\n" for row in rows))
    assert texts(found) == [row[1] for row in rows[1:]]
    assert reasons(found) == []
    first = found[0]
    assert isinstance(first, Record)
    assert first.metadata == {"note": "x"}


def test_semicolons_with_decimal_commas_in_a_header_that_has_commas_too(tmp_path: Path) -> None:
    rows = "".join(f"Müller, Jo;1,5;text {n}\n" for n in range(4))
    found = items(tmp_path, "Name, Vorname;Wert, EUR;text\n" + rows)
    assert texts(found) == ["text 0", "text 1", "text 2", "text 3"]
    assert (found[0].metadata or {}) == {"Name, Vorname": "Müller, Jo", "Wert, EUR": "1,5"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ('id;text\n7;"one, two"\n', {"delimiter": ";"}),
        ("id::text\n7::one, two\n", {"delimiter": "::"}),
        ("id,text\n7,'one, two'\n", {"quote": "'"}),
        ('id\ttext\n7\t"one, two" he said\n', {"delimiter": "\t", "quote": ""}),
        ('id,text\n7,"one, ^"two^""\n', {"escape": "^"}),
        ("a report\nof the year\nid;text\n7;one, two\n", {"skip_lines": 2}),
        ("# made by hand\nid;text\n# a note\n7;one, two\n# the end\n", {"comment": "#"}),
        ("7;one, two\n", {"columns": ["id", "text"], "delimiter": ";"}),
        ("nr;words\n7;one, two\n", {"columns": ["id", "text"], "header": True}),
        ("id;text\n7;one, two\n", {"columns": ["id", "text"]}),
        ("7;one, two\n", {"columns": ["id", "text"], "header": False, "delimiter": ";"}),
    ],
)
def test_stated_dialects(content: str, options: dict[str, Any], tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_text(content)
    cleaned = clean(tmp_path / "a.csv", source={"csv": options})
    assert [text.replace('"', "") for text in cleaned.texts][:1] in (["one, two"], ["one, two he said"])
    assert len(cleaned.texts) == 1
    assert cleaned.reasons == []
    expected = {"skip_lines": ["skipped_line"] * 2, "comment": ["comment_line"] * 3}.get(next(iter(options)), [])
    assert [row["reason"] for row in cleaned.excluded] == expected


def test_recipe_s_dialect_is_loaded_and_what_is_wrong_with_it_told(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[[sources]]\nname = "a"\npaths = ["*.csv"]\n'
        '[sources.csv]\ndelimiter = "||"\nheader = false\ncolumns = ["text"]\n'
    )
    csv = load_recipe(recipe).sources[0].csv
    assert csv is not None
    assert (csv.delimiter, csv.header, csv.columns) == ("||", False, ["text"])
    wrong = ['sources.a.csv.quote="ab"', 'sources.a.csv.columns=["a","a"]', 'sources.a.csv.delimiter="\\n"']
    with pytest.raises(UserError) as caught:
        load_recipe(recipe, wrong)
    assert "quote = 'ab': expected one character" in str(caught.value)
    assert "columns: named twice: a" in str(caught.value)
    assert "a line end separates rows" in str(caught.value)
    with pytest.raises(UserError, match=r"quotes: unknown key; did you mean quote"):
        load_recipe(recipe, ['sources.a.csv.quotes=";"'])


def test_source_without_a_stated_dialect_has_the_config_that_it_had(tmp_path: Path) -> None:
    from pipeline.clean.settings import Settings, job_config
    from pipeline.recipe.options import Clean as CleanKeys
    from pipeline.recipe.options import Source

    plain = job_config(CleanKeys(), Source(name="a", paths=["x"]), [])
    assert "csv" not in plain["source"]
    stated = Source.model_validate({"name": "a", "paths": ["x"], "csv": {"delimiter": ";"}})
    config = json.loads(json.dumps(job_config(CleanKeys(), stated, [])))
    assert Settings.from_config(config).read_options().csv == Csv(delimiter=";")


@pytest.mark.parametrize(
    "first", ["28/01/2018,00:00,a text of words", "1,2,a text of words", "https://x.example/a,x,a text of words"]
)
def test_first_line_that_is_data_is_a_row_and_told(first: str, tmp_path: Path) -> None:
    content = f"{first}\n" + "".join(f"{first[:-1]}{n}\n" for n in range(4))
    found = items(tmp_path, content)
    assert reasons(found) == ["missing_text"] * 5, "the first line, too"
    assert isinstance(found[0], Damaged)
    assert "col_0 to col_2 by place" in (found[0].detail or "")
    named = items(tmp_path, content, {"text": "col_2"})
    assert texts(named) == [line.split(",")[2] for line in content.splitlines()]
    assert texts(items(tmp_path, content, columns=["a", "b", "text"])) == texts(named)


def test_header_of_years_and_of_names_stays_one(tmp_path: Path) -> None:
    found = items(tmp_path, "land,2019,2020\nNorth,1,2\nSouth,3,4\n", {"text": "land"})
    assert texts(found) == ["North", "South"]
    found = items(tmp_path, "land,2019,2020\nNorth,1,2\nSouth,3,4\n")
    assert [item.detail for item in found if isinstance(item, Damaged)] == [
        "no text or content or raw_content; fields: 2019, 2020, land"
    ] * 2


def test_one_column_of_sentences_is_read_by_place(tmp_path: Path) -> None:
    assert texts(items(tmp_path, "One sentence.\nAnother one.\n", {"text": "col_0"})) == [
        "One sentence.",
        "Another one.",
    ]


def test_joined_files_with_a_header_each(tmp_path: Path) -> None:
    content = "id,text\n1,one\nid,text\n2,two\ntext,id,more\nthree,3,x\nfour,4,x\ntext,5\n"
    found = items(tmp_path, content)
    assert texts(found) == ["one", "two", "three", "four"], "a header of other columns counts for the rows below it"
    assert reasons(found) == ["repeated_header", "repeated_header", "ragged_row"]
    assert [item.offset for item in found] == list(range(7))
    assert texts(items(tmp_path, "id,text\n1,one\nid,text\n", columns=["id", "text"], header=False)) == [
        "text",
        "one",
        "text",
    ]


def test_many_headers_take_linear_time(tmp_path: Path) -> None:
    content = "id,text\n" + "text,id\nid,text\n" * 3000 + "9,nine\n"
    found = items(tmp_path, content)
    assert reasons(found) == ["repeated_header"] * 6000
    assert len(texts(found)) == 1


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('2,"half,"two, too",x', "two, too"),  # a stray quote before a field
        ('2,y,"said "so, yes" twice",x', 'said "so, yes" twice'),  # quotes that are not doubled
        ('2,y,the 5" pipe,x', 'the 5" pipe'),
    ],
)
def test_row_with_wrong_quotes_is_read_where_only_one_reading_fits(line: str, text: str, tmp_path: Path) -> None:
    found = items(tmp_path, f"id,a,text,note\n1,y,one,x\n{line}\n3,y,three,x\n")
    assert texts(found) == ["one", text, "three"]
    assert reasons(found) == []
    found = items(tmp_path, 'id,text,note\n1,one,x\n2,"half,"two, too",x\n3,three,x\n')
    assert texts(found) == ["one", 'half,"two, too', "three"]
    found = items(tmp_path, 'id,text\n1,one\n2,"half,"two, too",x\n3,three\n')
    assert reasons(found) == ["csv_invalid"], "no reading has two fields"


def test_row_that_may_go_on_in_the_next_line_is_not_repaired(tmp_path: Path) -> None:
    found = items(tmp_path, 'id,text,note\n1,"He said, "hi" and\n left",x\n3,three,x\n')
    assert texts(found) == ["three"]
    found = items(tmp_path, 'id,text\n1,one\n2,"cut off in the mid')
    assert (texts(found), reasons(found)) == (["one"], ["csv_invalid"])


def test_blank_field_too_many_is_the_one_that_no_other_row_has(tmp_path: Path) -> None:
    rows = "".join(f"k{n},text {n},\n" for n in range(5))
    found = items(tmp_path, f"id,text,note\n{rows},k5,text 5,\nk6,,text 6,\nk7,text 7,,\n")
    assert texts(found) == [f"text {n}" for n in range(8)]
    assert reasons(found) == []


def test_tabs_with_quotes_that_are_plain_characters(tmp_path: Path) -> None:
    content = 'id\ttext\n1\t"Yes" he said\n2\t"and so on\n3\ta 5" pipe\n'
    assert texts(items(tmp_path, content)) == ['"Yes" he said', '"and so on', 'a 5" pipe']


def test_several_columns_of_the_text_s_name_are_refused_with_what_to_set(tmp_path: Path) -> None:
    content = "id,text,text\n1,one,two\n"
    found = items(tmp_path, content)
    assert isinstance(found[0], Damaged)
    assert "name them with csv.columns" in (found[0].detail or "")
    assert texts(items(tmp_path, content, columns=["id", "other", "text"], header=True)) == ["two"]
    assert texts(items(tmp_path, content, {"text": "text (2)"})) == ["two"]


def test_sep_line_marks_line_ends_and_zero_bytes(tmp_path: Path) -> None:
    assert texts(items(tmp_path, "\ufeffsep=;\r\nid;text\r\n1;one, two\r\n")) == ["one, two"]
    wide = 'id\ttext\r\n1\t"one\r\ntwo"\r\n'.encode("utf-16")
    assert texts(items(tmp_path, wide)) == ["one\r\ntwo"]
    assert texts(items(tmp_path, b"id,text\n1,o\0ne\n2,two\n")) == ["o\0ne", "two"]
    assert texts(items(tmp_path, b"id\ttext\n1\tone\n")) == ["one"], "tabs in a file that is named .csv"


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", "größe und Straße, déjà vu"),
        ("cp1251", "Сторож записал туман"),
        ("gb18030", "温度和灯塔看守人"),
        ("shift_jis", "灯台の番人は夜明けに霧を"),
        ("cp1250", "Zażółć gęślą jaźń"),
    ],
)
def test_spreadsheets_of_other_encodings_are_told_by_their_bytes(encoding: str, words: str, tmp_path: Path) -> None:
    content = "id;text\r\n" + "".join(f"{n};{words} {n}\r\n" for n in range(6))
    assert texts(items(tmp_path, content.encode(encoding))) == [f"{words} {n}" for n in range(6)]


def test_single_bytes_that_are_no_utf8_are_damage_with_what_to_state(tmp_path: Path) -> None:
    good = "".join(f"{n},größe {n}\n" for n in range(6)).encode()
    found = items(tmp_path, b"id,text\n" + good + b"7,caf\xe9 \xe9 \xe9 \xe9 \xe9\n8,eight\n")
    assert len(texts(found)) == 7
    assert reasons(found) == ["not_utf8"]
    (damaged,) = [item for item in found if isinstance(item, Damaged)]
    assert "the byte 0xe9 is no part of UTF-8" in (damaged.detail or "")
    assert "encoding" in (damaged.detail or "")


def test_line_that_csv_refuses_among_the_first_ones_costs_itself(tmp_path: Path) -> None:
    found = items(tmp_path, "id|words\n1|one\n2|t\rwo\n3|a\r\rb\n4|four\n", {"text": "words"})
    assert texts(found)[0] == "one"
    assert texts(found)[-1] == "four"
    found = items(tmp_path, "1|one\n2|t\rwo\n3|\ra\r\rb\n4|four\n", {"text": "col_1"})
    assert (texts(found)[0], texts(found)[-1]) == ("one", "four")
    assert len(found) == 4


def test_text_with_commas_between_semicolons_without_a_header(tmp_path: Path) -> None:
    rows = [f'{n};2024-01-0{n + 1};"the pump was wet, wetter than ever; shut by hand, number {n}"' for n in range(6)]
    wanted = [row.split('"')[1] for row in rows]
    content = "\r\n".join(rows)
    assert texts(items(tmp_path, content, {"text": "col_2"})) == wanted
    assert texts(items(tmp_path, content, columns=["id", "day", "text"])) == wanted
    assert texts(items(tmp_path, rows[0], columns=["id", "day", "text"])) == wanted[:1]
    found = items(tmp_path, content)
    assert reasons(found) == ["missing_text"] * 6
    assert "col_0 to col_2" in (found[0].detail or "")  # type: ignore[union-attr]
