"""Writes pipeline/readers/raw/whatwg.json: what browsers read otherwise than Python's codecs, and their labels.

    python -m tests.tools.make_whatwg_tables FOLDER

FOLDER is a checkout of https://github.com/whatwg/encoding: ``encodings.json`` has the labels, ``index-*.txt`` the code
points.  The tables hold differences alone: byte sequences that Python's nearest codec refuses, and characters that it
reads as another one.  Of EUC-JP and Big5 the latter are left out: they are 18 symbols that have a look-alike (wave
dash, full-width tilde), and Python's are those of the national standards.  Where the character has another byte
sequence that is right, the difference cannot be told after decoding; the script prints these.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.readers.raw.whatwg import TABLES

# where Python's nearest codec has another name than the standard's encoding
CODECS = {
    **{"ibm866": "cp866", "macintosh": "mac_roman", "x-mac-cyrillic": "mac_cyrillic", "windows-874": "cp874"},
    **{"gbk": "gb18030", "big5": "big5hkscs", "euc-kr": "cp949", "shift_jis": "cp932", "iso-8859-8-i": "iso8859_8"},
}
LOOK_ALIKES = ("big5", "euc-jp")
NOT_BY_CODEC = ("replacement", "x-user-defined")  # no text, and bytes of fonts
SPECIAL = {1133: "\u00ca\u0304", 1135: "\u00ca\u030c", 1164: "\u00ea\u0304", 1166: "\u00ea\u030c"}  # Big5: two each
Index = Mapping[int, int]


def main(folder: Path) -> None:
    """Reads the standard's files and writes the tables."""
    groups = json.loads((folder / "encodings.json").read_text("utf-8"))
    names = {one["name"].lower(): one["labels"] for group in groups for one in group["encodings"]}
    codecs = {name: codec_of(name) for name in names if name not in NOT_BY_CODEC}
    extra: dict[str, dict[str, str]] = defaultdict(dict)
    other: dict[str, dict[str, str]] = defaultdict(dict)
    for name, codec in codecs.items():
        found = list(sequences(folder, name))
        right = {text for data, text in found if python(data, codec) == text}
        for data, text in found:
            theirs = python(data, codec)
            if text is None or theirs == text:
                continue
            if theirs is None:
                extra[name][data.hex()] = text
            elif name in LOOK_ALIKES:
                print(f"{name} {data.hex()}: {theirs!r} stays, {text!r} in browsers")  # noqa: T201
            elif theirs in right or theirs.isascii():
                print(f"{name} {data.hex()}: {theirs!r} is right elsewhere, {text!r} here: left out")  # noqa: T201
            else:
                other[name][theirs] = text
    tables = {
        "source": "https://github.com/whatwg/encoding (encodings.json, index-*.txt)",
        "labels": {label: name for name, labels in sorted(names.items()) for label in labels},
        "codecs": codecs,
        "extra": dict(sorted(extra.items())),
        "other": dict(sorted(other.items())),
    }
    TABLES.write_text(json.dumps(tables, ensure_ascii=True, indent=0) + "\n", "utf-8")


def codec_of(name: str) -> str:
    """Python's nearest codec."""
    return CODECS.get(name, name.replace("windows-", "cp").replace("iso-8859-", "iso8859_").replace("-", "_"))


def python(data: bytes, codec: str) -> str | None:
    """What Python reads; None where it reads nothing."""
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


def index(folder: Path, name: str) -> Index:
    """An index of the standard: pointer -> code point."""
    lines = (folder / f"index-{name}.txt").read_text("utf-8").split("\n")
    pairs = [line.split("\t") for line in lines if line.strip() and line[0] != "#"]
    return {int(pair[0]): int(pair[1], 16) for pair in pairs}


def sequences(folder: Path, name: str) -> Iterator[tuple[bytes, str | None]]:
    """Byte sequences of an encoding beyond ASCII, each with the text that the standard's decoder gives."""
    if name in ("utf-8", "utf-16be", "utf-16le", "gb18030", "iso-2022-jp"):
        return  # exact in Python; the same as gbk; made of euc-jp
    if name in ("big5", "euc-kr", "gbk", "shift_jis", "euc-jp"):
        yield from _DOUBLE[name](folder)
        return
    own = index(folder, name.removesuffix("-i"))
    for pointer in range(128):
        yield bytes([128 + pointer]), _text(own, pointer)


def _text(own: Index, pointer: int) -> str | None:
    return chr(own[pointer]) if pointer in own else None


def _big5(folder: Path) -> Iterator[tuple[bytes, str | None]]:
    own = index(folder, "big5")
    for lead in range(0x81, 0xFF):
        for trail in (*range(0x40, 0x7F), *range(0xA1, 0xFF)):
            pointer = (lead - 0x81) * 157 + trail - (0x40 if trail < 0x7F else 0x62)
            yield bytes([lead, trail]), SPECIAL.get(pointer) or _text(own, pointer)


def _euc_kr(folder: Path) -> Iterator[tuple[bytes, str | None]]:
    own = index(folder, "euc-kr")
    for lead in range(0x81, 0xFF):
        for trail in range(0x41, 0xFF):
            yield bytes([lead, trail]), _text(own, (lead - 0x81) * 190 + trail - 0x41)


def _gbk(folder: Path) -> Iterator[tuple[bytes, str | None]]:
    own = index(folder, "gb18030")
    yield b"\x80", "\u20ac"
    for lead in range(0x81, 0xFF):
        for trail in (*range(0x40, 0x7F), *range(0x80, 0xFF)):
            yield bytes([lead, trail]), _text(own, (lead - 0x81) * 190 + trail - (0x40 if trail < 0x7F else 0x41))


def _shift_jis(folder: Path) -> Iterator[tuple[bytes, str | None]]:
    own = index(folder, "jis0208")
    for byte in (0x80, *range(0xA1, 0xE0)):
        yield bytes([byte]), chr(byte if byte == 0x80 else 0xFF61 - 0xA1 + byte)
    for lead in (*range(0x81, 0xA0), *range(0xE0, 0xFD)):
        for trail in (*range(0x40, 0x7F), *range(0x80, 0xFD)):
            pointer = (lead - (0x81 if lead < 0xA0 else 0xC1)) * 188 + trail - (0x40 if trail < 0x7F else 0x41)
            private = chr(0xE000 - 8836 + pointer) if 8836 <= pointer <= 10715 else None
            yield bytes([lead, trail]), private or _text(own, pointer)


def _euc_jp(folder: Path) -> Iterator[tuple[bytes, str | None]]:
    first, second = index(folder, "jis0208"), index(folder, "jis0212")
    for trail in range(0xA1, 0xE0):
        yield bytes([0x8E, trail]), chr(0xFF61 - 0xA1 + trail)
    for lead in range(0xA1, 0xFF):
        for trail in range(0xA1, 0xFF):
            pointer = (lead - 0xA1) * 94 + trail - 0xA1
            yield bytes([lead, trail]), _text(first, pointer)
            yield bytes([0x8F, lead, trail]), _text(second, pointer)


_DOUBLE = {"big5": _big5, "euc-kr": _euc_kr, "gbk": _gbk, "shift_jis": _shift_jis, "euc-jp": _euc_jp}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
