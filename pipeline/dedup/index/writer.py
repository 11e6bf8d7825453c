"""Writes a dedup index: builds, adds to and removes from it, each as one step that is done or not done.

1. The new documents become segments of their own, in new files.
2. Where many segments of one size have come together, the newest of them are merged: keys and rows are rewritten,
   shingle sets are not.
3. ``index.json`` is replaced; files that it does not name any more are removed.

Killed or failed before step 3, the index is as it was.

Shape letters: N documents, B bands.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.base import storage
from pipeline.base.arrow import array_hashes
from pipeline.base.errors import UserError
from pipeline.base.progress import each
from pipeline.dedup.index.reader import Index
from pipeline.dedup.index.segments import (
    DOCUMENT,
    SET_FILE_HASHES,
    Content,
    Rows,
    Segment,
    content_digest,
    id_keys,
    merged,
    write_sets,
)
from pipeline.dedup.index.state import (
    RECORD,
    Corpus,
    SegmentEntry,
    State,
    add_up,
    index_folder,
    load_state,
    publish_state,
    writing,
)
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.signing import ShingleSets, Signer, band_keys
from pipeline.kernels import verify
from pipeline.recipe.minhash import MinHash

SEGMENT_DOCUMENTS = 1 << 20  # of a segment when it is written: about 300 MB of keys and rows in memory
MERGED_DOCUMENTS = 1 << 22  # a segment of this many is not merged any more
MERGED_AT_ONCE = 8  # segments of one size


@dataclass(frozen=True)
class Batch:
    """Some documents: their ids, and their texts as an Arrow string array; both of one length."""

    ids: list[str]
    texts: pa.Array


@dataclass
class Signed:
    """What an index needs of some documents.

    Attributes:
        ids: UTF-8 ids.
        text_hash: 128-bit hashes, shape (N, 2).
        keys: Band keys, shape (B, N).
        sets: Shingle sets, unsorted.
    """

    ids: list[bytes]
    text_hash: Keys
    keys: Keys
    sets: ShingleSets

    def take(self, chosen: Ints) -> "Signed":
        """Some of them, in this order."""
        sizes = np.diff(self.sets.offsets)[chosen]
        offsets = np.append(0, np.cumsum(sizes))
        hashes = np.empty(int(offsets[-1]), np.uint64)
        starts = self.sets.offsets[:-1][chosen]
        verify.gather(self.sets.hashes, starts, starts + sizes, hashes, offsets[:-1])
        ids = [self.ids[number] for number in chosen.tolist()]
        return Signed(ids, self.text_hash[chosen], self.keys[:, chosen], ShingleSets(hashes, offsets))


def sign(signer: Signer, bands: int, batch: Batch) -> Signed:
    """Signs a batch."""
    signatures_NP, sets = signer.sign_and_hash(batch.texts)
    ids = [value.encode("utf-8", "surrogatepass") for value in batch.ids]
    return Signed(ids, array_hashes(batch.texts), band_keys(signatures_NP, bands), sets)


@dataclass
class SegmentWriter:
    """Collects documents and writes them as segments; memory stays that of one segment.

    Args:
        root: The index folder.
        numbers: Numbers for new files.
        bands: B.
    """

    root: Path
    numbers: Iterator[int]
    bands: int
    entries: list[SegmentEntry] = field(default_factory=list)
    documents: int = 0
    digest: tuple[int, int] = (0, 0)
    _rows: list[Rows] = field(default_factory=list)
    _ids: list[bytes] = field(default_factory=list)
    _keys: list[Keys] = field(default_factory=list)
    _sets: dict[int, Any] = field(default_factory=dict)
    _hashes: list[Keys] = field(default_factory=list)
    _set_number: int = 0
    _set_size: int = 0
    _count: int = 0

    def append(self, signed: Signed, corpus: int) -> None:
        """Takes documents, of the corpus of this number."""
        hashes = signed.sets.hashes.copy()
        offsets = np.empty_like(signed.sets.offsets)
        filled = verify.sort_sets(hashes, signed.sets.offsets, offsets)
        count = len(signed.ids)
        if count and not self._set_number:
            self._set_number = next(self.numbers)
        rows = np.zeros(count, DOCUMENT)
        rows["text_hash"], rows["corpus"] = signed.text_hash, corpus
        rows["num_shingles"], rows["set_file"] = np.diff(offsets), self._set_number
        rows["set_start"] = offsets[:-1] + self._set_size
        rows["id_bytes"] = [len(value) for value in signed.ids]
        self._rows.append(rows)
        self._ids += signed.ids
        self._keys.append(signed.keys)
        self._hashes.append(hashes[:filled])
        self._set_size += filled
        self._count += count
        if self._set_size >= SET_FILE_HASHES:
            self._write_sets()
        if self._count >= SEGMENT_DOCUMENTS:
            self._write_segment()

    def finish(self) -> list[SegmentEntry]:
        """Writes what is left; returns the segments, in the order of the documents."""
        self._write_segment()
        return self.entries

    def _write_sets(self) -> None:
        if self._set_size:
            self._sets[self._set_number] = write_sets(self.root, self._set_number, np.concatenate(self._hashes))
        self._hashes, self._set_size, self._set_number = [], 0, 0

    def _write_segment(self) -> None:
        if not self._count:
            return
        self._write_sets()
        rows = np.concatenate(self._rows)
        ends = np.cumsum(rows["id_bytes"], dtype=np.uint64)
        rows["id_start"] = ends - rows["id_bytes"]
        keys = id_keys(self._ids)
        numbers = np.arange(len(rows))
        every = np.broadcast_to(numbers, (self.bands, len(rows)))
        ids = np.frombuffer(b"".join(self._ids), np.uint8)
        content = Content(rows, ids, np.concatenate(self._keys, axis=1), every, keys, numbers, self._sets)
        self.entries.append(content.first_of_each_text().write(self.root, next(self.numbers)))
        self.documents += len(rows)
        high, low = content_digest(rows, keys)
        self.digest = self.digest[0] + high, self.digest[1] + low
        self._rows, self._ids, self._keys, self._sets, self._count = [], [], [], {}, 0


def build_index(root: str | Path, definition: MinHash, corpora: Iterable[tuple[Corpus, Iterable[Batch]]]) -> State:
    """Makes an index of every document of some corpora.

    Returns:
        What is in it.

    Raises:
        UserError: If there is an index at ``root``, or files of something else.
        RunError: If another process is writing there, or the disk is full: no index is made.
    """
    folder = index_folder(root)
    if (folder / RECORD).exists():
        raise UserError(f"{folder}: there is an index; `tokenmill dedup index add` adds to it")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: the index is a folder, and a file is there; name another")
    ours = {"segments", "sets", ".lock", storage.SCRATCH, f".{RECORD}"}  # of a build that was killed
    strange = sorted(path.name for path in folder.iterdir() if path.name not in ours) if folder.is_dir() else []
    if strange:
        raise UserError(f"{folder}: not empty, and no index ({', '.join(strange[:3])}); name a new folder")
    with writing(folder):
        state = State(definition)
        for corpus, batches in corpora:
            state = _enter(folder, state, None, corpus, batches)
        publish_state(folder, state)
    return state


def add_all(root: str | Path, corpus: Corpus, batches: Iterable[Batch], wanted: MinHash | None = None) -> int:
    """Enters every document of a corpus, duplicates too, but those that stand there with the same id and text.

    Returns:
        Documents entered.

    Raises:
        UserError: If there is no index, or it is of another definition.
        RunError: If another process is writing there, or the disk is full: the index is as it was.
    """
    folder = index_folder(root)
    load_state(folder, wanted)  # before the folder is locked: an error must not leave a lock file behind
    with writing(folder), Index(folder, wanted) as index:
        state = _enter(folder, index.state, index, corpus, batches)
        publish_state(folder, merge_segments(folder, state))
    return state.documents - index.documents


def _enter(folder: Path, state: State, index: Index | None, corpus: Corpus, batches: Iterable[Batch]) -> State:
    """Writes the segments of a corpus, and returns the state that names them."""
    number, state = corpus_number(state, corpus)
    numbers = itertools.count(state.number)
    writer = SegmentWriter(folder, numbers, state.definition.bands)
    signer = Signer.of(state.definition)
    for batch in each(batches, f"{corpus.name}: entering", "document", of=lambda read: len(read.texts)):
        signed = sign(signer, state.definition.bands, batch)
        if index is not None:
            signed = signed.take(np.flatnonzero(~already_there(index, signed, corpus)))
        writer.append(signed, number)
    return with_segments(state, writer, number)


def corpus_number(state: State, corpus: Corpus) -> tuple[int, State]:
    """The number of a corpus by name and root; a new one is added, an old one takes the newer ``Corpus.state``."""
    for number, known in enumerate(state.corpora):
        if (known.name, known.root) == (corpus.name, corpus.root):
            changed = list(state.corpora)
            changed[number] = replace(known, state=corpus.state)
            return number, replace(state, corpora=tuple(changed))
    fresh = replace(corpus, documents=0, digest="0" * 32)
    return len(state.corpora), replace(state, corpora=(*state.corpora, fresh))


def with_segments(state: State, writer: SegmentWriter, corpus: int) -> State:
    """The state with what a writer has written."""
    entries = writer.finish()
    corpora = add_up(state.corpora, corpus, writer.documents, writer.digest)
    return replace(state, number=next(writer.numbers), corpora=corpora, segments=(*state.segments, *entries))


def already_there(index: Index, signed: Signed, corpus: Corpus) -> Any:
    """Which documents stand in the index with their id and text, in this corpus, shape (N,)."""
    same = [(c.name, c.root) == (corpus.name, corpus.root) for c in index.state.corpora]
    ours = np.array([*same, False], bool)
    keys = id_keys(signed.ids)
    found = np.zeros(len(signed.ids), bool)
    for segment in index.segments:
        queries, rows = segment.find("id", keys)
        documents = segment.documents(rows)
        equal = (documents["text_hash"] == signed.text_hash[queries]).all(axis=1) & ours[documents["corpus"]]
        found[queries[equal]] = True
    return found


def merge_segments(folder: Path, state: State) -> State:
    """Merges the newest segments while eight or more of them are of one size (a factor of eight) or smaller."""
    segments = list(state.segments)
    numbers = itertools.count(state.number)
    while count := _to_merge([segment.documents for segment in segments]):
        newest = [Segment(folder, entry, state.definition.bands) for entry in segments[-count:]]
        segments[-count:] = [merged(newest).write(folder, next(numbers))]
    return replace(state, number=next(numbers), segments=tuple(segments))


def _to_merge(sizes: list[int]) -> int:
    """How many of the newest segments are to be merged; 0 for none.

    Example:
        >>> _to_merge([500_000, 90, 80, 10, 20, 30, 40, 50, 60]), _to_merge([500_000, 90])
        (8, 0)
    """
    limit = 1
    while sizes and limit <= MERGED_DOCUMENTS:
        limit *= MERGED_AT_ONCE
        count = next((n for n, size in enumerate(reversed(sizes)) if size > limit), len(sizes))
        if count >= MERGED_AT_ONCE and sum(sizes[-count:]) <= MERGED_DOCUMENTS:
            return count
    return 0


def remove_documents(root: str | Path, ids: Iterable[str], corpus: str | None = None) -> int:
    """Forgets documents: no later answer names them, and their hashes are gone from the disk when this returns.

    Args:
        root: The index folder.
        ids: Their ids; of run folders, doc_ids in hex.  Ids that are not there are passed over.
        corpus: Only documents of the corpus of this name.

    Returns:
        Documents removed.

    Raises:
        UserError: If there is no index.
        RunError: If another process is writing to the index, or the disk is full: the index is as it was.
    """
    folder = index_folder(root)
    load_state(folder)
    with writing(folder), Index(folder) as index:
        allowed = np.array([corpus is None or c.name == corpus for c in index.state.corpora] + [False], bool)
        found = index.find_ids(sorted(set(ids)))
        numbers = itertools.count(index.state.number)
        segments: list[SegmentEntry] = []
        corpora, removed = index.state.corpora, 0
        for segment, rows in zip(index.segments, found, strict=True):
            rows = rows[allowed[segment.documents(rows)["corpus"]]]
            removed += len(rows)
            entry, corpora = _without(folder, segment, rows, corpora, numbers)
            segments += [entry] if entry else []
        publish_state(folder, replace(index.state, number=next(numbers), corpora=corpora, segments=tuple(segments)))
    return removed


def _without(
    folder: Path, segment: Segment, rows: Ints, corpora: tuple[Corpus, ...], numbers: Iterator[int]
) -> tuple[SegmentEntry | None, tuple[Corpus, ...]]:
    """A segment without some rows, and the corpora without these documents."""
    if not len(rows):
        return segment.entry, corpora
    gone = segment.documents(rows)
    keys = id_keys(segment.ids(gone))
    for number in np.unique(gone["corpus"]).tolist():
        mine = gone["corpus"] == number
        high, low = content_digest(gone[mine], keys[mine])
        corpora = add_up(corpora, number, -int(mine.sum()), (-high, -low))
    mask = np.ones(len(segment), bool)
    mask[rows] = False
    if not mask.any():
        return None, corpora
    content = segment.content().keep(mask)
    for number in np.unique(gone["set_file"]).tolist():
        if number not in content.sets:  # documents without words only
            continue
        new_number = next(numbers)
        del content.sets[number]
        entry = segment.rewrite_set(folder, number, new_number, content)
        if entry:
            content.sets[new_number] = entry
    return content.write(folder, next(numbers)), corpora
