"""Reads a page's tree, as lexbor writes it out, into elements and blocks of text.

What lexbor writes is HTML in which every element that was opened is closed, every attribute has its value in double
quotes, and a tag is what it looks like; so one pass over the bytes sees the very tree that a parser built, without a
visit of Python to any of its nodes.  A *block* is a run of text between the tags of elements that are no part of a
line; an *element* here is one that is no part of a line, and one within a line where its class tells something and its
block begins with it.

The pass is linear in the bytes: words of a class are looked up by hash, a stray end tag looks a bounded way up.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.html_names import (
    ARIA_HIDDEN,
    ATTRIBUTE_KEYS,
    ATTRIBUTE_VALUES,
    CLASS,
    FNV_BASIS,
    FNV_PRIME,
    HIDDEN,
    INLINE,
    RAW,
    SKIPPED,
    SLOT_MASK,
    SLOT_SHIFT,
    SPREAD,
    STYLE,
    TAG,
    TAG_BITS,
    TAG_KEYS,
    TAG_VALUES,
    TYPE,
    VOID,
    WORD_KEYS,
    WORD_VALUES,
    WORDS,
)
from pipeline.kernels.unicode_tables import LETTER, SINGLE
from pipeline.kernels.words import TABLES, U8, decode, lookup, word_tables

# columns of the elements: parent (-1), tag, hidden, place among its siblings, depth, where its tag and itself begin/end
PARENT, NODE_TAG, IS_HIDDEN, INDEX, LEVEL, START, END = range(7)
NODE_COLUMNS = 7
# columns of the blocks: element, bytes of its run, then counts of what is in it (words; a character of a script
# without spaces is a word), FIRST and LAST: is it a capital, does it end a sentence; TAGS: of tags in the run
(NODE, FROM, TO, UNITS, CHARS, LINK, LINKS, BOLD, CODE, BREAKS, IMAGES, PUNCT, LETTERS, UPPER, DIGITS, FIRST, LAST,
 SEPARATORS, MONEY, TAGS) = range(20)  # fmt: skip
BLOCK_COLUMNS = 20
_STRAY = 64  # open elements that a stray end tag is looked for among
_BASIS, _PRIME, _SPREAD = np.uint64(FNV_BASIS), np.uint64(FNV_PRIME), np.uint64(SPREAD)
_A, _PRE, _BR, _IMG, _SCRIPT, _BUTTON = TAG["a"], TAG["pre"], TAG["br"], TAG["img"], TAG["script"], TAG["button"]
_B, _STRONG, _MATH = TAG["b"], TAG["strong"], TAG["math"]
_CODES = np.array([TAG[name] for name in ("code", "kbd", "samp", "tt")])
# elements that are a line of text, and those that may hold one beside others
_A_LINE, _MAY_HOLD_LINES = 1, 2
_LINES = np.zeros(len(TAG), np.int64)
_LINES[[TAG[name] for name in ("p", "h1", "h2", "h3", "h4", "h5", "h6")]] = _A_LINE
_LINES[[TAG[name] for name in ("li", "td", "th", "dt", "dd", "figcaption")]] = _MAY_HOLD_LINES
_TEX = np.frombuffer(b"math/tex", np.uint8)
_DISPLAY_NONE = np.frombuffer(b"display:none", np.uint8)
_INVISIBLE = np.frombuffer(b"visibility:hidden", np.uint8)
_TRUE = np.frombuffer(b"true", np.uint8)
# what an ASCII character is
_SPACE, _LOWER, _UPPER, _DIGIT, _UNDERSCORE, _PUNCT, _SEP, _MONEY = range(1, 9)


def _ascii_classes() -> NDArray[np.uint8]:
    kinds = np.zeros(128, np.uint8)
    for characters, kind in (
        (" \t\n\r\f", _SPACE), ("abcdefghijklmnopqrstuvwxyz", _LOWER), ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _UPPER),
        ("0123456789", _DIGIT), ("_", _UNDERSCORE), (".,;:!?", _PUNCT), ("|", _SEP), ("$", _MONEY),
    ):  # fmt: skip
        for character in characters:
            kinds[ord(character)] = kind
    return kinds


_ASCII = _ascii_classes()
# beyond ASCII: stops, commas, question and exclamation marks of other scripts; signs between links; currencies
_STOPS = np.array(
    [0x3001, 0x3002, 0xFF0C, 0xFF01, 0xFF1F, 0xFF1A, 0xFF1B, 0x060C, 0x061B, 0x061F, 0x06D4, 0x0964, 0x2026]
)
_BETWEEN = np.array([0x203A, 0x00BB, 0x00B7, 0x2022, 0x00AB, 0x2192])
_CURRENCIES = np.array([0x20AC, 0x00A3, 0x00A5, 0x20B9, 0x20BD])


class Layout(NamedTuple):
    """A page as elements and blocks.

    Attributes:
        nodes: Elements in the order of their start tags, int32 (elements, NODE_COLUMNS).
        bits: Groups of words that each says of itself, uint64 (elements).
        signs: Hash of tag and first class of each, uint64 (elements).
        blocks: Blocks in their order, int32 (blocks, BLOCK_COLUMNS).
        hashes: Hash of each block's text, uint64 (blocks).
    """

    nodes: NDArray[np.int32]
    bits: NDArray[np.uint64]
    signs: NDArray[np.uint64]
    blocks: NDArray[np.int32]
    hashes: NDArray[np.uint64]


def read_blocks(page: bytes) -> Layout:
    """Elements and blocks of a page as lexbor has written it, UTF-8."""
    return Layout(*_read(np.frombuffer(page, np.uint8), word_tables()))


@numba.njit(cache=True, nogil=True)
def _find_value(keys, values, key):  # type: ignore[no-untyped-def]
    slot = np.int64((key * _SPREAD) >> SLOT_SHIFT)
    while keys[slot] != 0:
        if keys[slot] == key:
            return values[slot]
        slot = (slot + 1) & SLOT_MASK
    return np.uint64(0)


@numba.njit(cache=True, nogil=True)
def _name(data, start):  # type: ignore[no-untyped-def]
    """Hash of a name of a tag or attribute, and where it ends."""
    value, i = _BASIS, start
    while i < len(data):
        byte = data[i]
        if byte <= 0x20 or byte == 0x3E or byte == 0x2F or byte == 0x3D:
            break
        value = (value ^ np.uint64(byte)) * _PRIME
        i += 1
    return value, i


@numba.njit(cache=True, nogil=True)
def _words(data, start, end):  # type: ignore[no-untyped-def]
    """The groups of the words in an attribute's value; a word ends where letters end, and before a capital letter."""
    found = np.uint64(0)
    whole = part = _BASIS
    length = part_length = 0
    lower_before = False
    for i in range(start, end + 1):
        byte = np.int64(data[i]) if i < end else 0
        is_upper = 0x41 <= byte <= 0x5A
        if not is_upper and not 0x61 <= byte <= 0x7A:
            if part_length > 1:
                found |= _find_value(WORD_KEYS, WORD_VALUES, part)
            if length > part_length:
                found |= _find_value(WORD_KEYS, WORD_VALUES, whole)
            whole = part = _BASIS
            length = part_length = 0
            lower_before = False
            continue
        if is_upper and lower_before:
            found |= _find_value(WORD_KEYS, WORD_VALUES, part)
            part, part_length = _BASIS, 0
        letter = np.uint64(byte | 0x20)
        whole, part = (whole ^ letter) * _PRIME, (part ^ letter) * _PRIME
        length += 1
        part_length += 1
        lower_before = not is_upper
    return found


