"""What the values of a tag's attributes may say: that it names a licence, or a day of publication."""

import numba
import numpy as np

UNQUOTED_BYTES = 24  # of a value without quotes that are looked at
BY_REL, BY_PROPERTY, BY_DATE = 1, 2, 4
_LICEN, _SCHEMA, _CC, _DCT, _DCTERMS, _PUBLISHED, _ITEMPROP, _PROPERTY = (
    np.frombuffer(word, np.uint8)
    for word in (b"licen", b"schema:", b"cc:", b"dct:", b"dcterms:", b"datepublished", b"itemprop", b"property")
)


@numba.njit(cache=True, nogil=True)
def telling_name(data, start, end):  # type: ignore[no-untyped-def]
    """What the attribute's name is that ends before ``end``, and any space: 1 ``rel``, 2 ``itemprop``, ``property``."""
    while end > start and data[end - 1] <= 0x20:
        end -= 1
    last = data[end - 1] | 0x20
    if last == 0x6C:
        if end - start < 4:
            return 0
        before = data[end - 4]
        if before > 0x20 and before != 0x2F and before != 0x22 and before != 0x27:
            return 0
        return 1 if data[end - 3] | 0x20 == 0x72 and data[end - 2] | 0x20 == 0x65 else 0
    if last == 0x70 or last == 0x79:
        begin = end - len(_ITEMPROP)
        if begin >= start and (holds(data, begin, end, _ITEMPROP) or holds(data, begin, end, _PROPERTY)):
            return 2
    return 0


@numba.njit(cache=True, nogil=True)
def said_by(data, name, value, end):  # type: ignore[no-untyped-def]
    """What the value of ``rel`` (1), or of ``itemprop`` or ``property`` (2), may say."""
    if name == 1:
        return BY_REL if holds(data, value, end, _LICEN) else 0
    said = BY_DATE if holds(data, value, end, _PUBLISHED) else 0
    for prefix in (_SCHEMA, _CC, _DCT, _DCTERMS):
        if begins(data, value, prefix):
            value += len(prefix)
            break
    after = value + len(_LICEN)
    if not begins(data, value, _LICEN) or after + 1 >= len(data):
        return said
    is_word = (data[after] == 0x73 or data[after] == 0x63) and data[after + 1] == 0x65  # license, licence
    return said | BY_PROPERTY if is_word and not (after + 2 < len(data) and _is_letter(data[after + 2])) else said


@numba.njit(cache=True, nogil=True)
def holds(data, start, end, word):  # type: ignore[no-untyped-def]
    """Whether a word, given in lower case, occurs in the bytes, in any case."""
    for i in range(start, end - len(word) + 1):
        j = 0
        while j < len(word) and (data[i + j] | 0x20) == (word[j] | 0x20):
            j += 1
        if j == len(word):
            return True
    return False


@numba.njit(cache=True, nogil=True)
def begins(data, start, word):  # type: ignore[no-untyped-def]
    """Whether the bytes from a place on are a word's."""
    j = 0
    while j < len(word) and start + j < len(data) and data[start + j] == word[j]:
        j += 1
    return j == len(word)


@numba.njit(cache=True, nogil=True)
def _is_letter(byte):  # type: ignore[no-untyped-def]
    """Whether a byte is one of a word: an ASCII letter, a digit, or an underscore."""
    lower = byte | 0x20
    return (lower >= 0x61 and lower <= 0x7A) or (byte >= 0x30 and byte <= 0x39) or byte == 0x5F
