"""Strings and document ids between Arrow, NumPy and digests, without copies where there need be none."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def text_buffers(texts: Iterable[str | None] | Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """UTF-8 bytes and offsets (N + 1) of texts; of an Arrow array the buffers themselves, without a copy.

    Raises:
        ValueError: If an Arrow array holds no strings.
    """
    array = _arrow_array(texts)
    if array is None:  # lone surrogates: no UTF-8, but they are separators like any other
        encoded = [(text or "").encode("utf-8", "surrogatepass") for text in texts]
        ends = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=ends[1:])
        return np.frombuffer(b"".join(encoded) or b" ", np.uint8), ends
    if array.null_count:
        array = array.fill_null("")
    _, offset_buffer, data_buffer = array.buffers()
    kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
    if offset_buffer is None or len(array) == 0:
        return np.zeros(1, np.uint8), np.zeros(len(array) + 1, np.int64)
    offsets = np.frombuffer(offset_buffer, kind)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer else np.zeros(1, np.uint8)
    return data, np.ascontiguousarray(offsets, np.int64)


def _arrow_array(texts: Any) -> pa.Array | None:
    """``texts`` as one string array; None where a string has lone surrogates."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.chunk(0) if texts.num_chunks == 1 else pa.concat_arrays(texts.cast(pa.large_string()).chunks)
    if isinstance(texts, pa.Array):
        if pa.types.is_null(texts.type):
            return texts.cast(pa.large_string())
        if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
            raise ValueError(f"texts must be strings, got an Arrow array of {texts.type}")
        return texts
    if isinstance(texts, str):
        raise ValueError("texts must be several strings, got one; put it into a list")
    try:
        return pa.array(texts if isinstance(texts, list) else list(texts), pa.large_string())
    except UnicodeEncodeError:
        return None


def text_hashes(texts: Iterable[str | bytes]) -> NDArray[np.uint64]:
    """BLAKE2b-128 of each text's UTF-8 bytes as two numbers, shape (N, 2)."""
    encoded = (text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text for text in texts)
    digests = b"".join([hashlib.blake2b(text, digest_size=16).digest() for text in encoded])
    return np.frombuffer(digests, "<u8").reshape(-1, 2)


def array_hashes(texts: pa.Array) -> NDArray[np.uint64]:
    """``text_hashes`` of an Arrow array of strings, read in place."""
    data, offsets = text_buffers(texts)
    view, ends = data.data, offsets.tolist()
    digests = [hashlib.blake2b(view[ends[i] : ends[i + 1]], digest_size=16).digest() for i in range(len(ends) - 1)]
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)


def name_hashes(names: Sequence[str | None]) -> NDArray[np.uint64]:
    """128-bit hashes of names, shape (N, 2); zeros for None and for an empty one."""
    known = np.array([bool(name) for name in names], bool)
    return np.where(known[:, None], text_hashes(name or "" for name in names), np.uint64(0))


DocIds = NDArray[np.uint8]  # (N, 16)


def doc_id_array(column: pa.FixedSizeBinaryArray) -> DocIds:
    """A doc_id column as uint8 (N, 16), without a copy."""
    start, rows = column.offset * 16, len(column)
    return np.frombuffer(column.buffers()[1], np.uint8, rows * 16, start).reshape(rows, 16)
