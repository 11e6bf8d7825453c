"""Finds the few places of a text where personal data may begin, so that regular expressions look nowhere else.

Each anchor is a byte range and a kind; ``pipeline/clean/pii`` decides what it is.  Reads the bytes of an Arrow string
column in place.

Web pages write numbers with no-break and thin spaces, with hyphens and dashes of many kinds, and in the digits of their
own script: all of these are separators and digits here.  A character that is not ASCII is no part of a word: Chinese
and Japanese write numbers and addresses without a space beside them.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.pii_numbers import card_end, digit_bytes, separator

AT = 1  # an @ (or its full-width form) between two address characters: the range is the @ alone
IPV4 = 2  # four numbers of 0 to 255 joined by dots, no fifth
IPV6 = 3  # hexadecimal groups joined by colons, three colons or more, or two in a row
NUMBER = 4  # 7 to 19 digits with separators between groups, or after a plus sign; more, where a card begins them
IBAN = 5  # two letters, two digits, then letters, digits and separators
SECRET = 6  # how common API keys and private-key blocks begin

MAX_NUMBER_BYTES = 64
MAX_IBAN_BYTES = 80
_SECRET_PREFIXES = (
    b"AKIA", b"ASIA", b"ABIA", b"ACCA", b"aws_", b"AWS_", b"secr", b"Secr",  # AWS
    b"AIza", b"GOCS", b"ya29",  # Google
    b"ghp_", b"gho_", b"ghs_", b"ghr_", b"ghu_", b"gith",  # GitHub
    b"glpa", b"gldt", b"glrt", b"glpt", b"glft", b"glcb", b"glim", b"glag", b"gloa", b"glso", b"glff",
    b"GR13",  # GitLab
    b"sk-", b"sk_l", b"sk_t", b"sk_p", b"rk_l", b"rk_t", b"rk_p", b"whse",  # OpenAI, Anthropic, Stripe
    b"xoxa", b"xoxb", b"xoxe", b"xoxo", b"xoxp", b"xoxr", b"xoxs", b"xapp", b"hook",  # Slack
    b"SG.", b"npm_", b"hf_", b"api_", b"eyJ", b"ZXlK", b"----",  # SendGrid, npm, Hugging Face, JWT, private keys
)  # fmt: skip
_SECRET_BITS = 12
_SECRET_MULTIPLIER = 0x85EBCA6B  # odd, of 32 bits: of those tried the first that keeps the prefixes apart
_SECRETS = np.zeros(1 << _SECRET_BITS, np.int64)  # by hash: the prefix as a number; no two have the same
_SECRET_PAIRS = np.zeros(1 << 16, np.bool_)  # by the first two bytes
for _prefix in _SECRET_PREFIXES:
    _number_of = int.from_bytes(_prefix.ljust(4, b"\0"), "big")
    _slot = (_number_of * _SECRET_MULTIPLIER & 0xFFFFFFFF) >> (32 - _SECRET_BITS)
    assert _SECRETS[_slot] == 0, f"two prefixes have one place: {_prefix!r}; take other bits"
    _SECRETS[_slot] = _number_of
    _SECRET_PAIRS[_prefix[0] << 8 | _prefix[1]] = True

_WORD = np.zeros(256, np.bool_)  # ASCII letters, digits, _
_HEX = np.zeros(256, np.bool_)
for _byte in range(128):
    _WORD[_byte] = chr(_byte).isalnum() or _byte == 0x5F
    _HEX[_byte] = chr(_byte) in "0123456789abcdefABCDEF"
_ADDRESS = _HEX.copy()  # bytes of an IPv6 address
_ADDRESS[0x3A] = True

# Which bytes an anchor may start with, by whether a byte of a word stands before (256 to 511) or not; in a text of
# words this table alone is looked at for nine bytes in ten.
_SIGN, _DIGIT, _LETTER, _OTHER, _INNER = 1, 2, 3, 4, 5
_MAY_START = np.zeros(512, np.uint8)
_ROW = np.where(_WORD, 256, 0).astype(np.uint16)  # of _MAY_START, for the byte after this one
for _byte in b"+(:-":
    _MAY_START[_byte] = _SIGN
for _byte in b"0123456789":
    _MAY_START[_byte] = _DIGIT
    _MAY_START[256 | _byte] = _INNER  # of an IBAN in small letters
for _byte in b"abcdefABCDEFGHIJKLMNOPQRSTUVWXYZ" + b"".join(prefix[:1] for prefix in _SECRET_PREFIXES):
    _MAY_START[_byte] = _MAY_START[_byte] or _LETTER
for _row in (0, 256):
    _MAY_START[_row | 0x40] = _SIGN
    for _byte in (0xD9, 0xDB, 0xE0, 0xEF):  # digits of other scripts, full-width signs
        _MAY_START[_row | _byte] = _OTHER
_CAPITAL = np.zeros(256, np.bool_)
_CAPITAL[0x41:0x5B] = True
_SMALL = np.zeros(256, np.bool_)
_SMALL[0x61:0x7B] = True
_SIGN_FOLLOWS = _WORD.copy()  # what stands after one of _SIGN, where it begins an anchor
_SIGN_FOLLOWS[np.frombuffer(b" -./():", np.uint8)] = True
_SIGN_FOLLOWS[0x80:] = True
_starts = _MAY_START[:256, None]
# by the first two bytes: whether an anchor may begin with them
_PAIR = ((_starts == _SIGN) & _SIGN_FOLLOWS) | (_starts == _DIGIT) | (_HEX[:, None] & _ADDRESS)
_PAIR |= (_CAPITAL[:, None] & _CAPITAL) | _SECRET_PAIRS.reshape(256, 256)
_PAIR[0x40] = True
_PAIR[0xD9, 0xA0:0xAA] = _PAIR[0xDB, 0xB0:0xBA] = True  # Arabic and Persian digits
_PAIR[0xE0, 0xA5] = _PAIR[0xE0, 0xA7] = _PAIR[0xEF, 0xBC] = True  # Devanagari, Bengali, full-width ones
_PAIR = _PAIR.reshape(-1)


def anchors(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Anchors of all texts, in order.

    Args:
        data: UTF-8 bytes of all texts.
        offsets: Where each text starts, and where the last one ends, shape (N + 1,).

    Returns:
        Shape (A, 5): number of the text, kind, first byte and one past the last byte, counted from the text's start;
        of a number also where the card number ends that begins it, by grouping and checksum, else 0.
    """
    return _anchors(data, offsets)  # type: ignore[no-any-return]


