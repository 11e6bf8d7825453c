"""Which URLs are wanted: block and allow lists of domains, URL patterns, list files, and datatrove's bundled lists.

An entry of ``url_block``, ``url_allow``, ``filter.url`` or a takedown's ``--domain`` is

- a domain, URL or pattern, or any other line of which url_entries.py tells the forms;
- ``@FILE``: a file with such entries, one per line (relative to the recipe); a million of them is fine;
- ``ut1``: the domain and URL lists of the University of Toulouse that datatrove ships (4.6 million entries);
- ``ut1-words``: datatrove's banned words in a URL, hard, soft (two of them) and as parts of words.

What is allowed is never blocked.
"""

import fnmatch
import importlib.util
import os
import re
import tarfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.clean.url_entries import Entries, host_of, page_of, read_list, without_scheme
from pipeline.kernels.line_hash import hash_bytes, hash_lines
from pipeline.recipe.options import URL_LISTS

UT1_ARCHIVE = "url_filterblacklistsv0_3_0.tar.gz"
SOFT_WORDS = 2  # this many soft words block, as in datatrove
KEY = "clean.url"
_NOT_A_WORD = re.compile(r"[^a-zA-Z0-9]+")


class UrlList:
    """One list of entries, compiled.

    Args:
        entries: As in the recipe.
        files: Where the ``@FILE`` entries lie, by entry.
        key: Of the recipe, for messages.
        single: An entry itself may be a domain of one label.

    Attributes:
        notes: What of its files can never match, in words.

    Raises:
        UserError: If a file cannot be read, an entry itself can never match, or none of a file's.
    """

    def __init__(
        self, entries: Sequence[str], files: dict[str, str] | None = None, key: str = KEY, *, single: bool = False
    ) -> None:
        own = Entries()
        own.add((entry for entry in entries if not entry.startswith("@") and entry not in URL_LISTS), single=single)
        for note in own.notes(key):
            raise UserError(note)
        lists = {e: read_list((files or {}).get(e, e[1:]), key) for e in entries if e.startswith("@")}
        self.notes = [note for entry, found in lists.items() for note in found.notes(f"{key}: {_name(entry)}")]
        found = [own, *lists.values()]
        self._words = "ut1-words" in entries
        self._domains, self._pages, self._exceptions = (
            hash_lines("\n".join(value for part in found for value in getattr(part, kind)).encode())
            for kind in ("domains", "pages", "exceptions")
        )
        self._bundled = ut1_hashes() if "ut1" in entries else None
        patterns = [fnmatch.translate(pattern) for part in found for pattern in part.patterns]
        patterns += [_above(rule) for part in found for rule in part.above]
        self._pattern = re.compile("|".join(patterns)) if patterns else None
        self.only_hosts = not (patterns or len(self._pages) or self._bundled or self._words)

    def match(self, url: str) -> str | None:
        """What of the list matches a URL, in words; None where nothing does."""
        host = host_of(url)
        labels = host.split(".")
        for number in range(len(labels)):
            domain = ".".join(labels[number:])
            if len(self._exceptions) and _holds(self._exceptions, domain):
                return None
            if _holds(self._domains, domain):
                return f"domain {domain}"
            if self._bundled and (number < len(labels) - 1 or not number) and _holds(self._bundled[0], domain):
                return f"domain {domain}"
        if self.only_hosts:
            return None
        plain = without_scheme(url)
        if self._pattern is not None and self._pattern.match(plain):
            return "pattern"
        if len(self._pages) and _holds(self._pages, page_of(url)):
            return "url"
        forms = (url, plain, plain.removeprefix("www."))
        if self._bundled and any(_holds(self._bundled[1], form) for form in forms):
            return "url"
        return _banned_word(url) if self._words else None

    def among(self, urls: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
        """True for each URL that the list names; of hosts alone each distinct scheme and host is looked at once."""
        if self.only_hosts:
            places = pc.struct_field(pc.extract_regex(urls, r"^(?P<place>(?:[^/?#]*:)?//[^/?#]*)"), "place")
            urls = pc.coalesce(places, urls)  # what has no such beginning is judged whole
        found = [url for url in pc.unique(urls).to_pylist() if url and self.match(url) is not None]
        flags = pc.is_in(urls, value_set=pa.array(found, pa.string()))
        named: NDArray[np.bool_] = (
            flags.to_numpy(zero_copy_only=False) if isinstance(flags, pa.Array) else flags.to_numpy()
        )
        return named


def _name(entry: str) -> str:
    """The name of a list file, of the entry or of what a manifest calls it."""
    return entry[1:].partition("#")[0].rsplit("/", 1)[-1]


def _above(rule: str) -> str:
    """An Adblock rule over host and path as a pattern: ``*`` is anything, ``^`` a separator or the end."""
    translated = re.escape(rule).replace(r"\*", ".*").replace(r"\^", r"(?:[^\w.%-]|$)").removesuffix(r"\|")
    return rf"(?:[^/?#]*\.)?{translated}" + ("$" if rule.endswith("|") else "")


def _holds(hashes: NDArray[np.uint64], text: str) -> bool:
    key = np.uint64(hash_bytes(text.encode()))
    at = int(np.searchsorted(hashes, key))
    return at < len(hashes) and bool(hashes[at] == key)


def _assets() -> Path:
    spec = importlib.util.find_spec("datatrove")
    if spec is None or spec.origin is None:
        raise UserError("clean.url_block names ut1, which comes with datatrove: install datatrove")
    return Path(spec.origin).parent / "assets"


@cache
def ut1_hashes() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Sorted hashes of the bundled domains and URLs; computed once per machine, then memory-mapped."""
    folder = storage.cache_folder() / "lists" / UT1_ARCHIVE.removesuffix(".tar.gz")
    names = ("domains", "urls")
    if not all((folder / f"{name}.npy").exists() for name in names):
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(_assets() / UT1_ARCHIVE) as archive:
            for name in names:
                member = archive.extractfile(name)
                hashes = hash_lines(member.read() if member else b"")
                partial = folder / f".{name}.{os.getpid()}.npy"
                np.save(partial, hashes)
                os.replace(partial, folder / f"{name}.npy")
    domains, urls = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in names)
    return domains, urls


@cache
def _word_lists() -> tuple[frozenset[str], frozenset[str], re.Pattern[str]]:
    def words(name: str) -> list[str]:
        lines = (_assets() / name).read_text("utf-8").splitlines()
        return [_NOT_A_WORD.sub("", line).lower() for line in lines if line and not line.startswith("#")]

    parts = "|".join(re.escape(word) for word in words("banned_subwords.txt") if word)
    return frozenset(words("banned_words.txt")), frozenset(words("soft_banned_words.txt")), re.compile(parts)


def _banned_word(url: str) -> str | None:
    hard, soft, parts = _word_lists()
    words = set(_NOT_A_WORD.split(url))
    if found := sorted(words & hard):
        return f"word {found[0]}"
    if len(words & soft) >= SOFT_WORDS:
        return f"words {', '.join(sorted(words & soft)[:SOFT_WORDS])}"
    match = parts.search(_NOT_A_WORD.sub("", url).lower())
    return f"part of a word {match.group()}" if match else None


class UrlRules:
    """The recipe's decision on a URL.

    Args:
        block: Entries of ``url_block``.
        allow: Entries of ``url_allow``.
        only_allowed: Exclude what ``allow`` does not name.
        files: Where the ``@FILE`` entries lie.
    """

    def __init__(self, block: Sequence[str], allow: Sequence[str], only_allowed: bool, files: dict[str, str]) -> None:
        self._block = UrlList(block, files, f"{KEY}_block") if block else None
        self._allow = UrlList(allow, files, f"{KEY}_allow") if allow else None
        self._only_allowed = only_allowed

    @property
    def notes(self) -> list[str]:
        """What of the list files can never match, in words."""
        return [note for listed in (self._block, self._allow) if listed is not None for note in listed.notes]

    def refuses(self, url: str | None) -> str | None:
        """Why a record of this URL is not wanted, in words; None where it is.

        A record without a URL is wanted, unless only allowed URLs are.
        """
        if self._allow is not None and url and self._allow.match(url) is not None:
            return None
        if self._only_allowed:
            return "not on url_allow"
        return self._block.match(url) if self._block is not None and url else None
