"""What nobody reads is excluded by its kind, and is no damage, in a folder, an archive, a compressed file or a page."""

import gzip
import os
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pytest

from tests.pipeline.clean.inputs import Clean, page, response

PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" + b"1 0 obj <</Type/Annot/Rect[1 0 2 9]>> endobj\n" * 2000
PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(2000)
POSTSCRIPT = b"%!PS-Adobe-3.0\n%%Pages: 1\n" + b"0 0 moveto (words) show\n" * 2000
NOISE = os.urandom(5000)


def kinds(cleaned: object) -> Counter[str]:
    return Counter(row["reason"] for row in cleaned.excluded)  # type: ignore[attr-defined]


def test_folder_with_other_kinds_of_file_is_no_damage(tmp_path: Path, clean: Clean) -> None:
    for name, data in {
        **{
            "a.ps": POSTSCRIPT,
            "b.txt": POSTSCRIPT,
            "c.png": PNG,
            "d.html": PNG,
            "e.jsonl": PNG,
            "noise": NOISE,
            "f.png.gz": PNG,
        },
        **{"g.md": b"# Words", "h": b"Words in a file without a suffix."},
    }.items():
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    cleaned = clean(tmp_path)
    assert len(cleaned.texts) == 2
    assert cleaned.reasons == []
    assert kinds(cleaned) == {
        "unsupported: application/postscript": 2,
        "unsupported: image/png": 4,
        "unsupported: application/octet-stream": 1,
    }


def test_noise_in_a_file_that_is_named_text_is_damage(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.txt").write_bytes(NOISE)
    assert clean(tmp_path).reasons == ["not_text"]


def test_file_of_another_format_is_told_which(tmp_path: Path, clean: Clean) -> None:
    with zipfile.ZipFile(tmp_path / "a.jsonl", "w") as archive:
        archive.writestr("b.txt", "words")
    cleaned = clean(tmp_path)
    assert cleaned.reasons == ["corrupt_file"]
    assert "begins like zip: state its format" in cleaned.quarantined[0]["detail"]


def test_members_of_other_kinds_are_excluded(tmp_path: Path, clean: Clean) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, data in {"a.png": PNG, "b.txt": POSTSCRIPT, "c.bin": NOISE, "d.txt": b"words"}.items():
            archive.writestr(name, data)
    cleaned = clean(tmp_path)
    assert (cleaned.texts, cleaned.reasons, cleaned.excluded[0]["path"]) == (["words"], [], "a.zip/a.png")
    assert sorted(kinds(cleaned)) == [
        "unsupported: application/octet-stream",
        "unsupported: application/postscript",
        "unsupported: image/png",
    ]


@pytest.mark.parametrize("content_type", ["text/html", "text/plain"])
def test_page_that_is_no_text_is_excluded_whatever_its_server_says(
    tmp_path: Path, clean: Clean, content_type: str
) -> None:
    bodies = [page("A page."), PDF, PNG, NOISE[:400], gzip.compress(page("Another page."))]
    records = [response(body, f"https://site.example/{n}", content_type) for n, body in enumerate(bodies)]
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    cleaned = clean(tmp_path / "a.warc")
    assert [document["url"][-1] for document in cleaned.documents] == ["0", "4"]
    assert sorted(kinds(cleaned)) == ["unsupported: application/pdf", "unsupported: image/png"]
    assert cleaned.reasons == ["not_text"]


def test_charset_in_a_comment_is_not_believed(tmp_path: Path, clean: Clean) -> None:
    text = "Příliš žluťoučký kůň úpěl ďábelské ódy a nikdo mu v tom nebránil."
    head = '<!-- <meta charset="windows-1252"> --><meta charset="iso-8859-2">'
    (tmp_path / "a.html").write_bytes(page(text, head).decode().encode("iso-8859-2"))
    assert text in clean(tmp_path).texts[0]


def test_declaration_of_no_known_encoding_declares_nothing(tmp_path: Path, clean: Clean) -> None:
    text = "Příliš žluťoučký kůň"
    head = '<meta charset="bogus"><meta charset="iso-8859-2">'
    (tmp_path / "a.html").write_bytes(page(text, head).decode().encode("iso-8859-2"))
    assert text in clean(tmp_path).texts[0]


def test_links_and_globs_of_a_source(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/a.md", "in/b.txt", "outside.md"):
        (tmp_path / name).write_text(f"Words of {name}.")
    (tmp_path / "in/c.md").symlink_to("../outside.md")
    (tmp_path / "in/d.md").symlink_to("nothing")
    cleaned = clean(tmp_path / "in", source={"include": ["*.md"]})
    assert (cleaned.texts, cleaned.reasons) == (["Words of in/a.md."], [])
    assert [(row["path"], row["reason"]) for row in cleaned.excluded] == [
        ("c.md", "outside_link"),
        ("d.md", "broken_link"),
    ]
    assert len(clean(tmp_path / "in", source={"exclude": ["b*"], "follow_links": True}).texts) == 2


def test_saved_dataset_is_its_data_alone(tmp_path: Path, clean: Clean) -> None:
    rows = [{"id": str(n), "text": f"The lamp on the pier burned all night, said keeper {n}."} for n in range(9)]
    for name in ("data-00000-of-00001", "cache-2d0a802b78a30b76"):
        feather.write_feather(pa.Table.from_pylist(rows), tmp_path / f"{name}.arrow")
    for name in ("state.json", "dataset_info.json"):
        (tmp_path / name).write_text('{"_data_files": [], "features": {}}')
    cleaned = clean(tmp_path)
    assert (len(cleaned.texts), cleaned.reasons) == (9, [])
    assert [(row["path"], row["reason"]) for row in cleaned.excluded] == [
        ("cache-2d0a802b78a30b76.arrow", "dataset_cache"),
        ("dataset_info.json", "dataset_info"),
        ("state.json", "dataset_info"),
    ]
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert cleaned.counts["bytes_in"] == sum(sizes.values())
    assert cleaned.counts["bytes_excluded"] == sum(size for name, size in sizes.items() if not name.startswith("data-"))


def test_files_whose_names_look_alike_are_both_read(tmp_path: Path, clean: Clean) -> None:
    for name in (b"a\xff.txt", rb"a\xff.txt"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"Words of " + name.hex().encode())
    cleaned = clean(tmp_path)
    assert len(set(cleaned.texts)) == 2
    assert len({document["doc_id"] for document in cleaned.documents}) == 2
