"""What lines and paragraphs say about a text: bullets, ellipses, repetition, C4's sentences.

Four definitions of a line meet here, each that of the filter that the signal serves (datatrove 0.10):
Gopher quality and C4 split at every line end of ``str.splitlines``; Gopher repetition at runs of line feeds (so that a
text that begins or ends with one has an empty line there); FineWeb at each line feed, without blank lines; paragraphs
are what two line feeds or more separate in the stripped text.
"""

import numba
import numpy as np

from pipeline.kernels.token_rules import BASE, decode
from pipeline.kernels.token_tables import DECIMAL, LINE_END, SPACE, TERMINAL
from pipeline.kernels.tokens import AFTER_SPACE_TOKEN, ALL_PUNCTUATION, ENDS_SENTENCE, new_tokens, tokenize

SHORT_LINE_CHARACTERS = 30  # FineWeb
MIN_WORDS_A_LINE = 3  # C4
MAX_WORD_CHARACTERS = 1000  # C4

LOREM_IPSUM, JAVASCRIPT, POLICY = 1, 2, 4
_PHRASES = (
    (b"lorem ipsum", LOREM_IPSUM),
    (b"javascript", JAVASCRIPT),
    (b"terms of use", POLICY),
    (b"privacy policy", POLICY),
    (b"cookie policy", POLICY),
    (b"uses cookies", POLICY),
    (b"use of cookies", POLICY),
    (b"use cookies", POLICY),
)
_PHRASE_BYTES = np.frombuffer(b"".join(phrase for phrase, _ in _PHRASES), dtype=np.uint8)
_PHRASE_STARTS = np.cumsum([0] + [len(phrase) for phrase, _ in _PHRASES])
_PHRASE_KINDS = np.array([kind for _, kind in _PHRASES], np.int64)
_PHRASE_SECONDS = np.zeros(256, np.uint8)  # the letter after the first one, which decides it
for _phrase, _ in _PHRASES:
    _PHRASE_SECONDS[[_phrase[0], _phrase[0] - 0x20]] = _phrase[1]
_CITATIONS = (np.frombuffer(b"edit]", dtype=np.uint8), np.frombuffer(b"citation needed]", dtype=np.uint8))


