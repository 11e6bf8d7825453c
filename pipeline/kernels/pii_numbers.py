"""Digits and separators as the world writes them, and the forms of a card number.

Part of ``pii_scan``: no function here looks for anything, each is told where to look.
"""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def digit_bytes(data, i, end):  # type: ignore[no-untyped-def]
    """How many bytes the digit here has, of any of the scripts that are known; 0 where there is none."""
    byte = data[i]
    if 0x30 <= byte <= 0x39:
        return 1
    if byte < 0x80 or i + 1 >= end:
        return 0
    second = data[i + 1]
    if (byte == 0xD9 and 0xA0 <= second <= 0xA9) or (byte == 0xDB and 0xB0 <= second <= 0xB9):
        return 2
    if i + 2 >= end:
        return 0
    third = data[i + 2]
    if byte == 0xE0 and (second == 0xA5 or second == 0xA7) and 0xA6 <= third <= 0xAF:
        return 3
    return 3 if byte == 0xEF and second == 0xBC and 0x90 <= third <= 0x99 else 0


@numba.njit(cache=True, nogil=True)
def digit_value(data, i, width):  # type: ignore[no-untyped-def]
    """What the digit here, of ``width`` bytes, stands for."""
    last = data[i + width - 1]
    return np.int64(last) - 0xA6 if data[i] == 0xE0 else np.int64(last & 0x0F)


@numba.njit(cache=True, nogil=True)
def separator(data, i, end):  # type: ignore[no-untyped-def]
    """How many bytes the space, hyphen, dash or dot here has, of any kind; 0 where there is none."""
    byte = data[i]
    if byte == 0x20 or byte == 0x2D or byte == 0x2E:
        return 1
    if byte < 0x80 or i + 1 >= end:
        return 0
    second = data[i + 1]
    if byte == 0xC2:
        return 2 if second == 0xA0 or second == 0xB7 else 0
    if i + 2 >= end:
        return 0
    third = data[i + 2]
    if byte == 0xE2 and second == 0x80:  # spaces, dashes, the narrow no-break space
        return 3 if third <= 0x8A or 0x90 <= third <= 0x95 or third == 0xAF else 0
    if byte == 0xE2:
        return 3 if second == 0x88 and third == 0x92 else 0  # the minus sign
    if byte == 0xE3:
        return 3 if second == 0x80 and third == 0x80 else 0
    return 3 if byte == 0xEF and second == 0xBC and third == 0x8D else 0


@numba.njit(cache=True, nogil=True)
def card_end(data, i, end):  # type: ignore[no-untyped-def]
    """Where the longest number that begins here ends, whose grouping is a card's and whose Luhn checksum is right."""
    j, digits, group, grouping, best = i, 0, 0, 0, 0
    kind = np.int64(-1)
    even = odd = 0  # sums in which the digits at even, at odd places are doubled
    while j < end and digits <= 19:
        width = digit_bytes(data, j, end)
        if width > 0:
            value = digit_value(data, j, width)
            doubled = 2 * value - 9 if value > 4 else 2 * value
            even += value if digits % 2 else doubled
            odd += doubled if digits % 2 else value
            digits += 1
            group += 1
            j += width
            if j < end and digit_bytes(data, j, end) > 0:
                continue
            grouping = grouping * 32 + group
            group = 0
            if 12 <= digits <= 19 and _is_grouping(grouping, digits) and (odd if digits % 2 else even) % 10 == 0:
                best = j
            continue
        width = separator(data, j, end)
        this = np.int64(data[j]) << 8 | np.int64(data[max(j, j + width - 1)])
        if width == 0 or (kind >= 0 and this != kind):
            break
        kind = this
        j += width
        if j >= end or digit_bytes(data, j, end) == 0:
            break
    return best


@numba.njit(cache=True, nogil=True)
def _is_grouping(grouping, digits):  # type: ignore[no-untyped-def]
    """Whether cards are printed in groups of these sizes: together, in fours, 4-6-5, 4-6-4, 6-13."""
    if grouping == digits or grouping == 6 * 32 + 13:
        return True
    if grouping == (4 * 32 + 6) * 32 + 5 or grouping == (4 * 32 + 6) * 32 + 4:
        return True
    rest = digits % 4
    fours = 0
    for _ in range(digits // 4):
        fours = fours * 32 + 4
    return grouping == (fours * 32 + rest if rest else fours)
