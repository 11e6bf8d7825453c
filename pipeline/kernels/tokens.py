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

from pipeline.kernels.jit import bare
from pipeline.kernels.spans import BASE, MIX, decode
from pipeline.kernels.token_rules import MAX_EXCEPTION_BYTES, Scratch, cut_chunk, new_scratch
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

CACHE_SLOTS = 1 << 16
MAX_CACHED_BYTES = 255
MAX_CACHED_TOKENS = 7
SCRATCH_BYTES = 1 << 14  # of a chunk; a longer one gets room of its own


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
    scratch: Scratch


def new_cache() -> ChunkCache:
    """An empty cache."""
    return ChunkCache(np.zeros(CACHE_SLOTS, np.uint64), np.zeros(CACHE_SLOTS, np.uint64), new_scratch(SCRATCH_BYTES))


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
    if len(tokens.start) < end - start + 8:  # untouched room costs no memory
        tokens = new_tokens(2 * (end - start) + 64)
    count, sentences, longest = fill_tokens(data, start, end, tables, cache, cache.scratch, tokens, split_unspaced)
    if count < 0:
        scratch = new_scratch(end - start + 8)
        count, sentences, longest = fill_tokens(data, start, end, tables, cache, scratch, tokens, split_unspaced)
    return tokens, count, sentences, longest


