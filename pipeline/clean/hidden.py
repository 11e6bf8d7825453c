"""Characters that show nothing and, where they stand, spell nothing: text may be hidden in them from every reader.

Most of Unicode's default-ignorable characters are needed somewhere: tags make flags, selectors choose the form of a
character, joiners and fillers spell Persian, Indic scripts, emoji and old Hangul.  There they stay.
"""

import re
from collections.abc import Callable, Sequence

import unicodedata2

_SINGLE = ("\u034f", "\u180e", "\u3164", "\uffa0", "\u200c", "\u200d")
_RUN = re.compile("[\u034f\u180e\u200c\u200d\u3164\ufe00-\ufe0f\uffa0\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+")
_BEYOND = re.compile(
    "[\U0001d173-\U0001d17a\U000e0000-\U000e0fff]|[\ufe00-\ufe0f]{2}"
)  # of texts beyond the first plane
_FLAG = re.compile("[\U000e0020-\U000e007e]+\U000e007f")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb\uffa1-\uffdc]")
_MONGOLIAN = re.compile("[\u1820-\u18aa]")
_MUSIC = re.compile("[\U0001d100-\U0001d172\U0001d17b-\U0001d1ff]")
JOINERS = ("\u200c", "\u200d")
LAST_LATIN = "\u02ff"  # beside a character up to here a joiner joins nothing


def may_hide(text: str) -> bool:
    """Whether such characters are in a text; looked for at a fraction of the cost of looking at each character."""
    return _has_single(text) or (_is_beyond(text) and _BEYOND.search(text) is not None)


def may_hide_in(pieces: Sequence[bytes]) -> bool:
    """The same of a text in pieces, UTF-8, that are cut after a line feed or before a space."""

    def any_of(found: Callable[[str], object]) -> bool:
        return any(found(piece.decode()) for piece in pieces if not piece.isascii())

    return any_of(_has_single) or (any_of(_is_beyond) and any_of(_BEYOND.search))


def _has_single(text: str) -> bool:
    return any(one in text for one in _SINGLE)


def _is_beyond(text: str) -> bool:
    return len(text.encode("utf-16-le", "surrogatepass")) > 2 * len(text)


def without_hidden(text: str) -> str:
    """The text without the characters that show and spell nothing where they stand.

    Example:
        >>> without_hidden("cut here\U000e0069\U000e0067, T\u200dh\u200di\u200ds")
        'cut here, This'
    """
    return _RUN.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    """What of a run of such characters is needed between its neighbours."""
    text, run = found.string, found.group()
    before, after = text[max(0, found.start() - 1) : found.start()], text[found.end() : found.end() + 1]
    kept = ""
    if before == "\U0001f3f4" and (flag := _FLAG.match(run)):
        kept, run = flag.group(), run[flag.end() :]
    for number, character in enumerate(run):
        if _SELECTORS.match(character):  # one that another one follows chooses no form
            needed = not number and bool(_HAN.match(before) if character > "\uffff" else before.strip())
        else:
            needed = _is_needed(character, kept[-1:] or before, after)
        kept += character if needed else ""
    return kept


def _is_needed(character: str, before: str, after: str) -> bool:
    if character in JOINERS:
        return max(before, after) > LAST_LATIN
    if character == "\u034f":
        return bool(after) and unicodedata2.category(after) == "Mn"
    if character == "\u180e":
        return bool(_MONGOLIAN.match(before) and _MONGOLIAN.match(after))
    if character in ("\u3164", "\uffa0"):
        return bool(_HANGUL.match(before) or _HANGUL.match(after))
    return bool(character < "\U000e0000" and (_MUSIC.match(before) or _MUSIC.match(after)))