@numba.njit(cache=True, nogil=True)
def _has(data, start, end, wanted):  # type: ignore[no-untyped-def]
    """Whether ``wanted`` is in the bytes, white space left out and capitals made small."""
    at = 0
    for i in range(start, end):
        byte = data[i]
        if byte <= 0x20:
            continue
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        if byte == wanted[at]:
            at += 1
            if at == len(wanted):
                return True
        else:
            at = 1 if byte == wanted[0] else 0
    return False


@numba.njit(cache=True, nogil=True)
def _attributes(data, start, all_words):  # type: ignore[no-untyped-def]
    """Where a tag ends; the groups of its words, its first class, is it hidden, is it a formula's script."""
    i, bits, first = start, np.uint64(0), np.uint64(0)
    hidden = tex = False
    while i < len(data) and data[i] != 0x3E:
        if data[i] <= 0x20 or data[i] == 0x2F:
            i += 1
            continue
        name_start = i
        key, i = _name(data, i)
        if i == name_start:  # a name may begin with "="
            i += 1
        value = end = i
        if i + 1 < len(data) and data[i] == 0x3D and data[i + 1] == 0x22:
            value = end = i + 2
            while end < len(data) and data[end] != 0x22:
                end += 1
            i = end + 1
        kind = _find_value(ATTRIBUTE_KEYS, ATTRIBUTE_VALUES, key)
        if kind == 0:
            continue
        if kind == CLASS or (kind == WORDS and all_words):
            bits |= _words(data, value, end)
            if kind == CLASS:
                first, _ = _name(data, value)
        elif kind == HIDDEN:
            hidden = True
        elif kind == STYLE:
            hidden = hidden or _has(data, value, end, _DISPLAY_NONE) or _has(data, value, end, _INVISIBLE)
        elif kind == ARIA_HIDDEN:
            hidden = hidden or (end - value == 4 and _has(data, value, end, _TRUE))
        elif kind == TYPE:
            tex = tex or _has(data, value, min(end, value + 8), _TEX)
    return min(i + 1, len(data)), bits, first, hidden, tex


