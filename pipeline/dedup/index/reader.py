"""The dedup index: earlier documents on disk, found by their text, their likeness or their id.

Questions about texts are asked through ``query.py``, changes are made through ``writer.py``.

Reading needs no lock: an opened index stays as it was when it was opened.  Writers hold the folder one at a time.
Layout: docs/dedup-index.md.

Shape letters: Q queries, M earlier documents, B bands.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.base.closable import Closable
from pipeline.dedup.index.blocks import IndexDamageError
from pipeline.dedup.index.segments import DOCUMENT, Rows, Segment, id_keys
from pipeline.dedup.index.state import State, index_folder, load_state
from pipeline.dedup.rule.against import EarlierDocument
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.recipe.minhash import MinHash


@dataclass(frozen=True)
class Earlier:
    """Earlier documents that share a text or a band key with a batch, oldest first.

    Attributes:
        index: Where they stand.
        rows: Their numbers in the index, ascending, shape (M,).
        documents: Their rows (``DOCUMENT``), shape (M,).
        band_keys: Their band keys, shape (B, M); where no text of the batch has the key, a number that no text has.
    """

    index: "Index"
    rows: Ints
    documents: Rows
    band_keys: Keys

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def text_hash(self) -> Keys:
        """128-bit hashes of their texts, shape (M, 2)."""
        found: Keys = self.documents["text_hash"]
        return found

    @property
    def num_shingles(self) -> NDArray[np.int32]:
        """Their distinct shingles, shape (M,)."""
        return self.documents["num_shingles"].astype(np.int32)

    def sets(self, chosen: Ints) -> tuple[Keys, Ints]:
        """Sorted shingle sets of some of them, concatenated, and offsets (len + 1)."""
        offsets = np.append(0, np.cumsum(self.documents["num_shingles"][chosen], dtype=np.int64))
        hashes = np.empty(int(offsets[-1]), np.uint64)
        for segment, _, places in self.index.by_segment(self.rows[chosen]):
            segment.sets(self.documents[chosen[places]], hashes, offsets[places])
        return hashes, offsets

    def names(self, chosen: Ints) -> list[EarlierDocument]:
        """Some of them as evidence names them."""
        ids = [b""] * len(chosen)
        for segment, _, places in self.index.by_segment(self.rows[chosen]):
            for place, value in zip(places.tolist(), segment.ids(self.documents[chosen[places]]), strict=True):
                ids[place] = value
        corpora = [self.index.state.corpora[number] for number in self.documents["corpus"][chosen].tolist()]
        return [EarlierDocument(name, corpus.name, corpus.root) for name, corpus in zip(ids, corpora, strict=True)]


class Index(Closable):
    """An index, opened for reading; its ``segments`` stand oldest first.

    Args:
        root: The index folder.
        wanted: The definition of similarity that it must have; None takes what it has.

    Raises:
        UserError: If there is none, or it has another definition.
        FormatError: If it is damaged, or of a format that this version does not read.
    """

    def __init__(self, root: str | Path, wanted: MinHash | None = None) -> None:
        self.root = index_folder(root)
        while True:
            self.state: State = load_state(self.root, wanted)
            try:
                self.segments = [Segment(self.root, s, self.definition.bands) for s in self.state.segments]
                break
            except IndexDamageError:
                if load_state(self.root, wanted) == self.state:
                    raise
                # a writer replaced the index while we opened it: its new files are the ones to open
        self._bases = np.cumsum([0, *(len(segment) for segment in self.segments)])

    @property
    def definition(self) -> MinHash:
        """What similarity means in it."""
        return self.state.definition

    @property
    def documents(self) -> int:
        """Documents in it."""
        return self.state.documents

    def close(self) -> None:
        """Lets go of the mapped files."""
        self.segments = []

    def verify(self) -> None:
        """Compares every byte with its checksum.

        Raises:
            IndexDamageError: Naming the first file that is not as written.
        """
        for segment in self.segments:
            segment.check_all()

    def find(
        self,
        text_hash: Keys,
        has_words: NDArray[np.bool_],
        keys: Callable[[int], Keys] | None,
        number: int,
        exclude_root: str | None,
    ) -> Earlier:
        """Candidates: earlier documents with a text, or a band key, of the batch; see ``EarlierIndex``."""
        corpora = self.state.corpora
        excluded = np.array([exclude_root is not None and corpus.root == exclude_root for corpus in corpora], bool)
        equal, equal_rows = self.find_texts(text_hash, excluded)
        searched = has_words.copy()
        searched[equal] = False  # the equal text of the index stands for it
        bands = self.find_bands(searched, keys) if keys is not None else ()
        hits = [(band, rows, hit_keys) for band, _, rows, hit_keys in bands]
        found = np.unique(np.concatenate([np.zeros(0, np.int64), *(rows for _, rows, _ in hits)]))
        instead = self._not_excluded(found, excluded)
        rows = np.unique(np.concatenate([equal_rows, instead[instead >= 0]]))
        keys_BM = _keys_of_no_text(self.definition.bands, rows, number)
        for band, hit_rows, hit_keys in hits:
            owners = instead[np.searchsorted(found, hit_rows)]
            stays = owners >= 0
            keys_BM[band, np.searchsorted(rows, owners[stays])] = hit_keys[stays]
        return Earlier(self, rows, self.rows(rows), keys_BM)

    def find_bands(
        self, searched: NDArray[np.bool_], keys: Callable[[int], Keys]
    ) -> Iterator[tuple[int, Ints, Ints, Keys]]:
        """Band, query numbers, numbers of the documents that share the key, and the key; some of it at a time."""
        chosen = np.flatnonzero(searched)
        for band in range(self.definition.bands if len(chosen) else 0):
            band_keys = keys(band)[chosen]
            for segment, base in zip(self.segments, self._bases.tolist(), strict=False):
                queries, rows = segment.find("band", band_keys, band)
                yield band, chosen[queries], rows + base, band_keys[queries]

    def find_texts(self, text_hash: Keys, excluded: NDArray[np.bool_]) -> tuple[Ints, Ints]:
        """Queries whose text stands in the index, and the oldest document that has it.

        Args:
            text_hash: 128-bit hashes, shape (Q, 2).
            excluded: Corpora, by number, whose documents do not count.
        """
        queries, rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for segment, base in zip(self.segments, self._bases.tolist(), strict=False):
            found, places = segment.find("text", text_hash[:, 0])
            documents = segment.documents(places)
            same = (documents["text_hash"] == text_hash[found]).all(axis=1) & ~excluded[documents["corpus"]]
            queries.append(found[same])
            rows.append(places[same] + base)
        every_query, every_row = np.concatenate(queries), np.concatenate(rows)
        order = np.lexsort((every_row, every_query))
        first = np.flatnonzero(np.diff(every_query[order], prepend=-1))
        return every_query[order][first], every_row[order][first]

    def _not_excluded(self, rows: Ints, excluded: NDArray[np.bool_]) -> Ints:
        """Each row, or the oldest equal text of another corpus where its own is excluded; -1 where there is none."""
        if not excluded.any() or not len(rows):
            return rows
        documents = self.rows(rows)
        instead = rows.copy()
        out = np.flatnonzero(excluded[documents["corpus"]])
        instead[out] = -1
        queries, found = self.find_texts(documents["text_hash"][out], excluded)
        instead[out[queries]] = found
        return instead

    def find_ids(self, ids: Sequence[str]) -> list[Ints]:
        """Rows of the documents that have one of these ids, ascending, for each segment."""
        encoded = [value.encode("utf-8", "surrogatepass") for value in ids]
        keys = id_keys(encoded)
        found = []
        for segment in self.segments:
            queries, rows = segment.find("id", keys)
            values = segment.ids(segment.documents(rows))
            same = [encoded[query] == value for query, value in zip(queries.tolist(), values, strict=True)]
            found.append(np.unique(rows[np.array(same, bool)]))
        return found

    def rows(self, rows: Ints) -> Rows:
        """The rows (``DOCUMENT``) of documents by their numbers in the index, in any order."""
        found = np.empty(len(rows), DOCUMENT)
        for segment, base, places in self.by_segment(rows):
            found[places] = segment.documents(rows[places] - base)
        return found

    def by_segment(self, rows: Ints) -> Iterator[tuple[Segment, int, Ints]]:
        """The segments that hold some of these documents, the number of their first, and the places in ``rows``."""
        numbers = np.searchsorted(self._bases, rows, side="right") - 1
        for number in np.unique(numbers).tolist():
            yield self.segments[number], int(self._bases[number]), np.flatnonzero(numbers == number)


def _keys_of_no_text(bands: int, rows: Ints, index: int) -> Keys:
    """Band keys, shape (B, M), that are all different: a document that nothing matches in a band is alone there."""
    band = np.arange(bands, dtype=np.uint64)[:, None] << np.uint64(40)
    number = (rows.astype(np.uint64)[None, :] | band) ^ (np.uint64(index) << np.uint64(50))
    mixed = (number ^ (number >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)


def open_index(root: str | Path, wanted: MinHash | None = None) -> Index:
    """Opens an index for reading; see ``Index``."""
    return Index(root, wanted)
