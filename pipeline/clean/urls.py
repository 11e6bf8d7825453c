"""Which URLs are wanted: block and allow lists of domains, URL patterns, list files, and datatrove's bundled lists.

An entry of ``url_block`` or ``url_allow`` is

- a domain, ``example.com``: it and its subdomains;
- a pattern with ``*``, matched against the URL without scheme: ``*.example.com/login*``;
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
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.kernels.line_hash import hash_bytes, hash_lines
from pipeline.recipe.options import URL_LISTS

UT1_ARCHIVE = "url_filterblacklistsv0_3_0.tar.gz"
SOFT_WORDS = 2  # this many soft words block, as in datatrove
_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")
_NOT_A_WORD = re.compile(r"[^a-zA-Z0-9]+")


class UrlList:
    """One list of entries, compiled.

    Args:
        entries: As in the recipe.
        files: Where the ``@FILE`` entries lie, by entry.

    Raises:
        UserError: If a file cannot be read.
    """

    def __init__(self, entries: Sequence[str], files: dict[str, str]) -> None:
        lines: list[str] = []
        self._words = "ut1-words" in entries
        for entry in entries:
            if entry.startswith("@"):
                lines += _file_lines(files.get(entry, entry[1:]))
            elif entry not in URL_LISTS:
                lines.append(entry)
        patterns = [line for line in lines if "*" in line or "/" in line]
        domains = "\n".join(line.lower().strip(".") for line in lines if "*" not in line and "/" not in line)
        self._domains = [hash_lines(domains.encode())]
        self._urls: NDArray[np.uint64] = np.zeros(0, np.uint64)
        if "ut1" in entries:
            listed, self._urls = ut1_hashes()
            self._domains.append(listed)
        joined = "|".join(fnmatch.translate(_SCHEME.sub("", pattern)) for pattern in patterns)
        self._pattern = re.compile(joined) if patterns else None

    def match(self, url: str) -> str | None:
        """What of the list matches a URL, in words; None where nothing does."""
        plain = _SCHEME.sub("", url)
        host = host_of(url)
        labels = host.split(".")
        for number in range(len(labels) - 1 if len(labels) > 1 else 1):
            domain = ".".join(labels[number:])
            if any(_holds(listed, domain) for listed in self._domains):
                return f"domain {domain}"
        if self._pattern is not None and self._pattern.match(plain):
            return "pattern"
        if len(self._urls) and any(_holds(self._urls, form) for form in (url, plain, plain.removeprefix("www."))):
            return "url"
        return _banned_word(url) if self._words else None


def host_of(url: str) -> str:
    """Lower-case host of a URL, without user, port or final dot.

    Example:
        >>> host_of("https://user@Sub.Example.COM.:8080/path?q"), host_of("example.org")
        ('sub.example.com', 'example.org')
    """
    rest = re.split(r"[/?#\\]", _SCHEME.sub("", url), maxsplit=1)[0].rpartition("@")[2]
    host = rest if rest.startswith("[") else rest.partition(":")[0]
    return host.rstrip(".").lower()


def _holds(hashes: NDArray[np.uint64], text: str) -> bool:
    key = np.uint64(hash_bytes(text.encode()))
    at = int(np.searchsorted(hashes, key))
    return at < len(hashes) and bool(hashes[at] == key)


def _file_lines(path: str) -> list[str]:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"clean.url_block or url_allow: {path} cannot be read: {error}") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


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
        self._block = UrlList(block, files) if block else None
        self._allow = UrlList(allow, files) if allow else None
        self._only_allowed = only_allowed

    def refuses(self, url: str | None) -> str | None:
        """Why a record of this URL is not wanted, in words; None where it is.

        A record without a URL is wanted, unless only allowed URLs are.
        """
        if self._allow is not None and url and self._allow.match(url) is not None:
            return None
        if self._only_allowed:
            return "not on url_allow"
        return self._block.match(url) if self._block is not None and url else None
