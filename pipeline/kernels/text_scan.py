"""One pass over the bytes of many texts that says which of them need slow work: the rest are never looked at again.

Reads an Arrow string column's buffers in place (UTF-8 bytes and offsets), about 1 GB/s.  A flag is a promise in one
direction: where it is not set, the slow step would change nothing.
"""

import numba
import numpy as np
from numpy.typing import NDArray

NOT_NFC = 1  # a character that composition may change or move
INVISIBLE = 2  # control, zero-width or bidirectional characters, noncharacters
LINE_ENDS = 4  # other line ends than \n
MOJIBAKE = 8  # a character that shows a UTF-8 lead byte, then those that show its continuation bytes
WHOLE_LINES = 16  # the same in encodings that ftfy undoes for whole lines alone

# one-byte encodings that ftfy undoes, beside windows-1252 and windows-1251, whose signs are looked for by hand
_MISREADINGS = ("cp1250", "iso8859_2", "cp1253", "cp1254", "cp1257", "mac_roman", "cp437")
WHOLE_LINE_CODECS = ("mac_roman", "cp437")
_WHOLE = sum(1 << bit for bit, codec in enumerate(_MISREADINGS) if codec in WHOLE_LINE_CODECS)
_HIGHEST = 0x2600  # nearly all of their characters are below


def _signs() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """For each character, the misreadings (bits) in which it shows a lead byte of two, of more, a continuation byte."""
    two, more, rest = (np.zeros(_HIGHEST, np.uint8) for _ in range(3))
    for bit, codec in enumerate(_MISREADINGS):
        for byte in range(0x80, 0xF5):
            text = bytes([byte]).decode(codec, "ignore") or chr(byte)  # what is not defined passes as it is
            if ord(text) >= _HIGHEST:
                continue  # the ligatures of MacRoman
            if 0xC2 <= byte <= 0xDF:
                two[ord(text)] |= 1 << bit
            elif byte >= 0xE0:
                more[ord(text)] |= 1 << bit
            elif byte < 0xC0:
                rest[ord(text)] |= 1 << bit
    return two, more, rest


_TWO, _MORE, _REST = _signs()


