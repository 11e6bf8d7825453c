"""What similarity means, written once: the numbers of MinHash, their defaults and their limits.

Recipes, commands, flows, indexes and signatures all take them from here.  What a word, a shingle and its hash are is
said by ``pipeline/dedup/rule/definition.py``.
"""

from dataclasses import dataclass

from pipeline.base.errors import UserError

SCHEME = "affine32"  # datasketch's name of the permutations
THRESHOLD = 0.8  # exact Jaccard similarity from which a pair is a duplicate, where nothing else is said
JOIN_SHARE = 0.7  # of the memory budget: the rest is for the process itself and what it holds of each record


@dataclass(frozen=True)
class Limits:
    """The largest values; the smallest is 1.

    Attributes:
        ngram: Words in a shingle, in recipes, commands, flows and indexes: what makes sense for documents.
        ngram_in_python: Words in a shingle for ``pipeline.dedup.signatures``, which keeps nothing: what the kernel
            takes, for experiments of one's own.
        bands: Bands of a signature.
        rows: Values in a band.
        permutations: Values of a signature, bands x rows.
        seeds: Seeds of the permutations, which count from 0.
    """

    ngram: int = 100
    ngram_in_python: int = 1000
    bands: int = 1000
    rows: int = 1000
    permutations: int = 4096
    seeds: int = 2**32


LIMITS = Limits()


@dataclass(frozen=True)
class MinHash:
    """A definition of similarity: signatures and documents of two definitions cannot be compared.

    Attributes:
        ngram: Words in a shingle.
        bands: Bands of a signature.
        rows: Values in a band.
        seed: Seed of the permutations.

    Raises:
        UserError: If one is out of its range.
    """

    ngram: int = 5
    bands: int = 14
    rows: int = 8
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.permutations <= LIMITS.permutations:
            raise UserError(
                f"bands x rows = {self.bands} x {self.rows} = {self.permutations:,} permutations; "
                f"1 to {LIMITS.permutations:,} are allowed"
            )
        if not 1 <= self.ngram <= LIMITS.ngram:
            raise UserError(f"ngram must be between 1 and {LIMITS.ngram}, got {self.ngram}")
        if not 0 <= self.seed < LIMITS.seeds:
            raise UserError(f"seed must be between 0 and 2^32 - 1, got {self.seed}")

    @property
    def permutations(self) -> int:
        """Values of a signature."""
        return self.bands * self.rows


MINHASH = MinHash()  # where nothing else is said
JOIN_SHARE = 0.7  # of the memory budget: the rest is for the process itself and what it holds of each record
