"""Globs of a recipe: which of a source's files are read, by their paths below the source's root.

A glob goes on inside an archive behind the part that names it: ``*.zip/drafts/*.txt``.  Others are of files alone.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

_ARCHIVE = re.compile(r"(?i).+\.(?:zip|tar|tgz|tar\.\w+)\Z")  # how the part of a glob ends that names archives


def pattern(glob: str) -> re.Pattern[str]:
    """The paths that a glob names: files, and all that is below a folder that it names.

    ``*`` and ``?`` stay within a name, ``**`` goes through folders; without a slash it is the name in any folder.

    Example:
        >>> [bool(pattern("*.pdf").match(path)) for path in ("a.pdf", "b/c.pdf", "a.pdfx")]
        [True, True, False]
        >>> [bool(pattern("drafts/**/*.md").match(path)) for path in ("drafts/a.md", "drafts/b/c.md", "a/drafts/b.md")]
        [True, True, False]
    """
    plain = _plain(glob)
    anywhere = "" if "/" in plain else r"(?:.*/)?"
    return re.compile(anywhere + _regex(plain) + r"(?:/.*)?\Z", re.DOTALL)


def archive_of(glob: str) -> str | None:
    """The beginning of a glob that names archives, where it goes on inside them; None for one of files alone.

    Example:
        >>> archive_of("*.zip/drafts/*.txt"), archive_of("old/a.tar.gz/x"), archive_of("*.zip"), archive_of("sub/*.txt")
        ('*.zip', 'old/a.tar.gz', None, None)
    """
    parts = _plain(glob).split("/")
    ends = [number for number, part in enumerate(parts[:-1], 1) if _ARCHIVE.match(part)]
    return "/".join(parts[: ends[0]]) if ends else None


def _plain(glob: str) -> str:
    return glob.removeprefix("./").strip("/")


def _regex(plain: str) -> str:
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\])", plain)
    return "".join(map(_piece, pieces))


def _piece(piece: str) -> str:
    wild = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    if piece in wild:
        return wild[piece]
    if piece.startswith("[") and piece.endswith("]") and len(piece) > 2:
        inner = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
        return f"[^{inner[1:]}/]" if inner.startswith("!") else f"(?!/)[{inner}]"
    return re.escape(piece)


def escaped(path: str) -> str:
    """A path as a glob that names it alone.

    Example:
        >>> escaped("minutes [old].md")
        'minutes [[]old].md'
    """
    return re.sub(r"([*?\[])", r"[\1]", path)


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


@dataclass(frozen=True)
class _Glob:
    """A glob, and the archives that it goes into."""

    text: str

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        return pattern(self.text)

    @cached_property
    def _archives(self) -> re.Pattern[str] | None:
        archive = archive_of(self.text)
        return None if archive is None else re.compile(_regex(archive) + r"\Z", re.DOTALL)

    def names(self, path: str) -> bool:
        """Whether a file is one of those that it names."""
        return self._whole.match(path) is not None

    def goes_into(self, path: str) -> bool:
        """Whether it names members of this file."""
        return self._archives is not None and self._archives.match(path) is not None

    def names_member(self, archive: str, member: str) -> bool:
        """Whether a member of an archive is one of those that it names."""
        return self.goes_into(archive) and self.names(f"{archive}/{member}")


class Selection:
    """Which paths are wanted: those that ``include`` names (empty: all), without those that ``exclude`` names."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include, self._exclude = [*map(_Glob, include)], [*map(_Glob, exclude)]

    def wants(self, path: str) -> bool:
        """Whether a path below the source's root is one of them; an archive is for the sake of its members, too."""
        if self._include and not any(glob.names(path) or glob.goes_into(path) for glob in self._include):
            return False
        return not any(glob.names(path) for glob in self._exclude)

    def naming_nothing(self, paths: Iterable[str]) -> tuple[str, ...]:
        """The globs that name none of these paths, and no archive among them."""
        left = {glob.text: glob for glob in (*self._include, *self._exclude)}
        for path in paths:
            if not left:
                break
            left = {text: glob for text, glob in left.items() if not (glob.names(path) or glob.goes_into(path))}
        return tuple(left)


class Members:
    """Which members of archives are wanted; ``counts`` has how many each glob named that goes into archives.

    Args:
        include: Of a source; empty: all.  Where none goes into an archive, files alone are chosen by it.
        exclude: Of a source.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include, self._exclude = [*map(_Glob, include)], [*map(_Glob, exclude)]
        self.counts: Counter[str] = Counter(dict.fromkeys(filter(archive_of, (*include, *exclude)), 0))

    def wants(self, archive: str, member: str) -> bool:
        """Whether a member is one of them: of an archive that is named as a file, each that is not excluded."""
        included = list(self._naming(self._include, archive, member))
        excluded = list(self._naming(self._exclude, archive, member))
        self.counts.update((*included, *excluded))
        whole = not self._include or any(glob.names(archive) for glob in self._include)
        return (whole or bool(included)) and not excluded

    @staticmethod
    def _naming(globs: Sequence[_Glob], archive: str, member: str) -> Iterator[str]:
        return (glob.text for glob in globs if glob.names_member(archive, member))


def into_archives(include: Sequence[str], exclude: Sequence[str]) -> Mapping[str, Sequence[str]] | None:
    """The globs of a source that decide which members of archives are read, as ``Members`` takes them; None: all are.

    Example:
        >>> into_archives(["*.zip"], ["*.pdf"]), into_archives([], ["*.pdf", "*.zip/*.csv"])
        (None, {'include': [], 'exclude': ['*.zip/*.csv']})
    """
    included = list(include) if any(map(archive_of, include)) else []
    excluded = list(filter(archive_of, exclude))
    return {"include": included, "exclude": excluded} if included or excluded else None
