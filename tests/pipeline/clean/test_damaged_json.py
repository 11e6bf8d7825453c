"""Damaged JSON costs its line, or its record."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.clean.inputs import Clean, damage, lines


def test_bad_json_lines_cost_one_each(tmp_path: Path, clean: Clean) -> None:
    bad = [b"[1, 2]", b"17", b'{"text": "half', b'"text"', b'{"id": "x"}', b'{"text": 5}', b'{"text": null}', b"null"]
    good = lines(0, 2)
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([*bad, b"", b"   ", good]))
    cleaned = clean(tmp_path / "a.jsonl")
    assert cleaned.numbers() == (2, 0, 8)
    assert cleaned.reasons == [
        *("json_not_object", "json_not_object", "json_invalid", "json_not_object"),
        *("missing_text", "wrong_type", "missing_text", "json_not_object"),
    ]
    assert [row["offset"] for row in cleaned.quarantined] == [0, 7, 10, 25, 32, 44, 56, 71]


def test_empty_text_is_excluded_not_damaged(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": ""}\n{"text": " \\n "}\n{"text": "a"}\n')
    cleaned = clean(tmp_path / "a.jsonl")
    assert cleaned.numbers() == (1, 2, 0)
    assert {row["reason"] for row in cleaned.excluded} == {"empty"}


def test_line_above_the_limit_costs_itself_and_is_not_held(tmp_path: Path, clean: Clean) -> None:
    long = b'{"text": "' + b"a" * (300 << 20) + b'"}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(0, 1) + long + lines(1, 2), 1))
    cleaned = clean(tmp_path / "a.jsonl.gz")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["record_too_large"]
    assert cleaned.quarantined[0]["length"] == len(long) - 1
    assert len(cleaned.quarantined[0]["head"]) == 256


def test_line_that_is_not_utf8_costs_itself(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(0, 1) + '{"text": "café"}\n'.encode("latin-1") + lines(1, 2))
    cleaned = clean(tmp_path / "a.jsonl")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["not_utf8"]


def test_lone_surrogate_becomes_the_replacement_character(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a\\ud83d b \\ud83d\\ude00 c\\udc00"}\n')
    assert clean(tmp_path / "a.jsonl").texts == ["a\ufffd b 😀 c\ufffd"]


def test_nan_and_infinity_in_a_record_are_no_damage(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a", "score": NaN, "top": Infinity}\n')
    assert clean(tmp_path / "a.jsonl").texts == ["a"]


def test_nul_bytes_are_removed_from_text(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a\\u0000b"}\n')
    (tmp_path / "b.txt").write_bytes(b"One \0 stray zero byte in a text file of ordinary words.")
    assert clean(tmp_path / "*.*").texts == ["ab", "One  stray zero byte in a text file of ordinary words."]


def test_line_of_nul_bytes_is_one_damaged_record(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(0, 1) + b"\0" * 5000 + b"\n" + lines(1, 2))
    cleaned = clean(tmp_path / "a.jsonl")
    assert cleaned.numbers() == (2, 0, 1)
    assert cleaned.reasons == ["json_invalid"]


def test_json_list_with_a_half_object_at_its_end(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.json").write_bytes(b'[{"text": "one"}, {"text": "two"}, 3, [4], {"text": "thr')
    cleaned = clean(tmp_path / "a.json")
    assert cleaned.texts == ["one", "two"]
    assert cleaned.reasons == ["json_not_object", "json_not_object", "json_invalid"]


def test_value_of_a_json_list_above_the_limit_costs_itself(tmp_path: Path, clean: Clean, monkeypatch: Any) -> None:
    monkeypatch.setattr("pipeline.readers.streams.CHUNK_BYTES", 300)
    records = [{"text": "first"}, {"text": "long " * 1000}, {"text": "third"}, {"text": "long " * 500}]
    content = json.dumps(records)
    (tmp_path / "a.json").write_text(content)
    cleaned = clean(tmp_path / "a.json", max_record_bytes=1024)
    assert cleaned.texts == ["first", "third"]
    assert [(row["reason"], row["offset"]) for row in cleaned.quarantined] == [
        ("record_too_large", content.index('{"text": "long')),
        ("record_too_large", content.rindex('{"text": "long')),
    ]


@pytest.mark.parametrize("content", [b"17", b'"x"', b"null"])
def test_json_file_that_is_no_record_costs_one(tmp_path: Path, clean: Clean, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert clean(tmp_path / "a.json").reasons == ["json_not_object"]


RECORDS = [
    json.dumps({"id": f"r{n}", "text": f"Reading {n}: the water stood low.", "of": [{"n": n}]}) for n in range(6)
]


def ids(cleaned: Any) -> list[str]:
    return [document["id"] for document in cleaned.documents]


@pytest.mark.parametrize(
    "bad",
    ['{"id": "bad", "v": ]}', '{"id": "bad", "v": [}', '{"id": "bad", "v": "open}', '{"id": "bad"', "bad", '"}]}'],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_damaged_item_of_a_list_on_lines_costs_itself(
    tmp_path: Path, clean: Clean, bad: str, indent: int | None
) -> None:
    good = [json.dumps(json.loads(record), indent=indent).replace("\n", "\n ") for record in RECORDS]
    items = [*good[:3], bad, *good[3:]]
    (tmp_path / "a.json").write_text("[\n " + ",\n ".join(items) + "\n]\n")
    cleaned = clean(tmp_path / "a.json")
    assert set(ids(cleaned)) >= {"r0", "r1", "r2", "r4", "r5"}
    assert len(cleaned.quarantined) == 1


@pytest.mark.parametrize("start", ["[", "[\n", "\n [  "])
def test_unclosed_item_of_a_list_on_lines_costs_itself(tmp_path: Path, clean: Clean, start: str) -> None:
    """Also where the first item stands beside the list's bracket."""
    items = [f'{{"id": "{n}", "text": "words {n}"}}' for n in range(40)]
    items[3] = '{"id": "3", "text": "words", "v": [1, {"a": [}'
    (tmp_path / "a.json").write_text(start + ",\n".join(items) + "\n]")
    cleaned = clean(tmp_path / "a.json")
    assert [row["id"] for row in cleaned.documents] == [str(n) for n in range(40) if n != 3]
    assert cleaned.reasons == ["json_invalid"]