@numba.njit(nogil=True, inline="always")
def seen_before(table, value):  # type: ignore[no-untyped-def]
    """Adds ``value`` to an open-addressing set (a power of two of slots, 0 = empty); True where it was there."""
    mask = len(table) - 1
    key = value if value != 0 else np.uint64(1)
    slot = np.int64((key * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(32)) & mask
    while table[slot] != 0:
        if table[slot] == key:
            return True
        slot = (slot + 1) & mask
    table[slot] = key
    return False


@numba.njit(cache=True, nogil=True)
def table_size(entries):  # type: ignore[no-untyped-def]
    """Slots of a set for so many entries: a power of two, at most half full."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@numba.njit(nogil=True, inline="always")
def _strip(data, start, end, classes):  # type: ignore[no-untyped-def]
    """The range of ``data[start:end]`` without white space at its ends, as ``str.strip``."""
    while start < end:
        code, width = decode(data, start, end)
        if not classes[code] & SPACE:
            break
        start += width
    while end > start:
        last = end - 1
        while last > start and data[last] & 0xC0 == 0x80:
            last -= 1
        code, width = decode(data, last, end)
        if not classes[code] & SPACE or last + width != end:
            break
        end = last
    return start, end


@numba.njit(cache=True, nogil=True)
def line_feeds(data, start, end, classes):  # type: ignore[no-untyped-def]
    """Lines between line feeds.

    Returns:
        Lines of Gopher repetition, repeated ones of them, their characters; FineWeb's lines, those that end a sentence,
        short ones, characters of repeated ones; line feeds; characters of the text.
    """
    feeds = 0
    for i in range(start, end):
        feeds += data[i] == 0x0A
    table = np.zeros(table_size(feeds + 1), np.uint64)
    lines, repeated, repeated_chars = 0, 0, 0
    full, terminal, short, full_repeated_chars = 0, 0, 0, 0
    characters = feeds
    i = start
    while i <= end:
        first = i
        value = np.uint64(0)
        chars = 0
        while i < end and data[i] != 0x0A:
            value = value * BASE + np.uint64(data[i]) + np.uint64(1)
            chars += data[i] & 0xC0 != 0x80
            i += 1
        characters += chars
        if i == first:
            if first in (start, end) and end > start:  # re.split leaves an empty line at either end
                lines += 1
                repeated += seen_before(table, np.uint64(1))
            i += 1
            continue
        twin = seen_before(table, value)
        lines += 1
        if twin:
            repeated += 1
            repeated_chars += chars
        head, tail = _strip(data, first, i, classes)
        if tail > head:
            full += 1
            short += chars <= SHORT_LINE_CHARACTERS
            terminal += _ends_with_class(data, first, i, classes, TERMINAL)
            if twin:
                full_repeated_chars += chars
        i += 1
    return lines, repeated, repeated_chars, full, terminal, short, full_repeated_chars, feeds, characters


@numba.njit(nogil=True, inline="always")
def _ends_with_class(data, start, end, classes, wanted):  # type: ignore[no-untyped-def]
    last = end - 1
    while last > start and data[last] & 0xC0 == 0x80:
        last -= 1
    code, _ = decode(data, last, end)
    return 1 if classes[code] & wanted else 0


@numba.njit(cache=True, nogil=True)
def paragraphs(data, start, end, classes):  # type: ignore[no-untyped-def]
    """Paragraphs of the stripped text, repeated ones, and the characters of these."""
    start, end = _strip(data, start, end, classes)
    breaks = 0
    for i in range(start + 1, end):
        breaks += data[i] == 0x0A and data[i - 1] == 0x0A
    table = np.zeros(table_size(breaks + 1), np.uint64)
    count, repeated, repeated_chars = 0, 0, 0
    i = start
    while i < end:
        value = np.uint64(0)
        chars = 0
        while i < end and not (data[i] == 0x0A and i + 1 < end and data[i + 1] == 0x0A):
            value = value * BASE + np.uint64(data[i]) + np.uint64(1)
            chars += data[i] & 0xC0 != 0x80
            i += 1
        while i < end and data[i] == 0x0A:
            i += 1
        count += 1
        if seen_before(table, value):
            repeated += 1
            repeated_chars += chars
    return count, repeated, repeated_chars


@numba.njit(cache=True, nogil=True)
def all_line_ends(data, start, end, tokens, count, tables, cache):  # type: ignore[no-untyped-def]
    """Lines of ``str.splitlines``: what Gopher quality and C4 ask of them.

    Returns:
        Lines, those that start with a bullet, those that end with an ellipsis; sentences on the lines that C4 keeps,
        whether a line that it looks at has a curly bracket, and lorem ipsum.
    """
    classes = tables.classes
    lines, bullets, ellipses = 0, 0, 0
    sentences, bracket, lorem = 0, False, False
    token = 0
    i = start
    while i < end:
        first = i
        width = 1
        while i < end:
            if data[i] < 0x80:
                if classes[data[i]] & LINE_END:
                    width = 1
                    break
                i += 1
                continue
            code, width = decode(data, i, end)
            if classes[code] & LINE_END:
                break
            i += width
        last = i
        if i < end:  # over the line end; \r\n is one
            i += width
            if data[last] == 0x0D and i < end and data[i] == 0x0A:
                i += 1
        lines += 1
        head, tail = _strip(data, first, last, classes)
        if head < tail:
            bullets += data[head] == 0x2D or is_at(data, head, tail, 0xE2, 0x80, 0xA2)
            ellipses += is_at(data, tail - 3, tail, 0x2E, 0x2E, 0x2E) or is_at(data, tail - 3, tail, 0xE2, 0x80, 0xA6)
        found, token, bracket_here, lorem_here = _c4_line(data, start, head, tail, tokens, count, token, tables, cache)
        sentences += found
        bracket |= bracket_here
        lorem |= lorem_here
    return lines, bullets, ellipses, sentences, bracket, lorem


@numba.njit(nogil=True, inline="always")
def is_at(data, start, end, a, b, c):  # type: ignore[no-untyped-def]
    """True where three bytes stand at ``start``."""
    return start >= 0 and start + 3 <= end and data[start] == a and data[start + 1] == b and data[start + 2] == c


@numba.njit(cache=True, nogil=True, inline="always")
def _c4_line(data, text, head, tail, tokens, count, token, tables, cache):  # type: ignore[no-untyped-def]
    """C4's look at one stripped line: sentences it adds, the next token, curly bracket, lorem ipsum."""
    words, longest, citation = _words(data, head, tail, tables.classes)
    if words < MIN_WORDS_A_LINE or (
        longest > MAX_WORD_CHARACTERS and _longest_word(data, head, tail, tables.classes) > MAX_WORD_CHARACTERS
    ):
        return 0, token, False, False
    line, low, high = data, head, tail
    if citation:
        shorter, size = _without_citations(data, head, tail, tables.classes)
        if size < tail - head:
            line, low, high = shorter, 0, size
    found, bracket = _phrases(line, low, high)
    if found & LOREM_IPSUM:
        return 0, token, False, True
    if found & JAVASCRIPT:
        return 0, token, False, False
    if bracket:
        return 0, token, True, False
    if found & POLICY:
        return 0, token, False, False
    if high - low < tail - head:  # citations were taken out: its tokens are not those of the text
        _, _, sentences, _ = tokenize(line, low, high, tables, cache, new_tokens(high - low + 8), False)
        return max(1, sentences), token, False, False
    while token < count and tokens.start[token] < head - text:
        token += 1
    sentences, token = _line_sentences(tokens, count, token, tail - text)
    return sentences, token, False, False


@numba.njit(cache=True, nogil=True, inline="always")
def _line_sentences(tokens, count, token, end):  # type: ignore[no-untyped-def]
    """Sentences of the tokens from ``token`` to the one at ``end``, and that one's index."""
    sentences = 1
    after_end = False
    first = token
    while token < count and tokens.start[token] < end:
        flags = tokens.flags[token]
        if after_end and flags & AFTER_SPACE_TOKEN and token > first:
            sentences += 1
            after_end = False
        if after_end and not flags & (ALL_PUNCTUATION | ENDS_SENTENCE):
            sentences += 1
            after_end = False
        elif flags & ENDS_SENTENCE:
            after_end = True
        token += 1
    return sentences, token


@numba.njit(nogil=True, inline="always")
def _words(data, start, end, classes):  # type: ignore[no-untyped-def]
    """Words between white space, bytes of the longest, and whether there is an opening square bracket."""
    words, longest, citation = 0, 0, False
    word = start  # where the word began, or the white space after it
    i = start
    while i < end:
        byte = data[i]
        if byte < 0x80:
            space, width = classes[byte] & SPACE, 1
            citation |= byte == 0x5B
        else:
            code, width = decode(data, i, end)
            space = classes[code] & SPACE
        if space:
            words += i > word
            longest = max(longest, i - word)
            word = i + width
        i += width
    words += end > word
    return words, max(longest, end - word), citation


@numba.njit(cache=True, nogil=True)
def _longest_word(data, start, end, classes):  # type: ignore[no-untyped-def]
    """Characters of the longest run without white space."""
    longest, chars = 0, 0
    i = start
    while i < end:
        code, width = decode(data, i, end)
        chars = 0 if classes[code] & SPACE else chars + 1
        longest = max(longest, chars)
        i += width
    return longest


@numba.njit(nogil=True, inline="always")
def _phrases(data, start, end):  # type: ignore[no-untyped-def]
    """Kinds of C4's phrases in the line, letter case of ASCII ignored, and whether there is a curly bracket."""
    found, bracket = 0, False
    for i in range(start, end):
        byte = data[i]
        if byte == 0x7B:
            bracket = True
        elif _PHRASE_SECONDS[byte] and i + 1 < end and _PHRASE_SECONDS[byte] == data[i + 1] | 0x20:
            for k in range(len(_PHRASE_KINDS)):
                if _is_phrase(data, i, end, _PHRASE_STARTS[k], _PHRASE_STARTS[k + 1]):
                    found |= _PHRASE_KINDS[k]
    return found, bracket


@numba.njit(nogil=True, inline="always")
def _is_phrase(data, i, end, start, stop):  # type: ignore[no-untyped-def]
    if i + stop - start > end:
        return False
    for k in range(stop - start):
        byte = data[i + k]
        if 0x41 <= byte <= 0x5A:
            byte += 0x20
        if byte != _PHRASE_BYTES[start + k]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _without_citations(data, start, end, classes):  # type: ignore[no-untyped-def]
    """The line without [1], [], [edit] and [citation needed], and its size."""
    line = np.empty(end - start, np.uint8)
    size = 0
    i = start
    while i < end:
        after = _citation_end(data, i, end, classes) if data[i] == 0x5B else i
        if after > i:
            i = after
            continue
        line[size] = data[i]
        size += 1
        i += 1
    return line, size


@numba.njit(cache=True, nogil=True)
def _citation_end(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Where the citation that opens at ``i`` ends; ``i`` where it is none."""
    k = i + 1
    while k < end:
        code, width = decode(data, k, end)
        if not classes[code] & DECIMAL:
            break
        k += width
    if k < end and data[k] == 0x5D:
        return k + 1
    for words in _CITATIONS:
        size = len(words)
        if i + 1 + size <= end:
            same = True
            for k in range(size):
                if data[i + 1 + k] != words[k]:
                    same = False
                    break
            if same:
                return i + 1 + size
    return i
