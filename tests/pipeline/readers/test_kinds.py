"""Kinds of file are told by their first bytes, no text is taken for one, and a charset by the tag that declares it."""

import random

import pytest

from pipeline.readers.parts.formats import format_of_bytes
from pipeline.readers.raw.kinds import kind_of, why_no_text
from pipeline.readers.raw.prescan import declared_charset

TEXTS = (
    *("BMW makes cars.", "II*", "ID3 tags are old.", "MZ is Mozambique.", "ORC\nArmy of the North", "true story"),
    *("GIF89a is a format of pictures.", "PACKING list", "PARENTS and PAR1 are words.", "CDFs add up", "FEA1 report"),
    *("filedesc files", "d8 is a die", "wOFF!", "gimp xcf files are large", "x^2 + y^2 = z^2", "xar!", "7z is small"),
    *(
        "PK is a code",
        "Rar! he said",
        "LZIPPED",
        "8BPS",
        "<svgs are no pictures>",
        "<?xml version='1.0'?><book><svg>",
        "<!-- <svg> --><html>",
        "OTTO von",
        "SQLite format 3 is stable",
        "FWS and CWS",
        "%PDF",
    ),
)


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_of_no_other_kind(text: str) -> None:
    assert kind_of(text.encode()) is None
    assert kind_of(text.encode() + b"\nand more words. " * 20) is None


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"GIF89a\x10\0\x10\0\xf0\0\0", "image/gif"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml"),
        (
            b'<?xml version="1.0"?>\n<!-- a - b -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN">\n<svg>',
            "image/svg+xml",
        ),
        (b"wOF2\0\1\0\0" + bytes(9), "font/woff2"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
        (b"Obj\x01\x02\x16avro.schema", "application/vnd.apache.avro"),
        (b"\xde\x12\x04\x95\0\0\0\0\x02\0\0\0", "application/x-gettext-translation"),
        (b"\x95\x04\x12\xde\0\x01\0\0\0\0\0\x02", "application/x-gettext-translation"),
        (b"\xff\x06\0\0sNaPpY", "application/x-snappy-framed"),
        (b"\x04\x22\x4d\x18d@\xa7", "application/x-lz4"),
        (rb"{\rtf1\ansi", "application/rtf"),
        (b"filedesc://a.arc 0.0.0.0 2000 text/plain 69\n", "application/x-arc"),
        (b"\x7fELF\x02\x01\x01", "application/x-elf"),
        (b"a.txt".ljust(257, b"\0") + b"ustar\x00", "application/x-tar"),
        (b"\x78\x9c\x4b\x4c\x4a\x06\x00\x02\x4d\x01\x27", "application/zlib"),
    ],
)
def test_kind_is_told_by_the_first_bytes(head: bytes, kind: str) -> None:
    assert kind_of(head) == kind


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Съешь же ещё этих мягких французских булок, да выпей чаю. " * 9, "koi8-r"),
        ("Съешь же ещё этих мягких французских булок, да выпей чаю. " * 9, "cp1251"),
        ("いろはにほへと ちりぬるを わかよたれそ つねならむ\n" * 9, "shift_jis"),
        ("いろはにほへと ちりぬるを わかよたれそ つねならむ\n" * 9, "iso2022_jp"),
        ("키스의 고유조건은 입술끼리 만나야 한다\n" * 9, "iso2022_kr"),
        ("키스의 고유조건은 입술끼리 만나야 한다\n" * 9, "euc_kr"),
        ("NAME\n       N\bNA\bAM\bME\bE of a page\n" * 9, "ascii"),
        ("\x1b[1mbold\x1b[0m words\n" * 9, "ascii"),
        ("a\0", "ascii"),
    ],
)
def test_text_in_any_encoding_is_text(text: str, encoding: str) -> None:
    assert why_no_text(text.encode(encoding)) is None
    assert format_of_bytes(text.encode(encoding)) == "text"


def test_noise_is_no_text() -> None:
    generator = random.Random(3)
    taken = [size for size in range(100, 4000, 13) if why_no_text(generator.randbytes(size)) is None]
    assert len(taken) <= 3  # a third of them were, where a tenth of control bytes was the sign


@pytest.mark.parametrize(
    ("page", "charset"),
    [
        (b'<!-- <meta charset="koi8-r"> --><meta charset="iso-8859-2">', "iso-8859-2"),
        (b'<!--><meta charset="koi8-r">-->', "koi8-r"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-2">', "iso-8859-2"),
        (b'<META CONTENT="text/html; charset = &#39;x" HTTP-EQUIV=content-type>', "&#39"),
        (b"<meta content='a; charset=\"koi8-r\"' http-equiv=Content-Type />", "koi8-r"),
        (b'<meta content="text/html; charset=iso-8859-2">', None),
        (b'<meta http-equiv="refresh" content="1; charset=koi8-r">', None),
        (b"<metacharset=koi8-r>", None),
        (b'<meta name="charset=koi8-r">', None),
        (b'<a title="<meta charset=koi8-r>"><meta charset=utf-16le>', "utf-8"),
        (b'<?php "<meta charset=koi8-r>" ?><meta charset=latin1>', "latin1"),
        (b"<meta charset=a charset=b>", "a"),
        (b"<meta/charset=koi8-r>", "koi8-r"),
        (b"<meta charset=koi8-r", "koi8-r"),
        (b"<p>no charset=koi8-r here", None),
    ],
)
def test_charset_is_what_the_html_standard_believes(page: bytes, charset: str | None) -> None:
    assert declared_charset(page) == charset
