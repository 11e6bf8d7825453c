"""What lines and paragraphs say about a text: bullets, ellipses, repetition, C4's sentences.

Four definitions of a line meet here, each that of the filter that the signal serves (datatrove 0.10):
Gopher quality and C4 split at every line end of ``str.splitlines``; Gopher repetition at runs of line feeds (so that a
text that begins or ends with one has an empty line there); FineWeb at each line feed, without blank lines; paragraphs
are what two line feeds or more separate in the stripped text.
"""

import numpy as np

from pipeline.kernels.jit import bare, inlined
from pipeline.kernels.spans import BASE, MIX, decode, span_hash
from pipeline.kernels.token_tables import DECIMAL, LINE_END, SPACE, TERMINAL
from pipeline.kernels.tokens import AFTER_SPACE_TOKEN, ALL_PUNCTUATION, ENDS_SENTENCE, fill_tokens

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


LINE_FEED, OTHER_LINE_END, CURLY, SQUARE, HASH, NOT_ASCII, DOT, ELLIPSIS, PHRASE = (1 << k for k in range(9))
_BYTE_KINDS = np.zeros(256, np.int64)
_BYTE_KINDS[0x0A] = LINE_FEED
_BYTE_KINDS[[0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E]] = OTHER_LINE_END
_BYTE_KINDS[[0x7B, 0x5B, 0x23, 0x2E]] = CURLY, SQUARE, HASH, DOT
_BYTE_KINDS[0x80:] = NOT_ASCII

# every phrase has ten bytes or more, so one of its first four runs of four bytes begins at a multiple of four
_PHRASE_RUNS = np.zeros(4096, np.bool_)
for _phrase, _ in _PHRASES:
    for _at in range(4):
        _run = int.from_bytes(_phrase[_at : _at + 4], "little") | 0x20202020
        _PHRASE_RUNS[((_run * int(BASE)) & 0xFFFFFFFFFFFFFFFF) >> 52] = True


@bare
def survey(data, start, end, places):  # type: ignore[no-untyped-def]
    """What occurs in the text, as a sum of this module's flags; and its line feeds.

    Where a flag is not set, a slow look for the thing would find nothing.

    Args:
        data: UTF-8 bytes.
        start: Where the text begins.
        end: Where it ends.
        places: Becomes where the line feeds are, and ``end`` after them; as long as the text, and one more.

    Returns:
        The flags, and the number of line feeds.
    """
    kinds, feeds = 0, 0
    for i in range(start, end):
        kind = _BYTE_KINDS[data[i]]
        if kind == 0:
            continue
        if kind == LINE_FEED:
            places[feeds] = i
            feeds += 1
        elif kind == DOT:
            if is_at(data, i, end, 0x2E, 0x2E, 0x2E):
                kinds |= ELLIPSIS
        elif kind == NOT_ASCII:
            if is_at(data, i, end, 0xE2, 0x80, 0xA6):
                kinds |= ELLIPSIS
            separator = is_at(data, i, end, 0xE2, 0x80, 0xA8) or is_at(data, i, end, 0xE2, 0x80, 0xA9)
            if separator or (data[i] == 0xC2 and i + 1 < end and data[i + 1] == 0x85):
                kinds |= OTHER_LINE_END
        kinds |= kind
    places[feeds] = end
    return kinds | (PHRASE if _has_phrase(data, start, end) else 0), feeds


@bare
def _has_phrase(data, start, end):  # type: ignore[no-untyped-def]
    """True where one of C4's phrases occurs in the text, in either letter case."""
    for i in range(start, end - 3, 4):
        low = np.uint64(data[i]) | np.uint64(data[i + 1]) << np.uint64(8)
        high = np.uint64(data[i + 2]) | np.uint64(data[i + 3]) << np.uint64(8)
        run = low | high << np.uint64(16) | np.uint64(0x20202020)
        if _PHRASE_RUNS[np.int64((run * BASE) >> np.uint64(52))]:
            for first in range(max(start, i - 3), i + 1):
                for k in range(len(_PHRASE_KINDS)):
                    if _is_phrase(data, first, end, _PHRASE_STARTS[k], _PHRASE_STARTS[k + 1]):
                        return True
    return False