@numba.njit(cache=True, nogil=True)
def _one_of(value, values):  # type: ignore[no-untyped-def]
    found = False
    for one in values:
        found |= one == value
    return found


@numba.njit(cache=True, nogil=True)
def _reference(data, i):  # type: ignore[no-untyped-def]
    """Width of the reference at an ampersand, and whether it is the no-break space; lexbor writes these five only."""
    if i + 5 < len(data) and data[i + 1] == 0x6E and data[i + 2] == 0x62 and data[i + 5] == 0x3B:
        return 6, True
    if i + 4 < len(data) and data[i + 1] == 0x61 and data[i + 2] == 0x6D and data[i + 4] == 0x3B:
        return 5, False
    if i + 5 < len(data) and data[i + 1] == 0x71 and data[i + 5] == 0x3B:
        return 6, False
    if i + 3 < len(data) and (data[i + 1] == 0x6C or data[i + 1] == 0x67) and data[i + 3] == 0x3B:
        return 4, False
    return 1, False


@numba.njit(cache=True, nogil=True)
def _text(data, i, end, row, tables, running, is_link, is_bold, is_code):  # type: ignore[no-untyped-def]
    """Counts a run of text into a block's row; returns the running hash of the block's text."""
    _, stage1, stage2 = tables
    in_word = False
    units = 0
    while i < end:
        byte = np.int64(data[i])
        width, kind, code = 1, 0, byte
        if byte == 0x26:
            width, is_space = _reference(data, i)
            kind = _SPACE if is_space else 0
        elif byte < 0x80:
            kind = int(_ASCII[byte])
        if byte < 0x80:
            in_script = False
        else:
            code, width = decode(data, i, end)
            what, lower = lookup(code, stage1, stage2)
            in_script = what == SINGLE
            if in_script:
                kind, in_word = _LOWER, False
            elif what == LETTER:
                kind = _UPPER if lower != code else _LOWER
            elif code == 0xA0 or code == 0x3000 or (0x2000 <= code <= 0x200A) or code == 0x2028:
                kind = _SPACE
            elif _one_of(code, _STOPS):
                kind = _PUNCT
            elif _one_of(code, _BETWEEN):
                kind = _SEP
            elif _one_of(code, _CURRENCIES):
                kind = _MONEY
        i += width
        if kind == _SPACE:
            in_word = False
            row[FIRST] |= 4  # a space before the next character
            continue
        if row[CHARS] == 0:
            row[FIRST] = kind == _UPPER
        elif row[FIRST] & 4:
            row[CHARS] += 1
            running = (running ^ np.uint64(32)) * _PRIME
        row[FIRST] &= 3
        row[CHARS] += 1
        running = (running ^ np.uint64(code)) * _PRIME
        row[LAST] = kind == _PUNCT
        if _LOWER <= kind <= _UNDERSCORE:
            if not in_word:
                units += 1
            in_word = not in_script
            row[UPPER] += kind == _UPPER
            row[DIGITS] += kind == _DIGIT
            row[LETTERS] += kind <= _UPPER
            continue
        in_word = False
        row[PUNCT] += kind == _PUNCT
        row[SEPARATORS] += kind == _SEP
        row[MONEY] += kind == _MONEY
    row[UNITS] += units
    row[LINK] += units if is_link else 0
    row[BOLD] += units if is_bold else 0
    row[CODE] += units if is_code else 0
    return running


