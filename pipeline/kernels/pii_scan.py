"""Finds the few places of a text where personal data may begin, so that regular expressions look nowhere else.

Each anchor is a byte range and a kind; ``pipeline/clean/pii.py`` decides what it is.  Reads the bytes of an Arrow
string column in place.
"""

import numba
import numpy as np
from numpy.typing import NDArray

AT = 1  # an @ between two address characters: the range is the @ alone
IPV4 = 2  # four numbers of 0 to 255 joined by dots, no fifth
IPV6 = 3  # hexadecimal groups joined by colons, three colons or more, or two in a row
NUMBER = 4  # 7 to 19 digits with single separators between groups, or after a plus sign
IBAN = 5  # two capitals, two digits, then capitals, digits and spaces
SECRET = 6  # how common API keys and private-key blocks begin

MAX_NUMBER_BYTES = 40
MAX_IBAN_BYTES = 42
_SECRET_PREFIXES = (
    b"AKIA", b"ASIA", b"AIza", b"ghp_", b"gho_", b"ghs_", b"ghr_", b"ghu_", b"gith", b"glpa", b"sk-", b"sk_l", b"rk_l",
    b"xoxa", b"xoxb", b"xoxp", b"xoxr", b"xoxs", b"SG.", b"npm_", b"hf_", b"eyJ", b"----",
)  # fmt: skip
_SECRETS = np.array(sorted(int.from_bytes(prefix.ljust(4, b"\0"), "big") for prefix in _SECRET_PREFIXES), np.int64)
_SECRET_PAIRS = np.zeros(1 << 16, np.bool_)  # by the first two bytes
for _prefix in _SECRET_PREFIXES:
    _SECRET_PAIRS[_prefix[0] << 8 | _prefix[1]] = True

_WORD = np.zeros(256, np.bool_)  # ASCII letters, digits, _ and every byte of a non-ASCII character
_HEX = np.zeros(256, np.bool_)
for _byte in range(256):
    _WORD[_byte] = _byte >= 0x80 or chr(_byte).isalnum() or _byte == 0x5F
    _HEX[_byte] = chr(_byte) in "0123456789abcdefABCDEF"
_ADDRESS = _HEX.copy()  # bytes of an IPv6 address
_ADDRESS[0x3A] = True

# Which bytes an anchor may start with, by whether a byte of a word stands before (256 to 511) or not; in a text of
# words this table alone is looked at for nine bytes in ten.
_SIGN, _DIGIT, _LETTER = 1, 2, 3
_MAY_START = np.zeros(512, np.uint8)
_ROW = np.where(_WORD, 256, 0).astype(np.uint16)  # of _MAY_START, for the byte after this one
for _byte in b"+(:-":
    _MAY_START[_byte] = _SIGN
for _byte in b"0123456789":
    _MAY_START[_byte] = _DIGIT
for _byte in b"abcdefABCDEFGHIJKLMNOPQRSTUVWXYZ" + b"".join(prefix[:1] for prefix in _SECRET_PREFIXES):
    _MAY_START[_byte] = _MAY_START[_byte] or _LETTER
_MAY_START[256 | 0x40] = _SIGN
_CAPITAL = np.zeros(256, np.bool_)
_CAPITAL[0x41:0x5B] = True
_SIGN_FOLLOWS = _WORD.copy()  # what stands after one of _SIGN, where it begins an anchor
_SIGN_FOLLOWS[np.frombuffer(b" -./():", np.uint8)] = True
_starts = _MAY_START[:256, None]
# by the first two bytes: whether an anchor may begin with them
_PAIR = ((_starts == _SIGN) & _SIGN_FOLLOWS) | (_starts == _DIGIT) | (_HEX[:, None] & _ADDRESS)
_PAIR |= (_CAPITAL[:, None] & _CAPITAL) | _SECRET_PAIRS.reshape(256, 256)
_PAIR[0x40] = True
_PAIR = _PAIR.reshape(-1)


