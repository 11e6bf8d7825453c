"""Which encoding bytes are in: by what is declared, distrusted on evidence alone, or by the bytes themselves.

Every kind of input comes through here: pages, text files, tables, mail, evaluation sets.  The names are those of
``whatwg.encoding_of``; chardet tells what nobody declares.
"""

import re
from typing import NamedTuple

from pipeline.readers.raw.kinds import is_utf8
from pipeline.readers.raw.whatwg import BROKEN, decode_as, encoding_of

DETECTED_BYTES = 200_000  # of a text that its encoding is told from
UNSURE = 0.1  # chardet's confidence below which no language fits: uchardet decides
MIN_WRONG = 4  # characters that are wrong in an encoding: fewer are damage
WRONG_SHARE = 0.02  # of the characters beyond ASCII, above which a declaration is distrusted
UTF8_WRONG_SHARE = 0.5  # the same of UTF-8, whose valid sequences do not come by chance
_SOURCE_BROKEN = BROKEN.encode()
_SWITCHES = re.compile(rb"\x1b\$[@B()]|\x1b\([IJ]|~\{")  # into two-byte characters, or katakana
_C1 = re.compile("[\x80-\x84\x86-\x9f]")  # U+0085 is a line end
_NO_C1 = ("utf", "x-user-defined")
DOUBLE_BYTE = ("big5", "euc-jp", "euc-kr", "gb18030", "gbk", "shift_jis")
_DECLARATION = re.compile(rb"<(?=meta\b|\?xml\b)", re.IGNORECASE)
_BEYOND_LATIN_1 = re.compile(rb"[\x80-\x9f]")
# of Python's and chardet's names that browsers read as a wider encoding
_WIDER = {
    **{"shift_jis_2004": "shift_jis", "shift_jisx0213": "shift_jis", "euc_jis_2004": "euc-jp", "big5hkscs": "big5"},
    **{"iso2022_jp": "iso-2022-jp", "iso2022_jp_2": "iso-2022-jp", "iso2022_jp_2004": "iso-2022-jp"},
    **{"iso2022_jp_ext": "iso-2022-jp", "ascii": "utf-8", "utf-8-sig": "utf-8"},
}


class Decoded(NamedTuple):
    """A text, the encoding that it was read in, and how many of its characters are U+FFFD that decoding put there."""

    text: str
    encoding: str
    replaced: int


def read_as(body: bytes, encoding: str) -> Decoded:
    """The text of bytes in an encoding, as ``encoding_of`` names it; never fails.

    A last character that a byte limit has cut is left out, in UTF-8 with other characters beyond ASCII.
    """
    if encoding == "utf-8":  # as most are; valid as it stands, nothing in it was broken here
        try:
            return Decoded(body.decode(), encoding, 0)
        except UnicodeDecodeError:
            pass
    text = decode_as(body, encoding)
    if encoding != "utf-8":
        return Decoded(text, encoding, text.count(BROKEN))
    if text.endswith(BROKEN) and is_utf8(body) and not text[:-1].isascii():
        text = text[:-1]
    return Decoded(text, encoding, text.count(BROKEN) - body.count(_SOURCE_BROKEN))


def declared_text(body: bytes, label: str | None) -> Decoded | None:
    """The text in a declared encoding; None where the label means none, or the bytes say that it is a lie.

    Bytes beyond ASCII that are valid UTF-8 are in no other encoding: that does not come by chance.
    """
    encoding = encoding_of(label)
    if encoding is None or (encoding != "utf-8" and is_utf8_with_accents(body)):
        return None
    found = read_as(body, encoding)
    return None if _is_distrusted(found) else found


def _is_distrusted(found: Decoded) -> bool:
    """Whether more of a text is wrong than damage explains: no text has control characters of ISO 6429."""
    wrong = _wrong(found)
    if not wrong:
        return False
    beyond = len(found.text) - len(found.text.encode("ascii", "ignore"))
    if found.encoding == "utf-8":
        return wrong > UTF8_WRONG_SHARE * beyond
    return wrong >= MIN_WRONG and wrong > WRONG_SHARE * beyond


def _wrong(found: Decoded) -> int:
    """Characters that no text has: broken ones, and control characters of ISO 6429."""
    return found.replaced + (0 if found.encoding.startswith(_NO_C1) else len(_C1.findall(found.text)))


def is_utf8_with_accents(body: bytes) -> bool:
    """Non-ASCII bytes that are valid UTF-8."""
    if body.isascii():
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def has_switches(body: bytes) -> bool:
    """Whether ASCII bytes hold the escapes of ISO 2022 or HZ."""
    return (b"\x1b" in body or b"~{" in body) and _SWITCHES.search(body) is not None


def undeclared_text(body: bytes, *, is_page: bool = False) -> Decoded | None:
    """The text of bytes that nothing declares; None where they are in no encoding.

    UTF-8 with single wrong bytes stays UTF-8; its last character may be cut.

    Args:
        body: The bytes.
        is_page: What looks like a declaration in them was looked at before, and is none, or a lie.
    """
    if not has_switches(body) and (found := declared_text(body, "utf-8")) is not None:
        return found
    # chardet would believe whatever looks like one, also within an attribute or a comment
    encoding = detected_encoding(_DECLARATION.sub(b" ", body[:DETECTED_BYTES]) if is_page else body)
    return None if encoding is None else read_as(body, encoding)


def detected_encoding(body: bytes) -> str | None:
    """The encoding that bytes which nothing declares are most likely in; None where they are no text.

    Example:
        >>> detected_encoding("Всё было готово к отъезду".encode("koi8-r")), detected_encoding(b"plain")
        ('koi8-r', 'utf-8')
    """
    import chardet

    said = chardet.detect(body, compat_names=False, max_bytes=DETECTED_BYTES)
    name, confidence = said["encoding"], said["confidence"]
    if name is None:
        return None
    other = _uchardet(body) if confidence < UNSURE else None
    return other or _as_browsers(body, name.lower())


def _as_browsers(body: bytes, name: str) -> str:
    """The encoding that browsers read under a detected name; the narrower one where only that one reads all bytes."""
    wider = _WIDER.get(name) or encoding_of(name) or name
    if wider == "windows-1252" and b"\xa4" in body and not _BEYOND_LATIN_1.search(body):
        return "iso-8859-15"  # the euro sign: nobody writes the sign that Latin-1 has there
    return name if wider != name and read_as(body, wider).replaced > read_as(body, name).replaced else wider


def _uchardet(body: bytes) -> str | None:
    """What uchardet, which resiliparse brings, makes of the bytes; None where it names nothing that can be read."""
    from resiliparse.parse.encoding import detect_encoding

    name = encoding_of(detect_encoding(body, html5_compatible=False))
    return None if name in ("utf-8", None) else name
