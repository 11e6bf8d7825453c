"""Cuts one chunk (a run without white space) into tokens, by the rules of spaCy's English tokenizer.

Affixes are taken off from both ends, one at a time, until an exception or nothing to take is left; what is left is a
URL, or is cut at infixes.  Then neighbours that together are an exception such as ``:)`` are joined again, as spaCy's
special-case matcher does (which here does not look across a blank: documented in docs/filter.md).

Positions are in code points of the chunk: ``codes[k]`` is one, ``bits[k]`` its class, ``at[k]`` its first byte.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.jit import bare, inlined
from pipeline.kernels.spans import MIX, decode, span_hash
from pipeline.kernels.token_tables import (
    ALPHA,
    ALPHA_LOWER,
    ALPHA_UPPER,
    BEFORE_DOT,
    CURRENCY,
    INFIX,
    PREFIX,
    QUOTE,
    SUFFIX,
    edge_index,
)
from pipeline.kernels.token_urls import is_digit, is_url

_edge_index = inlined(edge_index)

MAX_EXCEPTION_BYTES = 40
MAX_MATCHED_TOKENS = 12
MAX_UNIT = 6


@inlined
def exception_index(value, tables):  # type: ignore[no-untyped-def]
    """Which exception has the hash ``value``; -1 where none has."""
    if not tables.exception_bits[np.int64((value * MIX) >> np.uint64(48))]:
        return -1
    found = np.searchsorted(tables.exception_hashes, value)
    if found < len(tables.exception_hashes) and tables.exception_hashes[found] == value:
        return found
    return -1


@inlined
def _exception_at(data, at, low, high, tables):  # type: ignore[no-untyped-def]
    if not _maybe_exception(data, at[low], at[high], tables):
        return -1
    return exception_index(span_hash(data, at[low], at[high]), tables)


@inlined
def _maybe_exception(data, start, end, tables):  # type: ignore[no-untyped-def]
    """False where size, first and last byte say that it is no exception, as they nearly always do."""
    size = end - start
    if size > MAX_EXCEPTION_BYTES:
        return False
    return tables.exception_edges[_edge_index(size, np.int64(data[start]), np.int64(data[end - 1]))]


class Scratch(NamedTuple):
    """Room for the chunk that is being cut, kept from chunk to chunk: an allocation would cost as much as the cut."""

    codes: NDArray[np.int32]
    bits: NDArray[np.int32]
    at: NDArray[np.int64]
    suffix_sizes: NDArray[np.int32]
    sizes: NDArray[np.int32]
    merged: NDArray[np.int32]


@numba.njit(cache=True, nogil=True)
def new_scratch(room: int) -> Any:
    """Room for chunks of up to ``room - 8`` bytes."""
    return Scratch(
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty(room, np.int64),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
    )


@bare
def cut_chunk(data, start, end, value, tables, scratch):  # type: ignore[no-untyped-def]
    """Cuts ``data[start:end]``, a chunk without white space, whose hash is ``value``.

    ``scratch`` must have room for its bytes and eight more.

    Returns:
        The number of its tokens; ``scratch.sizes`` begins with their sizes in bytes.
    """
    codes, bits, at = scratch.codes, scratch.bits, scratch.at
    suffix_sizes, sizes = scratch.suffix_sizes, scratch.sizes
    whole = exception_index(value, tables)
    if whole >= 0:
        first = tables.piece_starts[whole]
        number = tables.piece_starts[whole + 1] - first
        for k in range(number):
            sizes[k] = tables.piece_bytes[first + k]
        return number
    count = 0
    i = start
    while i < end:
        code, width = decode(data, i, end)
        codes[count], bits[count], at[count] = code, tables.classes[code], i
        count += 1
        i += width
    at[count] = end
    number = _cut(data, codes, bits, at, count, tables, sizes, suffix_sizes)
    if number > 1 and _has_exception(data, start, sizes, number, tables):
        number = _join_exceptions(data, start, number, tables, scratch)
    return number


@inlined
def _cut(data, codes, bits, at, count, tables, sizes, suffix_sizes):  # type: ignore[no-untyped-def]
    """Affixes, then the rest; writes ``sizes`` and returns their number.  The whole is known to be no exception."""
    low, high = 0, count
    number, suffixes = 0, 0
    special = -1
    while low < high:
        if high - low < count:
            special = _exception_at(data, at, low, high, tables)
            if special >= 0:
                break
        prefix = _prefix(codes, bits, low, high)
        if prefix and low + prefix < high:
            special = _exception_at(data, at, low + prefix, high, tables)
            if special >= 0:
                sizes[number] = at[low + prefix] - at[low]
                number += 1
                low += prefix
                break
        suffix = _suffix(data, codes, bits, at, low + prefix, high, tables)
        if suffix and high - suffix > low:
            special = _exception_at(data, at, low, high - suffix, tables)
            if special >= 0:
                suffix_sizes[suffixes] = at[high] - at[high - suffix]
                suffixes += 1
                high -= suffix
                break
        if prefix == 0 and suffix == 0:
            break
        if prefix:
            sizes[number] = at[low + prefix] - at[low]
            number += 1
            low += prefix
        if suffix:
            suffix_sizes[suffixes] = at[high] - at[high - suffix]
            suffixes += 1
            high -= suffix
    if low < high:
        if special >= 0:
            for k in range(tables.piece_starts[special], tables.piece_starts[special + 1]):
                sizes[number] = tables.piece_bytes[k]
                number += 1
        elif is_url(codes, bits, low, high):
            sizes[number] = at[high] - at[low]
            number += 1
        else:
            number = _cut_infixes(codes, bits, at, low, high, sizes, number)
    for k in range(suffixes - 1, -1, -1):
        sizes[number] = suffix_sizes[k]
        number += 1
    return number


@inlined
def _dots(codes, low, high):  # type: ignore[no-untyped-def]
    """Length of the run of dots that begins at ``low``."""
    k = low
    while k < high and codes[k] == 0x2E:
        k += 1
    return k - low


@inlined
def _prefix(codes, bits, low, high):  # type: ignore[no-untyped-def]
    """Characters to take off at the start; 0 for none."""
    if bits[low] & PREFIX:
        return 1
    code = codes[low]
    if code == 0x2B:  # + not before a digit
        return 0 if low + 1 < high and is_digit(codes[low + 1]) else 1
    if code == 0x2E:
        run = _dots(codes, low, high)
        return run if run > 1 else 0
    if (code == 0x43 or code == 0x41) and low + 1 < high and codes[low + 1] == 0x24:  # C$ A$
        return 2
    if code == 0x55 and low + 2 < high and codes[low + 1] == 0x53 and codes[low + 2] == 0x24:  # US$
        return 3
    return 0


@inlined
def _suffix(data, codes, bits, at, low, high, tables):  # type: ignore[no-untyped-def]
    """Characters to take off at the end: the longest of the suffix rules; 0 for none."""
    if high <= low:
        return 0
    last = codes[high - 1]
    longest = 1 if bits[high - 1] & SUFFIX else 0
    if last == 0x2E:
        return _dot_suffix(codes, bits, low, high)
    if last == 0x2026 and high - 2 >= low and codes[high - 2] == 0x2026:
        return 2
    if (last == 0x73 or last == 0x53) and high - 2 >= low and (codes[high - 2] == 0x27 or codes[high - 2] == 0x2019):
        return 2  # 's ’s
    if high - 2 >= low and is_digit(codes[high - 2]) and (last == 0x2B or bits[high - 1] & CURRENCY):
        return 1
    if last == 0x24:
        if high - 4 >= low and codes[high - 2] == 0x53 and codes[high - 3] == 0x55 and is_digit(codes[high - 4]):
            return 3
        if high - 3 >= low and (codes[high - 2] == 0x43 or codes[high - 2] == 0x41) and is_digit(codes[high - 3]):
            return 2
    for size in range(1, MAX_UNIT + 1):
        digit = high - size - 1
        if digit < low:
            break
        if is_digit(codes[digit]):
            if _is_unit(span_hash(data, at[digit + 1], at[high]), tables.units):
                longest = max(longest, size)
            break
    return longest


@inlined
def _is_unit(value, units):  # type: ignore[no-untyped-def]
    found = np.searchsorted(units, value)
    return found < len(units) and units[found] == value


@inlined
def _dot_suffix(codes, bits, low, high):  # type: ignore[no-untyped-def]
    """Characters to take off a chunk that ends with a dot."""
    k = high - 1
    while k > low and codes[k - 1] == 0x2E:
        k -= 1
    if high - k > 1:
        return high - k
    if high - 2 < low:
        return 0
    if bits[high - 2] & BEFORE_DOT:
        return 1
    if high - 3 < low:
        return 0
    if bits[high - 2] & ALPHA_UPPER and bits[high - 3] & ALPHA_UPPER:
        return 1
    return (
        1
        if codes[high - 3] == 0xB0
        and (
            codes[high - 2] == 0x43
            or codes[high - 2] == 0x46
            or codes[high - 2] == 0x4B
            or codes[high - 2] == 0x63
            or codes[high - 2] == 0x66
            or codes[high - 2] == 0x6B
        )
        else 0
    )


@inlined
def _cut_infixes(codes, bits, at, low, high, sizes, number):  # type: ignore[no-untyped-def]
    start = low
    k = low
    while k < high:
        size = _infix(codes, bits, low, high, k)
        if size == 0:
            k += 1
            continue
        if k > low:  # spaCy leaves an infix at the very start to the token after it
            if k > start:
                sizes[number] = at[k] - at[start]
                number += 1
            sizes[number] = at[k + size] - at[k]
            number += 1
            start = k + size
        k += size
    if start < high:
        sizes[number] = at[high] - at[start]
        number += 1
    return number


@inlined
def _infix(codes, bits, low, high, k):  # type: ignore[no-untyped-def]
    """Length of the infix at ``k``; 0 where there is none."""
    code = codes[k]
    if bits[k] & ALPHA and not bits[k] & INFIX:
        return 0
    if code == 0x2E:
        run = _dots(codes, k, high)
        if run > 1:
            return run
    if bits[k] & INFIX:
        return 1
    if k == low or k + 1 >= high:
        return 0
    before, after = bits[k - 1], bits[k + 1]
    operator = (code == 0x2B or code == 0x2D or code == 0x2A or code == 0x5E) and is_digit(codes[k - 1])
    if operator and (is_digit(codes[k + 1]) or codes[k + 1] == 0x2D):
        return 1
    if code == 0x2E:
        return 1 if before & (ALPHA_LOWER | QUOTE) and after & (ALPHA_UPPER | QUOTE) else 0
    if code == 0x2C:
        return 1 if before & ALPHA and after & ALPHA else 0
    if not (before & ALPHA or is_digit(codes[k - 1])):
        return 0
    if code == 0x3A or code == 0x3C or code == 0x3E or code == 0x3D or code == 0x2F:
        return 1 if after & ALPHA else 0
    return _hyphen(codes, bits, high, k)


@inlined
def _hyphen(codes, bits, high, k):  # type: ignore[no-untyped-def]
    """Length of - – — -- --- —— or ~ at ``k`` before a letter; 0 for none."""
    code = codes[k]
    if code != 0x2D and code != 0x2013 and code != 0x2014 and code != 0x7E:
        return 0
    if bits[k + 1] & ALPHA:
        return 1
    if (code == 0x2D or code == 0x2014) and k + 2 < high and codes[k + 1] == code:
        if bits[k + 2] & ALPHA:
            return 2
        if code == 0x2D and k + 3 < high and codes[k + 2] == code and bits[k + 3] & ALPHA:
            return 3
    return 0


@inlined
def _has_exception(data, start, sizes, number, tables):  # type: ignore[no-untyped-def]
    """True where some neighbours may be an exception; nearly always false, and quick then."""
    first_byte = start
    for first in range(number):
        end = first_byte
        for piece in range(first, min(number, first + MAX_MATCHED_TOKENS)):
            end += sizes[piece]
            if end - first_byte > MAX_EXCEPTION_BYTES:
                break
            maybe = _maybe_exception(data, first_byte, end, tables)
            if maybe and exception_index(span_hash(data, first_byte, end), tables) >= 0:
                return True
        first_byte += sizes[first]
    return False


@bare
def _join_exceptions(data, start, number, tables, scratch):  # type: ignore[no-untyped-def]
    """Joins neighbours that spaCy's matcher takes for an exception; the longest first, then the leftmost."""
    sizes, merged = scratch.sizes, scratch.merged
    taken, joined, spans, ends = scratch.codes, scratch.bits, scratch.suffix_sizes, scratch.at  # no longer needed
    found_any = False
    ends[0] = start
    for k in range(number):
        ends[k + 1] = ends[k] + sizes[k]
        taken[k], joined[k], spans[k] = 0, -1, 0
    for length in range(min(number, MAX_MATCHED_TOKENS), 0, -1):
        for first in range(number - length + 1):
            size = ends[first + length] - ends[first]
            if size > MAX_EXCEPTION_BYTES or not _maybe_exception(data, ends[first], ends[first + length], tables):
                continue
            found = exception_index(span_hash(data, ends[first], ends[first + length]), tables)
            if found < 0 or not _is_match(sizes, first, length, found, tables):
                continue
            if not taken[first] and not taken[first + length - 1]:
                joined[first], spans[first] = found, length
                found_any = True
            for k in range(first, first + length):
                taken[k] = 1
    if not found_any:
        return number
    count = 0
    k = 0
    while k < number:
        if joined[k] < 0:
            merged[count] = sizes[k]
            count += 1
            k += 1
            continue
        for piece in range(tables.piece_starts[joined[k]], tables.piece_starts[joined[k] + 1]):
            merged[count] = tables.piece_bytes[piece]
            count += 1
        k += spans[k]
    for k in range(count):
        sizes[k] = merged[k]
    return count


@bare
def _is_match(sizes, first, length, found, tables):  # type: ignore[no-untyped-def]
    start, end = tables.match_starts[found], tables.match_starts[found + 1]
    if end - start != length:
        return False
    for k in range(length):  # noqa: SIM110  numba compiles this form
        if tables.match_bytes[start + k] != sizes[first + k]:
            return False
    return True