def anchors(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Anchors of all texts, in order.

    Args:
        data: UTF-8 bytes of all texts.
        offsets: Where each text starts, and where the last one ends, shape (N + 1,).

    Returns:
        Shape (A, 4): number of the text, kind, first byte and one past the last byte, counted from the text's start.
    """
    return _anchors(data, offsets)  # type: ignore[no-any-return]


@numba.njit(cache=True, nogil=True)
def _anchors(data, offsets):  # type: ignore[no-untyped-def]
    found = np.empty((1024, 4), np.int64)
    count = 0
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        i = start
        while True:
            i = _next_start(data, start, i, end)
            if i >= end:
                break
            kind, first, last = _anchor(data, start, i, end)
            i = last
            if kind == 0:
                continue
            if count == len(found):
                larger = np.empty((2 * count, 4), np.int64)
                for row in range(count):  # a slice assignment compiles for seconds
                    for column in range(4):
                        larger[row, column] = found[row, column]
                found = larger
            found[count, 0], found[count, 1], found[count, 2], found[count, 3] = text, kind, first - start, last - start
            count += 1
    return found[:count]


@numba.njit(cache=True, nogil=True)
def _next_start(data, start, i, end):  # type: ignore[no-untyped-def]
    """The next place from ``i`` on where an anchor may start, by its first two or three bytes."""
    before = _ROW[data[i - 1]] if i > start else np.uint16(0)
    for j in range(i, end):
        byte = data[j]
        may = _MAY_START[before | byte]
        before = _ROW[byte]
        if may == 0 or j + 1 >= end or not _PAIR[np.int64(byte) << 8 | data[j + 1]]:
            continue
        if may != _LETTER or _goes_on(data, j, end):
            return j
    return end


@numba.njit(cache=True, nogil=True)
def _goes_on(data, i, end):  # type: ignore[no-untyped-def]
    """False where the third byte rules out what the first two letters allow: so it does in almost every word."""
    if i + 5 >= end:
        return False
    byte, second, third = data[i], data[i + 1], data[i + 2]
    if _SECRET_PAIRS[np.int64(byte) << 8 | second]:
        return True
    if _HEX[byte] and _ADDRESS[second] and _ADDRESS[third]:
        return True
    return 0x41 <= second <= 0x5A and 0x30 <= third <= 0x39 and 0x41 <= byte <= 0x5A


@numba.njit(cache=True, nogil=True)
def _anchor(data, start, i, end):  # type: ignore[no-untyped-def]
    """The anchor at ``i``: (kind, first, last), or (0, i, where to look next)."""
    byte = data[i]
    if byte == 0x40:
        if i > start and i + 1 < end and _WORD[data[i - 1]] and _WORD[data[i + 1]]:
            return AT, i, i + 1
        return 0, i, i + 1
    at_word_start = i == start or not _WORD[data[i - 1]]
    if 0x30 <= byte <= 0x39 or byte == 0x2B or byte == 0x28:
        if not at_word_start:
            return 0, i, i + 1
        if byte == 0x2B or byte == 0x28:
            return _number(data, start, i, end)
        return _digit(data, start, i, end)
    if at_word_start and (_HEX[byte] or (byte == 0x3A and i + 2 < end and data[i + 1] == 0x3A)):
        last = _ipv6_end(data, i, end)
        if last > i:
            return IPV6, i, last
    if at_word_start and i + 8 < end and _SECRET_PAIRS[np.int64(byte) << 8 | data[i + 1]] and _is_secret(data, i):
        return SECRET, i, i + 4
    if 0x41 <= byte <= 0x5A and at_word_start and i + 15 <= end:
        last = _iban_end(data, i, end)
        if last > i:
            return IBAN, i, last
    return 0, i, i + 1


@numba.njit(cache=True, nogil=True)
def _digit(data, start, i, end):  # type: ignore[no-untyped-def]
    """What begins with a digit at the start of a word."""
    last = _ipv4_end(data, start, i, end)
    if last > i:
        return IPV4, i, last
    last = _ipv6_end(data, i, end)
    if last > i:
        return IPV6, i, last
    return _number(data, start, i, end)


@numba.njit(cache=True, nogil=True)
def _ipv4_end(data, start, i, end):  # type: ignore[no-untyped-def]
    """Where four dotted numbers end, 0 where there are none, or more."""
    if i > start and data[i - 1] == 0x2E:
        return 0
    j = i
    for group in range(4):
        value, digits = 0, 0
        while j < end and 0x30 <= data[j] <= 0x39 and digits < 4:
            value = value * 10 + data[j] - 0x30
            digits += 1
            j += 1
        if digits == 0 or digits > 3 or value > 255 or (digits > 1 and data[j - digits] == 0x30):
            return 0
        if group < 3:
            if j >= end or data[j] != 0x2E:
                return 0
            j += 1
    if j < end and _WORD[data[j]]:
        return 0
    if j + 1 < end and data[j] == 0x2E and 0x30 <= data[j + 1] <= 0x39:
        return 0
    return j


@numba.njit(cache=True, nogil=True)
def _ipv6_end(data, i, end):  # type: ignore[no-untyped-def]
    j, colons, double, digits = i, 0, False, 0
    while j < end and j - i < 46:
        byte = data[j]
        if _HEX[byte]:
            digits += 1
            if digits > 4:
                return 0
        elif byte == 0x3A:
            double = double or (j > i and data[j - 1] == 0x3A)
            colons += 1
            digits = 0
        else:
            break
        j += 1
    if colons < 2 or (not double and colons != 7) or (j < end and (_WORD[data[j]] or data[j] == 0x2E)):
        return 0
    return j if j - i >= 6 else 0


@numba.njit(cache=True, nogil=True)
def _number(data, start, i, end):  # type: ignore[no-untyped-def]
    """A run of digits with single separators; it skips to the run's end where that is no anchor."""
    j, digits, last, gap = i, 0, i, 0
    if data[j] == 0x2B:
        j += 1
    while j < end and j - i < MAX_NUMBER_BYTES:
        byte = data[j]
        if 0x30 <= byte <= 0x39:
            if gap and data[j - 1] == 0x20 and _ipv4_end(data, start, j, end) > 0:
                break
            digits += 1
            gap = 0
            last = j + 1
        elif byte == 0x20 or byte == 0x2D or byte == 0x2E or byte == 0x28 or byte == 0x29 or byte == 0x2F:
            gap += 1
            if gap > 2:
                break
        else:
            break
        j += 1
    if last < end and _WORD[data[last]]:
        return 0, i, max(last, i + 1)
    if 7 <= digits <= 19:
        return NUMBER, i, last
    # an address may stand among shorter numbers: only the first digits are passed over
    k = i + 1
    while k < last and 0x30 <= data[k] <= 0x39:
        k += 1
    return 0, i, k


@numba.njit(cache=True, nogil=True)
def _iban_end(data, i, end):  # type: ignore[no-untyped-def]
    if not (0x41 <= data[i + 1] <= 0x5A and 0x30 <= data[i + 2] <= 0x39 and 0x30 <= data[i + 3] <= 0x39):
        return 0
    j, last, kept = i + 4, i + 4, 4
    while j < end and j - i < MAX_IBAN_BYTES:
        byte = data[j]
        if 0x41 <= byte <= 0x5A or 0x30 <= byte <= 0x39:
            kept += 1
            last = j + 1
        elif byte != 0x20 or data[j - 1] == 0x20:
            break
        j += 1
    return last if kept >= 15 else 0


@numba.njit(cache=True, nogil=True)
def _is_secret(data, i):  # type: ignore[no-untyped-def]
    four = np.int64(data[i]) << 24 | np.int64(data[i + 1]) << 16 | np.int64(data[i + 2]) << 8 | np.int64(data[i + 3])
    at = np.searchsorted(_SECRETS, four)
    if at < len(_SECRETS) and _SECRETS[at] == four:
        return True
    three = four & ~np.int64(0xFF)  # a prefix of three letters is padded with a zero
    at = np.searchsorted(_SECRETS, three)
    return at < len(_SECRETS) and _SECRETS[at] == three