def test_bracket_that_closes_nothing_is_counted_with_its_damaged_item(tmp_path: Path, clean: Clean) -> None:
    items = [f'{{"id": "{n}", "text": "words {n}"}}' for n in range(5)]
    items[2] = '{"id": "2", "v": [x]]\n}'
    data = "[" + ",\n".join(items) + "]"
    (tmp_path / "a.json").write_text(data)
    cleaned = clean(tmp_path / "a.json")
    assert [row["id"] for row in cleaned.documents] == list("0134")
    assert [(row["offset"], row["length"]) for row in cleaned.quarantined] == [(data.index(items[2]), len(items[2]))]


@pytest.mark.parametrize("between", [", ", ",\n"])
def test_bracket_that_closes_nothing_is_told(tmp_path: Path, clean: Clean, between: str) -> None:
    items = [f'{{"id": "{n}", "text": "words {n}"}}' for n in range(5)]
    items[2] += "}"
    data = "[" + between.join(items) + "]"
    (tmp_path / "a.json").write_text(data)
    cleaned = clean(tmp_path / "a.json")
    assert [row["id"] for row in cleaned.documents] == list("01234")
    assert [(row["offset"], row["length"]) for row in cleaned.quarantined] == [(data.index("}}") + 1, 1)]


@pytest.mark.parametrize(
    ("content", "damaged"),
    [
        ("[{}, {}]\n[{}, {}, {}]\n{}", 0),
        ("[{}, {}][{}, {}]{}{}", 0),
        ("[{}]\n{}\n{}\n{}\n{}\n{}", 0),
        ("[{}, {}, {}, {}, {}, {}", 0),
        ("[{}, {}, {}, {}, {}, {},]", 0),
        ("// made by hand\n[{}, {}, {}, {}, {}, {}]", 1),
        ("[{}, {}, {}, {}, {}, {}] // and more", 1),
        ("[{}, {}, {}, {}, {}, {}]\nthis is no JSON", 1),
        ("{}{}{}{}{}{}\nthis is no JSON", 1),
    ],
)
def test_lists_and_objects_one_after_the_other(tmp_path: Path, clean: Clean, content: str, damaged: int) -> None:
    for record in RECORDS:
        content = content.replace("{}", record, 1)
    (tmp_path / "a.json").write_text(content)
    cleaned = clean(tmp_path / "a.json")
    assert ids(cleaned) == [f"r{n}" for n in range(6)]
    assert cleaned.reasons == ["json_invalid"] * damaged


@pytest.mark.parametrize("between", ["", "\r", ",\n", "\n" + "\0" * 100, "\n\ufeff", "\n\x1e"])
def test_objects_on_one_line_of_json_lines(tmp_path: Path, clean: Clean, between: str) -> None:
    (tmp_path / "a.jsonl").write_text(between.join(RECORDS) + "\n", newline="")
    cleaned = clean(tmp_path / "a.jsonl")
    assert ids(cleaned) == [f"r{n}" for n in range(6)]
    assert len({document["doc_id"] for document in cleaned.documents}) == 6
    assert cleaned.quarantined == []


def test_half_an_object_behind_a_whole_one_on_a_line(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.jsonl").write_text(RECORDS[0] + RECORDS[1][:20] + "\n" + RECORDS[2] + "\n")
    cleaned = clean(tmp_path / "a.jsonl")
    assert ids(cleaned) == ["r0", "r2"]
    assert cleaned.reasons == ["json_invalid"]


@pytest.mark.parametrize("separator", [",\n", ", "])
def test_json_list_is_read_on_behind_a_damaged_member(tmp_path: Path, clean: Clean, separator: str) -> None:
    items = [json.dumps({"id": f"r{n}", "text": f"{n} {os.urandom(100).hex()}"}) for n in range(60)]
    content = ("[" + separator.strip(",") + separator.join(items) + "]").encode()
    members = [gzip.compress(content[at : at + 3000]) for at in range(0, len(content), 3000)]
    members[2] = damage(members[2], len(members[2]) // 2, 40)
    (tmp_path / "a.json.gz").write_bytes(b"".join(members))
    cleaned = clean(tmp_path / "a.json.gz")
    lost = {f"r{n}" for n in range(60)} - set(ids(cleaned))
    assert len(lost) <= 3 * 3000 // 200
    assert ids(cleaned)[-1] == "r59"
    assert "corrupt_compression" in cleaned.reasons
