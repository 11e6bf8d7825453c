"""64-bit FNV-1a hashes of byte strings, one by one or of all lines of a list at once."""

import numba
import numpy as np
from numpy.typing import NDArray


def hash_bytes(data: bytes) -> int:
    """Hash of one byte string.

    Example:
        >>> hash_bytes(b"a") == int(hash_lines(b"a")[0])
        True
    """
    values = np.frombuffer(data, np.uint8)
    return int(_hash_range(values, 0, len(values)))


def hash_lines(data: bytes) -> NDArray[np.uint64]:
    """Sorted hashes of the distinct lines of a list; empty lines and lines that begin with # are left out."""
    return np.unique(_hash_lines(np.frombuffer(data, np.uint8)))


@numba.njit(cache=True, nogil=True)
def _hash_range(data, start, end):  # type: ignore[no-untyped-def]
    value = np.uint64(14695981039346656037)
    for i in range(start, end):
        value = (value ^ np.uint64(data[i])) * np.uint64(1099511628211)
    return value


@numba.njit(cache=True, nogil=True)
def _hash_lines(data):  # type: ignore[no-untyped-def]
    count = 1
    for byte in data:
        count += byte == 0x0A
    found = np.empty(count, np.uint64)
    kept, start = 0, 0
    while start < len(data):
        end = start
        while end < len(data) and data[end] != 0x0A:
            end += 1
        last = end
        while last > start and (data[last - 1] == 0x0D or data[last - 1] == 0x20):
            last -= 1
        if last > start and data[start] != 0x23:
            found[kept] = _hash_range(data, start, last)
            kept += 1
        start = end + 1
    return found[:kept]
