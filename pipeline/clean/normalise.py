"""Text as written to text as stored: line ends, invisible characters, mojibake, NFC.

A kernel (pipeline/kernels/text_scan.py) says which texts show signs of each; the others pass untouched.  The steps in
their order: mojibake (it needs the control characters), line ends, invisible characters, NFC, characters that are
invisible where they stand (hidden.py), white space at both ends.
Cleaning a cleaned text changes nothing.  ``unicodedata2`` is the same Unicode on every Python.
"""

import re
from collections.abc import Iterator

import numpy as np
import unicodedata2

from pipeline.base.arrow import text_buffers
from pipeline.clean.hidden import JOINERS, may_hide, may_hide_in, without_hidden
from pipeline.kernels import text_scan

# zero-width joiner and non-joiner are not among them: Persian, Indic scripts and emoji are spelled with them
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff]+"
)
PIECE_CHARACTERS = 1 << 20  # of a long text that are looked at together, and the rest of their last line
_MISREAD = text_scan.MOJIBAKE | text_scan.WHOLE_LINES
_NO_UTF8 = re.compile(rb"(?:\A|[\x00-\x1f\x21-\x7f])[\x80-\xbf]")
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")


def flags_of(texts: list[str]) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """The kernel's flags of each text."""
    offsets, data = text_buffers(texts)
    return text_scan.flag_texts(data, offsets)


def normalise(texts: list[str], *, fix_mojibake: bool = True) -> tuple[list[str], int]:
    """Normalises texts.

    Args:
        texts: Without lone surrogates.  A long one is taken out of the list when its turn comes, so that it need not
            be held beside what it becomes.
        fix_mojibake: Repair UTF-8 that was read as a one-byte encoding.

    Returns:
        The texts, and how many of them were mojibake.
    """
    repaired, out = 0, list[str]()
    for number, flags in enumerate(flags_of(texts).tolist()):
        steps = 255 if flags & _MISREAD and fix_mojibake else flags & ~_MISREAD
        if len(texts[number]) > 2 * PIECE_CHARACTERS and (steps or _has_joiners(texts[number])):
            text, was_misread = _by_pieces(texts, number, steps)
        else:
            text, was_misread = _as_a_whole(texts[number], steps)
        repaired += was_misread
        out.append(text)
    return out, repaired


def _as_a_whole(text: str, steps: int) -> tuple[str, bool]:
    """The text after the steps of some flags, and whether it was mojibake."""
    if not steps:
        return (_without_hidden(text) if _has_joiners(text) else text).strip(), False
    given, text = text, repair(text) if steps & _MISREAD else text
    was_misread = text != given
    text = _normalise_flagged(text, steps)
    if not text.isascii() and may_hide(text):
        text = _without_hidden(text)
    return text.strip(), was_misread


def _by_pieces(texts: list[str], number: int, steps: int) -> tuple[str, bool]:
    """The same of a long text, piece by piece.

    One rare character makes four bytes of each one of a string.  So the text is a string only before and after, and
    what the pieces become is kept as UTF-8.
    """
    text, texts[number] = texts[number], ""
    pieces: list[bytes] = []
    was_misread = changed = False
    for given in _cut(text, by_line=bool(steps & _MISREAD)):
        piece = repair(given) if steps & _MISREAD else given
        was_misread = was_misread or piece != given
        piece = _normalise_flagged(piece, steps)
        changed = changed or piece != given
        pieces.append(piece.encode())
    if may_hide_in(pieces) if steps else any(map(_has_joiners, map(bytes.decode, pieces))):
        for place, data in enumerate(pieces):
            pieces[place] = _without_hidden(data.decode()).encode()
            changed = changed or pieces[place] != data
    if not changed and not text[:1].isspace() and not text[-1:].isspace():
        return text, was_misread
    del text
    data = b"".join(_stripped(pieces))
    pieces.clear()
    return data.decode(), was_misread


def _cut(text: str, *, by_line: bool) -> Iterator[str]:
    """Pieces of a text where no step but the repair of a line looks beyond: after a line feed, or before a space."""
    at = 0
    while at < len(text):
        end = len(text)
        if end - at > 2 * PIECE_CHARACTERS:
            end = text.find("\n", at + PIECE_CHARACTERS) + 1 or end
        if end - at > 2 * PIECE_CHARACTERS and not by_line:
            space = text.find(" ", at + PIECE_CHARACTERS, end)
            end = space if space >= 0 else end
        yield text[at:end]
        at = end


def _stripped(pieces: list[bytes]) -> list[bytes]:
    """Pieces of a text without the white space at its ends."""
    while pieces and not pieces[0].decode().strip():
        del pieces[0]
    while pieces and not pieces[-1].decode().strip():
        del pieces[-1]
    if pieces:
        pieces[0] = pieces[0].decode().lstrip().encode()
        pieces[-1] = pieces[-1].decode().rstrip().encode()
    return pieces


def _has_joiners(text: str) -> bool:
    return not text.isascii() and any(joiner in text for joiner in JOINERS)


def _normalise_flagged(text: str, flags: int) -> str:
    if flags & text_scan.LINE_ENDS:
        text = _LINE_ENDS.sub("\n", text)
    if flags & text_scan.INVISIBLE:
        text = _INVISIBLE.sub("", text)
    return unicodedata2.normalize("NFC", text) if flags & text_scan.NOT_NFC else text


def _without_hidden(text: str) -> str:
    """Until nothing more goes: what stood on both sides of a hidden character may compose, and spell something else."""
    while (shown := without_hidden(text)) != text:
        text = unicodedata2.normalize("NFC", shown)
    return text


def repair(text: str) -> str:
    """Repairs mojibake line by line, as ftfy does, and leaves lines that show no sign of it alone."""
    from ftfy import fix_encoding

    lines = text.split("\n")
    signs = flags_of(lines) & _MISREAD
    for number in np.flatnonzero(signs).tolist():
        if signs[number] & text_scan.MOJIBAKE or _may_be_utf8(lines[number]):
            lines[number] = fix_encoding(lines[number])
    return "\n".join(lines)


def _may_be_utf8(line: str) -> bool:
    """False where ftfy would leave a line that shows signs of encodings alone which it undoes for whole lines.

    In none of them it is UTF-8: a byte that continues a character stands behind a letter (behind a space it may stand:
    ftfy takes some spaces for no-break spaces).  Nor is a part of it in the others.  Most lines with such signs are
    right, and to ask ftfy whether a line looks bad takes three times as long.
    """
    from ftfy.chardata import UTF8_DETECTOR_RE

    for codec in text_scan.WHOLE_LINE_CODECS:
        try:
            if _NO_UTF8.search(line.encode(codec)) is None:
                return True
        except UnicodeEncodeError:
            continue
    return UTF8_DETECTOR_RE.search(line) is not None
