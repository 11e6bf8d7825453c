"""Globs of a recipe: which of a source's files are read, by their paths below the source's root."""

import re
from collections.abc import Sequence


def pattern(glob: str) -> re.Pattern[str]:
    """The paths that a glob names: files, and all that is below a folder that it names.

    ``*`` and ``?`` stay within a name, ``**`` goes through folders; without a slash it is the name in any folder.

    Example:
        >>> [bool(pattern("*.pdf").match(path)) for path in ("a.pdf", "b/c.pdf", "a.pdfx")]
        [True, True, False]
        >>> [bool(pattern("drafts/**/*.md").match(path)) for path in ("drafts/a.md", "drafts/b/c.md", "a/drafts/b.md")]
        [True, True, False]
    """
    plain = glob.removeprefix("./").strip("/")
    anywhere = "" if "/" in glob.removeprefix("./").strip("/") else r"(?:.*/)?"
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\])", plain)
    return re.compile(anywhere + "".join(map(_piece, pieces)) + r"(?:/.*)?\Z", re.DOTALL)


def _piece(piece: str) -> str:
    wild = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    if piece in wild:
        return wild[piece]
    if piece.startswith("[") and piece.endswith("]") and len(piece) > 2:
        inner = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
        return f"[^{inner[1:]}/]" if inner.startswith("!") else f"(?!/)[{inner}]"
    return re.escape(piece)


def wrong(glob: str) -> str | None:
    """Why a glob names nothing, in words; None where it may name something."""
    if glob.startswith("/") or "://" in glob:
        return f"{glob!r} is absolute; it is matched against paths below the folder that `paths` share"
    if not glob.strip("./"):
        return f"{glob!r} names nothing"
    try:
        pattern(glob)
    except re.error as error:
        return f"{glob!r} is no glob: {error}"
    return None


class Selection:
    """Which paths are wanted: those that ``include`` names (empty: all), without those that ``exclude`` names."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include, self._exclude = [*map(pattern, include)], [*map(pattern, exclude)]

    def wants(self, path: str) -> bool:
        """Whether a path below the source's root is one of them."""
        if self._include and not any(found.match(path) for found in self._include):
            return False
        return not any(found.match(path) for found in self._exclude)
