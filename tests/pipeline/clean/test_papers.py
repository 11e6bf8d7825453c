"""What people write and send: Office texts, books, mail, notebooks and PDF files become the text that is read."""

import gzip
import io
import json
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest

from pipeline.readers.raw.kinds import package_kind
from tests.pipeline.clean.inputs import Clean, damage

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"
FILES_OF_XML = ["a.docx", "b.odt", "c.epub"]
SENTENCE = "The lamp on the pier burned all night, and nobody came to put it out."


def package(members: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data, zipfile.ZIP_STORED if name == "mimetype" else None)
    return buffer.getvalue()


def docx(body: str, **more: str) -> bytes:
    document = f'<w:document xmlns:w="{W}" xmlns:mc="{MC}"><w:body>{body}</w:body></w:document>'
    return package({"[Content_Types].xml": "<Types/>", "word/document.xml": document, **more})


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def odt(body: str) -> bytes:
    names = {"office": "office", "text": "text", "table": "table"}
    spaces = " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{v}:1.0"' for n, v in names.items())
    inner = f"<office:body><office:text>{body}</office:text></office:body>"
    content = f"<office:document-content {spaces}>{inner}</office:document-content>"
    return package({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content})


def encryption(*parts: str) -> str:
    """A list of parts that are encrypted, as books have it."""
    space = "http://www.w3.org/2001/04/xmlenc#"
    data = "".join(
        f'<e:EncryptedData><e:CipherData><e:CipherReference URI="{part}"/></e:CipherData></e:EncryptedData>'
        for part in parts
    )
    return f'<encryption xmlns:e="{space}">{data}</encryption>'


def epub(*pages: str, **more: str) -> bytes:
    items = "".join(
        f'<item id="p{n}" href="p%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(pages))
    )
    spine = "".join(f'<itemref idref="p{n}"/>' for n in reversed(range(len(pages))))
    opf = f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>'
    container = '<container><rootfiles><rootfile full-path="in/book.opf"/></rootfiles></container>'
    chapters = {f"in/p {n}.xhtml": f"<html><body><p>{page}</p></body></html>" for n, page in enumerate(pages)}
    return package(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "in/book.opf": opf,
            **chapters,
            **more,
        }
    )


def test_word_file_is_its_paragraphs_tables_and_notes(tmp_path: Path, clean: Clean) -> None:
    rows = ["".join(f"<w:tc><w:p>{run(cell)}</w:p></w:tc>" for cell in row) for row in ("ab", "cd")]
    box = f"<w:p>{run('box')}</w:p>"
    body = (
        f"<w:p>{run('One ')}{run('line &amp; more')}<w:r><w:br/></w:r>{run('next')}<w:r><w:tab/></w:r>{run('tab')}"
        "</w:p><w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
        f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>"
        f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl><w:p>{run(SENTENCE)}</w:p>"
    )
    notes = f'<w:footnotes xmlns:w="{W}"><w:footnote><w:p>{run("A note.")}</w:p></w:footnote></w:footnotes>'
    (tmp_path / "a.docx").write_bytes(docx(body, **{"word/footnotes.xml": notes}))
    (tmp_path / "no suffix").write_bytes((tmp_path / "a.docx").read_bytes())
    cleaned = clean(tmp_path)
    assert cleaned.reasons == []
    wanted = f"One line & more\nnext\ttab\n\nbox\na \tb\nc \td\n{SENTENCE}\n\nA note."
    assert [text.replace(" \t", "\t").split() for text in cleaned.texts] == [wanted.split()] * 2
    assert "One line & more\nnext\ttab" in cleaned.texts[0]


def test_open_document_is_its_paragraphs(tmp_path: Path, clean: Clean) -> None:
    body = (
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes><text:h>Heading</text:h>"
        "<text:p>One <text:span>styled</text:span> line<text:s text:c='2'/>spaced<office:annotation>"
        f"<text:p>remark</text:p></office:annotation> on.<text:line-break/>next</text:p><text:p>{SENTENCE}</text:p>"
    )
    (tmp_path / "a.odt").write_bytes(odt(body))
    assert clean(tmp_path).texts == [f"Heading\nOne styled line  spaced on.\nnext\n{SENTENCE}"]


