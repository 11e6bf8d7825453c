"""Strings and document ids between Arrow, NumPy and digests, without copies where there need be none; Parquet files."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.digests import digest

if TYPE_CHECKING:
    import pyarrow.parquet as pq


class _View:
    """An Arrow buffer as NumPy's array interface asks for it; the arrays over it keep it alive.

    The arrays are writable in name, though the buffer may be a read-only file: kernels are compiled for one kind of
    array, and that of the arrays they make themselves is writable.  Nobody writes into them.
    """

    def __init__(self, buffer: pa.Buffer, kind: "np.dtype[Any]") -> None:
        self.buffer = buffer
        shape = (buffer.size // kind.itemsize,)
        self.__array_interface__ = {"shape": shape, "typestr": kind.str, "data": (buffer.address, False), "version": 3}


def text_buffers(texts: Iterable[str | None] | Any) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Offsets (N + 1, the first one 0) and UTF-8 bytes of texts; of an Arrow array its own bytes, without a copy.

    Raises:
        ValueError: If an Arrow array holds no strings.
    """
    array = _arrow_array(texts)
    if array is None:  # lone surrogates: no UTF-8, but they are separators like any other
        encoded = [(text or "").encode("utf-8", "surrogatepass") for text in texts]
        ends = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=ends[1:])
        return ends, np.frombuffer(bytearray().join(encoded), np.uint8)
    if array.null_count:
        array = array.fill_null("")
    _, offset_buffer, data_buffer = array.buffers()
    if not len(array) or not data_buffer:
        return np.zeros(len(array) + 1, np.int64), np.empty(0, np.uint8)
    kind = np.dtype(np.int64 if pa.types.is_large_string(array.type) else np.int32)
    offsets = np.asarray(_View(offset_buffer, kind))[array.offset : array.offset + len(array) + 1]
    offsets, first = offsets.astype(np.int64, copy=False), int(offsets[0])
    data = np.asarray(_View(data_buffer, np.dtype(np.uint8)))[first : int(offsets[-1])]
    return (offsets - first if first else offsets), data


def text_bytes(texts: pa.Array) -> int:
    """UTF-8 bytes of all texts together."""
    return int(text_buffers(texts)[0][-1])


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
    return np.frombuffer(b"".join(map(digest, encoded)), "<u8").reshape(-1, 2)


def array_hashes(texts: pa.Array) -> NDArray[np.uint64]:
    """``text_hashes`` of an Arrow array of strings, read in place."""
    offsets, data = text_buffers(texts)
    view = data.data
    digests = [digest(view[start:end]) for start, end in pairwise(offsets.tolist())]
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


def doc_id_column(rows: NDArray[Any]) -> pa.FixedSizeBinaryArray:
    """The inverse: rows of 16 bytes each, uint8 (N, 16) or uint64 (N, 2), as a binary(16) column."""
    buffer = pa.py_buffer(np.ascontiguousarray(rows))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(rows), [None, buffer])


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The values of a column as one array; not copied where they are one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def hex_column(ids: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """A doc_id column as strings of 32 hex digits; null stays null."""
    rows = len(ids)
    digits = pa.py_buffer(doc_id_array(ids).tobytes().hex().encode())
    offsets = pa.py_buffer(np.arange(0, 32 * rows + 1, 32, dtype=np.int32))
    found = pa.StringArray.from_buffers(rows, offsets, digits)
    if not ids.null_count:
        return found
    import pyarrow.compute as pc  # takes its time to load

    return pc.if_else(ids.is_valid(), found, pa.scalar(None, pa.string()))


@contextlib.contextmanager
def parquet_writer(path: Path, schema: pa.Schema, **options: Any) -> "Iterator[pq.ParquetWriter]":
    """Writes a file; where an error ends it, that error comes out, and the file stays without its footer.

    pyarrow's own context writes the footer even then, and what the closed file says of it hides the error: a full disk
    became "Operation on closed file".

    Args:
        path: The file.
        schema: Its columns.
        options: As of ``pyarrow.parquet.ParquetWriter``.
    """
    import pyarrow.parquet as pq

    with pa.OSFile(str(path), "wb") as sink:
        writer = pq.ParquetWriter(sink, schema, **options)
        try:
            yield writer
        except BaseException:
            writer.is_open = False  # so that it is not closed when it is collected, either
            raise
        writer.close()
