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
MOJIBAKE = 8  # a character that shows a UTF-8 lead byte, then one that shows a continuation byte


def flag_texts(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Flags of each text.

    Args:
        data: UTF-8 bytes of all texts.
        offsets: Where each text starts, and where the last one ends, shape (N + 1,).

    Returns:
        Shape (N,), a sum of this module's flags.
    """
    return _flag_texts(data, offsets)  # type: ignore[no-any-return]


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
def _flag_character(data, i, end):  # type: ignore[no-untyped-def]
    """Flags of the non-ASCII character at ``i``."""
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
        return MOJIBAKE if 0x82 <= second <= 0xB4 and _shows_continuation(data, i + 2, end) else 0
    if (
        lead == 0xD0
    ):  # UTF-8 read as windows-1251: Ve, Ghe, De, Ie, Er, Es show two-byte leads, ve to short i longer ones
        if 0x92 <= second <= 0x95 or second == 0xA0 or second == 0xA1:
            return MOJIBAKE if _shows_continuation(data, i + 2, end) else 0
        if 0xB2 <= second <= 0xB9 and _shows_continuation(data, i + 2, end):
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