@numba.njit(cache=True, nogil=True)
def _past_markup(data, i):  # type: ignore[no-untyped-def]
    """Past a comment, doctype or processing instruction."""
    if i + 3 < len(data) and data[i + 2] == 0x2D and data[i + 3] == 0x2D:
        i += 4
        while i < len(data) and not (data[i] == 0x3E and data[i - 1] == 0x2D and data[i - 2] == 0x2D):
            i += 1
        return min(i + 1, len(data))
    while i < len(data) and data[i] != 0x3E:
        i += 1
    return min(i + 1, len(data))


@numba.njit(cache=True, nogil=True)
def _end_of_raw(data, i, key):  # type: ignore[no-untyped-def]
    """Where the end tag of an element begins that holds no tags."""
    while i + 2 < len(data):
        if data[i] == 0x3C and data[i + 1] == 0x2F:
            found, _ = _name(data, i + 2)
            if found == key:
                return i
        i += 1
    return len(data)


@numba.njit(cache=True, nogil=True)
def _past_tag(data, i):  # type: ignore[no-untyped-def]
    while i < len(data) and data[i] != 0x3E:
        i += 1
    return min(i + 1, len(data))


# one long function: every part moves several of its counters
@numba.njit((U8, TABLES), cache=True, nogil=True)
def _read(data, tables):  # type: ignore[no-untyped-def]
    most = 2
    for byte in data:
        most += byte == 0x3C
    nodes = np.zeros((most, NODE_COLUMNS), np.int32)
    bits, signs = np.zeros(most, np.uint64), np.zeros(most, np.uint64)
    children = np.zeros(most, np.int32)
    blocks = np.zeros((most, BLOCK_COLUMNS), np.int32)
    hashes = np.zeros(most, np.uint64)
    # open elements: hash of the name, element, kinds, and what was so before it (link, bold, code, skipped, pre, line)
    names, owners = np.empty(most, np.uint64), np.empty(most, np.int32)
    kinds, before = np.empty(most, np.int32), np.empty((most, 6), np.int32)
    made, found, depth = 1, 0, 0
    nodes[0, PARENT], nodes[0, END] = -1, len(data)
    node = block_node = 0
    link = bold = code = skipped = pre = line = 0
    running, after_break = _BASIS, False
    block_start = i = 0
    while i < len(data):
        row = blocks[found]
        if data[i] != 0x3C:
            end = i
            while end < len(data) and data[end] != 0x3C:
                end += 1
            if skipped == 0:
                had = row[CHARS]
                running = _text(data, i, end, row, tables, running, link > 0, bold > 0, code > 0)
                if had == 0 and row[CHARS] > 0:
                    block_node = node
                after_break = after_break and row[CHARS] == had
            i = end
            continue
        following = data[i + 1] if i + 1 < len(data) else 0
        if following == 0x21 or following == 0x3F:
            i = _past_markup(data, i)
            continue
        closing = following == 0x2F
        key, name_end = _name(data, i + 2 if closing else i + 1)
        value = np.int64(_find_value(TAG_KEYS, TAG_VALUES, key))
        tag, kind = value & 255, value >> 8
        if value == 0 and (line == _A_LINE or (line == _MAY_HOLD_LINES and row[CHARS] > 0)):
            kind |= INLINE  # an element that someone has invented, in the midst of a sentence
        tag_start = i
        if closing:
            i = _past_tag(data, name_end)
            at = depth - 1
            while at >= 0 and names[at] != key and depth - at < _STRAY:
                at -= 1
            if at < 0 or names[at] != key:
                continue
            kind = kinds[at]
            flush = not kind & (INLINE | SKIPPED) and before[at, 3] == 0 and before[at, 4] == 0
        else:
            i, own, first, hidden, tex = _attributes(data, name_end, not kind & INLINE)
            flush = not kind & (INLINE | SKIPPED) and tag != _BR and skipped == 0 and pre == 0
            if tag == _BR:
                flush = after_break and pre == 0
                after_break = True
                row[BREAKS] += 1
        row[TAGS] += 1
        if flush:
            if row[CHARS] > 0:
                row[NODE], row[FROM], row[TO] = block_node, block_start, tag_start
                row[FIRST] &= 1
                hashes[found] = running
                found += 1
            else:
                row[:] = 0
            running, after_break = _BASIS, False
            block_start = i
            if closing:
                block_start = tag_start
        if closing:
            for place in range(at, depth):
                if owners[place] > 0:
                    nodes[owners[place], END] = i
            link, bold, code, skipped, pre = before[at, 0], before[at, 1], before[at, 2], before[at, 3], before[at, 4]
            line = before[at, 5]
            depth = at
            node = nodes[owners[at], PARENT] if owners[at] > 0 else -1 - owners[at]
            if flush:
                block_start = i
            continue
        if kind & VOID:
            row = blocks[found]
            row[IMAGES] += tag == _IMG and skipped == 0
            continue
        if kind & RAW:
            end = _end_of_raw(data, i, key)
            if tag == _SCRIPT and tex and skipped == 0:  # a formula, which a reader sees
                row = blocks[found]
                if row[CHARS] == 0:
                    block_node = node
                running = _text(data, i, end, row, tables, running, False, False, True)
            i = _past_tag(data, end)
            continue
        names[depth], kinds[depth] = key, kind
        before[depth, 0], before[depth, 1], before[depth, 2] = link, bold, code
        before[depth, 3], before[depth, 4], before[depth, 5] = skipped, pre, line
        owners[depth] = -1 - node
        row = blocks[found]
        is_node = skipped == 0 and pre == 0 and not kind & SKIPPED
        if is_node and kind & INLINE:
            is_node = (own != 0 or hidden) and row[CHARS] == 0 and tag != _A
        if is_node:
            nodes[made, PARENT], nodes[made, NODE_TAG] = node, tag
            nodes[made, IS_HIDDEN] = hidden or nodes[node, IS_HIDDEN] > 0
            nodes[made, LEVEL] = nodes[node, LEVEL] + 1
            nodes[made, START], nodes[made, END] = tag_start, len(data)
            if not kind & INLINE:
                children[node] += 1
                nodes[made, INDEX] = children[node]
            bits[made] = own | TAG_BITS[tag]
            signs[made] = (key ^ (first * _SPREAD)) * _PRIME
            owners[depth] = made
            node = made
            made += 1
        depth += 1
        if skipped == 0:
            row[LINKS] += tag == _A
        link += tag == _A
        bold += tag in (_B, _STRONG)
        code += int(_one_of(tag, _CODES))
        skipped += int(kind & SKIPPED > 0)
        pre += tag == _PRE
        if not kind & INLINE:
            line = _LINES[tag]
    if blocks[found, CHARS] > 0:
        blocks[found, NODE], blocks[found, FROM], blocks[found, TO] = block_node, block_start, len(data)
        blocks[found, FIRST] &= 1
        hashes[found] = running
        found += 1
    return nodes[:made], bits[:made], signs[:made], blocks[:found], hashes[:found]
