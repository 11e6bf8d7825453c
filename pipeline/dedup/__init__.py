"""Exact and near-duplicate removal.

The rooms, from the top down:

- ``command``  ``tokenmill dedup run``: the user's own files in, the kept records and the evidence out
- ``stage``    the dedup stage of a run: signatures, clusters, verdicts
- ``index``    the index on disk of earlier documents, which grows and forgets
- ``files``    the user's own files: which there are, and their records
- ``rule``     what all of them share: what similarity is, who is compared with whom, and who stays

Their numbers (words in a shingle, bands, threshold) are in ``pipeline/recipe/minhash.py``.

``shingles`` and ``shingle_hash`` are the definition, in plain Python; ``signatures`` is the kernel.  The kernels load
when they are first called, not on import.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipeline.dedup.rule.definition import shingle_hash, shingles
from pipeline.recipe.minhash import MINHASH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["shingle_hash", "shingles", "signatures"]


def signatures(
    texts: Iterable[str | None] | Any,
    ngram: int = MINHASH.ngram,
    permutations: int = MINHASH.permutations,
    seed: int = MINHASH.seed,
) -> "NDArray[np.uint32]":
    """MinHash signatures of many texts, bit-identical to datasketch's ``affine32`` scheme.

    Row i equals ``datasketch.MinHash(num_perm=permutations, seed=seed, hashfunc=shingle_hash)`` updated with the UTF-8
    bytes of ``shingles(texts[i], ngram)``.

    Args:
        texts: Strings, or an Arrow string array, which is read in place; null counts as empty.
        ngram: Words in a shingle, 1 to 1,000.
        permutations: Values in a signature, >= 1.
        seed: Seed of the permutations, 0 to 2^32 - 1.

    Returns:
        Shape (N, permutations), uint32; a text without words has 2^32 - 1 throughout.

    Raises:
        ValueError: If an option is out of its range.

    Example:
        >>> signatures(["one fine day in May", "One fine day, in May!"], permutations=2).shape
        (2, 2)
    """
    from pipeline.dedup.rule.signing import Signer

    return Signer(ngram, permutations, seed).sign(texts)
