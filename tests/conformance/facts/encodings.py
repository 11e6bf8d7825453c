"""Undeclared bytes: the text of each file beside that of the codec under whose name it lies."""

import codecs
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from pipeline.clean.decode import NotText, decode
from tests.conformance.clones import Clone, Repository
from tests.conformance.facts.figures import Figure, measure

# what browsers read under a codec's name, beside that codec itself
WIDER = {
    **{"big5": ("big5hkscs",), "euc_kr": ("cp949",), "gb2312": ("gbk", "gb18030"), "gbk": ("gb18030",)},
    **{"shift_jis": ("cp932",), "cp932": ("shift_jis",), "ascii": ("cp1252",), "iso8859_1": ("cp1252",)},
    **{"iso8859_9": ("cp1254",), "tis_620": ("cp874",), "iso8859_11": ("cp874",)},
    **{"iso8859_7": ("cp1253",), "cp1253": ("iso8859_7",)},
}
OF_PYTHON = {
    **{"macroman": "mac_roman", "maccyrillic": "mac_cyrillic", "mac-centraleurope": "mac_latin2", "uhc": "cp949"},
    **{"sjis": "cp932", "shift_jis": "shift_jis", "tis-620": "tis_620", "iso-2022-kr": "iso2022_kr"},
}
NO_TEXT = "None"  # the folder of files that are none


@measure("char-dataset", Repository("Ousret", "char-dataset"))
def encodings(clone: Clone) -> Iterator[Figure]:
    """Texts whose characters are those of their codec, and files without text that are refused."""
    right = texts = refused = binaries = 0
    for path, data in clone.files():
        codec, _, name = path.partition("/")
        if not name:
            continue
        text = _text(data)
        if codec == NO_TEXT:
            binaries += 1
            refused += text is None
        else:
            texts += 1
            right += text is not None and _plain(text) in {_plain(truth) for truth in _truths(data, codec)}
    yield Figure("text is that of the file's codec", right, texts)
    yield Figure("no text, and refused", refused, binaries)


@measure("chardet", Repository("chardet", "chardet"))
def encodings_of_chardet(clone: Clone) -> Iterator[Figure]:
    """The same of chardet's own tests, whose folders are named by encoding, and at times with the language."""
    yield _right((path.split("/")[1], data) for path, data in clone.files("tests/") if path.count("/") == 2)


@measure("uchardet", Repository("BYVoid", "uchardet"))
def encodings_of_uchardet(clone: Clone) -> Iterator[Figure]:
    """The same of uchardet's, whose files are."""
    yield _right((PurePath(path).stem, data) for path, data in clone.files("test/") if path.count("/") == 2)


def _right(files: Iterable[tuple[str, bytes]]) -> Figure:
    """Files of a codec that Python knows, and that fits them."""
    right = texts = 0
    for label, data in files:
        truths = [truth for codec in _codecs(label) if (truth := _strict(data, codec)) is not None]
        if truths:
            texts += 1
            text = _text(data)
            right += text is not None and _plain(text) in {_plain(truth) for truth in truths}
    return Figure("text is that of the file's codec", right, texts)


def _codecs(label: str) -> Iterator[str]:
    """The codec of a label, and the wider ones that browsers take for it."""
    for name in (label.lower(), label.lower().rpartition("-")[0]):
        try:
            codec = codecs.lookup(OF_PYTHON.get(name, name)).name.replace("-", "_")
        except LookupError:
            continue
        yield from (codec, *WIDER.get(codec, ()))
        return


def _strict(data: bytes, codec: str) -> str | None:
    try:
        return data.decode("utf-8-sig" if codec == "utf_8" else codec)
    except UnicodeDecodeError:
        return None


def _text(data: bytes) -> str | None:
    try:
        return decode(data).text
    except NotText:
        return None


def _truths(data: bytes, codec: str) -> Iterator[str]:
    """The text by the codec, and by the wider ones that browsers take for it."""
    for name in (codec, *WIDER.get(codec, ())):
        yield data.decode(name, "replace")


def _plain(text: str) -> str:
    """Without what cleaning may change: normal form, white space, byte-order mark."""
    return "".join(unicodedata.normalize("NFC", text.removeprefix("\ufeff")).split())