def test_book_is_its_chapters_in_reading_order(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.epub").write_bytes(epub(f"{SENTENCE} One.", f"{SENTENCE} Two &nbsp; three."))
    cleaned = clean(tmp_path)
    assert [document["path"] for document in cleaned.documents] == ["a.epub/in/p 1.xhtml", "a.epub/in/p 0.xhtml"]
    assert ["Two" in text for text in cleaned.texts] == [True, False]
    (tmp_path / "a.epub").write_bytes(epub(SENTENCE, **{"META-INF/encryption.xml": encryption("in/p%200.xhtml")}))
    assert clean(tmp_path).reasons == ["encrypted"]


def test_book_that_was_packed_with_its_folder_is_read(tmp_path: Path, clean: Clean) -> None:
    with zipfile.ZipFile(io.BytesIO(epub(f"{SENTENCE} One."))) as book:
        inside = {f"my book/{name}": book.read(name).decode() for name in book.namelist()}
    (tmp_path / "a.epub").write_bytes(package(inside))
    cleaned = clean(tmp_path)
    assert [document["path"] for document in cleaned.documents] == ["a.epub/my book/in/p 0.xhtml"]
    (tmp_path / "a.epub").write_bytes(
        package({**inside, "my book/META-INF/encryption.xml": encryption("in/p%200.xhtml")})
    )
    assert clean(tmp_path).reasons == ["encrypted"]


def test_bytes_of_damaged_papers_are_counted_apart_since_they_are_mostly_pictures(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "note.txt").write_text(SENTENCE)
    (tmp_path / "a.epub").write_bytes(package({"cover.png": "x" * 100_000}))
    (tmp_path / "b.jsonl").write_text("{" * 40)
    counts = clean(tmp_path).counts
    assert counts["bytes_of_papers_quarantined"] == (tmp_path / "a.epub").stat().st_size
    assert counts["bytes_quarantined"] > counts["bytes_of_papers_quarantined"] > 0


def test_notebook_is_its_cells(tmp_path: Path, clean: Clean) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "Words."]},
        {"cell_type": "code", "source": "print(1)\n", "outputs": [{"text": "1"}]},
        {"cell_type": "code", "source": []},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells, "metadata": {"language_info": {"name": "R"}}}))
    (tmp_path / "b.ipynb.gz").write_bytes(gzip.compress((tmp_path / "a.ipynb").read_bytes()))
    (tmp_path / "c.ipynb").write_text('{"cells": 5}')
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["# Title\nWords.\n\n```R\nprint(1)\n```"] * 2
    assert cleaned.reasons == ["corrupt_file"]


LETTER = (
    "From: Ann Example <ann@example.org>\nSubject: =?utf-8?q?Caf=C3=A9?= on the pier\nMessage-ID: <1@example.org>\n"
    "Date: Tue, 02 Jan 2024 03:04:05 +0100\nMIME-Version: 1.0\n"
)
BOTH = (
    'Content-Type: multipart/mixed; boundary="xx"\n\n--xx\nContent-Type: text/plain; charset=iso-8859-1\n'
    "Content-Transfer-Encoding: quoted-printable\n\nDear reader, the caf=E9 is open.\n--xx\n"
    "Content-Type: application/octet-stream\nContent-Disposition: attachment\n\nnoise\n--xx--\n"
)


