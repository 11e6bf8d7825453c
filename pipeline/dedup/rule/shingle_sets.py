"""Shingle sets on disk: written record by record, read for the groups that are verified.

A file is the records' 64-bit hashes one after another.  Reading maps the file and lets its pages go at once, so that
the memory in use is that of the group in work.
"""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.base.closable import Closable
from pipeline.dedup.rule.join import Ints
from pipeline.dedup.rule.signing import ShingleSets
from pipeline.kernels import verify


class SetSource(Protocol):
    """Where the shingle sets (or, unverified, the signatures) of records come from."""

    def prepare(self, records: Ints) -> None:
        """Called once, before any ``load``, with every record that will be asked for."""

    def load(self, records: Ints) -> tuple[NDArray[np.uint64], Ints]:
        """Shingle hashes of these records, concatenated, and offsets (len + 1); in any order, repeats allowed."""

    def signatures(self, records: Ints) -> NDArray[np.uint32]:
        """Signatures of these records, shape (len, P)."""


class HashFile:
    """A file of 64-bit hashes, mapped."""

    def __init__(self, path: Path) -> None:
        self._map: mmap.mmap | None = None
        self.hashes = np.zeros(0, np.uint64)
        if path.stat().st_size:
            with open(path, "rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._map.madvise(mmap.MADV_RANDOM)
            self.hashes = np.frombuffer(self._map, np.uint64)

    def release(self) -> None:
        """Gives the pages back; they are read again when needed."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)


class SpilledSets:
    """Sets of N records in files.

    Args:
        files: The hash files.
        bases: Number of the first record of each file, and N, shape (files + 1,).
        starts: Where each record's set starts in its file, shape (N,).
        sizes: Hashes of each set, shape (N,).
        signatures: Signatures of each file's records, where pairs are not verified.
    """

    def __init__(
        self,
        files: list[Path],
        bases: Ints,
        starts: Ints,
        sizes: NDArray[np.int32],
        signatures: list[NDArray[np.uint32]] | None = None,
    ) -> None:
        self._files, self._bases, self._starts, self._sizes = [HashFile(path) for path in files], bases, starts, sizes
        self._signatures = signatures

    def prepare(self, records: Ints) -> None:
        """Nothing to do: every set is there."""

    def load(self, records: Ints) -> tuple[NDArray[np.uint64], Ints]:
        """See ``SetSource``."""
        offsets = np.append(0, np.cumsum(self._sizes[records], dtype=np.int64))
        hashes = np.empty(int(offsets[-1]), np.uint64)
        for file, chosen in self._by_file(records):
            starts = self._starts[records[chosen]]
            assert (starts >= 0).all(), "every record is prepared before it is asked for"
            ends = starts + self._sizes[records[chosen]]
            verify.gather(self._files[file].hashes, starts, ends, hashes, offsets[chosen])
            self._files[file].release()
        return hashes, offsets

    def signatures(self, records: Ints) -> NDArray[np.uint32]:
        """See ``SetSource``."""
        if self._signatures is None:
            raise ValueError("these records were signed for verification: their signatures were not kept")
        found = np.empty((len(records), self._signatures[0].shape[1]), np.uint32)
        for file, chosen in self._by_file(records):
            found[chosen] = self._signatures[file][records[chosen] - self._bases[file]]
        return found

    def _by_file(self, records: Ints) -> list[tuple[int, Ints]]:
        files = np.searchsorted(self._bases, records, side="right") - 1
        return [(int(file), np.flatnonzero(files == file)) for file in np.unique(files)]


class SetsOnDemand:
    """Sets that are written when it is known which of them are wanted.

    Args:
        write: Writes the sets of the records that it is given, and opens them.
    """

    def __init__(self, write: Callable[[Ints], SpilledSets]) -> None:
        self._write = write
        self._written: SpilledSets | None = None

    def prepare(self, records: Ints) -> None:
        """See ``SetSource``."""
        self._written = self._write(records)

    def load(self, records: Ints) -> tuple[NDArray[np.uint64], Ints]:
        """See ``SetSource``."""
        return self._sets().load(records)

    def signatures(self, records: Ints) -> NDArray[np.uint32]:
        """See ``SetSource``."""
        return self._sets().signatures(records)

    def _sets(self) -> SpilledSets:
        assert self._written is not None, "prepare is called first"
        return self._written


class SetWriter(Closable):
    """Appends shingle sets to a hash file."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115  closed by close()
        self.written = 0

    def write(self, sets: ShingleSets) -> None:
        """Appends the sets of a batch."""
        self._file.write(np.ascontiguousarray(sets.hashes).data)
        self.written += len(sets.hashes)

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()
