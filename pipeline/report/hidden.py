"""What a page that goes to others does not show: places of the machine that made it, and bytes of binaries."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

PATTERNS = ("url_block", "url_allow")  # keys of a source whose values begin with a slash and are no places
_NAME = r"""[^\s'"`,;=\[\]{}()<>]*"""
_PLACE = re.compile(
    rf"file://(?P<file>/{_NAME})"
    r"""|[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'"<>]*"""  # any other address stays
    rf"|(?<![\w.:/~*…-])(?P<path>[~/]{_NAME})"
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # not tab, line ends, form feed, escape
MOST_CONTROLS, MOST_LOST = 0.02, 0.3  # of the characters of a text


class Places:
    """Shortens absolute paths: to what lies below a known folder, else to the last name.

    Example:
        >>> places = Places(["/home/ann/corpus"])
        >>> places.in_text("tokenmill run a.toml --root=/home/ann/corpus/runs/a --set x=/data/b.gz https://a.org/x")
        'tokenmill run a.toml --root=runs/a --set x=…/b.gz https://a.org/x'
    """

    def __init__(self, folders: Iterable[str]) -> None:
        found = {folder.rstrip("/") + "/" for folder in folders if folder.startswith("/")}
        self._folders = sorted(found - {"/"}, key=len, reverse=True)

    def path(self, path: str) -> str:
        """One place, such as a value of a recipe; URLs and relative paths stay."""
        path = path.removeprefix("file://")
        if not path.startswith(("/", "~")):
            return path
        for folder in self._folders:
            if path.startswith(folder) or f"{path}/" == folder:
                return path[len(folder) :] or "."
        return f"…/{path.rstrip('/').rpartition('/')[2]}"

    def in_text(self, text: str) -> str:
        """A text with every place in it shortened."""
        return _PLACE.sub(self._shortened, text)

    def _shortened(self, found: re.Match[str]) -> str:
        place = found["file"] or found["path"] or ""
        return self.path(place) if len(place) > 1 else found[0]

    def in_values(self, values: Any, key: str = "") -> Any:
        """Values of a recipe with every place in them shortened."""
        if isinstance(values, Mapping):
            return {name: self.in_values(value, str(name)) for name, value in values.items()}
        if isinstance(values, list):
            return [self.in_values(value, key) for value in values]
        return self.path(values) if isinstance(values, str) and key not in PATTERNS else values


def is_legible(text: str) -> bool:
    r"""Whether a text is one that a person can read: few control characters, most bytes in some encoding.

    Example:
        >>> is_legible("caf\ufffd au lait"), is_legible("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
        (True, False)
    """
    if "\x00" in text or not text:
        return not text
    lost = text.count("\N{REPLACEMENT CHARACTER}") / len(text)
    return len(_CONTROL.findall(text)) / len(text) <= MOST_CONTROLS and lost <= MOST_LOST