@numba.njit(cache=True, nogil=True)
def _anchors(data, offsets):  # type: ignore[no-untyped-def]
    found = np.empty((1024, 5), np.int64)
    count = 0
    for text in range(len(offsets) - 1):
        start, end = offsets[text], offsets[text + 1]
        i = start
        while True:
            i = _next_start(data, start, i, end)
            if i >= end:
                break
            kind, first, last, following, card = _anchor(data, start, i, end)
            i = following
            if kind == 0:
                continue
            if count == len(found):
                larger = np.empty((2 * count, 5), np.int64)
                for row in range(count):  # a slice assignment compiles for seconds
                    for column in range(5):
                        larger[row, column] = found[row, column]
                found = larger
            found[count, 0], found[count, 1], found[count, 2], found[count, 3] = text, kind, first - start, last - start
            found[count, 4] = card - start if card > 0 else 0
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
        if may < _LETTER or (may == _LETTER and _goes_on(data, j, end)) or (may == _OTHER and _is_other(data, j, end)):
            return j
        if may == _INNER and j - 2 >= i and _follows_a_country(data, start, j):
            return j - 2
    return end


@numba.njit(cache=True, nogil=True)
def _goes_on(data, i, end):  # type: ignore[no-untyped-def]
    """False where the third byte rules out what the first two letters allow: so it does in almost every word."""
    if i + 5 >= end:
        return False
    byte, second, third = data[i], data[i + 1], data[i + 2]
    if 0x30 <= third <= 0x39 and _CAPITAL[second] and _CAPITAL[byte]:
        return True  # an IBAN
    if _HEX[byte] and _ADDRESS[second] and _ADDRESS[third]:
        return True
    return _SECRET_PAIRS[np.int64(byte) << 8 | second] and _is_secret(data, i)


@numba.njit(cache=True, nogil=True)
def _follows_a_country(data, start, j):  # type: ignore[no-untyped-def]
    """Whether two digits here stand behind two small letters that begin a word."""
    if not (0x30 <= data[j + 1] <= 0x39 and _SMALL[data[j - 1]] and _SMALL[data[j - 2]]):
        return False
    return j - 2 == start or not _WORD[data[j - 3]]


@numba.njit(cache=True, nogil=True)
def _is_other(data, i, end):  # type: ignore[no-untyped-def]
    """Whether a digit, plus sign, bracket or @ of another form than ASCII's is here."""
    if digit_bytes(data, i, end) > 0:
        return True
    return i + 2 < end and data[i] == 0xEF and (data[i + 2] == 0x8B or data[i + 2] == 0x88 or data[i + 2] == 0xA0)


@numba.njit(cache=True, nogil=True)
def _anchor(data, start, i, end):  # type: ignore[no-untyped-def]
    """The anchor at ``i``: (kind, first, last, where to look next, end of a card); kind 0 where there is none."""
    byte = data[i]
    width = 3 if byte == 0xEF else 1
    if byte == 0x40 or (byte == 0xEF and data[i + 2] == 0xA0):
        if i > start and i + width < end and _may_end_a_name(data[i - 1]) and _may_begin_a_host(data[i + width]):
            return AT, i, i + width, i + width, 0
        return 0, i, i, i + width, 0
    if byte == 0x2B or byte == 0x28 or byte == 0xEF:
        return _number(data, start, i, end)
    at_word_start = i == start or not _WORD[data[i - 1]]
    if 0x30 <= byte <= 0x39 or byte >= 0x80:
        return _digit(data, start, i, end) if at_word_start else (0, i, i, i + 1, 0)
    if at_word_start and (_HEX[byte] or (byte == 0x3A and i + 2 < end and data[i + 1] == 0x3A)):
        last = _ipv6_end(data, i, end)
        if last > i:
            return IPV6, i, last, last, 0
    if at_word_start and i + 8 < end and _SECRET_PAIRS[np.int64(byte) << 8 | data[i + 1]] and _is_secret(data, i):
        return SECRET, i, i + 4, i + 4, 0
    if at_word_start and byte >= 0x41 and i + 14 <= end:
        last = _iban_end(data, i, end)
        if last > i:
            return IBAN, i, last, i + 4, 0
    return 0, i, i, i + 1, 0


