"""Files of a dedup index: arrays in sections, mapped, every block compared with its checksum before it is used.

A file is never changed once it is written.  Layout: 16 bytes (``TMILLIDX``, format), the sections, each aligned to 64
bytes, a JSON table of the sections, the CRC-32 of every block of 16 KiB of all that, and 24 bytes that say where table
and checksums begin.  The index's own record (``index.json``) holds the size of a file and the digest of its checksums.

Checking a block when it is first touched keeps the cost of a batch that of the batch, however large the index is.
"""

import json
import mmap
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.errors import FormatError, parse_json
from pipeline.base.storage import fsync_path
from pipeline.dedup.rule.join import Ints
from pipeline.run.manifest import digest_bytes

MAGIC, FORMAT = b"TMILLIDX", 1
BLOCK = 16 << 10
ALIGNMENT = 64
_HEAD, _TAIL = struct.Struct("<8sQ"), struct.Struct("<QQ8s")


@dataclass(frozen=True)
class FileEntry:
    """What ``index.json`` knows of a file: name below the index, bytes, digest of its checksums."""

    name: str
    bytes: int
    checks: str


class IndexDamageError(FormatError):
    """A file of an index is not what was written: missing, cut short, or with changed bytes."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"{path}: damaged, {problem}; `tokenmill dedup index verify` looks at every file of the index; bring the "
            "file back from a copy, or build the index again"
        )


def write_file(root: Path, name: str, sections: Mapping[str, NDArray[Any]]) -> FileEntry:
    """Writes the file ``root/name`` and flushes it to the disk.  Arrays are written little-endian, in C order."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    table: dict[str, list[int]] = {}
    with open(path, "wb") as file:
        file.write(_HEAD.pack(MAGIC, FORMAT))
        for section, array in sections.items():
            file.write(bytes(-file.tell() % ALIGNMENT))
            table[section] = [file.tell(), array.nbytes]
            file.write(np.ascontiguousarray(array).view(np.uint8).data if array.nbytes else b"")
        table_start = file.tell()
        file.write(json.dumps(table).encode())
    with open(path, "rb") as written, mmap.mmap(written.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        checks = _checksums(mapped).tobytes()
    with open(path, "ab") as file:
        checks_start = file.tell()
        file.write(checks + _TAIL.pack(table_start, checks_start, MAGIC))
    fsync_path(path)
    return FileEntry(name, path.stat().st_size, digest_bytes(checks))


def _checksums(data: mmap.mmap) -> NDArray[np.uint32]:
    with memoryview(data) as view:
        found = [zlib.crc32(view[start : start + BLOCK]) for start in range(0, len(view), BLOCK)]
    return np.array(found, "<u4")


class BlockFile:
    """One file, mapped.

    Raises:
        IndexDamageError: If it is missing, of another size, or its head, tail or checksums are not as written.
        FormatError: If it is of a format that this version does not read.
    """

    def __init__(self, root: Path, entry: FileEntry) -> None:
        self.path = root / entry.name
        try:
            with open(self.path, "rb") as file:
                size = file.seek(0, 2)
                if size != entry.bytes:
                    raise IndexDamageError(self.path, f"it has {size:,} bytes and was written with {entry.bytes:,}")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise IndexDamageError(self.path, "it is missing") from error
        self._open(entry)

    def _open(self, entry: FileEntry) -> None:
        magic, version = _HEAD.unpack_from(self._map, 0)
        table_start, checks_start, end_magic = _TAIL.unpack_from(self._map, len(self._map) - _TAIL.size)
        if magic != MAGIC or end_magic != MAGIC or not _HEAD.size <= table_start <= checks_start <= len(self._map):
            raise IndexDamageError(self.path, "its first or last bytes are not those of an index file")
        if version != FORMAT:
            raise FormatError(f"{self.path}: format {version}; this tokenmill reads format {FORMAT}")
        checks = self._map[checks_start : len(self._map) - _TAIL.size]
        if digest_bytes(checks) != entry.checks:
            raise IndexDamageError(self.path, "its checksums are not those that index.json names")
        self._checks = np.frombuffer(checks, "<u4")
        self._good = np.zeros(len(self._checks), bool)
        self._end = checks_start
        self._check_bytes(np.array([0, table_start]), np.array([_HEAD.size, checks_start]))
        self._table: dict[str, list[int]] = parse_json(self._map[table_start:checks_start])

    def array(self, section: str, kind: Any) -> NDArray[Any]:
        """The section as a mapped array; ``check`` the parts that are used."""
        start, size = self._table[section]
        item = np.dtype(kind).itemsize
        return np.frombuffer(self._map, kind, size // item, start) if size else np.zeros(0, kind)

    def check(self, section: str, first: Ints, end: Ints, item_bytes: int) -> None:
        """Compares the blocks of items ``first[i]`` to ``end[i]`` (not included) of a section with their checksums.

        Raises:
            IndexDamageError: If one is not as written.
        """
        start = self._table[section][0]
        some = end > first
        self._check_bytes(start + first[some] * item_bytes, start + end[some] * item_bytes)

    def check_all(self) -> None:
        """Compares every block with its checksum."""
        self._check_bytes(np.array([0]), np.array([self._end]))

    def _check_bytes(self, first: Ints, end: Ints) -> None:
        if not len(first):
            return
        opened = np.bincount(first // BLOCK, minlength=len(self._good) + 1)
        closed = np.bincount((end - 1) // BLOCK + 1, minlength=len(self._good) + 1)
        wanted = np.cumsum(opened - closed)[: len(self._good)] > 0
        with memoryview(self._map) as view:
            for block in np.flatnonzero(wanted & ~self._good).tolist():
                piece = view[block * BLOCK : min((block + 1) * BLOCK, self._end)]
                if zlib.crc32(piece) != self._checks[block]:
                    raise IndexDamageError(
                        self.path, f"bytes {block * BLOCK:,} to {block * BLOCK + len(piece):,} changed"
                    )
                self._good[block] = True

    def release(self) -> None:
        """Gives the mapped pages back; they are read again when needed."""
        self._map.madvise(mmap.MADV_DONTNEED)
