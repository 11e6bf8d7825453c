"""Bytes to text as browsers read them: labels and decoders of the WHATWG Encoding Standard.

Python's codecs do the work; ``whatwg.json`` (written by tests/tools/make_whatwg_tables.py from the standard's own
indexes) holds what they read otherwise.  A byte sequence that Python refuses and browsers read comes from there; what
nobody reads becomes U+FFFD, and decoding goes on where the standard says: a byte of ASCII after a lead byte is a
character of its own, never part of what is broken.
"""

import codecs
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.base.errors import parse_json

TABLES = Path(__file__).with_name("whatwg.json")
BROKEN = "\ufffd"
# labels that are no encoding of the standard, but are written in recipes, headers and files
_FURTHER = {
    **{"cp949": "euc-kr", "uhc": "euc-kr", "ms949": "euc-kr", "cp932": "shift_jis", "ms-kanji": "shift_jis"},
    **{"cp936": "gbk", "cp950": "big5", "hkscs": "big5", "cp874": "windows-874", "utf": "utf-8"},
    **{"iso-8859-8-e": "iso-8859-8", "x-mac-roman": "macintosh", "mac-cyrillic": "x-mac-cyrillic"},
}
_UTF32 = ("utf-32", "utf-32-le", "utf-32-be")
_LEADS: dict[str, Collection[int]] = {
    **dict.fromkeys(("big5", "euc-kr", "gbk"), range(0x81, 0xFF)),
    "shift_jis": frozenset((*range(0x81, 0xA0), *range(0xE0, 0xFD))),
    "euc-jp": frozenset((0x8E, 0x8F, *range(0xA1, 0xFF))),
}
_ESCAPE = re.compile(rb"\x1b(\([BJI]|\$[@B])")  # all that ISO-2022-JP has in the standard
_LONGEST_ESCAPE = 3


@cache
def _tables() -> dict[str, dict[str, dict[str, str]]]:
    tables: dict[str, dict[str, dict[str, str]]] = parse_json(TABLES.read_text("utf-8"))
    return tables


def encoding_of(label: str | None) -> str | None:
    """The encoding that a label means: the standard's name in lower case, or Python's codec where it has none.

    Example:
        >>> [encoding_of(label) for label in ("latin1", "KS_C_5601-1987", " x-sjis ", "cp850", "base64", None)]
        ['windows-1252', 'euc-kr', 'shift_jis', 'cp850', None, None]
    """
    if not label:
        return None
    plain = label.strip("\t\n\f\r ").lower()
    name: str | None = _tables()["labels"].get(plain)  # type: ignore[assignment]
    if name is None:
        dashed = plain.replace("_", "-")
        name = dashed if dashed in _UTF32 else _FURTHER.get(dashed) or _tables()["labels"].get(dashed)  # type: ignore[assignment]
    if name is not None:
        return None if name == "replacement" else name
    try:
        info = codecs.lookup(plain)
    except (LookupError, ValueError):  # ValueError: a zero byte in the name
        return None
    return info.name if info._is_text_encoding else None


def decoder_of(encoding: str) -> codecs.IncrementalDecoder:
    """A decoder that never fails: what cannot be read becomes U+FFFD.

    Args:
        encoding: As ``encoding_of`` names it.
    """
    if encoding == "iso-2022-jp":
        return _Iso2022Jp()
    way = _way(encoding)
    decoder = codecs.getincrementaldecoder(way.codec)(way.errors)
    return _Translated(decoder, way) if way.other else decoder


def decode_as(data: bytes, encoding: str) -> str:
    r"""The text of bytes in an encoding, as ``encoding_of`` names it; U+FFFD stands for what is broken.

    Example:
        >>> decode_as(b"\xb0\xa1\xff\xb0\xa1", "euc-kr"), decode_as(b"\x81\x8d", "windows-1252")
        ('가�가', '\x81\x8d')
    """
    if encoding == "iso-2022-jp":
        return _Iso2022Jp().decode(data, True)
    way = _way(encoding)
    return way.translated(data.decode(way.codec, way.errors))


@dataclass(frozen=True)
class _Way:
    """How Python reads an encoding as browsers do.

    Attributes:
        codec: The nearest codec.
        errors: Name of the handler that reads what it refuses.
        other: Characters that browsers read as others.
        pattern: Finds these.
    """

    codec: str
    errors: str
    other: Mapping[str, str]
    pattern: re.Pattern[str] | None

    def translated(self, text: str) -> str:
        """The text with browsers' characters."""
        if self.pattern is None:
            return text
        return self.pattern.sub(lambda found: self.other[found.group()], text)  # str.translate is ten times slower


