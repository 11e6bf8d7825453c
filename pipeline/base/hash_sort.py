"""Sorts records by a hash in bounded memory: dealt to files by the first bits of the hash, each then sorted alone."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.closable import Closable

BITS = 6
BUCKETS = 1 << BITS  # files that are open at once


class HashSort(Closable):
    """Takes records in any order, and gives them sorted by all their fields.

    It holds a 64th of the records, as far as the hash spreads them.

    Args:
        folder: Where the files lie; they have no names, so that a killed process leaves none.
        dtype: Of a record: its fields in the order of their weight, the first one an unsigned hash of 64 bits, in
            the machine's byte order.
    """

    def __init__(self, folder: Path, dtype: "np.dtype[np.void]") -> None:
        self._dtype, self._stack = dtype, ExitStack()
        files = (tempfile.TemporaryFile(dir=folder) for _ in range(BUCKETS))  # noqa: SIM115  closed by the stack
        self._files = [self._stack.enter_context(file) for file in files]

    def add(self, records: NDArray[np.void]) -> None:
        """Takes more records, a structured array of ``dtype``."""
        assert self._dtype.names is not None, "a record has fields"
        buckets = (records[self._dtype.names[0]] >> np.uint64(64 - BITS)).astype(np.int64)
        dealt = records[np.argsort(buckets, kind="stable")]
        ends = np.cumsum(np.bincount(buckets, minlength=BUCKETS)).tolist()
        for file, start, end in zip(self._files, [0, *ends], ends, strict=False):
            if end > start:
                file.write(dealt[start:end].tobytes())

    def sorted(self, rows: int) -> Iterator[NDArray[np.void]]:
        """All records in order, ``rows`` at a time."""
        assert self._dtype.names is not None, "a record has fields"
        left: NDArray[Any] = np.empty(0, self._dtype)
        for file in self._files:
            file.seek(0)
            records = np.frombuffer(file.read(), self._dtype)
            order = np.lexsort([records[name] for name in reversed(self._dtype.names)])
            left = np.concatenate((left, records[order]))
            whole = len(left) // rows * rows
            for start in range(0, whole, rows):
                yield left[start : start + rows]
            left = left[whole:]
        if len(left):
            yield left

    def close(self) -> None:
        """Closes the files, and so removes them."""
        self._stack.close()
