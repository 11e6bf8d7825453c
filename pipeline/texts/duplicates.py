"""Texts in memory deduplicated: the rule of ``tokenmill dedup run`` and of the dedup stage, with the same outcome.

Texts are signed in batches; the shingle sets of those that have a candidate are then made once more, and kept until
their group is compared.  Memory: about 200 bytes and the band keys of each text, beside the texts themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.arrow import array_hashes, text_bytes
from pipeline.base.errors import UserError
from pipeline.dedup.rule.deduplicate import RULES, Facts, Outcome
from pipeline.dedup.rule.deduplicate import deduplicate as apply_rule
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.policy import FIRST, LONGEST, Criterion, by_column, by_length
from pipeline.dedup.rule.selection import Rule, Search
from pipeline.dedup.rule.signing import Signer, band_keys
from pipeline.kernels import verify as kernels
from pipeline.recipe.minhash import MINHASH, THRESHOLD, MinHash
from pipeline.recipe.options import Dedup
from pipeline.texts.given import Texts, section_given, text_column

BATCH_BYTES = 8 << 20
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Deduplicated:
    """What is kept of some texts.

    Attributes:
        kept: Rows of the texts that are kept, ascending, int64.
        removed: A row for each other text, in input order: ``row``, ``kept_row`` (of the text kept in its place),
            ``similarity`` (exact Jaccard similarity of the two), ``intersection`` and ``union`` (shingles), ``rule``
            (exact | near), ``cluster`` (first row of its cluster).
        clusters: Clusters of more than one text.
        large_buckets: Buckets of more than 1,000 texts, whose members were compared with kept texts only.
    """

    kept: pa.Array
    removed: pa.Table
    clusters: int
    large_buckets: int


def deduplicate(
    texts: Texts,
    *,
    threshold: float = THRESHOLD,
    ngram: int = MINHASH.ngram,
    bands: int = MINHASH.bands,
    rows: int = MINHASH.rows,
    seed: int = MINHASH.seed,
    keep: str | Sequence[Any] | pa.Array = FIRST,
    exact_only: bool = False,
    verify: bool = True,
) -> Deduplicated:
    """Finds the texts that are equal or near to one that is kept.

    Args:
        texts: Strings, or a column of them.
        threshold: Exact Jaccard similarity from which a pair is duplicate.
        ngram: Words in a shingle.
        bands: Bands of the signature.
        rows: Min-hash values in a band.
        seed: Of the permutations.
        keep: Which of similar texts stays: ``first``, ``longest``, or the highest of these values, one for each text.
        exact_only: Equal texts only.
        verify: Compare the shingle sets of candidates; else go by the estimated similarity.

    Raises:
        UserError: If an option is out of its range, or a text is none.
    """
    given = {"threshold": threshold, "ngram": ngram, "bands": bands, "rows": rows, "seed": seed}
    options: Dedup = section_given("dedup", None, given)
    column = text_column(texts)
    signed = _Signed(column, options.minhash, exact_only=exact_only, keep_signatures=not verify and not exact_only)
    facts = Facts(array_hashes(column), signed.num_shingles, _policy(keep, column))
    search = Search(signed, None if exact_only else lambda band: signed.keys_BN[band], options.bands)
    return _told(apply_rule(facts, Rule(options.threshold, verify=verify), search))


def _policy(keep: str | Sequence[Any] | pa.Array, texts: pa.Array) -> list[Criterion]:
    if isinstance(keep, str):
        if keep == LONGEST:
            return [by_length(pc.utf8_length(texts).to_numpy().astype(np.int64))]
        if keep == FIRST:
            return []
        raise UserError(f"keep = {keep!r}: expected {FIRST}, {LONGEST}, or a value for each text")
    values = keep if isinstance(keep, pa.Array) else pa.array(keep)
    if len(values) != len(texts):
        raise UserError(f"keep: {len(values):,} values for {len(texts):,} texts; give one for each")
    return [by_column("keep", [values])]


class _Signed:
    """Shingles, band keys and shingle sets of N texts; the source of sets for selection."""

    def __init__(self, texts: pa.Array, minhash: MinHash, *, exact_only: bool, keep_signatures: bool) -> None:
        self._texts, self._signer = texts, Signer.of(minhash)
        self.num_shingles = np.empty(len(texts), np.int32)
        self.keys_BN = np.empty((0 if exact_only else minhash.bands, len(texts)), np.uint64)
        self._signatures_NP = np.empty((len(texts) if keep_signatures else 0, minhash.permutations), np.uint32)
        self._hashes, self._starts = np.empty(0, np.uint64), np.zeros(0, np.int64)
        for start, batch in _batches(texts):
            part = slice(start, start + len(batch))
            if exact_only:
                sets = self._signer.hash(batch)
            else:
                signatures_NP, sets = self._signer.sign_and_hash(batch)
                self.keys_BN[:, part] = band_keys(signatures_NP, minhash.bands)
                if keep_signatures:
                    self._signatures_NP[part] = signatures_NP
            self.num_shingles[part] = np.diff(sets.offsets)

    def prepare(self, records: Ints) -> None:
        """See ``SetSource``: makes the sets of these texts again."""
        if len(self._signatures_NP):
            return
        wanted = np.unique(records)
        sizes = self.num_shingles[wanted].astype(np.int64)
        ends = np.append(0, np.cumsum(sizes))
        self._starts = np.full(len(self.num_shingles), -1, np.int64)
        self._starts[wanted] = ends[:-1]
        self._hashes = np.empty(int(ends[-1]), np.uint64)
        filled = 0
        for _, batch in _batches(self._texts.take(pa.array(wanted))):
            hashes = self._signer.hash(batch).hashes
            self._hashes[filled : filled + len(hashes)] = hashes
            filled += len(hashes)

    def load(self, records: Ints) -> tuple[Keys, Ints]:
        """See ``SetSource``."""
        sizes = self.num_shingles[records].astype(np.int64)
        offsets = np.append(0, np.cumsum(sizes))
        hashes, starts = np.empty(int(offsets[-1]), np.uint64), self._starts[records]
        kernels.gather(self._hashes, starts, starts + sizes, hashes, offsets[:-1])
        return hashes, offsets

    def signatures(self, records: Ints) -> NDArray[np.uint32]:
        """See ``SetSource``."""
        return self._signatures_NP[records]


def _batches(texts: pa.Array) -> Iterator[tuple[int, pa.Array]]:
    """The texts in batches of about ``BATCH_BYTES``, and the row that each begins with."""
    size = max(1, text_bytes(texts) // max(1, len(texts)))
    rows = max(1, min(BATCH_ROWS, BATCH_BYTES // size))
    for start in range(0, len(texts), rows):
        yield start, texts.slice(start, rows)


def _told(found: Outcome) -> Deduplicated:
    kept = np.ones(found.count, bool)
    kept[found.removed] = False
    counts = found.counts()
    rules = pa.DictionaryArray.from_arrays(found.rules, list(RULES)).cast(pa.string())
    removed = pa.table(
        {
            "row": found.removed,
            "kept_row": found.keepers,
            "similarity": found.similarities,
            "intersection": found.intersections,
            "union": found.unions,
            "rule": rules,
            "cluster": found.clusters[found.removed],
        }
    )
    return Deduplicated(pa.array(np.flatnonzero(kept)), removed, counts["clusters"], counts["large_buckets"])
