"""A batch deduplicated against earlier documents: these come first, and are kept whatever they are like.

The rule is that of ``select_duplicates``: as if the earlier documents stood before the batch, with ``keep = first``
between the two, and the batch's own policy within.  Only earlier documents that share a text or a band key with the
batch are loaded, so the cost is that of the batch.

Where the earlier documents are kept is none of the rule's business: ``EarlierIndex`` says what must be answered, and
``pipeline/dedup/index`` answers it.

Shape letters: N records of the batch, M earlier documents, B bands.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.base.digests import digest
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.selection import Records, Rule, Search, Selection, select_duplicates
from pipeline.dedup.rule.shingle_sets import SetSource
from pipeline.kernels import verify


@dataclass(frozen=True)
class EarlierDocument:
    """How evidence names an earlier document.

    Attributes:
        id: Its id in its corpus, in UTF-8; the doc_id in hex where the corpus is a run.
        corpus: Name of the corpus.
        root: The run folder, where the corpus is a run.
    """

    id: bytes
    corpus: str
    root: str | None = None

    @property
    def doc_id(self) -> bytes:
        """Its doc_id where the corpus is a run, else BLAKE2b-128 of its id: 16 bytes."""
        if self.root is not None:
            return bytes.fromhex(self.id.decode())
        return digest(self.id)


class EarlierDocuments(Protocol):
    """The M documents of an index that share a text or a band key with a batch, oldest first."""

    @property
    def text_hash(self) -> Keys:
        """128-bit hashes of their texts, shape (M, 2)."""

    @property
    def num_shingles(self) -> NDArray[np.int32]:
        """Their distinct shingles, shape (M,)."""

    @property
    def band_keys(self) -> Keys:
        """Their band keys, shape (B, M); where no text of the batch has the key, a number that no text has."""

    def __len__(self) -> int:
        """M."""

    def sets(self, chosen: Ints) -> tuple[Keys, Ints]:
        """Shingle sets of some of them, concatenated, and offsets (len + 1)."""

    def names(self, chosen: Ints) -> list[EarlierDocument]:
        """Some of them as evidence names them."""


class EarlierIndex(Protocol):
    """An index of earlier documents, of the definition of similarity that the batch has."""

    def find(
        self,
        text_hash: Keys,
        has_words: NDArray[np.bool_],
        keys: Callable[[int], Keys] | None,
        number: int,
        exclude_root: str | None,
    ) -> EarlierDocuments:
        """Documents with a text, or a band key, of the batch.

        Args:
            text_hash: 128-bit hashes of the batch's texts, shape (N, 2).
            has_words: Texts with shingles, shape (N,).
            keys: The band keys of all texts in a band, shape (N,); None: equal texts only.
            number: Of this index among those that a batch is compared with: each has its own keys that no text has.
            exclude_root: Leaves out documents that were entered from this run folder.
        """


@dataclass(frozen=True)
class SelectionAgainst:
    """A selection of the batch's records; a keeper of N or more is an earlier document.

    Attributes:
        selection: Of the N records of the batch alone.
        earlier: The candidates of each index; they are numbered N, N + 1, ... over all indexes.
        count: N.
    """

    selection: Selection
    earlier: list[EarlierDocuments]
    count: int

    @property
    def is_earlier(self) -> NDArray[np.bool_]:
        """Whether the keeper of each removed record is an earlier document, shape (R,)."""
        return self.selection.keepers >= self.count

    def load(self, records: Ints, count: int, batch: SetSource) -> tuple[Keys, Ints]:
        """Shingle sets of records; numbers of ``count`` or more are earlier documents.

        Args:
            records: Numbers.
            count: Records that ``batch`` numbers.
            batch: The others' sets.
        """
        return _CombinedSets(batch, self.earlier, count).load(records)

    def names(self, keepers: Ints) -> list[EarlierDocument]:
        """Earlier documents by their numbers (N or more)."""
        found: list[EarlierDocument | None] = [None] * len(keepers)
        start = self.count
        for part in self.earlier:
            places = np.flatnonzero((keepers >= start) & (keepers < start + len(part)))
            for place, document in zip(places.tolist(), part.names(keepers[places] - start), strict=True):
                found[place] = document
            start += len(part)
        return [document for document in found if document is not None]


def select_against(
    indexes: Sequence[EarlierIndex], records: Records, rule: Rule, search: Search, exclude_root: str | None = None
) -> SelectionAgainst:
    """``select_duplicates`` of a batch against indexes.

    Args:
        indexes: Indexes of one definition, that of ``search``; the first ones' documents are the older ones.
        records: The batch.
        rule: The rule; ``forced`` is set here.
        search: How candidates are found in the batch and compared.
        exclude_root: Leaves out documents that were entered from this run folder.
    """
    count, keys = len(records.text_hash), search.keys
    has_words = records.num_shingles > 0
    earlier = [
        index.find(records.text_hash, has_words, keys, number, exclude_root) for number, index in enumerate(indexes)
    ]
    found = sum(map(len, earlier))
    if not found:
        return SelectionAgainst(select_duplicates(records, rule, search), earlier, count)
    keys_BM = np.concatenate([part.band_keys for part in earlier], axis=1)
    combined = Records(
        np.concatenate([records.text_hash, *(part.text_hash for part in earlier)]),
        np.concatenate([records.num_shingles, *(part.num_shingles for part in earlier)]),
        np.concatenate([count + np.arange(found), records.order]),
    )
    together = replace(
        search,
        sets=_CombinedSets(search.sets, earlier, count),
        keys=None if keys is None else lambda band: np.concatenate([keys(band), keys_BM[band]]),
    )
    selection = select_duplicates(combined, replace(rule, forced=found), together)
    return SelectionAgainst(_of_the_batch(selection, count), earlier, count)


def _of_the_batch(selection: Selection, count: int) -> Selection:
    """The batch's records alone: an earlier text that stands in two indexes is not removed from one."""
    mine = selection.removed < count
    return replace(
        selection,
        removed=selection.removed[mine],
        keepers=selection.keepers[mine],
        intersections=selection.intersections[mine],
        unions=selection.unions[mine],
        exact=selection.exact[mine],
        clusters=selection.clusters[:count],
    )


class _CombinedSets:
    """Shingle sets of the batch, and behind them those of the earlier documents."""

    def __init__(self, batch: SetSource, earlier: list[EarlierDocuments], count: int) -> None:
        self._batch, self._earlier, self._count = batch, earlier, count

    def prepare(self, records: Ints) -> None:
        """See ``SetSource``."""
        self._batch.prepare(records[records < self._count])

    def load(self, records: Ints) -> tuple[Keys, Ints]:
        """See ``SetSource``."""
        parts: list[tuple[Ints, Keys, Ints]] = []
        places = np.flatnonzero(records < self._count)
        if len(places):
            parts.append((places, *self._batch.load(records[places])))
        start = self._count
        for part in self._earlier:
            places = np.flatnonzero((records >= start) & (records < start + len(part)))
            if len(places):
                parts.append((places, *part.sets(records[places] - start)))
            start += len(part)
        sizes = np.zeros(len(records), np.int64)
        for places, _, offsets in parts:
            sizes[places] = np.diff(offsets)
        ends = np.append(0, np.cumsum(sizes))
        hashes = np.empty(int(ends[-1]), np.uint64)
        for places, found, offsets in parts:
            verify.gather(found, offsets[:-1], offsets[1:], hashes, ends[places])
        return hashes, ends

    def signatures(self, records: Ints) -> NDArray[np.uint32]:
        """An index holds shingle sets, no signatures."""
        raise ValueError("documents of an index are verified: it holds no signatures")
