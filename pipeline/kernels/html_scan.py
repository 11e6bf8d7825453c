"""Looks at a page's bytes before any parser does: tags, nesting, and what parsing and extraction will cost.

An HTML parser is quadratic in nesting depth and in the attributes of one tag, and it rebuilds open formatting elements
in every new block; a hostile or broken page can so take minutes or all memory.  This scan follows the parser's rules
for open elements closely enough that no page is much deeper than it says.  Two kinds of element are not counted: those
that close themselves, such as ``p`` and ``td`` (at most four of them lie between two counted ones), and formatting
elements, such as ``b``, beyond three that look the same (nesting of these alone costs nothing).  The scan is linear in
the bytes, times the depth.

On its way it notes where the tags stand that say something about the page (pipeline/clean/html_facts.py reads them),
and where elements begin and end in which a tag does not speak of the page, so that nobody has to look for them again.

Source of the rules: HTML Living Standard, 13.2.4.3 (formatting elements) and 13.2.6 (tree construction).
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.html_values import (
    BY_DATE,
    BY_PROPERTY,
    BY_REL,
    UNQUOTED_BYTES,
    begins,
    holds,
    said_by,
    telling_name,
)
from pipeline.kernels.page_words import Telling, holding

# what is noted: these tags of the head, and anywhere JSON-LD scripts and tags whose ``rel`` may name a licence ...
HTML, META, LINK, TITLE, JSON_LD, LICENCE = range(1, 7)
# ... meta tags of the body that reserve the page, tags whose ``itemprop`` or ``property`` names a licence or a day of
# publication, and times
MARK, PROPERTY, DATE, TIME = range(7, 11)
HEAD_BYTES = 1 << 17  # a head that does not end within is cut
HEAD_TAGS, NOTES = 1000, 1024  # no more are noted
NEAR_BYTES, VECTOR_BYTES = 16, 32
APARTS = 4096  # beginnings and ends of elements that are noted
MOST = 40  # of each kind beyond the head
TAG_BYTES = 4096  # a longer tag of the head is passed over

VOID = ("area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source", "track",
        "wbr", "image", "basefont", "bgsound", "keygen")  # fmt: skip
# closed by their next sibling or by the parent's end: they do not nest without a counted element between
SELF_CLOSING = ("html", "head", "body", "p", "li", "dd", "dt", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup",
                "caption", "option", "optgroup", "rp", "rt", "rb", "rtc", "a", "nobr")  # fmt: skip
RAW_TEXT = ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
FORMATTING = ("b", "big", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u")
# an end tag of another element does not reach beyond these
SPECIAL = ("address", "applet", "article", "aside", "blockquote", "button", "center", "details", "dir", "div", "dl",
           "fieldset", "figcaption", "figure", "footer", "form", "frameset", "h1", "h2", "h3", "h4", "h5", "h6",
           "header", "hgroup", "listing", "main", "marquee", "menu", "nav", "noscript", "object", "ol", "plaintext",
           "pre", "search", "section", "select", "summary", "table", "template", "ul")  # fmt: skip
SCOPE = ("applet", "marquee", "object", "table", "template")  # an end tag of a special element stops at these
FOREIGN = ("svg", "math")
# elements in which a licence is not the page's own: what begins and ends them is noted, by their place here
APART = ("figure", "figcaption", "noscript", "blockquote", "table")
# nanoseconds, measured with resiliparse 2.0 on one core (docs/benchmarks/clean.md); only their proportions matter
COST_DEPTH, COST_ATTRIBUTES, COST_REPEATED = 80, 2, 2_300


def _key(name: str) -> int:
    """The first eight letters as one integer; longer names keep their length apart."""
    value = 0
    for byte in name.encode()[:8]:
        value = value << 8 | byte
    return value ^ (len(name) << 56 if len(name) > 8 else 0)


_VOID, _SELF_CLOSING, _RAW_TEXT, _FORMATTING, _SPECIAL, _SCOPE, _FOREIGN, _HEADING = (1 << bit for bit in range(8))
_NOTED = 1 << 8
_KINDS = {
    _VOID: VOID,
    _SELF_CLOSING: SELF_CLOSING,
    _RAW_TEXT: RAW_TEXT,
    _FORMATTING: FORMATTING,
    _SPECIAL: SPECIAL,
    _SCOPE: SCOPE,
    _FOREIGN: FOREIGN,
    _HEADING: ("h1", "h2", "h3", "h4", "h5", "h6"),
    _NOTED: ("meta", "time", "abbr", "footer", *APART),
}
_SLOT_BITS = 10
_MULTIPLIER = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: spreads the names over the slots


def _kind_table() -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Names and what they are, in the slots where ``_kind_of`` looks: one look-up per tag, not one per kind."""
    keys, kinds = np.full(1 << _SLOT_BITS, -1, np.int64), np.zeros(1 << _SLOT_BITS, np.uint16)
    for kind, names in _KINDS.items():
        for key in map(_key, names):
            slot = (key * _MULTIPLIER & (1 << 64) - 1) >> 64 - _SLOT_BITS
            while keys[slot] not in (-1, key):
                slot = (slot + 1) % len(keys)
            keys[slot] = key
            kinds[slot] |= kind
    return keys, kinds


