"""Cuts text into the pre-tokens of byte-level BPE and counts them: three published regular expressions in one pass.

Which code points are letters, numbers and spaces is not known here: a table says it, made with the regular expressions
themselves (pipeline/tokens/tokenizer/pretokens.py).  The rule is given as a number: 0 is GPT-2's; 3 that of cl100k and
1 that of Qwen2, after the digits that they take together, in which alone these two differ.
"""

from pipeline.kernels.byte_strings import COUNT, NUMBER, add, find
from pipeline.kernels.jit import bare, inlined
from pipeline.kernels.spans import decode

UNKNOWN, OTHER, LETTER, DIGIT, SPACE, CONTRACTED = range(6)  # the last: a letter of which "'" and it are a pre-token
CODE_POINTS = 0x110000
_APOSTROPHE, _BLANK, _LINE_FEED, _RETURN = 0x27, 0x20, 0x0A, 0x0D


@bare
def unknown_code_points(data, classes, found, places):  # type: ignore[no-untyped-def]
    """Finds the code points that have no class yet, each once; returns how many.

    Args:
        data: Valid UTF-8.
        classes: uint8 (CODE_POINTS,).  Those found are ``OTHER`` afterwards.
        found: Out: the code points, with room for all that there are.
        places: Out: the byte at which each first stands.
    """
    count, i, end = 0, 0, len(data)
    while i < end:
        code, width = decode(data, i, end)
        if classes[code] == UNKNOWN:
            classes[code] = OTHER
            found[count], places[count] = code, i
            count += 1
        i += width
    return count


@inlined
def class_at(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Class and width of the code point at byte ``i``."""
    if data[i] < 0x80:
        return classes[data[i]], 1
    code, width = decode(data, i, end)
    return classes[code], width


@inlined
def is_letter(kind):  # type: ignore[no-untyped-def]
    """Whether a class is one of letters."""
    return kind in (LETTER, CONTRACTED)


@inlined
def run_end(data, i, end, kind, classes):  # type: ignore[no-untyped-def]
    """Where the run of code points of class ``kind`` that may begin at ``i`` ends."""
    while i < end:
        found, width = class_at(data, i, end, classes)
        if found != kind and not (kind == LETTER and found == CONTRACTED):
            break
        i += width
    return i


@inlined
def is_line_end(byte):  # type: ignore[no-untyped-def]
    """Whether a byte is a line feed or a carriage return."""
    return byte in (_LINE_FEED, _RETURN)


@inlined
def contraction(data, i, end, classes, any_case):  # type: ignore[no-untyped-def]
    """How long the English contraction is that begins at the apostrophe at ``i``; 0 if none does."""
    if i + 1 >= end:
        return 0
    kind, width = class_at(data, i + 1, end, classes)
    if kind == CONTRACTED:  # 's 't 'm 'd
        return 1 + width
    if i + 2 >= end:
        return 0
    fold = 0x20 if any_case else 0
    first, second = data[i + 1] | fold, data[i + 2] | fold
    if second == 0x65:  # 're 've
        return 3 if first == 0x72 or first == 0x76 else 0
    return 3 if first == 0x6C and second == 0x6C else 0  # 'll


@inlined
def spaces_end(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Where the pre-token of spaces that begins at ``i`` ends: before the last of a run that a word follows."""
    last, at = i, i
    while at < end:
        kind, width = class_at(data, at, end, classes)
        if kind != SPACE:
            break
        last = at
        at += width
    return at if at == end or last == i else last


@inlined
def gpt2_end(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Where the pre-token that begins at ``i`` ends, by GPT-2's rule."""
    if data[i] == _APOSTROPHE:
        length = contraction(data, i, end, classes, False)
        if length:
            return i + length
    kind, width = class_at(data, i, end, classes)
    if data[i] == _BLANK and i + 1 < end:
        following, _ = class_at(data, i + 1, end, classes)
        if following != SPACE:
            kind = following
    if kind == SPACE:
        return spaces_end(data, i, end, classes)
    return run_end(data, i + width, end, LETTER if kind == CONTRACTED else kind, classes)


@inlined
def cl100k_end(data, i, end, classes, digits):  # type: ignore[no-untyped-def]
    """Where the pre-token that begins at ``i`` ends, by the rule of cl100k or, with one digit, of Qwen2."""
    if data[i] == _APOSTROPHE:
        length = contraction(data, i, end, classes, True)
        if length:
            return i + length
    kind, width = class_at(data, i, end, classes)
    if is_letter(kind):
        return run_end(data, i + width, end, LETTER, classes)
    if kind == DIGIT:
        at = i + width
        for _ in range(digits - 1):
            if at < end:
                kind, width = class_at(data, at, end, classes)
                if kind == DIGIT:
                    at += width
                else:
                    break
        return at
    following, after = UNKNOWN, i + width
    if after < end:
        following, _ = class_at(data, after, end, classes)
    if is_letter(following) and not is_line_end(data[i]):
        return run_end(data, after, end, LETTER, classes)
    if kind == OTHER or (data[i] == _BLANK and following == OTHER):
        at = run_end(data, after, end, OTHER, classes)
        while at < end and is_line_end(data[at]):
            at += 1
        return at
    at, line_end = i, -1
    while at < end:
        kind, width = class_at(data, at, end, classes)
        if kind != SPACE:
            break
        if is_line_end(data[at]):
            line_end = at + 1
        at += width
    return line_end if line_end > 0 else spaces_end(data, i, end, classes)


@bare
def count_pretokens(data, offsets, place, digits, classes, table, ends, contents, count):  # type: ignore[no-untyped-def]
    """Counts the pre-tokens of texts, until they end or the set of them is full.

    Args:
        data: Valid UTF-8, every code point of which has a class.
        offsets: Where each text starts, shape (N + 1,).
        place: int64 (2,): the text and the byte in ``data`` to begin with; those to go on with afterwards.
        digits: The rule; see above.
        classes: uint8 (CODE_POINTS,).
        table: Of the set of pre-tokens (``byte_strings``), a power of two of rows; no more than half are filled.
        ends: Of the set.
        contents: Of the set.
        count: Pre-tokens in the set.

    Returns:
        Pre-tokens in the set.  ``place[0]`` is N where all texts were read; else there is no room for another one.
    """
    row, i = place[0], place[1]
    while row < len(offsets) - 1:
        end = offsets[row + 1]
        while i < end:
            stop = cl100k_end(data, i, end, classes, digits) if digits else gpt2_end(data, i, end, classes)
            slot, key = find(data, i, stop, table, ends, contents)
            if table[slot, NUMBER] < 0:
                filled = ends[count - 1] if count else 0
                if count >= len(ends) or filled + stop - i > len(contents):
                    place[0], place[1] = row, i
                    return count
                add(data, i, stop, slot, key, count, table, ends, contents)
                count += 1
            table[slot, COUNT] += 1
            i = stop
        row += 1
    place[0], place[1] = row, i
    return count
