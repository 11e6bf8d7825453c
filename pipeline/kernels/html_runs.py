"""The text of a run of HTML within a line whose tags all write nothing, as most runs are; any other run is declined.

The run is as lexbor writes it: every attribute has its value in double quotes, and of the entities only four stand in
text.  What is declined is read in Python (pipeline/extraction/inline.py), which this agrees with to the byte.
"""

import numba
import numpy as np

from pipeline.kernels.html_blocks import _name, _one_of
from pipeline.kernels.words import U8

U8_OUT = numba.types.Array(numba.uint8, 1, "C")
DECLINED = -1
SILENT = ("abbr", "b", "bdi", "big", "cite", "dfn", "em", "font", "i", "input", "ins", "kbd", "label", "mark", "nobr",
          "q", "s", "small", "span", "strong", "time", "u", "var", "wbr")  # fmt: skip
SILENT_IN_PLAIN_TEXT = ("code", "tt", "samp", "sup", "sub")  # Markdown marks them
LINK = "a"


def _key(name: str) -> np.uint64:
    key, _ = _name(np.frombuffer(f"{name}>".encode(), np.uint8), 0)
    return np.uint64(key)


# what the names begin with of classes that make a tag speak: a formula drawn from spans, numbers beside lines of code
_SPEAKING = tuple(
    np.frombuffer(name, np.uint8)
    for name in (b"MathJax", b"katex-html", b"mjx-", b"linen", b"line-n", b"ln-num", b"hljs-ln-n", b"gutter")
)
_SILENT = np.array([_key(name) for name in SILENT], np.uint64)
_IN_PLAIN_TEXT = np.array([_key(name) for name in SILENT_IN_PLAIN_TEXT], np.uint64)
_LINK = _key(LINK)
_LT, _GT, _AMP, _QUOTE, _EQUALS, _SLASH, _SPACE, _FIRST_NOT_ASCII = 0x3C, 0x3E, 0x26, 0x22, 0x3D, 0x2F, 0x20, 0x80
_MARK = 0x21
_CLASS, _COMMENT, _COMMENT_END = (np.frombuffer(said, np.uint8) for said in (b"class", b"<!--", b"-->"))


@numba.njit(cache=True, nogil=True)
def _stands_at(data, i, end, said):  # type: ignore[no-untyped-def]
    """Whether some bytes stand in the data from ``i`` on, before ``end``."""
    if i + len(said) > end:
        return False
    place = 0
    while place < len(said) and data[i + place] == said[place]:
        place += 1
    return place == len(said)


_AMP_REST, _LT_REST, _GT_REST, _NBSP_REST = (
    np.frombuffer(rest, np.uint8) for rest in (b"amp;", b"lt;", b"gt;", b"nbsp;")
)


@numba.njit(cache=True, nogil=True)
def _speaks(data, i, end):  # type: ignore[no-untyped-def]
    """Whether the name of a class begins at ``i`` that makes a tag speak."""
    speaks = False
    for name in numba.literal_unroll(_SPEAKING):
        speaks |= data[i] == name[0] and _stands_at(data, i, end, name)
    return speaks


@numba.njit(cache=True, nogil=True)
def _past_value(data, i, end, has_classes):  # type: ignore[no-untyped-def]
    """Past an attribute's value, from the equals sign on, or DECLINED."""
    i += 1
    if i >= end or data[i] != _QUOTE:
        return DECLINED
    i += 1
    begins = True  # a class, at this byte
    while i < end and data[i] != _QUOTE:
        if has_classes and begins and _speaks(data, i, end):
            return DECLINED
        begins = data[i] <= _SPACE or data[i] >= _FIRST_NOT_ASCII
        i += 1
    return i + 1 if i < end else DECLINED


@numba.njit(cache=True, nogil=True)
def _past_attributes(data, i, end):  # type: ignore[no-untyped-def]
    """Past what follows the name of a tag, or DECLINED unless it stands as lexbor writes it: one space before each."""
    while i < end and data[i] == _SPACE:
        i += 1
        name = i
        while i < end and _SPACE < data[i] < _FIRST_NOT_ASCII and data[i] != _GT and data[i] != _EQUALS:
            i += 1
        if i == name:
            return DECLINED
        if i < end and data[i] == _EQUALS:
            i = _past_value(data, i, end, i - name >= len(_CLASS) and _stands_at(data, i - len(_CLASS), i, _CLASS))
            if i < 0:
                return DECLINED
    return i + 1 if i < end and data[i] == _GT else DECLINED


@numba.njit(cache=True, nogil=True)
def _past_comment(data, i, end):  # type: ignore[no-untyped-def]
    """Past a comment, or DECLINED."""
    if not _stands_at(data, i, end, _COMMENT):
        return DECLINED
    i += len(_COMMENT)
    while i < end and not _stands_at(data, i, end, _COMMENT_END):
        i += 1
    return i + len(_COMMENT_END) if i < end else DECLINED


@numba.njit(cache=True, nogil=True)
def _past_silent_tag(data, i, end, plain, code):  # type: ignore[no-untyped-def]
    """Past a tag that writes nothing, or DECLINED."""
    i += 1
    if i < end and data[i] == _SLASH:
        i += 1
    key, i = _name(data, i)
    if key == _LINK:
        if code:  # its text may be a sign that only links
            return DECLINED
    elif not _one_of(key, _SILENT) and not (plain and _one_of(key, _IN_PLAIN_TEXT)):
        return DECLINED
    return _past_attributes(data, i, end)


@numba.njit((U8, numba.int64, numba.int64, numba.boolean, numba.boolean, U8_OUT), cache=True, nogil=True)
def text_of_run(data, start, end, plain, code, out):  # type: ignore[no-untyped-def]
    """Writes the text of a run, or declines.

    Args:
        data: The page, UTF-8.
        start: Where the run begins.
        end: Where it ends.
        plain: It is written as plain text: marks of code and powers write nothing either.
        code: It is a program's text: white space stays as it is.
        out: For the text, UTF-8; as long as the run.

    Returns:
        Bytes written, or DECLINED.
    """
    i, written = start, 0
    spaced = False  # the last of this piece of text is a space
    while i < end:
        byte = data[i]
        if byte == _LT:
            is_tag = i + 1 >= end or data[i + 1] != _MARK
            i = _past_silent_tag(data, i, end, plain, code) if is_tag else _past_comment(data, i, end)
            if i < 0:
                return DECLINED
            spaced = False
            continue
        step = 1
        if byte == _AMP:
            if _stands_at(data, i + 1, end, _AMP_REST):
                step = 5
            elif _stands_at(data, i + 1, end, _LT_REST):
                byte, step = np.uint8(_LT), 4
            elif _stands_at(data, i + 1, end, _GT_REST):
                byte, step = np.uint8(_GT), 4
            elif _stands_at(data, i + 1, end, _NBSP_REST):
                byte, step = np.uint8(0x20), 6
            else:
                return DECLINED
        elif byte == 0xC2 and i + 1 < end and data[i + 1] == 0xA0:  # a no-break space
            byte, step = np.uint8(0x20), 2
        i += step
        if not code and (byte == 0x20 or byte == 0x09 or byte == 0x0A or byte == 0x0D or byte == 0x0C):
            if not spaced:
                out[written] = 0x20
                written += 1
            spaced = True
            continue
        out[written] = byte
        written += 1
        spaced = False
    return written
