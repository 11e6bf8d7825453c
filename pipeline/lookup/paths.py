"""Paths as people write them, and the paths of a run's records: below their source's root, or inside an archive.

A file's name, the end of its path, a folder, an archive, a glob, or the whole path on the machine that it was read on.
"""

import re
import unicodedata
from collections.abc import Callable

from pipeline.recipe.globs import pattern

EQUAL, END, WITHIN, LONGER, GLOB = range(5)
WORDS = {
    EQUAL: "the path",
    END: "the end of a path",
    WITHIN: "a folder or archive",
    LONGER: "a longer path",
    GLOB: "a glob of paths",
}
OTHER_CASE = 5  # added to the kind where only upper and lower case differ
_OFFSET = re.compile(r"(.+?)(?::| at )([\d,]{1,25})")


def plain(asked: str) -> str:
    """A path without what says nothing: ``./`` before it, slashes at its ends and twice; in Unicode's form NFC."""
    parts = [part for part in unicodedata.normalize("NFC", asked).split("/") if part not in ("", ".")]
    return "/".join(parts)


def in_words(kind: int, asked: str) -> str:
    """What a path was taken for."""
    word = "a file's name" if kind % OTHER_CASE == END and "/" not in plain(asked) else WORDS[kind % OTHER_CASE]
    return f"{word} (upper and lower case aside)" if kind >= OTHER_CASE else word


def split_offset(asked: str) -> tuple[str, int] | None:
    """``web.jsonl:1234``, or ``web.jsonl at 1,234`` as lists show it, as path and offset; None where it is neither."""
    found = _OFFSET.fullmatch(asked)
    digits = found[2].replace(",", "") if found else ""
    return (found[1], int(digits)) if found and digits and int(digits) < 2**63 else None


def last_name(asked: str) -> str:
    """What every path that may be meant has in it, in any case; empty of a glob."""
    return "" if is_glob(asked) else plain(asked).rpartition("/")[2]


def is_glob(asked: str) -> bool:
    """Whether it may be one."""
    return any(mark in asked for mark in "*?[")


def matcher(asked: str) -> Callable[[str], int | None]:
    """Says of a record's path how it is meant by what was asked for: one of the kinds above, the best one lowest."""
    wanted = plain(asked)
    lower = wanted.casefold()
    glob = pattern(asked) if is_glob(asked) else None

    def kind_of(path: str) -> int | None:
        path = unicodedata.normalize("NFC", path)
        kind = _kind(wanted, path)
        if kind in (None, LONGER) and glob is not None:
            return GLOB if glob.match(path) else None
        if kind is None and (kind := _kind(lower, path.casefold())) is not None:
            return kind + OTHER_CASE
        return kind

    return kind_of


def _kind(wanted: str, path: str) -> int | None:
    if not wanted:
        return None
    if wanted == path:
        return EQUAL
    if path.endswith(f"/{wanted}"):
        return END
    if f"/{wanted}/" in f"/{path}/":
        return WITHIN
    return LONGER if f"/{wanted}".endswith(f"/{path}") else None
