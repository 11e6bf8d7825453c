"""A new batch into a dedup index: deduplicated against it and within itself; what is new is entered.

The batch is signed once and its shingle sets lie on disk meanwhile, so the time is that of the batch, whatever the
index holds; memory is what the join may use and some 200 bytes a document.

Shape letters: N documents of the batch, B bands.
"""

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base import storage
from pipeline.base.progress import each, working
from pipeline.dedup.index.reader import Index
from pipeline.dedup.index.segments import SET_FILE_HASHES
from pipeline.dedup.index.state import Corpus, index_folder, load_state, publish_state, writing
from pipeline.dedup.index.writer import (
    Batch,
    SegmentWriter,
    Signed,
    already_there,
    corpus_number,
    merge_segments,
    sign,
    with_segments,
)
from pipeline.dedup.rule.against import SelectionAgainst, select_against
from pipeline.dedup.rule.join import Ints, Keys
from pipeline.dedup.rule.selection import Records, Rule, Search
from pipeline.dedup.rule.shingle_sets import SetWriter, SpilledSets
from pipeline.dedup.rule.signing import ShingleSets, Signer
from pipeline.recipe.minhash import THRESHOLD, MinHash
from pipeline.run.tables import INDEX_MATCHES


@dataclass(frozen=True)
class Policy:
    """How a batch is deduplicated.

    Attributes:
        threshold: Least similarity of a duplicate.
        longest: Of similar new documents the longest stays; else the first.  An earlier document always wins.
        memory_bytes: What the join may use.
        threads: Groups compared at a time.
    """

    threshold: float = THRESHOLD
    longest: bool = True
    memory_bytes: int = 1 << 30
    threads: int = 1


@dataclass(frozen=True)
class Added:
    """What became of a batch: ``documents = added + unchanged + removed``.

    Attributes:
        documents: Documents of the batch.
        added: Documents entered.
        unchanged: Documents that stood there with the same id and text, in the same corpus.
        removed: One row per duplicate (``INDEX_MATCHES``), in the order of the batch.
    """

    documents: int
    added: int
    unchanged: int
    removed: pa.Table


def add_new(
    root: str | Path,
    corpus: Corpus,
    batches: Iterable[Batch],
    policy: Policy = Policy(),
    wanted: MinHash | None = None,
) -> Added:
    """Enters what is new in a batch.

    Args:
        root: The index folder.
        corpus: Name (and run folder) of the new documents.
        batches: The documents.
        policy: How they are deduplicated.
        wanted: The definition that the index must have; None takes what it has.

    Raises:
        UserError: If there is no index, or it is of another definition.
        RunError: If another process is writing there, or the disk is full: the index is as it was.
    """
    folder = index_folder(root)
    load_state(folder, wanted)
    scratch = folder / storage.SCRATCH
    with writing(folder), Index(folder, wanted) as index:
        scratch.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            batch = _Spooled(index, corpus, batches, Path(place) / "sets")
            alive = np.flatnonzero(~batch.unchanged)
            sets, keys = batch.sets(alive), batch.keys[:, alive]
            bands = index.definition.bands
            search = Search(sets, lambda band: keys[band], bands, policy.memory_bytes, policy.threads)
            records = batch.records(alive, policy.longest)
            with working(f"{corpus.name}: comparing"):
                outcome = select_against([index], records, Rule(policy.threshold), search)
            number, state = corpus_number(index.state, corpus)
            writer = SegmentWriter(folder, itertools.count(state.number), bands)
            for part in batch.kept(alive, outcome, sets):
                writer.append(part, number)
            publish_state(folder, merge_segments(folder, with_segments(state, writer, number)))
        removed = _removed(batch, alive, outcome, corpus.name)
    return Added(len(batch.ids), len(alive) - len(removed), len(batch.ids) - len(alive), removed)


class _Spooled:
    """A signed batch, its shingle sets on disk."""

    def __init__(self, index: Index, corpus: Corpus, batches: Iterable[Batch], path: Path) -> None:
        definition = index.definition
        signer = Signer.of(definition)
        hashes, keys, sizes, lengths, unchanged = [], [], [], [], []
        self.ids: list[bytes] = []
        with SetWriter(path) as writer:
            for batch in each(batches, f"{corpus.name}: reading", "document", of=lambda read: len(read.texts)):
                signed = sign(signer, definition.bands, batch)
                writer.write(signed.sets)
                self.ids += signed.ids
                hashes.append(signed.text_hash)
                keys.append(signed.keys)
                sizes.append(np.diff(signed.sets.offsets).astype(np.int32))
                lengths.append(pc.utf8_length(batch.texts).to_numpy(zero_copy_only=False).astype(np.int64))
                unchanged.append(already_there(index, signed, corpus))
        self._path = path
        self._text_hash = np.concatenate([np.zeros((0, 2), np.uint64), *hashes])
        self.keys: Keys = np.concatenate([np.zeros((definition.bands, 0), np.uint64), *keys], axis=1)
        self._sizes = np.concatenate([np.zeros(0, np.int32), *sizes])
        self._lengths = np.concatenate([np.zeros(0, np.int64), *lengths])
        self.unchanged = np.concatenate([np.zeros(0, bool), *unchanged])

    def sets(self, chosen: Ints) -> SpilledSets:
        """The shingle sets of some documents."""
        starts = np.append(0, np.cumsum(self._sizes, dtype=np.int64))[:-1]
        return SpilledSets([self._path], np.array([0, len(chosen)]), starts[chosen], self._sizes[chosen])

    def records(self, chosen: Ints, longest: bool) -> Records:
        """Some documents as selection knows them."""
        lengths = self._lengths[chosen]
        order = np.argsort(-lengths, kind="stable") if longest else np.arange(len(chosen))
        return Records(self._text_hash[chosen], self._sizes[chosen], order)

    def kept(self, alive: Ints, outcome: SelectionAgainst, sets: SpilledSets) -> Iterator[Signed]:
        """What is to be entered, as much at a time as a file of shingle sets holds."""
        stays = np.ones(len(alive), bool)
        stays[outcome.selection.removed] = False
        kept = np.flatnonzero(stays)
        pieces = np.cumsum(self._sizes[alive[kept]], dtype=np.int64) // SET_FILE_HASHES
        for piece in np.unique(pieces).tolist():
            part = kept[pieces == piece]
            chosen = alive[part]
            ids = [self.ids[number] for number in chosen.tolist()]
            yield Signed(ids, self._text_hash[chosen], self.keys[:, chosen], ShingleSets(*sets.load(part)))


def _removed(batch: _Spooled, alive: Ints, outcome: SelectionAgainst, name: str) -> pa.Table:
    """Rows of ``INDEX_MATCHES``: the removed documents and what was kept in their place."""
    selection, earlier = outcome.selection, outcome.is_earlier
    kept: list[bytes] = [b"" for _ in selection.keepers]
    corpora = [name for _ in kept]
    for place in np.flatnonzero(~earlier).tolist():
        kept[place] = batch.ids[alive[selection.keepers[place]]]
    places = np.flatnonzero(earlier)
    for place, document in zip(places.tolist(), outcome.names(selection.keepers[places]), strict=True):
        kept[place], corpora[place] = document.id, document.corpus
    columns = [
        [batch.ids[number].decode("utf-8", "replace") for number in alive[selection.removed].tolist()],
        [other.decode("utf-8", "replace") for other in kept],
        corpora,
        selection.similarities,
        selection.intersections,
        selection.unions,
        np.where(selection.exact, "exact", "near").tolist(),
    ]
    schema = INDEX_MATCHES.schema
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
