"""Undeclared bytes: the text of each file beside that of the codec under whose name it lies."""

import unicodedata
from collections.abc import Iterator

from pipeline.clean.decode import NotText, decode
from tests.conformance.clones import Clone, Repository
from tests.conformance.facts.figures import Figure, measure

# what browsers read under a label
WIDER = {
    **{"big5": "big5hkscs", "euc_kr": "cp949", "shift_jis": "cp932", "gb2312": "gb18030", "gbk": "gb18030"},
    **{"ascii": "cp1252", "iso8859_1": "cp1252", "iso8859_9": "cp1254", "tis_620": "cp874"},
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


def _text(data: bytes) -> str | None:
    try:
        return decode(data).text
    except NotText:
        return None


def _truths(data: bytes, codec: str) -> Iterator[str]:
    """The text by the codec, and by the wider one that browsers take for it."""
    for name in dict.fromkeys((codec, WIDER.get(codec, codec))):
        yield data.decode(name, "replace")


def _plain(text: str) -> str:
    """Without what cleaning may change: normal form, white space, byte-order mark."""
    return "".join(unicodedata.normalize("NFC", text.removeprefix("\ufeff")).split())