# one long function, since every part of it moves several counters that a part of its own would take and give back
@bare
def fill_tokens(data, start, end, tables, cache, scratch, tokens, split_unspaced):  # type: ignore[no-untyped-def]
    """Like ``tokenize``, into ``tokens`` that are large enough; -1, 0, 0 where a chunk is too long for ``scratch``."""
    classes = tables.classes
    count, sentences, longest = 0, 0, 0
    after_end = False  # a sentence has ended and the next one has not begun
    t_start, t_size, t_chars, t_flags, t_hash = tokens.start, tokens.size, tokens.chars, tokens.flags, tokens.hash
    exception_bits, exception_sizes = tables.exception_bits, tables.exception_sizes
    cache_keys, cache_sizes, pieces = cache.keys, cache.sizes, scratch.sizes
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
        value = before = np.uint64(0)  # hashes of the chunk, and of the chunk without its last byte
        others, chars = 0, 0  # characters that are no ASCII letters
        while i < end:
            byte = data[i]
            if byte < 0x80:
                bits = classes[byte]
                if bits & SPACE:
                    break
                others += not bits & LETTER
                before = value
                value = value * BASE + np.uint64(byte) + np.uint64(1)
                i += 1
            else:
                code, width = decode(data, i, end)
                if classes[code] & SPACE:
                    break
                others += 2
                for k in range(width):
                    value = value * BASE + np.uint64(data[i + k]) + np.uint64(1)
                i += width
            chars += 1
        longest = max(longest, chars)
        first = count
        size = i - chunk
        word, last = size, value  # bytes and hash of the letters before a mark
        if others == 1 and size > 2:
            mark = data[i - 1]
            lower = 0x61 <= data[i - 2] <= 0x7A
            if mark == 0x2C or (mark == 0x2E and lower) or mark in (0x21, 0x29, 0x3A, 0x3B, 0x3F):
                others, word, last = 0, size - 1, before
        # two looks at the table say of nearly all words that they are no exceptions
        if others == 0 and size < MAX_EXCEPTION_BYTES and exception_sizes[size]:
            others += exception_bits[np.int64((value * MIX) >> np.uint64(48))]
        if others == 0 and word < min(size, MAX_EXCEPTION_BYTES) and exception_sizes[word]:
            others += exception_bits[np.int64((last * MIX) >> np.uint64(48))]
        if others == 0:
            t_start[count], t_size[count], t_chars[count] = chunk - start, word, word
            t_flags[count], t_hash[count] = HAS_LETTER, last
            count += 1
            if word < size:
                t_start[count], t_size[count], t_chars[count] = i - 1 - start, 1, 1
                bits = classes[mark]
                ends = ENDS_SENTENCE if bits & SENTENCE_END else 0
                t_flags[count] = ALL_SYMBOLS | ALL_PUNCTUATION | ends
                t_hash[count] = np.uint64(mark) + np.uint64(1)
                count += 1
        else:
            key = value ^ np.uint64(0x5555555555555555) if split_unspaced else value
            slot = np.int64((key * MIX) >> np.uint64(48))
            packed = np.uint64(0)
            if cache_keys[slot] == key and key != 0:
                packed = cache_sizes[slot]
                number = np.int64(packed >> np.uint64(56))
            else:
                if i - chunk + 8 > len(pieces):
                    return -1, 0, 0
                number = cut_chunk(data, chunk, i, value, tables, scratch)
                if split_unspaced:
                    number = _characters_apart(data, chunk, number, classes, scratch)
                if number <= MAX_CACHED_TOKENS and i - chunk <= MAX_CACHED_BYTES:
                    kept = np.uint64(number) << np.uint64(56)
                    for k in range(number):
                        kept |= np.uint64(pieces[k]) << np.uint64(8 * k)
                    cache_keys[slot], cache_sizes[slot] = key, kept
            at = chunk
            for k in range(number):
                size = np.int64((packed >> np.uint64(8 * k)) & np.uint64(0xFF)) if packed != 0 else pieces[k]
                piece, stop = at, at + size
                value = np.uint64(0)
                chars, every, some, kind = 0, np.uint32(0xFFFFFFFF), np.uint32(0), np.uint32(0)
                while at < stop:
                    byte = data[at]
                    if byte < 0x80:
                        kind = classes[byte]
                        value = value * BASE + np.uint64(byte) + np.uint64(1)
                        at += 1
                    else:
                        code, width = decode(data, at, stop)
                        kind = classes[code]
                        for _ in range(width):
                            value = value * BASE + np.uint64(data[at]) + np.uint64(1)
                            at += 1
                    every &= kind
                    some |= kind
                    chars += 1
                flags = HAS_LETTER if some & LETTER else 0
                flags |= ALL_SYMBOLS if every & SYMBOL else 0
                flags |= ALL_PUNCTUATION if every & PUNCTUATION else 0
                flags |= ENDS_SENTENCE if chars == 1 and kind & SENTENCE_END else 0
                t_start[count], t_size[count], t_chars[count] = piece - start, size, chars
                t_flags[count], t_hash[count] = flags, value
                count += 1
        if space_token:
            t_flags[first] |= AFTER_SPACE_TOKEN
        if sentences == 0:
            sentences = 1
        for k in range(first, count):
            flags = t_flags[k]
            if after_end and not flags & (ALL_PUNCTUATION | ENDS_SENTENCE):
                sentences += 1
                after_end = False
            elif flags & ENDS_SENTENCE:
                after_end = True
    return count, sentences, longest


@bare
def _characters_apart(data, start, number, classes, scratch):  # type: ignore[no-untyped-def]
    """Cuts each character of a script without spaces out of its token; returns the new number of sizes."""
    sizes, apart = scratch.sizes, scratch.merged
    count = 0
    at = start
    for k in range(number):
        end = at + sizes[k]
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
    for k in range(count):
        sizes[k] = apart[k]
    return count


def token_texts(text: str, tables: Any) -> list[str]:
    """The tokens of one text as strings: for tests, and for datatrove's ``language=``."""
    data = np.frombuffer(
        text.encode("utf-8", "replace"), dtype=np.uint8
    ).copy()  # the kernels are compiled for arrays that can be written
    tokens, count, _, _ = tokenize(data, 0, len(data), tables, new_cache(), new_tokens(len(data) // 4 + 64), False)
    raw = data.tobytes()
    ends = (tokens.start[:count] + tokens.size[:count]).tolist()
    return [raw[a:b].decode("utf-8", "replace") for a, b in zip(tokens.start[:count].tolist(), ends, strict=True)]