@numba.njit(cache=True, nogil=True)
def _may_end_a_name(byte):  # type: ignore[no-untyped-def]
    return _WORD[byte] or byte >= 0x80 or byte == 0x22  # a quoted name: "john smith"@...


@numba.njit(cache=True, nogil=True)
def _may_begin_a_host(byte):  # type: ignore[no-untyped-def]
    return _WORD[byte] or byte >= 0x80 or byte == 0x5B  # [93.184.216.34]


@numba.njit(cache=True, nogil=True)
def _digit(data, start, i, end):  # type: ignore[no-untyped-def]
    """What begins with a digit at the start of a word."""
    last = _ipv4_end(data, start, i, end)
    if last > i:
        return IPV4, i, last, last, 0
    last = _ipv6_end(data, i, end)
    if last > i:
        return IPV6, i, last, last, 0
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
    if colons < 2 or (not double and colons != 7) or (j < end and _WORD[data[j]]):
        return 0
    if j + 1 < end and data[j] == 0x2E and 0x30 <= data[j + 1] <= 0x39:
        return 0  # an IPv4 address follows, in the same one
    return j if j - i >= 6 else 0


@numba.njit(cache=True, nogil=True)
def _number(data, start, i, end):  # type: ignore[no-untyped-def]
    """A run of digits with separators; the next place to look is the run's end, or that of its first digits."""
    j, digits, last, gap = i, 0, i, 0
    if data[j] == 0x2B:
        j += 1
    elif data[j] == 0xEF and data[j + 2] < 0x90:
        j += 3
    while j < end and j - i < MAX_NUMBER_BYTES:
        width = digit_bytes(data, j, end)
        if width > 0:
            if gap and data[j - 1] == 0x20 and _ipv4_end(data, start, j, end) > 0:
                break
            digits += 1
            gap = 0
            j += width
            last = j
            continue
        byte = data[j]
        width = 1 if byte == 0x28 or byte == 0x29 or byte == 0x2F else separator(data, j, end)
        gap += 1
        # " / " and " - " stand within an area code's end; between two numbers, further on
        if width == 0 or gap > 3 or (gap > 2 and digits > 6):
            break
        j += width
    following = max(last, i + 1)
    if last < end and _WORD[data[last]] and not _is_extension(data, last, end):
        return 0, i, i, following, 0
    card = card_end(data, i, end) if digits >= 12 else 0
    # an address may stand among shorter numbers, and a number behind a card: only the first digits are passed over
    k = i + 1
    while k < last and digit_bytes(data, k, end) > 0:
        k += digit_bytes(data, k, end)
    if 7 <= digits <= 19:
        return NUMBER, i, last, following, card
    if card > 0:
        return NUMBER, i, card, card, card
    return 0, i, i, k, 0


@numba.njit(cache=True, nogil=True)
def _is_extension(data, i, end):  # type: ignore[no-untyped-def]
    """Whether ``x123`` follows a number."""
    return i + 1 < end and data[i] | 0x20 == 0x78 and 0x30 <= data[i + 1] <= 0x39


@numba.njit(cache=True, nogil=True)
def _iban_end(data, i, end):  # type: ignore[no-untyped-def]
    if not (0x30 <= data[i + 2] <= 0x39 and 0x30 <= data[i + 3] <= 0x39 and data[i + 1] >= 0x41):
        return 0
    j, last, kept, gap = i + 4, i + 4, 4, 0
    while j < end and j - i < MAX_IBAN_BYTES and kept < 40:
        if _WORD[data[j]] and data[j] != 0x5F:
            kept += 1
            j += 1
            last, gap = j, 0
            continue
        width = separator(data, j, end)
        gap += 1
        if width == 0 or gap > 2 or data[j] == 0x2E:
            break
        j += width
    return last if kept >= 14 else 0


@numba.njit(cache=True, nogil=True)
def _is_secret(data, i):  # type: ignore[no-untyped-def]
    four = np.int64(data[i]) << 24 | np.int64(data[i + 1]) << 16 | np.int64(data[i + 2]) << 8 | np.int64(data[i + 3])
    three = four & ~np.int64(0xFF)  # a prefix of three letters is padded with a zero
    return _SECRETS[_slot_of(four)] == four or _SECRETS[_slot_of(three)] == three


@numba.njit(cache=True, nogil=True)
def _slot_of(four):  # type: ignore[no-untyped-def]
    return (four * _SECRET_MULTIPLIER & 0xFFFFFFFF) >> (32 - _SECRET_BITS)
