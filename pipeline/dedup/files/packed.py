"""Writing through a compression that is told by name or by that of an input."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

GZIP_LEVEL = 6
_OPENERS: dict[str | None, Callable[[Path, str], Any]] = {
    None: open,
    "zstd": zstandard.open,
    "bz2": bz2.open,
    "xz": lzma.open,
}
_SUFFIXES = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".xz": "xz"}


def compressor(target: Path, compression: str | None) -> AbstractContextManager[BinaryIO]:
    """Opens a file for writing through a compression; None for none."""
    opened: Any
    if compression == "gzip":
        opened = gzip.GzipFile(target, "wb", compresslevel=GZIP_LEVEL, mtime=0)
    else:
        opened = _OPENERS[compression](target, "wb")
    return cast(AbstractContextManager[BinaryIO], opened)


def compression_of_name(name: str) -> str | None:
    """The compression that a name's ending asks for.

    Example:
        >>> compression_of_name("a.jsonl.gz"), compression_of_name("a.jsonl")
        ('gzip', None)
    """
    return _SUFFIXES.get(Path(name).suffix.lower())
