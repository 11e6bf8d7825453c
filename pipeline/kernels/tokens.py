"""Words of a text as spaCy's English rules cut them: prefixes, suffixes, infixes, exceptions.  Marks are tokens.

1. White space cuts the text into chunks.  A chunk of ASCII letters is one token, unless it is an exception (cannot).
2. Another chunk is looked up in a cache of chunks already cut, else cut (pipeline/kernels/token_rules.py).
3. Each token gets its hash, its length and what it is made of; sentences are counted on the way.

A hash is a polynomial of the bytes, modulo 2**64: the hash of tokens joined together follows from theirs.
Parity: tests/parity/test_token_rules.py against spaCy, where the rules come from.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.token_rules import BASE, cut_chunk, decode, exception_index
from pipeline.kernels.token_tables import (
    LETTER,
    PUNCTUATION,
    SENTENCE_END,
    SPACE,
    SYMBOL,
    UNSPACED,
)

# what a token is, one bit each
HAS_LETTER = 1
ALL_SYMBOLS = 2  # every character in datatrove's PUNCTUATION_SET
ALL_PUNCTUATION = 4  # every character of general category P
ENDS_SENTENCE = 8
AFTER_SPACE_TOKEN = 16  # white space other than one blank stands before it, which spaCy makes a token of its own

CACHE_SLOTS = 1 << 15
MAX_CACHED_BYTES = 255
MAX_CACHED_TOKENS = 7


class Tokens(NamedTuple):
    """The tokens of one document: byte offset in it, bytes, characters, flags and hash of each."""

    start: NDArray[np.int32]
    size: NDArray[np.int32]
    chars: NDArray[np.int32]
    flags: NDArray[np.uint8]
    hash: NDArray[np.uint64]


class ChunkCache(NamedTuple):
    """Chunks already cut: hash of the chunk -> sizes of its tokens, a byte each, lowest first, their number highest."""

    keys: NDArray[np.uint64]
    sizes: NDArray[np.uint64]


def new_cache() -> ChunkCache:
    """An empty cache."""
    return ChunkCache(np.zeros(CACHE_SLOTS, np.uint64), np.zeros(CACHE_SLOTS, np.uint64))


def hash_bytes(text: bytes) -> int:
    """The hash of a token, in plain Python."""
    value = 0
    for byte in text:
        value = (value * int(BASE) + byte + 1) & 0xFFFFFFFFFFFFFFFF
    return value


@numba.njit(cache=True, nogil=True)
def new_tokens(capacity: int) -> Any:
    """Room for ``capacity`` tokens."""
    return Tokens(
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.int32),
        np.empty(capacity, np.uint8),
        np.empty(capacity, np.uint64),
    )


@numba.njit(cache=True, nogil=True)
def _grown(tokens, count, capacity):  # type: ignore[no-untyped-def]
    larger = new_tokens(capacity)
    for i in range(count):  # slice assignments would compile for seconds
        larger.start[i] = tokens.start[i]
        larger.size[i] = tokens.size[i]
        larger.chars[i] = tokens.chars[i]
        larger.flags[i] = tokens.flags[i]
        larger.hash[i] = tokens.hash[i]
    return larger


@numba.njit(cache=True, nogil=True)
def tokenize(data, start, end, tables, cache, tokens, split_unspaced):  # type: ignore[no-untyped-def]
    """Cuts ``data[start:end]`` (UTF-8) into tokens.

    Args:
        data: Bytes.
        start: Where the text begins.
        end: Where it ends.
        tables: ``TokenTables``.
        cache: ``ChunkCache``, filled on the way.
        tokens: ``Tokens`` to write to; replaced where it is too small.
        split_unspaced: True to make each character of a script without spaces a token.

    Returns:
        The tokens (the given ones or larger), their number, the number of sentences, and the characters of the longest
        chunk.
    """
    classes = tables.classes
    count, sentences, longest = 0, 0, 0
    after_end = False  # a sentence has ended and the next one has not begun
    i = start
    while i < end:
        blank = i
        while i < end:
            if data[i] < 0x80:
                if not classes[data[i]] & SPACE:
                    break
                i += 1
            else:
                code, width = decode(data, i, end)
                if not classes[code] & SPACE:
                    break
                i += width
        space_token = i > blank and (blank == start or i - blank > 1 or data[blank] != 0x20)
        if space_token and sentences == 0:
            sentences = 1
        if space_token and after_end:
            sentences += 1
            after_end = False
        if i == end:
            break
        chunk = i
        value = np.uint64(0)
        letters, chars = True, 0
        while i < end:
            byte = data[i]
            if byte < 0x80:
                bits = classes[byte]
                if bits & SPACE:
                    break
                if not bits & LETTER:
                    letters = False
                value = value * BASE + np.uint64(byte) + np.uint64(1)
                i += 1
            else:
                letters = False
                code, width = decode(data, i, end)
                if classes[code] & SPACE:
                    break
                for k in range(width):
                    value = value * BASE + np.uint64(data[i + k]) + np.uint64(1)
                i += width
            chars += 1
        longest = max(longest, chars)
        first = count
        if count + (i - chunk) + 8 > len(tokens.start):
            tokens = _grown(tokens, count, 2 * (count + (i - chunk)) + 64)
        if letters and exception_index(value, i - chunk, tables) < 0:
            tokens.start[count] = chunk - start
            tokens.size[count] = tokens.chars[count] = i - chunk
            tokens.flags[count] = HAS_LETTER
            tokens.hash[count] = value
            count += 1
        else:
            count = _add_cut_chunk(data, start, chunk, i, value, tables, cache, tokens, count, split_unspaced)
        if space_token:
            tokens.flags[first] |= AFTER_SPACE_TOKEN
        if sentences == 0:
            sentences = 1
        for k in range(first, count):
            flags = tokens.flags[k]
            if after_end and not flags & (ALL_PUNCTUATION | ENDS_SENTENCE):
                sentences += 1
                after_end = False
            elif flags & ENDS_SENTENCE:
                after_end = True
    return tokens, count, sentences, longest


@numba.njit(cache=True, nogil=True)
def _add_cut_chunk(data, text, start, end, value, tables, cache, tokens, count, split_unspaced):  # type: ignore[no-untyped-def]
    """Appends the tokens of the chunk ``data[start:end]`` with hash ``value``; returns the new number of tokens."""
    key = value if not split_unspaced else value ^ np.uint64(0x5555555555555555)
    slot = np.int64((key * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(49))
    if cache.keys[slot] == key and key != 0:
        packed = cache.sizes[slot]
        number = np.int64(packed >> np.uint64(56))
        at = start
        for _ in range(number):
            size = np.int64(packed & np.uint64(0xFF))
            packed >>= np.uint64(8)
            _add_token(data, text, at, at + size, tables.classes, tokens, count)
            at += size
            count += 1
        return count
    sizes = cut_chunk(data, start, end, value, tables)
    if split_unspaced:
        sizes = _characters_apart(data, start, sizes, tables.classes)
    if len(sizes) <= MAX_CACHED_TOKENS and end - start <= MAX_CACHED_BYTES:
        packed = np.uint64(len(sizes)) << np.uint64(56)
        for k in range(len(sizes)):
            packed |= np.uint64(sizes[k]) << np.uint64(8 * k)
        cache.keys[slot] = key
        cache.sizes[slot] = packed
    at = start
    for k in range(len(sizes)):
        _add_token(data, text, at, at + sizes[k], tables.classes, tokens, count)
        at += sizes[k]
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _add_token(data, text, start, end, classes, tokens, index):  # type: ignore[no-untyped-def]
    value = np.uint64(0)
    chars, flags, last = 0, ALL_SYMBOLS | ALL_PUNCTUATION, np.uint32(0)
    i = start
    while i < end:
        code, width = decode(data, i, end)
        last = classes[code]
        if last & LETTER:
            flags |= HAS_LETTER
        if not last & SYMBOL:
            flags &= ~ALL_SYMBOLS
        if not last & PUNCTUATION:
            flags &= ~ALL_PUNCTUATION
        for k in range(width):
            value = value * BASE + np.uint64(data[i + k]) + np.uint64(1)
        i += width
        chars += 1
    if chars == 1 and last & SENTENCE_END:
        flags |= ENDS_SENTENCE
    tokens.start[index] = start - text
    tokens.size[index] = end - start
    tokens.chars[index] = chars
    tokens.flags[index] = flags
    tokens.hash[index] = value


@numba.njit(cache=True, nogil=True)
def _characters_apart(data, start, sizes, classes):  # type: ignore[no-untyped-def]
    """Cuts each character of a script without spaces out of its token."""
    total = 0
    for size in sizes:
        total += size
    apart = np.empty(total, np.int32)
    count = 0
    at = start
    for size in sizes:
        end = at + size
        open_at = at
        i = at
        while i < end:
            code, width = decode(data, i, end)
            if classes[code] & UNSPACED:
                if i > open_at:
                    apart[count] = i - open_at
                    count += 1
                apart[count] = width
                count += 1
                open_at = i + width
            i += width
        if end > open_at:
            apart[count] = end - open_at
            count += 1
        at = end
    return apart[:count]


def token_texts(text: str, tables: Any) -> list[str]:
    """The tokens of one text as strings: for tests, and for datatrove's ``language=``."""
    data = np.frombuffer(
        text.encode("utf-8", "replace"), dtype=np.uint8
    ).copy()  # the kernels are compiled for arrays that can be written
    tokens, count, _, _ = tokenize(data, 0, len(data), tables, new_cache(), new_tokens(len(data) // 4 + 64), False)
    raw = data.tobytes()
    ends = (tokens.start[:count] + tokens.size[:count]).tolist()
    return [raw[a:b].decode("utf-8", "replace") for a, b in zip(tokens.start[:count].tolist(), ends, strict=True)]