@inlined
def _characters(data, start, end):  # type: ignore[no-untyped-def]
    """Code points of ``data[start:end]``."""
    found = 0
    for i in range(start, end):
        found += data[i] & 0xC0 != 0x80
    return found


@inlined
def seen_before(table, value):  # type: ignore[no-untyped-def]
    """Adds ``value`` to an open-addressing set (a power of two of slots, 0 = empty); True where it was there."""
    mask = len(table) - 1
    key = value if value != 0 else np.uint64(1)
    slot = np.int64((key * MIX) >> np.uint64(32)) & mask
    while table[slot] != 0:
        if table[slot] == key:
            return True
        slot = (slot + 1) & mask
    table[slot] = key
    return False


@bare
def table_size(entries):  # type: ignore[no-untyped-def]
    """Slots of a set for that many entries: a power of two, at most half full."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@inlined
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


@bare
def line_feeds(data, start, end, classes, ascii_only, places, feeds, table):  # type: ignore[no-untyped-def]
    """Lines between line feeds.

    Args:
        data: UTF-8 bytes.
        start: Where the text begins.
        end: Where it ends.
        classes: What each code point is.
        ascii_only: True where every byte is a character.
        places: Where the line feeds are (``survey``).
        feeds: Their number.
        table: Zeros, ``table_size(feeds + 2)`` of them.

    Returns:
        Lines of Gopher repetition, repeated ones of them, their characters; FineWeb's lines, those that end a sentence,
        short ones, characters of repeated ones; characters of the text.
    """
    lines, repeated, repeated_chars = 0, 0, 0
    full, terminal, short, full_repeated_chars = 0, 0, 0, 0
    characters = feeds
    first = start
    for place in range(feeds + 1):
        i = places[place]
        if i == first:
            if first in (start, end) and end > start:  # re.split leaves an empty line at either end
                lines += 1
                repeated += seen_before(table, np.uint64(1))
            first = i + 1
            continue
        chars = i - first if ascii_only else _characters(data, first, i)
        characters += chars
        twin = seen_before(table, span_hash(data, first, i))
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
        first = i + 1
    return lines, repeated, repeated_chars, full, terminal, short, full_repeated_chars, characters


@inlined
def _ends_with_class(data, start, end, classes, wanted):  # type: ignore[no-untyped-def]
    last = end - 1
    while last > start and data[last] & 0xC0 == 0x80:
        last -= 1
    code, _ = decode(data, last, end)
    return 1 if classes[code] & wanted else 0


@bare
def paragraphs(data, start, end, classes, ascii_only, places, feeds, table):  # type: ignore[no-untyped-def]
    """Paragraphs of the stripped text, repeated ones, and the characters of these (arguments as ``line_feeds``)."""
    start, end = _strip(data, start, end, classes)
    count, repeated, repeated_chars = 0, 0, 0
    i = start
    place = 0
    while i < end:
        while place < feeds and (places[place] < i or places[place] + 1 != places[place + 1]):
            place += 1  # on to a line feed that another one follows
        stop = min(end, places[place]) if place < feeds else end
        count += 1
        if seen_before(table, span_hash(data, i, stop)):
            repeated += 1
            repeated_chars += stop - i if ascii_only else _characters(data, i, stop)
        i = stop
        while i < end and data[i] == 0x0A:
            i += 1
    return count, repeated, repeated_chars


@bare
def all_line_ends(data, start, end, kinds, longest, places, tokens, count, tables, cache, spare, line):  # type: ignore[no-untyped-def]
    """Lines of ``str.splitlines``: what Gopher quality and C4 ask of them.

    Args:
        data: UTF-8 bytes.
        start: Where the text begins.
        end: Where it ends.
        kinds: What occurs in the text (``survey``).
        longest: Characters of its longest run without white space.
        places: Where its line feeds are.
        tokens: Its tokens,
        count: and their number.
        tables: ``TokenTables``.
        cache: ``ChunkCache``.
        spare: Room for the tokens of a line without citations, where there is a ``SQUARE`` bracket,
        line: and for its bytes.

    Returns:
        Lines, those that start with a bullet, those that end with an ellipsis; sentences on the lines that C4 keeps,
        whether a line that it looks at has a curly bracket, and lorem ipsum.
    """
    classes = tables.classes
    lines, bullets, ellipses = 0, 0, 0
    sentences, bracket, lorem = 0, False, False
    token = place = 0
    i = start
    while i < end:
        first = i
        width = 1
        if kinds & OTHER_LINE_END:
            i, width = _next_line_end(data, i, end, classes)
        else:
            i = places[place]
            place += 1
        last = i
        if i < end:  # over the line end; \r\n is one
            i += width
            if data[last] == 0x0D and i < end and data[i] == 0x0A:
                i += 1
        lines += 1
        head, tail = _strip(data, first, last, classes)
        if head < tail:
            bullets += data[head] == 0x2D or is_at(data, head, tail, 0xE2, 0x80, 0xA2)
            if tail - 3 >= head:  # before a line that is shorter the text before this one may stand
                dots = is_at(data, tail - 3, tail, 0x2E, 0x2E, 0x2E)
                ellipses += dots or is_at(data, tail - 3, tail, 0xE2, 0x80, 0xA6)
        if not _has_words(data, head, tail, classes) or (
            longest > MAX_WORD_CHARACTERS and _longest_word(data, head, tail, classes) > MAX_WORD_CHARACTERS
        ):
            continue
        low, high = head, tail
        cited = False
        if kinds & SQUARE:
            size = _without_citations(data, head, tail, classes, line)
            cited = size < tail - head
        if cited or kinds & (CURLY | PHRASE):
            if cited:
                found, bracket_here = _phrases(line, 0, size)
            else:
                found, bracket_here = _phrases(data, low, high)
            lorem |= found & LOREM_IPSUM != 0
            bracket |= bracket_here and not found & (LOREM_IPSUM | JAVASCRIPT)
            if found or bracket_here:
                continue
        if cited:  # its tokens are not those of the text
            _, more, _ = fill_tokens(line, 0, size, tables, cache, cache.scratch, spare, False)
            sentences += max(1, more)
            continue
        while token < count and tokens.start[token] < head - start:
            token += 1
        more, token = _line_sentences(tokens, count, token, tail - start)
        sentences += more
    return lines, bullets, ellipses, sentences, bracket, lorem


@inlined
def _next_line_end(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Where the next line end of ``str.splitlines`` is, and its bytes."""
    while i < end:
        if data[i] < 0x80:
            if classes[data[i]] & LINE_END:
                return i, 1
            i += 1
            continue
        code, width = decode(data, i, end)
        if classes[code] & LINE_END:
            return i, width
        i += width
    return end, 1


@inlined
def is_at(data, start, end, a, b, c):  # type: ignore[no-untyped-def]
    """True where three bytes stand at ``start``."""
    return start >= 0 and start + 3 <= end and data[start] == a and data[start + 1] == b and data[start + 2] == c


@inlined
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


@inlined
def _has_words(data, start, end, classes):  # type: ignore[no-untyped-def]
    """True where a line has ``MIN_WORDS_A_LINE`` words between white space."""
    words = 0
    between = True
    i = start
    while i < end and words < MIN_WORDS_A_LINE:
        byte = data[i]
        if byte < 0x80:
            space, width = classes[byte] & SPACE, 1
        else:
            code, width = decode(data, i, end)
            space = classes[code] & SPACE
        words += between and not space
        between = space != 0
        i += width
    return words >= MIN_WORDS_A_LINE


@bare
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


@inlined
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


@inlined
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


@bare
def _without_citations(data, start, end, classes, line):  # type: ignore[no-untyped-def]
    """Copies a line without [1], [], [edit] and [citation needed] into ``line``; returns its size."""
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
    return size


@bare
def _citation_end(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Where the citation that opens at ``i`` ends; ``i`` where it is no citation."""
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
