"""Where words stand in a page: one pass for many words, and the tags that hold one of them.

A pass goes block by block.  Three bytes of each word are compared with all places of a block at once, which the
compiler makes vector instructions of; only a block in which they agree somewhere is looked at byte by byte.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 512
FOUND = 64  # places for which there is room at first
# from the most to the least frequent in pages; what is not among them is rarest
_FREQUENT = b" etaoinsrlcdhpumfgbvwy/<>=\"-.:;,_()'k0123456789\n\r\t"
_PROBES = 3


class Words(NamedTuple):
    """Words to look for, as the kernels take them.

    Attributes:
        letters: (words, longest) uint8, in lower case where case does not matter.
        masks: As ``letters``: 32 where a letter's case does not matter, else 0.
        lengths: (words,) int64.
        probes: (words, 3) int64: the places of each word's rarest bytes.
    """

    letters: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    lengths: NDArray[np.int64]
    probes: NDArray[np.int64]


def words(exact: Sequence[bytes] = (), any_case: Sequence[bytes] = ()) -> Words:
    """Words of three bytes or more; their numbers go through ``exact`` first.

    Args:
        exact: Found as they are.
        any_case: In lower case; found in any.
    """
    every = [*exact, *any_case]
    letters = np.zeros((len(every), max(map(len, every))), np.uint8)
    masks = np.zeros_like(letters)
    probes = np.zeros((len(every), _PROBES), np.int64)
    for row, word in enumerate(every):
        letters[row, : len(word)] = np.frombuffer(word, np.uint8)
        rarest = sorted(range(len(word)), key=lambda place: -_rarity(word[place]))
        probes[row] = rarest[:_PROBES]
    for row in range(len(exact), len(every)):
        masks[row] = np.where((letters[row] >= 0x61) & (letters[row] <= 0x7A), 0x20, 0)
    return Words(letters, masks, np.array([len(word) for word in every], np.int64), probes)


def _rarity(byte: int) -> int:
    found = _FREQUENT.find(bytes([byte | 0x20 if 0x41 <= byte <= 0x5A else byte]))
    return found if found >= 0 else len(_FREQUENT)


def places(page: bytes, wanted: Words) -> list[list[int]]:
    """Place and number of each of the words in a page, in the order of the places."""
    found: list[list[int]] = _places(np.frombuffer(page, np.uint8), *wanted).tolist()
    return found


@numba.njit(cache=True, nogil=True)
def _places(data, letters, masks, lengths, probes):  # type: ignore[no-untyped-def]
    found = np.empty((FOUND, 2), np.int64)
    count, longest = 0, letters.shape[1]
    flags = np.empty(BLOCK_BYTES, np.uint8)
    for start in range(0, len(data), BLOCK_BYTES):
        if start + BLOCK_BYTES + longest > len(data):
            flags[:] = 1
        elif not _block(data[start : start + BLOCK_BYTES + longest], letters, masks, probes, flags):
            continue
        for place in range(start, min(start + BLOCK_BYTES, len(data))):
            if flags[place - start] == 0:
                continue
            for word in range(len(lengths)):
                if _stands_at(data, place, letters, masks, word, lengths[word]):
                    if count == len(found):
                        found = np.concatenate((found, np.empty_like(found)))
                    found[count, 0], found[count, 1] = place, word
                    count += 1
    return found[:count]


@numba.njit(cache=True, nogil=True)
def _block(data, letters, masks, probes, flags):  # type: ignore[no-untyped-def]
    """Flags the places of a block at which the probes of a word agree; whether there are any."""
    flags[:] = 0
    for word in range(len(probes)):
        first, second, third = probes[word, 0], probes[word, 1], probes[word, 2]
        one = data[first : first + BLOCK_BYTES]
        two = data[second : second + BLOCK_BYTES]
        three = data[third : third + BLOCK_BYTES]
        a, b, c = letters[word, first], letters[word, second], letters[word, third]
        p, q, r = masks[word, first], masks[word, second], masks[word, third]
        for place in range(BLOCK_BYTES):
            # of bytes alone: the compiler then takes a vector of 32 at once
            agree = (
                (np.uint8(one[place] | p) == a) & (np.uint8(two[place] | q) == b) & (np.uint8(three[place] | r) == c)
            )
            flags[place] |= np.uint8(agree)
    return _any(flags)


@numba.njit(cache=True, nogil=True)
def _any(flags):  # type: ignore[no-untyped-def]
    """Whether a flag of a block is set, eight looked at at once."""
    quick = flags.view(np.uint64)
    some = np.uint64(0)
    for place in range(len(quick)):
        some |= quick[place]
    return some != 0


@numba.njit(cache=True, nogil=True)
def _stands_at(data, place, letters, masks, word, length):  # type: ignore[no-untyped-def]
    i = 0
    while i < length and place + i < len(data) and (data[place + i] | masks[word, i]) == letters[word, i]:
        i += 1
    return i == length


class Telling(NamedTuple):
    """The words that a tag of a kind must hold to tell something.

    Attributes:
        words: Of all kinds, those of a kind in the order of their first letters.
        ranges: (kinds, 256, 2) int64: by kind and first byte, the numbers of its words from and up to.
        kinds: (kinds,) bool: those that have words; a tag of another kind always tells something.
    """

    words: Words
    ranges: NDArray[np.int64]
    kinds: NDArray[np.bool_]


def telling(words_of: Mapping[int, Sequence[bytes]]) -> Telling:
    """The words, in lower case, by the kind of tag, which counts from 0."""
    pairs = sorted((kind, word) for kind, found in words_of.items() for word in found)
    ranges = np.zeros((max(words_of) + 1, 256, 2), np.int64)
    for number, (kind, word) in enumerate(pairs):
        for first in {word[0], ord(chr(word[0]).upper())}:
            if ranges[kind, first, 1] == 0:
                ranges[kind, first, 0] = number
            ranges[kind, first, 1] = number + 1
    kinds = np.array([kind in words_of for kind in range(len(ranges))])
    return Telling(words(any_case=[word for _, word in pairs]), ranges, kinds)


def holding(data: NDArray[np.uint8], notes: NDArray[np.int64], tell: Telling) -> NDArray[np.int64]:
    """The notes of tags that hold a word of their kind, and all of kinds that have no words.

    Args:
        data: The page.
        notes: (notes, 3): kind, where the tag's attributes begin, where it ends.
        tell: The words.
    """
    kept: NDArray[np.int64] = notes[_holding(data, notes, *tell.words[:3], tell.ranges, tell.kinds)]
    return kept


@numba.njit(cache=True, nogil=True)
def _holding(data, notes, letters, masks, lengths, ranges, kinds):  # type: ignore[no-untyped-def]
    tells = np.ones(len(notes), np.bool_)
    for row in range(len(notes)):
        kind = notes[row, 0]
        if kind < len(kinds) and kinds[kind]:
            tells[row] = _holds_one(data, notes[row, 1], notes[row, 2], letters, masks, lengths, ranges[kind])
    return tells


@numba.njit(cache=True, nogil=True)
def _holds_one(data, start, end, letters, masks, lengths, ranges):  # type: ignore[no-untyped-def]
    for place in range(start, end):
        for word in range(ranges[data[place], 0], ranges[data[place], 1]):
            if place + lengths[word] <= end and _stands_at(data, place, letters, masks, word, lengths[word]):
                return True
    return False


def years(page: bytes, reach: int, most: int) -> list[list[int]]:
    """Texts of a page that may hold a day: beginning, place of a year (1900 to 2099), and end.

    A year counts where the text between tags in which it stands begins and ends near it, and has more digits than it,
    or characters that may be some.

    Args:
        page: The page.
        reach: Bytes before and behind the year that its text may have.
        most: Years that are looked at.
    """
    found: list[list[int]] = _years(np.frombuffer(page, np.uint8), reach, most).tolist()
    return found


@numba.njit(cache=True, nogil=True)
def _years(data, reach, most):  # type: ignore[no-untyped-def]
    found = np.empty((FOUND, 3), np.int64)
    count = seen = behind = 0
    flags = np.empty(BLOCK_BYTES, np.uint8)
    for start in range(0, len(data), BLOCK_BYTES):
        if start + BLOCK_BYTES + 4 > len(data):
            flags[:] = 1
        elif not _year_block(data[start : start + BLOCK_BYTES + 4], flags):
            continue
        for place in range(max(start, behind), min(start + BLOCK_BYTES, len(data) - 3)):
            if place < behind or flags[place - start] == 0 or not _is_year(data, place):
                continue
            if seen == most:
                return found[:count]
            seen, behind = seen + 1, place + 4
            first, last = _text_around(data, place, reach)
            if first < 0:
                continue
            if count == len(found):
                found = np.concatenate((found, np.empty_like(found)))
            found[count, 0], found[count, 1], found[count, 2] = first, place, last
            count += 1
    return found[:count]


@numba.njit(cache=True, nogil=True)
def _year_block(data, flags):  # type: ignore[no-untyped-def]
    one, two = data[:BLOCK_BYTES], data[1 : BLOCK_BYTES + 1]
    for place in range(BLOCK_BYTES):
        a, b = one[place], two[place]
        flags[place] = np.uint8(((a == 0x31) & (b == 0x39)) | ((a == 0x32) & (b == 0x30)))
    return _any(flags)


@numba.njit(cache=True, nogil=True)
def _is_year(data, place):  # type: ignore[no-untyped-def]
    a, b = data[place], data[place + 1]
    if not ((a == 0x31 and b == 0x39) or (a == 0x32 and b == 0x30)):
        return False
    return 0x30 <= data[place + 2] <= 0x39 and 0x30 <= data[place + 3] <= 0x39


@numba.njit(cache=True, nogil=True)
def _text_around(data, place, reach):  # type: ignore[no-untyped-def]
    """Where the text of a year begins and ends; -1 where it has too many bytes, or no day by its digits."""
    first = place - 1
    while first >= max(0, place - reach) and data[first] != 0x3E:
        if data[first] == 0x3C:
            return -1, -1
        first -= 1
    if first < max(0, place - reach):
        return -1, -1
    last = place + 4
    while last < min(place + 4 + reach, len(data)) and data[last] != 0x3C:
        last += 1
    if last == min(place + 4 + reach, len(data)):
        return -1, -1
    digits = 0
    for i in range(first + 1, last):
        if data[i] >= 0x80 or data[i] == 0x26:  # in another script, or as a reference
            return first + 1, last
        digits += 0x30 <= data[i] <= 0x39
    return (first + 1, last) if digits > 4 else (-1, -1)