_KEYS, _KINDS_OF_KEYS = _kind_table()
_TABLE, _PARAGRAPH = _key("table"), _key("p")
_HEAD, _HTML, _META, _LINK, _TITLE, _SCRIPT = map(_key, ("head", "html", "meta", "link", "title", "script"))
_TIME, _ABBR, _FOOTER = map(_key, ("time", "abbr", "footer"))
_APART = np.array([_key(name) for name in APART], np.int64)
_LD_JSON, _NOAI, _NOML, _TDM, _INFOBOX = (
    np.frombuffer(word, np.uint8) for word in (b"ld+json", b"noai", b"noml", b"tdm-reservation", b' class="infobox')
)


Note = tuple[int, int, int]  # HTML ... TIME, where the tag's attributes begin, where the tag ends


class Scan(NamedTuple):
    """What a scan saw."""

    tags: int
    depth: int  # the greatest nesting
    cost: int  # beyond that of a plain page of that size: about nanoseconds, but counted, not timed
    notes: list[Note]
    apart: NDArray[np.int64]  # (tags, 2): where it begins; a number in APART, from 1, negative where the element ends
    footer: int  # where the last footer begins, -1 where there is none


def scan(page: bytes, max_depth: int, tell: Telling | None = None) -> Scan:
    """Scans a page in an encoding that contains ASCII.

    Args:
        page: The bytes.
        max_depth: The scan stops one beyond this depth.
        tell: What notes of some kinds must hold.
    """
    data = np.frombuffer(page, np.uint8)
    tags, depth, cost, notes, apart, footer = _scan(data, max_depth)
    if tell is not None:
        notes = holding(data, notes, tell)
    return Scan(tags, depth, cost, notes.tolist(), apart, footer)


@numba.njit(cache=True, nogil=True)
def _kind_of(key):  # type: ignore[no-untyped-def]
    """What an element of that name is: a sum of the kinds above, 0 for another name."""
    slot = np.int64((np.uint64(key) * np.uint64(_MULTIPLIER)) >> np.uint64(64 - _SLOT_BITS))
    while _KEYS[slot] != key:
        if _KEYS[slot] == -1:
            return np.uint16(0)
        slot = (slot + 1) & ((1 << _SLOT_BITS) - 1)
    return _KINDS_OF_KEYS[slot]


@numba.njit(cache=True, nogil=True)
def _find(data, start, byte):  # type: ignore[no-untyped-def]
    """Where a byte stands next: looked for one by one where it is near, and then in blocks, as vectors."""
    i, end = start, len(data)
    near = min(start + NEAR_BYTES, end)
    while i < near and data[i] != byte:
        i += 1
    if i < near:
        return i
    while i + VECTOR_BYTES <= end:
        block, found = data[i : i + VECTOR_BYTES], False
        for j in range(VECTOR_BYTES):
            found |= block[j] == byte
        if found:
            break
        i += VECTOR_BYTES
    while i < end and data[i] != byte:
        i += 1
    return i


