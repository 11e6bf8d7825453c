"""Text in every encoding is read, stated or not, and what is no text is noted."""

import json
import random
from pathlib import Path

import pytest

from pipeline.kernels.text_scan import control_bytes
from pipeline.readers.raw.kinds import CONTROLS
from tests.pipeline.clean.inputs import Clean, response

WIDE_TEXTS = [
    "Grüße aus Köln: a line of plain words to read, with enough of them to be taken for running text.",
    "Река течёт через город, и на её берегу стоит старый дом, в котором живут учитель и его дочь.",
]


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "utf-32-le", "utf-32-be"]
)
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.html"])
@pytest.mark.parametrize("text", WIDE_TEXTS, ids=["latin", "cyrillic"])
def test_wide_encodings_are_read_with_and_without_a_mark(
    tmp_path: Path, clean: Clean, encoding: str, name: str, text: str
) -> None:
    content = {
        "a.txt": text,
        "a.jsonl": json.dumps({"text": text}, ensure_ascii=False) + "\n",
        "a.csv": f'text,id\n"{text}",1\n',
        "a.html": f"<html><body><main><p>{text}</p></main></body></html>",
    }[name]
    (tmp_path / name).write_bytes(content.encode(encoding))
    cleaned = clean(tmp_path / name)
    assert cleaned.numbers() == (1, 0, 0)
    assert cleaned.texts == [text]


def test_stray_nul_bytes_do_not_make_a_file_utf_16(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,id\nwith \0 nul,1\ngood one,2\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "good"}\n\0\n{"text": "ok"}\n')
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["with  nul", "good one", "good", "ok"]
    assert cleaned.reasons == ["json_invalid"]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_stated_encoding_is_used(tmp_path: Path, clean: Clean, name: str) -> None:
    content = {"a.txt": "日本語", "a.jsonl": '{"text": "日本語"}', "a.csv": "text\n日本語\n"}[name]
    (tmp_path / name).write_bytes(content.encode("utf-32-be"))
    assert clean(tmp_path / name, source={"encoding": "UTF-32-BE"}).texts == ["日本語"]


def test_windows_1252_declared_as_utf8_is_read_as_what_it_is(tmp_path: Path, clean: Clean) -> None:
    text = "L’été à Genève : un café « très » serré coûte 3 €, déjà."
    body = f"<html><head><meta charset=utf-8></head><body><main><p>{text}</p></main></body></html>".encode("cp1252")
    (tmp_path / "a.warc").write_bytes(response(body))
    assert clean(tmp_path / "a.warc").texts == [text]


def test_binary_file_named_text_is_not_text(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.txt").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "b.txt").write_bytes(b"plain words")
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["plain words"]
    assert cleaned.reasons == ["not_text"]


def test_a_document_says_what_it_was_decoded_as_and_how_much_of_it_is_broken(tmp_path: Path, clean: Clean) -> None:
    words = "오늘 회의에서는 새로운 도서관의 설계를 논의하였습니다. 자세한 내용은 안내문을 보십시오. " * 3
    page = f'<html><head><meta charset="euc-kr"></head><body><main><p>{words}</p></main></body></html>'
    (tmp_path / "a.html").write_bytes(page.encode("cp949").replace(b"<p>", b"<p>\xff "))
    (tmp_path / "b.txt").write_bytes(words.encode("cp949"))
    (tmp_path / "c.csv").write_bytes(f"text,id\n{words},1\n".encode("cp949"))
    (tmp_path / "d.jsonl").write_text(json.dumps({"text": words}) + "\n", "utf-8")
    cleaned = clean(tmp_path)
    rows = cleaned.documents
    assert [row["decoded_as"] for row in rows] == ["euc-kr", "euc-kr", "euc-kr", None]
    shares = [row["replaced_share"] for row in rows]
    assert shares[0] == pytest.approx(1 / len(rows[0]["text"]))
    assert shares[1:] == [0, 0, 0]
    assert all(row["text"].endswith(words.strip()) for row in rows)


@pytest.mark.parametrize(
    "markup",
    [
        b'<p title="<meta charset=iso-8859-2>">',
        b"<!-- <meta charset=iso-8859-2> -->",
        b"<meta test='x charset=iso-8859-2'>",
        b'<meta charset=iso-8859-2">',
    ],
)
def test_what_only_looks_like_a_declaration_is_not_believed_by_the_detector(
    tmp_path: Path, clean: Clean, markup: bytes
) -> None:
    words = "Le garçon est déjà parti à la mer, où il était né, et sa mère l'a suivi jusqu'à la forêt. " * 3
    page = b"<html><body><main>" + markup + b"<p>" + words.encode("cp1252") + b"</p></main></body></html>"
    (tmp_path / "a.html").write_bytes(page)
    (document,) = clean(tmp_path).documents
    assert words.strip() in document["text"]


def test_control_characters_are_counted_as_they_are_named() -> None:
    generator = random.Random(0)
    for size in (0, 1, 127, 128, 129, 5000):
        data = generator.randbytes(size)
        assert control_bytes(data) == len(data) - len(data.translate(None, CONTROLS))
    assert control_bytes(bytes(range(256)) * 3) == 3 * len(CONTROLS)
