"""In which elements a place of a page stands: whether a licence there is the page's own."""

import re

from pipeline.kernels.html_scan import Scan
from pipeline.kernels.page_words import places, words

_COMMENTS = words(any_case=[b"comment", b"disqus", b"respond", b"replies"])
_BELOW = [b"widget", b"sidebar", b"footer", b"colophon", b"secondary", b"copyright"]
_BELOW_COMMENTS = words(any_case=[*_BELOW, b"<footer", b"<aside"])
_BEFORE_QUOTE = re.compile(rb"(?:id|class)\s*=\s*\Z", re.IGNORECASE)
_BEFORE_QUOTE_BYTES = 64
_WORD_ENDS = b"\"' -"


class Page:
    """A page, and what its scan noted of its elements.

    Args:
        body: Its bytes.
        encoding: Their encoding, which contains ASCII.
        seen: The scan.
    """

    def __init__(self, body: bytes, encoding: str, seen: Scan) -> None:
        self.body, self.encoding, self.footer = body, encoding, seen.footer
        self._scan = seen
        self._apart: list[list[int]] | None = None
        self._comments: list[tuple[int, int]] | None = None

    def is_apart(self, at: int) -> bool:
        """Whether a place belongs to a picture, a quotation, or to what readers have written below the text."""
        return self._is_within(at) or self._is_comment(at)

    def _is_within(self, at: int) -> bool:
        """Whether the nearest mark of one of the elements before a place is one that begins it."""
        if self._apart is None:
            self._apart = self._scan.apart.tolist()
        nearest: dict[int, int] = {}
        for place, mark in self._apart or ():
            if place >= at:
                break
            nearest[abs(mark)] = mark
        return any(mark > 0 for mark in nearest.values())

    def _is_comment(self, at: int) -> bool:
        """Whether an element that is named after comments begins before a place, and none that stands below them."""
        if self._comments is None:
            self._comments = [(place, end) for place, _ in places(self.body, _COMMENTS) if (end := self._named(place))]
        ends = [end for place, end in self._comments if end <= at]
        if not ends:
            return False
        return not any(
            number >= len(_BELOW) or _in_value(self.body, ends[-1] + place, b" _-", ends[-1])
            for place, number in places(self.body[ends[-1] : at], _BELOW_COMMENTS)
        )

    def _named(self, place: int) -> int:
        """Where the name ends in which a word of comments stands at a place; 0 where it is none."""
        end = place + next(len(word) for word in _WORDS if self.body[place : place + len(word)].lower() == word)
        if self.body[end - 7 : end].lower() == b"comment" and self.body[end : end + 1] in (b"s", b"S"):
            end += 1
        if self.body[end : end + 1] not in (b'"', b"'", b" ", b"-"):
            return 0
        return end + 1 if _in_value(self.body, place, b" -", 0) else 0


_WORDS = (b"comment", b"disqus", b"respond", b"replies")


def _in_value(body: bytes, place: int, joiners: bytes, first: int) -> bool:
    """Whether a word stands in a quoted ``id`` or ``class``: at its beginning, or behind one of these bytes.

    Args:
        body: The page.
        place: Where the word begins.
        joiners: The bytes.
        first: The attribute begins there, or later.
    """
    quote = max(body.rfind(b'"', first, place), body.rfind(b"'", first, place))
    if quote < 0 or body.find(b">", quote, place) >= 0:
        return False
    if quote + 1 != place and body[place - 1] not in joiners:
        return False
    return _BEFORE_QUOTE.search(body, max(first, quote - _BEFORE_QUOTE_BYTES), quote) is not None