# one long function: every part moves several of its counters
@numba.njit(cache=True, nogil=True)
def _scan(data, max_depth):  # type: ignore[no-untyped-def]
    stack = np.empty(max_depth + 2, np.int64)  # open elements that nest
    names = np.empty(max_depth + 2, np.int64)  # formatting elements whose end tag has not come: name ...
    looks = np.empty(max_depth + 2, np.int64)  # ... and hash of the whole tag
    notes = np.empty((NOTES + 5 * MOST, 3), np.int64)
    noted = 0
    further = np.zeros(TIME + 2, np.int64)  # how many are noted of each kind beyond the head
    apart = np.empty((APARTS, 2), np.int64)
    aparts, footer = 0, -1
    in_head = True
    depth = active = deepest = tags = cost = foreign = 0
    i, end = 0, len(data)
    while True:
        i = _find(data, i, 0x3C)
        if i + 1 >= end:
            break
        following = data[i + 1]
        closing = following == 0x2F
        name_start = i + 2 if closing else i + 1
        if name_start >= end:
            break
        letter = data[name_start] | 0x20
        if letter < 0x61 or letter > 0x7A:
            i = _skip_markup(data, i, following)
            continue
        key, name_end = _name(data, name_start)
        tag_start = i
        i, attributes, said = _skip_attributes(data, name_end)
        tags += 1
        if in_head:
            in_head = noted - further[0] < HEAD_TAGS and i < HEAD_BYTES and not (closing and key == _HEAD)
            what = _kind_of_note(key) if in_head and not closing and foreign == 0 and i - name_end <= TAG_BYTES else 0
            noted = _note(notes, noted, further, what, name_end, i)
        noted = _note(notes, noted, further, LICENCE if said & BY_REL and not closing else 0, name_end, i)
        cost += COST_DEPTH * (depth + active) + COST_ATTRIBUTES * attributes * attributes
        kind = _kind_of(key)
        if said > BY_REL and not closing:
            noted = _note(notes, noted, further, PROPERTY if said & BY_PROPERTY else 0, name_end, i)
            noted = _note(notes, noted, further, DATE if said & BY_DATE else 0, name_end, i)
        if kind & _NOTED:
            if key == _FOOTER:
                footer = footer if closing else tag_start
            elif key in (_META, _TIME, _ABBR):
                what = 0 if closing or (in_head and key == _META) else _kind_beyond_the_head(data, key, name_end, i)
                noted = _note(notes, noted, further, what, name_end, i)
            else:
                aparts = _note_apart(apart, aparts, data, tag_start, key, closing, name_end)
        special = kind & _SPECIAL != 0
        if special or key == _PARAGRAPH:
            cost += COST_REPEATED * active
        if kind & _FORMATTING:
            if closing:
                active = _forget(names, looks, active, key)
            else:
                active = _remember(names, looks, active, key, _hash(data, name_start, i))
                foreign = 0
        elif closing:
            foreign -= 1 if foreign > 0 and kind & _FOREIGN else 0
            depth = _close(stack, depth, key, special)
        elif kind & _FOREIGN:
            foreign += 1
            stack[depth] = key
            depth += 1
        elif special or kind & _SELF_CLOSING:
            foreign = 0  # an HTML element ends an SVG or formula
            if special:
                if depth > 0 and kind & _HEADING and _kind_of(stack[depth - 1]) & _HEADING:
                    depth -= 1  # a heading ends the heading before it
                stack[depth] = key
                depth += 1
        elif foreign > 0 and data[i - 2] == 0x2F:
            continue  # only there does "/>" end an element
        elif kind & _RAW_TEXT and foreign == 0:
            if key == _SCRIPT and holds(data, name_end, i, _LD_JSON):
                noted = _note(notes, noted, further, JSON_LD, name_end, i)
            i = _skip_raw_text(data, i, key)
        elif not kind & _VOID:
            stack[depth] = key
            depth += 1
        deepest = max(deepest, depth + active)
        if deepest > max_depth:
            break
    return tags, deepest, cost, notes[:noted], apart[:aparts], footer


@numba.njit(cache=True, nogil=True)
def _kind_of_note(key):  # type: ignore[no-untyped-def]
    """As what a tag of the head is noted; 0 if it is not."""
    if key == _META:
        return META
    if key == _LINK:
        return LINK
    if key == _TITLE:
        return TITLE
    return HTML if key == _HTML else 0


@numba.njit(cache=True, nogil=True)
def _kind_beyond_the_head(data, key, start, end):  # type: ignore[no-untyped-def]
    """As what a time, or a meta tag of the body, is noted; 0 if it is not."""
    if key != _META:
        return TIME if key == _TIME else TIME + 1  # counted apart
    marked = holds(data, start, end, _NOAI) or holds(data, start, end, _NOML) or holds(data, start, end, _TDM)
    return MARK if marked else 0


@numba.njit(cache=True, nogil=True)
def _note(notes, noted, further, what, start, end):  # type: ignore[no-untyped-def]
    """Notes a tag, unless it is nothing or there is no room; returns how many are noted.

    ``further`` counts those of each kind beyond the head's, and in its first place all of them.
    """
    if what > LICENCE:
        if further[what] == MOST:
            return noted
        further[what] += 1
        further[0] += 1
        what = min(what, TIME)
    elif what == 0 or noted - further[0] == NOTES:
        return noted
    notes[noted, 0], notes[noted, 1], notes[noted, 2] = what, start, end
    return noted + 1


@numba.njit(cache=True, nogil=True)
def _note_apart(apart, aparts, data, place, key, closing, name_end):  # type: ignore[no-untyped-def]
    """Notes where an element begins or ends in which a licence is not the page's own; returns how many are noted."""
    number = 0
    for n in range(len(_APART)):
        if _APART[n] == key:
            number = n + 1
    is_table = number == len(_APART)
    if aparts == APARTS or (is_table and not closing and not begins(data, name_end, _INFOBOX)):
        return aparts
    apart[aparts, 0], apart[aparts, 1] = place, -number if closing else number
    return aparts + 1