@cache
def _way(encoding: str) -> _Way:
    if encoding == "x-user-defined":
        encoding = "windows-1252"
    codec: str = _tables()["codecs"].get(encoding, encoding)  # type: ignore[assignment]
    if codec.startswith(("utf", "iso2022", "hz")):  # Python's replacement is the standard's
        return _Way(codec, "replace", {}, None)
    table = "gbk" if encoding == "gb18030" else encoding
    other = _tables()["other"].get(table, {})
    pattern = re.compile(f"[{''.join(map(re.escape, other))}]") if other else None
    return _Way(codec, _registered(table), other, pattern)


def _registered(table: str) -> str:
    """The name of the error handler that reads what Python's codec refuses."""
    extra = {bytes.fromhex(key): text for key, text in _tables()["extra"].get(table, {}).items()}
    widths = sorted({len(key) for key in extra})
    leads = _LEADS.get(table, ())

    def read(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        data, at = error.object, error.start
        for width in widths:
            if (text := extra.get(data[at : at + width])) is not None:
                return text, at + width
        return BROKEN, at + _broken_width(data, at, leads, table)

    name = f"tokenmill-{table}"
    codecs.register_error(name, read)
    return name


def _broken_width(data: bytes, at: int, leads: Collection[int], table: str) -> int:
    """Bytes that one U+FFFD stands for: a lead byte takes what follows with it, unless that is ASCII."""
    if data[at] not in leads or at + 1 >= len(data) or data[at + 1] < 0x80:
        return 1
    if table == "euc-jp" and data[at] == 0x8F and 0xA1 <= data[at + 1] <= 0xFE:  # of three bytes
        return 3 if at + 2 < len(data) and data[at + 2] >= 0x80 else 2
    return 2


class _Translated(codecs.IncrementalDecoder):
    """A decoder some of whose characters browsers read as others."""

    def __init__(self, inner: codecs.IncrementalDecoder, way: _Way) -> None:
        super().__init__()
        self._inner, self._way = inner, way

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]
        return self._way.translated(self._inner.decode(data, final))


class _Iso2022Jp(codecs.BufferedIncrementalDecoder):
    """ISO-2022-JP: escapes say which set the bytes after them are of."""

    def __init__(self) -> None:
        super().__init__()
        self._read: Callable[[bytes], str] = _roman_or_ascii

    def _buffer_decode(  # type: ignore[override]
        self, data: bytes, errors: str, final: bool
    ) -> tuple[str, int]:
        pieces, at = [], 0
        for found in _ESCAPE.finditer(data):
            pieces.append(self._read(data[at : found.start()]))
            at, self._read = found.end(), _SETS[found.group(1)]
        end = len(data) if final else self._whole(data, at)
        pieces.append(self._read(data[at:end]))
        return "".join(pieces), end

    def _whole(self, data: bytes, at: int) -> int:
        """Where what can be read without the bytes that follow ends: before an escape, or half a character."""
        escape = data.rfind(b"\x1b", max(at, len(data) - _LONGEST_ESCAPE + 1))
        end = escape if escape >= 0 else len(data)
        start = end
        while self._read is _two_bytes and start > at and data[start - 1] > 0x20:
            start -= 1
        return end - (end - start) % 2

    def reset(self) -> None:
        super().reset()
        self._read = _roman_or_ascii


def _roman_or_ascii(data: bytes) -> str:
    return data.decode("ascii", "replace")


def _roman(data: bytes) -> str:
    return data.decode("ascii", "replace").translate({0x5C: "\u00a5", 0x7E: "\u203e"})


def _katakana(data: bytes) -> str:
    return "".join(chr(0xFF61 - 0x21 + byte) if 0x21 <= byte <= 0x5F else _other(byte) for byte in data)


def _other(byte: int) -> str:
    return chr(byte) if byte <= 0x20 else BROKEN


def _two_bytes(data: bytes) -> str:
    """Two bytes a character, by line: control characters stand between them."""
    pieces = re.split(rb"([\x00-\x20]+)", data)
    return "".join(
        piece.decode("ascii") if number % 2 else decode_as(piece.translate(_HIGH), "euc-jp")
        for number, piece in enumerate(pieces)
    )


_HIGH = bytes(byte | 0x80 for byte in range(256))
_SETS: dict[bytes, Callable[[bytes], str]] = {
    b"(B": _roman_or_ascii,
    b"(J": _roman,
    b"(I": _katakana,
    b"$@": _two_bytes,
    b"$B": _two_bytes,
}
