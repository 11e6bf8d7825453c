"""Calls the MinHash kernels on strings or Arrow arrays.

Shape letters: N texts, P permutations.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import name_hashes, text_buffers
from pipeline.clean.url_entries import canonical_url
from pipeline.kernels import minhash, verify
from pipeline.kernels.words import word_tables
from pipeline.recipe.minhash import LIMITS, MINHASH, MinHash

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

    def __init__(
        self, ngram: int = MINHASH.ngram, permutations: int = MINHASH.permutations, seed: int = MINHASH.seed
    ) -> None:
        if not 1 <= ngram <= LIMITS.ngram_in_python:
            raise ValueError(f"ngram must be between 1 and {LIMITS.ngram_in_python:,}, got {ngram}")
        if permutations < 1:
            raise ValueError(f"permutations must be at least 1, got {permutations}")
        if not 0 <= seed < LIMITS.seeds:
            raise ValueError(f"seed must be between 0 and 2^32 - 1, got {seed}")
        self.ngram, self.permutations = ngram, permutations
        self._a, self._b = minhash.permutations(permutations, seed)
        self._tables = word_tables()
        self._scratch = np.empty(_SCRATCH_HASHES, np.uint64)

    @classmethod
    def of(cls, minhash: MinHash) -> Self:
        """The signer of a definition."""
        return cls(minhash.ngram, minhash.permutations, minhash.seed)

    def sign(self, texts: Iterable[str | None] | Any) -> NDArray[np.uint32]:
        """Signatures, shape (N, P)."""
        offsets, data = text_buffers(texts)
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
        offsets, data = text_buffers(texts)
        count = len(offsets) - 1
        signatures_NP = np.empty((count, len(a)), np.uint32)
        hashes = np.empty(int(offsets[-1]) // 2 + count + 2, np.uint64)
        hash_offsets = np.empty(count + 1, np.int64)
        filled = minhash.sign_and_hash(
            data, offsets, self.ngram, self._tables, a, b, signatures_NP, hashes, hash_offsets, self._scratch
        )
        return signatures_NP, ShingleSets(hashes[:filled], hash_offsets)


def band_keys(signatures_NP: NDArray[np.uint32], bands: int) -> NDArray[np.uint64]:
    """The 64-bit key of each band of each signature, shape (bands, N)."""
    keys_BN = np.empty((bands, len(signatures_NP)), np.uint64)
    verify.band_keys(np.ascontiguousarray(signatures_NP), signatures_NP.shape[1] // bands, keys_BN)
    return keys_BN


def url_hashes(urls: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """128-bit hashes of canonical URLs, shape (N, 2); zeros where there is none."""
    return name_hashes([canonical_url(url) if url else None for url in urls.to_pylist()])
