"""Text as written to text as stored: line ends, invisible characters, mojibake, NFC.

A kernel (pipeline/kernels/text_scan.py) says which texts show signs of each; the others pass untouched.  The steps in
their order: mojibake (it needs the control characters), line ends, invisible characters, NFC, characters that are
invisible where they stand (hidden.py), white space at both ends.
Cleaning a cleaned text changes nothing.  ``unicodedata2`` is the same Unicode on every Python.
"""

import re

import numpy as np
import unicodedata2

from pipeline.base.arrow import text_buffers
from pipeline.clean.hidden import JOINERS, may_hide, without_hidden
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
        texts: Without lone surrogates.
        fix_mojibake: Repair UTF-8 that was read as a one-byte encoding.

    Returns:
        The texts, and how many of them were mojibake.
    """
    repaired = 0
    out = list(texts)
    for number, flags in enumerate(flags_of(texts).tolist()):
        text = texts[number]
        if flags:
            text, was_misread = _by_pieces(text, flags, fix_mojibake)
            repaired += was_misread
            if not text.isascii() and may_hide(text):
                text = _without_hidden(text)
        elif not text.isascii() and (JOINERS[0] in text or JOINERS[1] in text):
            text = _without_hidden(text)
        out[number] = text.strip()
    return out, repaired


def _by_pieces(text: str, flags: int, fix_mojibake: bool) -> tuple[str, bool]:
    """The text after the steps that look no further than a line, some lines of a long one at a time.

    One rare character makes four bytes of each one of a string, so copies of a long text are large.

    Returns:
        The text, and whether it was mojibake.
    """
    pieces, was_misread, at = [], False, 0
    while at < len(text):
        end = len(text)
        if end - at > 2 * PIECE_CHARACTERS:
            end = text.find("\n", at + PIECE_CHARACTERS) + 1 or end
        given = text[at:end]
        piece = repair(given) if flags & _MISREAD and fix_mojibake else given
        was_misread, at = was_misread or piece != given, end
        pieces.append(_normalise_flagged(piece, 255 if flags & _MISREAD and fix_mojibake else flags))
    return "".join(pieces), was_misread


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
