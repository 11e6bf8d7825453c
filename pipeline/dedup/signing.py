"""Calls the MinHash kernels on strings or Arrow arrays.

Shape letters: N texts, P permutations.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.kernels import minhash, verify
from pipeline.kernels.words import word_tables

MAX_NGRAM = 1000
_SCRATCH_HASHES = 1 << 18  # 2 MB: texts of up to 65,536 shingles find repeats by table, longer ones by sorting
_NO_PERMUTATIONS = np.empty(0, np.uint32)


@dataclass(frozen=True)
class ShingleSets:
    """The distinct 64-bit shingle hashes of N texts: text i has ``hashes[offsets[i]:offsets[i + 1]]``, unsorted."""

    hashes: NDArray[np.uint64]
    offsets: NDArray[np.int64]


class Signer:
    """Signs texts with one shingle size and one set of permutations.

    Args:
        ngram: Words in a shingle, 1 to 1,000.
        permutations: Values in a signature, >= 1.
        seed: Seed of the permutations, 0 to 2^32 - 1.

    Raises:
        ValueError: If one is out of its range.
    """

    def __init__(self, ngram: int = 5, permutations: int = 112, seed: int = 1) -> None:
        if not 1 <= ngram <= MAX_NGRAM:
            raise ValueError(f"ngram must be between 1 and {MAX_NGRAM:,}, got {ngram}")
        if permutations < 1:
            raise ValueError(f"permutations must be at least 1, got {permutations}")
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed must be between 0 and 2^32 - 1, got {seed}")
        self.ngram, self.permutations = ngram, permutations
        self._a, self._b = minhash.permutations(permutations, seed)
        self._tables = word_tables()
        self._scratch = np.empty(_SCRATCH_HASHES, np.uint64)

    def sign(self, texts: Iterable[str | None] | Any) -> NDArray[np.uint32]:
        """Signatures, shape (N, P)."""
        data, offsets = text_buffers(texts)
        signatures_NP = np.empty((len(offsets) - 1, self.permutations), np.uint32)
        minhash.sign(data, offsets, self.ngram, self._tables, self._a, self._b, signatures_NP)
        return signatures_NP

    def sign_and_hash(self, texts: Iterable[str | None] | Any) -> tuple[NDArray[np.uint32], ShingleSets]:
        """Signatures, and the shingle sets that verification compares."""
        return self._run(texts, self._a, self._b)

    def hash(self, texts: Iterable[str | None] | Any) -> ShingleSets:
        """The shingle sets alone."""
        return self._run(texts, _NO_PERMUTATIONS, _NO_PERMUTATIONS)[1]

    def _run(
        self, texts: Iterable[str | None] | Any, a: NDArray[np.uint32], b: NDArray[np.uint32]
    ) -> tuple[NDArray[np.uint32], ShingleSets]:
        data, offsets = text_buffers(texts)
        count = len(offsets) - 1
        signatures_NP = np.empty((count, len(a)), np.uint32)
        hashes = np.empty(int(offsets[-1] - offsets[0]) // 2 + count + 2, np.uint64)
        hash_offsets = np.empty(count + 1, np.int64)
        filled = minhash.sign_and_hash(
            data, offsets, self.ngram, self._tables, a, b, signatures_NP, hashes, hash_offsets, self._scratch
        )
        return signatures_NP, ShingleSets(hashes[:filled], hash_offsets)


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


def band_keys(signatures_NP: NDArray[np.uint32], bands: int) -> NDArray[np.uint64]:
    """The 64-bit key of each band of each signature, shape (bands, N)."""
    keys_BN = np.empty((bands, len(signatures_NP)), np.uint64)
    verify.band_keys(np.ascontiguousarray(signatures_NP), signatures_NP.shape[1] // bands, keys_BN)
    return keys_BN


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


def url_hashes(urls: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """128-bit hashes of canonical URLs, shape (N, 2); zeros where there is none."""
    return name_hashes([canonical_url(url) if url else None for url in urls.to_pylist()])


def name_hashes(names: Sequence[str | None]) -> NDArray[np.uint64]:
    """128-bit hashes of names, shape (N, 2); zeros for None and for an empty one."""
    known = np.array([bool(name) for name in names], bool)
    return np.where(known[:, None], text_hashes(name or "" for name in names), np.uint64(0))


def canonical_url(url: str) -> str:
    """A URL without what does not name the page: scheme, letter case of the host, ``www.``, port, fragment, last slash.

    Example:
        >>> canonical_url("HTTP://www.Example.org:80/a/?b=1#top")
        'example.org/a?b=1'
    """
    rest = url.strip().partition("#")[0]
    rest = rest.partition("://")[2] or rest.removeprefix("//")
    host, slash, path = rest.partition("/")
    path, question, query = path.partition("?")
    host = host.lower().rpartition("@")[2].removeprefix("www.").removesuffix(":80").removesuffix(":443")
    return host + (slash + path).rstrip("/") + question + query