@numba.njit(cache=True, nogil=True)
def _remember(names, looks, active, key, look):  # type: ignore[no-untyped-def]
    """Adds a formatting element, unless three that look the same are open: a parser keeps no more either."""
    same = 0
    for place in range(active):
        same += looks[place] == look
    if same >= 3:
        return active
    names[active], looks[active] = key, look
    return active + 1


@numba.njit(cache=True, nogil=True)
def _forget(names, looks, active, key):  # type: ignore[no-untyped-def]
    """Takes the last formatting element of that name away."""
    at = active - 1
    while at >= 0 and names[at] != key:
        at -= 1
    if at < 0:
        return active
    for place in range(at, active - 1):
        names[place], looks[place] = names[place + 1], looks[place + 1]
    return active - 1


@numba.njit(cache=True, nogil=True)
def _hash(data, start, end):  # type: ignore[no-untyped-def]
    value = np.uint64(14695981039346656037)
    for i in range(start, end):
        value = (value ^ np.uint64(data[i])) * np.uint64(1099511628211)
    return np.int64(value >> np.uint64(1))


@numba.njit(cache=True, nogil=True)
def _close(stack, depth, key, special):  # type: ignore[no-untyped-def]
    """The depth after an end tag has closed its element, and what is open inside it."""
    at = depth - 1
    while at >= 0 and stack[at] != key:
        if special and key != _TABLE and _kind_of(stack[at]) & _SCOPE:
            return depth
        if not special and _kind_of(stack[at]) & _SPECIAL:
            return depth
        at -= 1
    return at if at >= 0 else depth


@numba.njit(cache=True, nogil=True)
def _name(data, start):  # type: ignore[no-untyped-def]
    """Key of a tag name, and where it ends."""
    key, i = 0, start
    while i < len(data):
        byte = data[i]
        if byte == 0x3E or byte == 0x2F or byte <= 0x20:
            break
        if i - start < 8:
            key = key << 8 | (byte | 0x20 if 0x41 <= byte <= 0x5A else byte)
        i += 1
    if i - start > 8:
        key ^= (i - start) << 56
    return key, i


@numba.njit(cache=True, nogil=True)
def _skip_attributes(data, start):  # type: ignore[no-untyped-def]
    """Where the tag ends, about how many attributes it has, and what they may say: a sum of ``BY_REL`` ..."""
    i, attributes, in_space, said = start, 0, False, 0
    while i < len(data):
        byte = data[i]
        if byte == 0x3E:
            return i + 1, attributes, said
        if byte <= 0x20 or byte == 0x2F:
            in_space = True
        else:
            attributes += in_space
            in_space = False
        if byte == 0x3D:  # a quoted value may hold >
            name = telling_name(data, start, i)
            i += 1
            while i < len(data) and data[i] <= 0x20:
                i += 1
            value, value_end = i, min(i + (len(b"license") if name == 1 else UNQUOTED_BYTES), len(data))
            if i < len(data) and (data[i] == 0x22 or data[i] == 0x27):
                value += 1
                i = value_end = min(_find(data, i + 1, data[i]) + 1, len(data))  # it may never be closed
                in_space = True
            if name:
                said |= said_by(data, name, value, value_end)
            continue
        i += 1
    return i, attributes, said


@numba.njit(cache=True, nogil=True)
def _skip_markup(data, i, following):  # type: ignore[no-untyped-def]
    """Past a comment, doctype or processing instruction; past the ``<`` alone where it is text."""
    if following != 0x21 and following != 0x3F and following != 0x2F:
        return i + 1
    if following == 0x21 and i + 3 < len(data) and data[i + 2] == 0x2D and data[i + 3] == 0x2D:
        j = i + 2  # <!--> is a whole comment
        while True:
            j = _find(data, j, 0x3E)
            if j >= len(data):
                return j
            if data[j - 1] == 0x2D and data[j - 2] == 0x2D:
                return j + 1
            j += 1
    return min(_find(data, i + 2, 0x3E) + 1, len(data))


@numba.njit(cache=True, nogil=True)
def _skip_raw_text(data, start, key):  # type: ignore[no-untyped-def]
    """To the end tag of an element whose content is text only."""
    i = start
    while True:
        i = _find(data, i, 0x3C)
        if i + 2 >= len(data):
            return len(data)
        if data[i + 1] == 0x2F:
            found, _ = _name(data, i + 2)
            if found == key:
                return i
        i += 1