def flag_texts(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Flags of each text.

    Args:
        data: UTF-8 bytes of all texts.
        offsets: Where each text starts, and where the last one ends, shape (N + 1,).

    Returns:
        Shape (N,), a sum of this module's flags.
    """
    return _flag_texts(data, offsets)  # type: ignore[no-any-return]


def control_bytes(data: bytes) -> int:
    """How many bytes are control characters that no text has (``CONTROLS`` of pipeline/readers/raw/kinds.py)."""
    return int(_control_bytes(np.frombuffer(data, np.uint8)))


@numba.njit(cache=True, nogil=True)
def _control_bytes(data):  # type: ignore[no-untyped-def]
    total = 0
    for start in range(0, len(data), 128):  # so many fit a byte, and so the compiler counts as vectors
        piece = data[start : start + 128]
        some = np.uint8(0)
        for i in range(len(piece)):
            byte = piece[i]
            control = (byte < 8) | (byte == 11) | ((byte >= 16) & (byte < 32) & (byte != 27)) | (byte == 127)
            some = np.uint8(some + np.uint8(control))
        total += int(some)
    return total


@numba.njit(cache=True, nogil=True)
def _flag_texts(data, offsets):  # type: ignore[no-untyped-def]
    flags = np.zeros(len(offsets) - 1, np.uint8)
    for text in range(len(flags)):
        flags[text] = _flag_text(data, offsets[text], offsets[text + 1])
    return flags


@numba.njit(cache=True, nogil=True)
def _flag_text(data, start, end):  # type: ignore[no-untyped-def]
    found = 0
    i = start
    while i < end:
        byte = data[i]
        if byte >= 0x80:
            found |= _flag_character(data, i, end)
            if byte >= 0xCC and not _stays_as_it_is(data, i, end):
                found |= NOT_NFC
            i += 2 if byte < 0xE0 else (3 if byte < 0xF0 else 4)
            continue
        if byte < 0x20:
            if byte == 0x0D or byte == 0x0B or byte == 0x0C:
                found |= LINE_ENDS
            elif byte != 0x0A and byte != 0x09:
                found |= INVISIBLE
        elif byte == 0x7F:
            found |= INVISIBLE
        i += 1
    return found


@numba.njit(cache=True, nogil=True)
def _code(data, i, end):  # type: ignore[no-untyped-def]
    """The character of two or three bytes at ``i``; 0 where there is none, or one that no misreading has."""
    if i + 1 >= end:
        return 0
    lead = data[i]
    if 0xC2 <= lead <= 0xDF:
        return ((lead & 0x1F) << 6) | (data[i + 1] & 0x3F)
    if lead == 0xE2 and i + 2 < end:
        code = 0x2000 | ((data[i + 1] & 0x3F) << 6) | (data[i + 2] & 0x3F)
        return code if code < _HIGHEST else 0
    return 0


@numba.njit(cache=True, nogil=True)
def _misread(data, i, end):  # type: ignore[no-untyped-def]
    """The flag of characters from ``i`` that show the bytes of one UTF-8 character in one of the misreadings, or 0."""
    lead = data[i]
    first = _code(data, i, end)
    if _TWO[first] == 0 and _MORE[first] == 0:
        return 0
    at = i + (2 if lead < 0xE0 else 3)
    second = _code(data, at, end)
    shown = _TWO[first] & _REST[second]
    more = _MORE[first] & _REST[second]
    if more:
        shown |= more & _REST[_code(data, at + (2 if data[at] < 0xE0 else 3), end)]
    if shown == 0:
        return 0
    # ftfy also undoes parts of lines, those that begin with a lead byte's character of the other encodings
    return WHOLE_LINES if (shown | _TWO[first] | _MORE[first]) & ~_WHOLE == 0 else MOJIBAKE


@numba.njit(cache=True, nogil=True)
def _flag_character(data, i, end):  # type: ignore[no-untyped-def]
    """Flags of the non-ASCII character at ``i``."""
    lead = data[i]
    found = _flag_by_hand(data, i, end)
    # the letters that stand for lead bytes, and what box drawings, roots and low quotes stand for
    if lead == 0xC2 or 0xC4 <= lead <= 0xCF or lead == 0xE2:
        found |= _misread(data, i, end)
    return found


@numba.njit(cache=True, nogil=True)
def _flag_by_hand(data, i, end):  # type: ignore[no-untyped-def]
    lead = data[i]
    if i + 1 >= end:
        return 0
    second = data[i + 1]
    if lead == 0xC2:
        if second == 0x85:
            return LINE_ENDS | MOJIBAKE
        if second < 0xA0:
            return INVISIBLE | MOJIBAKE
        return INVISIBLE if second == 0xAD else 0
    if lead == 0xC3:  # U+00C2 to U+00F4 show the lead bytes of UTF-8
        if (second == 0x82 or second == 0x83) and i + 2 < end and data[i + 2] == 0x20:
            return MOJIBAKE  # a no-break space that became a space
        if 0x82 <= second <= 0xB4:
            return MOJIBAKE if _shows_continuation(data, i + 2, end) or _misread(data, i, end) else 0
        return 0
    if (
        lead == 0xD0
    ):  # UTF-8 read as windows-1251: Ve, Ghe, De, Ie, Er, Es show two-byte leads, ve to short i longer ones
        if 0x92 <= second <= 0x95 or second == 0xA0 or second == 0xA1:
            return MOJIBAKE if _shows_continuation(data, i + 2, end) else 0
        if (0xB2 <= second <= 0xB9 or second == 0xBF) and _shows_continuation(data, i + 2, end):
            following = i + 4 if data[i + 2] < 0xE0 else i + 5
            return MOJIBAKE if _shows_continuation(data, following, end) else 0
        return 0
    if i + 2 >= end:
        return 0
    third = data[i + 2]
    if lead == 0xE2:
        if second == 0x80:
            if third == 0xA8 or third == 0xA9:
                return LINE_ENDS
            return INVISIBLE if third in (0x8B, 0x8E, 0x8F) or 0xAA <= third <= 0xAE else 0
        return INVISIBLE if second == 0x81 and (0xA0 <= third <= 0xA4 or 0xA6 <= third <= 0xAF) else 0
    if lead == 0xEF:
        if second == 0xBB:
            return INVISIBLE if third == 0xBF else 0
        if second == 0xBF:
            return INVISIBLE if third in (0xB9, 0xBA, 0xBB, 0xBE, 0xBF) else 0
        return INVISIBLE if second == 0xB7 and 0x90 <= third <= 0xAF else 0
    return 0


@numba.njit(cache=True, nogil=True)
def _stays_as_it_is(data, i, end):  # type: ignore[no-untyped-def]
    """True of characters from U+0300 on that are common and that NFC never touches, whatever stands beside them."""
    lead = data[i]
    if lead == 0xD0 or lead == 0xD1 or 0xE4 <= lead <= 0xE9:  # U+0400 to U+047F, U+4000 to U+9FFF
        return True
    if i + 2 >= end:
        return False
    second = data[i + 1]
    if lead == 0xE2:  # U+2002 to U+203F, U+2180 to U+21FF, U+2500 to U+25FF
        if second == 0x80:
            return data[i + 2] >= 0x82
        return second == 0x86 or second == 0x87 or 0x94 <= second <= 0x97
    if lead == 0xE3:  # U+3000 to U+3029, U+3040 to U+307F, U+30C0 to U+30FF
        return second == 0x81 or second == 0x83 or (second == 0x80 and data[i + 2] <= 0xA9)
    return False


@numba.njit(cache=True, nogil=True)
def _shows_continuation(data, i, end):  # type: ignore[no-untyped-def]
    """True where the character at ``i`` is what bytes 80 to BF look like in a one-byte encoding."""
    if i + 1 >= end:
        return False
    lead = data[i]
    if lead == 0xC2:
        return True
    second = data[i + 1]
    if lead == 0xD0:  # U+0400 to U+040F, and below U+0450 to U+045F: not the letters of Russian
        return 0x80 <= second <= 0x8F
    if lead == 0xD1:
        return 0x90 <= second <= 0x9F
    # U+0152 to U+0192, U+02C6, U+02DC; U+0490; general punctuation, the euro and trade-mark signs
    return lead in (0xC5, 0xC6, 0xCB, 0xD2) or (lead == 0xE2 and 0x80 <= second <= 0x84)