def test_message_is_its_subject_and_words(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.eml").write_text(LETTER + BOTH)
    page = f"<html><body><p>{SENTENCE}</p></body></html>"
    (tmp_path / "b.eml").write_text(f"{LETTER}Content-Type: text/html; charset=x-unknown\n\n{page}")
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["Café on the pier\n\nDear reader, the café is open.", SENTENCE]
    first = cleaned.documents[0]
    assert (first["id"], first["date"]) == ("<1@example.org>", "2024-01-02T03:04:05+01:00")
    assert json.loads(cleaned.documents[1]["metadata"]) == {"subject": "Café on the pier"}


def test_mailbox_is_its_messages(tmp_path: Path, clean: Clean) -> None:
    plain = f"{LETTER}\nFirst line.\nFrom here on no new message.\n>From the sea.\n\n"
    box = "".join(f"From ann@example.org Tue Jan  2 03:04:05 2024\n{plain}" for _ in range(3))
    (tmp_path / "a.mbox").write_text(box)
    cleaned = clean(tmp_path)
    assert cleaned.texts == ["Café on the pier\n\nFirst line.\nFrom here on no new message.\nFrom the sea."] * 3
    assert [document["offset"] for document in cleaned.documents] == [0, len(box) // 3, len(box) // 3 * 2]
    assert cleaned.counts["bytes_documents"] == len(box)


@pytest.mark.parametrize("name", ["a.docx", "a.odt", "a.epub"])
def test_damaged_package_is_one_damaged_file(tmp_path: Path, clean: Clean, name: str) -> None:
    whole = {"a.docx": docx(run(SENTENCE)), "a.odt": odt(SENTENCE), "a.epub": epub(SENTENCE)}[name]
    for data in (
        whole[:100],
        damage(whole, whole.index(b"content.xml" if name == "a.odt" else b"xml") + 30, 40),
        b"words",
    ):
        (tmp_path / name).write_bytes(data)
        assert clean(tmp_path).reasons == ["corrupt_file"]


@pytest.mark.parametrize("encoding", ["klingon", "utf-16", "utf-8"])
def test_xml_in_an_encoding_that_nobody_knows_is_damage(tmp_path: Path, clean: Clean, encoding: str) -> None:
    document = f'<?xml version="1.0" encoding="{encoding}"?><a/>'
    (tmp_path / "a.docx").write_bytes(package({"word/document.xml": document}))
    (tmp_path / "b.odt").write_bytes(package({"mimetype": "x", "content.xml": document}))
    (tmp_path / "c.epub").write_bytes(epub("<p>page</p>", **{"META-INF/container.xml": document}))
    cleaned = clean(tmp_path)
    assert [row["path"] for row in cleaned.quarantined] == (["c.epub"] if encoding == "utf-8" else FILES_OF_XML)
    assert set(cleaned.reasons) == {"corrupt_file"}


def test_chapter_that_cannot_be_read_costs_itself(tmp_path: Path, clean: Clean) -> None:
    pages = [f"<html><body><p>{SENTENCE} Chapter {number} of it.</p></body></html>" for number in range(3)]
    data = epub(*pages)
    place = data.index(b"in/p 1.xhtml") + len("in/p 1.xhtml")
    (tmp_path / "a.epub").write_bytes(damage(data, place, 8))
    cleaned = clean(tmp_path)
    assert [document["path"] for document in cleaned.documents] == ["a.epub/in/p 2.xhtml", "a.epub/in/p 0.xhtml"]
    assert [(row["path"], row["offset"], row["reason"]) for row in cleaned.quarantined] == [
        ("a.epub/in/p 1.xhtml", 1, "corrupt_file")
    ]


def test_package_that_becomes_too_large_is_damaged(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.docx").write_bytes(docx(f"<w:p>{run('a' * 100_000)}</w:p>"))
    assert "max_record_bytes" in clean(tmp_path, max_record_bytes=50_000).quarantined[0]["detail"]
    deep = "<w:p>" * 100_000 + run(SENTENCE) + "</w:p>" * 100_000
    (tmp_path / "a.docx").write_bytes(docx(deep))
    assert clean(tmp_path).texts == [SENTENCE]


def test_other_packages_are_of_their_own_kind(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.xlsx").write_bytes(package({"[Content_Types].xml": "x", "xl/workbook.xml": "x"}))
    (tmp_path / "a.pptx").write_bytes(package({"[Content_Types].xml": "x", "ppt/slides/slide1.xml": "x"}))
    (tmp_path / "b.xlsx").write_bytes(package({"xl/_rels/workbook.xml.rels": "x", "[Content_Types].xml": "x"}))
    (tmp_path / "words.zip").write_bytes(package({"word/a.txt": "words in a folder"}))
    (tmp_path / "a.ods").write_bytes(package({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "a": "x"}))
    (tmp_path / "a.jar").write_bytes(package({"META-INF/MANIFEST.MF": "x", "a.txt": "words"}))
    cleaned = clean(tmp_path)
    assert cleaned.numbers() == (1, 5, 0)
    assert {row["reason"].rpartition(".")[2] for row in cleaned.excluded} == {
        *("spreadsheetml", "presentationml", "spreadsheet", "unsupported: application/java-archive")
    }


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        (("ppt/", "ppt/slideLayouts/", "ppt/slides/slide1.xml"), "presentationml"),
        (("customXml/item1.xml", "docProps/app.xml", "xl/", "xl/workbook.xml"), "spreadsheetml"),
        (("word/", "word/theme/", "word/document.xml"), "wordprocessingml"),
        (("media/cover.jpg", "[Content_Types].xml", "visio/document.xml"), "unknown"),
        (("META-INF/", "META-INF/MANIFEST.MF", "a/B.class"), "java-archive"),
        (("res/", "AndroidManifest.xml", "classes.dex"), "vnd.android.package-archive"),
        (("META-INF/container.xml", "in/page.xhtml"), "epub+zip"),
        (("content.xml", "META-INF/manifest.xml"), "vnd.oasis.opendocument.unknown"),
    ],
)
def test_package_is_told_by_any_of_its_first_members(members: tuple[str, ...], kind: str) -> None:
    found = package_kind(package(dict.fromkeys(members, "")))
    assert found is not None
    assert found.endswith(kind)


def test_package_within_an_archive_does_not_make_it_one() -> None:
    inner = package({"[Content_Types].xml": "x", "ppt/presentation.xml": "x"})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("slides.pptx", inner)
        archive.writestr("ppt/notes.txt", "words in a folder")
    assert package_kind(buffer.getvalue()) is None


def pdf(*pages: str) -> bytes:
    """A PDF file with one line of text per page, or with the operators of one that begins with ``[``."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for text in pages:
        stream = f"BT /F1 12 Tf 72 700 Td {text if text.startswith('[') else f'({text}) Tj'} ET"
        kids.append(f"{len(objects) + 1} 0 R")
        font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
        place = f"/Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects) + 2} 0 R"
        objects.append(f"<< /Type /Page {place} /Resources {font} >>")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    out, places = "%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{text}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    end += f"startxref\n{len(out)}\n%%EOF\n"
    return (out + end).encode()


def test_pdf_is_its_text_layer(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(SENTENCE, "The second page."))
    (tmp_path / "no suffix").write_bytes(pdf(SENTENCE, "The second page."))
    cleaned = clean(tmp_path)
    assert cleaned.texts == [f"{SENTENCE}\n\nThe second page."] * 2
    (tmp_path / "a.pdf").write_bytes(pdf(SENTENCE)[:150])
    (tmp_path / "no suffix").write_bytes(pdf(""))
    cleaned = clean(tmp_path)
    assert cleaned.reasons == ["corrupt_file"]
    (scan,) = cleaned.excluded
    assert (scan["reason"], "OCR" in scan["detail"]) == ("no_text_layer", True)


def test_words_of_a_pdf_are_told_by_the_gaps_between_them_and_joined_over_line_ends(
    tmp_path: Path, clean: Clean
) -> None:
    """Typesetting programs write no blanks: they move on by the width of one; a divided word has a hyphen alone."""
    lines = ("[(The) -300 (lamp) -300 (on) -300 (the) -300 (har-)] TJ", "[(bour) -300 (wall) -300 (shone.)] TJ")
    (tmp_path / "a.pdf").write_bytes(pdf(" 0 -14 Td ".join(lines)))
    assert clean(tmp_path).texts == ["The lamp on the harbour wall shone."]


def test_book_whose_fonts_alone_are_encrypted_is_read(clean: Clean, tmp_path: Path) -> None:
    (tmp_path / "a.epub").write_bytes(epub(SENTENCE, **{"META-INF/encryption.xml": encryption("in/font/OpenSans.TTF")}))
    assert [row["text"] for row in clean(tmp_path).documents] == [SENTENCE]


def test_word_file_in_strict_open_xml_has_its_text(clean: Clean, tmp_path: Path) -> None:
    strict = "http://purl.oclc.org/ooxml/wordprocessingml/main"
    body = f"<w:p>{run(SENTENCE)}</w:p><w:p>{run('The second paragraph stands on a line of its own.')}</w:p>"
    data = package({"word/document.xml": f'<w:document xmlns:w="{strict}"><w:body>{body}</w:body></w:document>'})
    (tmp_path / "a.docx").write_bytes(data)
    (row,) = clean(tmp_path).documents
    assert row["text"] == f"{SENTENCE}\nThe second paragraph stands on a line of its own."


def test_word_file_whose_text_has_another_name_is_read(clean: Clean, tmp_path: Path) -> None:
    document = f'<w:document xmlns:w="{W}"><w:body><w:p>{run(SENTENCE)}</w:p></w:body></w:document>'
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    listed = f'<Relationships><Relationship Type="{kind}" Target="/word/document2.xml"/></Relationships>'
    (tmp_path / "a.docx").write_bytes(package({"_rels/.rels": listed, "word/document2.xml": document}))
    assert [row["text"] for row in clean(tmp_path).documents] == [SENTENCE]


def test_word_file_with_a_password_is_told_as_that(clean: Clean, tmp_path: Path) -> None:
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    (tmp_path / "a.docx").write_bytes(head + bytes(1000) + "EncryptedPackage".encode("utf-16-le") + bytes(1000))
    (row,) = clean(tmp_path).quarantined
    assert (row["reason"], "it is encrypted with a password" in row["detail"]) == ("encrypted", True)


def test_open_document_with_a_password_is_told_as_that(clean: Clean, tmp_path: Path) -> None:
    listed = (
        "<manifest:manifest><manifest:file-entry><manifest:encryption-data/></manifest:file-entry></manifest:manifest>"
    )
    (tmp_path / "a.odt").write_bytes(package({"META-INF/manifest.xml": listed, "content.xml": "\x8fnoise"}))
    (row,) = clean(tmp_path).quarantined
    assert (row["reason"], "it is encrypted with a password" in row["detail"]) == ("encrypted", True)


def test_message_that_is_nested_too_deeply_is_told_as_that(
    tmp_path: Path, clean: Clean, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "a.eml").write_text(
        LETTER + "Content-Type: message/rfc822\n\n" * 5_000 + "Content-Type: text/plain\n\nx\n"
    )
    request.addfinalizer(partial(sys.setrecursionlimit, sys.getrecursionlimit()))
    sys.setrecursionlimit(1_000)  # some libraries raise it for the process that loads them
    assert clean(tmp_path).quarantined[0]["detail"] == "eml: nested too deeply to be read"
