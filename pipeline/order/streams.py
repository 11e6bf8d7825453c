"""The token shards of one run or several as streams of tokens, one per source, laid one behind the other.

Every token has an address in that line.  A segment is one record batch of one shard: an array over the mapped file.
A *place* is an address cut in two: (segment, first token in it).  A window is read at a place.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.digests import digest
from pipeline.base.errors import FormatError
from pipeline.run import layout
from pipeline.run.manifest import digest_file
from pipeline.tokens.restored import parse_name
from pipeline.tokens.shards.token_shard import (
    REBUILD,
    MappedBatch,
    ShardBatches,
    TokenFormat,
    TokenShard,
    check_tokenizer,
    common_format,
    open_folder,
)

Place = tuple[int, int]
RESTORED = " restored "  # in the name of a stream of documents that came back after a takedown
_OPEN_SHARDS = 256  # mapped at a time; each holds a file descriptor


@dataclass(frozen=True)
class Stream:
    """The tokens of one source of one run."""

    name: str  # the source; "run/source" where several runs are read
    key: str  # what its permutations are keyed by: free of paths
    base: int  # address of its first token
    tokens: int
    documents: int
    source: str
    first_epoch: int = 0  # of the training order, from 0; later for documents that were restored

    @property
    def labels(self) -> tuple[str, str]:
        """Names that a weight or cap may be given under: "run/source" (where several runs are read) and "source"."""
        return self.name.partition(RESTORED)[0], self.source


class TokenStreams:
    """The streams below some folders of token shards.

    Args:
        folders: Folders of token shards, one per run.
        known: By folder, shards that need not be opened (``pipeline/tokens/shards/shard_facts.py``).
        restored: Folder of the first run's restored shards, and the first epoch of each restoration that is read.

    Raises:
        UserError: If a folder has no shards.
        FormatError: If a shard is damaged, two shards come from two tokenizers, or from another than their run's.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        known: Mapping[Path, Mapping[str, TokenShard]] | None = None,
        restored: tuple[Path, Mapping[int, int]] | None = None,
    ) -> None:
        self.folders, self._restored = list(folders), restored
        self._known = known or {}
        self.shards: list[TokenShard] = []
        self.streams = list(self._make_streams())
        self.format: TokenFormat = common_format(self.shards)
        for folder in self.folders:
            tokenizer = folder.absolute().parent.parent / layout.TOKENIZER
            if tokenizer.is_file():
                check_tokenizer(self.format, digest_file(tokenizer), str(folder))
        sizes = [
            (size, shard, batch)
            for shard, found in enumerate(self.shards)
            for batch, size in enumerate(found.batch_tokens)
            if size
        ]
        self._segment_size = [size for size, _, _ in sizes]
        self._segment_shard = [shard for _, shard, _ in sizes]
        self._segment_batch = [batch for _, _, batch in sizes]
        self._segment_start = np.cumsum([0, *self._segment_size])[:-1].astype(np.int64)
        self._segment_withdrawn = self._index_withdrawn()
        self._mapped = lru_cache(maxsize=_OPEN_SHARDS)(self._map_shard)

    @property
    def fingerprint(self) -> str:
        """Hash of names, sources, sizes and tokenizer; no path in it."""
        shards = [[s.path.name, s.source, s.batch_tokens, s.batch_documents] for s in self.shards]
        text = json.dumps([shards, [stream.key for stream in self.streams], self.format.tokenizer])
        return digest(text).hex()

    def _make_streams(self) -> Iterator[Stream]:
        """The streams of each folder; restored ones stand behind all others, so that nothing before them moves."""
        for number, folder in enumerate(self.folders):
            yield from self._streams_of(open_folder(folder, self._known.get(folder)), folder, number)
        restored, first_epochs = self._restored or (Path(), {})
        shards = open_folder(restored) if first_epochs else []
        for restoration, first_epoch in sorted(first_epochs.items()):
            ours = [shard for shard in shards if parse_name(shard.path.stem)[0] == restoration]
            yield from self._streams_of(ours, self.folders[0], 0, f"{RESTORED}{restoration}", first_epoch)

    def _streams_of(
        self, shards: Sequence[TokenShard], folder: Path, number: int, mark: str = "", first_epoch: int = 0
    ) -> Iterator[Stream]:
        """One stream for each source of these shards, laid behind all shards so far."""
        run = folder.resolve().parent.parent.name
        for source in sorted({shard.source for shard in shards}):
            own = [shard for shard in shards if shard.source == source]
            label = source if len(self.folders) == 1 else f"{run}/{source}"
            base = sum(shard.tokens for shard in self.shards)
            tokens, documents = sum(shard.tokens for shard in own), sum(shard.documents for shard in own)
            self.shards += own
            yield Stream(f"{label}{mark}", f"{number}/{source}{mark}", base, tokens, documents, source, first_epoch)

    @property
    def restored_folder(self) -> Path:
        """Where the restored shards lie; an empty path where there are none."""
        return self._restored[0] if self._restored else Path()

    def _index_withdrawn(self) -> dict[int, list[int]]:
        """Rows, within the segment, of documents that were taken down; segments without one are left out."""
        found: dict[int, list[int]] = {}
        for segment, (shard, batch) in enumerate(zip(self._segment_shard, self._segment_batch, strict=True)):
            first = sum(self.shards[shard].batch_documents[:batch])
            end = first + self.shards[shard].batch_documents[batch]
            rows = [row - first for row in self.shards[shard].withdrawn if first <= row < end]
            if rows:
                found[segment] = rows
        return found

    def _map_shard(self, shard: int) -> ShardBatches:
        return ShardBatches(self.shards[shard].path, sparse=bool(self._known))

    def _segment(self, segment: int) -> MappedBatch:
        batches: ShardBatches = self._mapped(self._segment_shard[segment])
        return batches[self._segment_batch[segment]]

    def places(self, addresses: NDArray[np.int64]) -> list[Place]:
        """The place of each address."""
        segments = np.searchsorted(self._segment_start, addresses, side="right") - 1
        return list(zip(segments.tolist(), (addresses - self._segment_start[segments]).tolist(), strict=True))

    def read(self, place: Place, length: int) -> NDArray[Any]:
        """``length`` tokens from a place on: a view, or joined where they cross a segment's edge."""
        segment, first = place
        if first + length <= self._segment_size[segment]:
            return self._segment(segment).tokens[first : first + length]
        parts = []
        while length > 0:
            part = self._segment(segment).tokens[first : first + length]
            parts.append(part)
            length, segment, first = length - len(part), segment + 1, 0
        return np.concatenate(parts)

    def damage(self, place: Place) -> FormatError:
        """The error that names the shard at ``place``, whose tokens are beyond the vocabulary."""
        return FormatError(
            f"{self.shards[self._segment_shard[place[0]]].path}: damaged token shard: an id beyond its vocabulary of "
            f"{self.format.vocabulary_size:,}; {REBUILD}"
        )

    def documents(self, place: Place, length: int) -> Iterator[bytes]:
        """doc_ids of the documents that ``length`` tokens from a place on touch, in order."""
        for batch, first, end, _, _ in self._touched(place, length):
            yield from (row.tobytes() for row in batch.doc_ids[first:end])

    def parts(self, place: Place, length: int) -> Iterator[tuple[int, int, bytes, int, int]]:
        """The documents that ``length`` tokens from a place on touch, in order.

        Yields:
            Number of the shard, row in it, doc_id, and where the document's part starts and stops within the tokens.
        """
        for batch, first, end, shift, segment in self._touched(place, length):
            shard = self._segment_shard[segment]
            before = sum(self.shards[shard].batch_documents[: self._segment_batch[segment]])
            for row in range(first, end):
                start, stop = int(batch.offsets[row]) + shift, int(batch.offsets[row + 1]) + shift
                if stop > start:
                    yield shard, before + row, batch.doc_ids[row].tobytes(), max(start, 0), min(stop, length)

    def document_starts(self, place: Place, length: int) -> NDArray[np.int64]:
        """Where documents start inside ``length`` tokens from a place on: sorted positions from 1 to length - 1."""
        found = np.concatenate(
            [batch.offsets[first:end] + shift for batch, first, end, shift, _ in self._touched(place, length)]
        )
        return found[found > 0]

    @property
    def has_withdrawn(self) -> bool:
        """True where documents were taken down: end-of-text stands in their place."""
        return bool(self._segment_withdrawn)

    def withdrawn(self, place: Place, length: int) -> Iterator[tuple[int, int]]:
        """Ranges, within ``length`` tokens from a place on, that stand in the place of documents taken down."""
        for batch, first, end, shift, segment in self._touched(place, length):
            for row in self._segment_withdrawn.get(segment, ()):
                if first <= row < end:
                    start, stop = batch.offsets[row : row + 2] + shift
                    yield max(int(start), 0), min(int(stop), length)

    def _touched(self, place: Place, length: int) -> Iterator[tuple[MappedBatch, int, int, int, int]]:
        """Of each segment touched: batch, documents first .. end, what moves offsets to the window, segment number."""
        segment, at = place
        done = 0
        while done < length:
            batch = self._segment(segment)
            stop = min(at + length - done, self._segment_size[segment])
            # of documents that start at the same offset (an empty one among them) the last holds the token
            first = int(np.searchsorted(batch.offsets, at, side="right")) - 1
            end = int(np.searchsorted(batch.offsets, stop, side="left"))
            yield batch, first, end, done - at, segment
            done, segment, at = done + stop - at, segment + 1, 0

    def find(self, doc_id: bytes, shard: int | None = None) -> Iterator[tuple[int, int, int]]:
        """Stream number and token range, within the stream, of a document; nothing where it is in no shard.

        Args:
            doc_id: The document.
            shard: Number of the only shard to look in; None: all of them.
        """
        bases = [stream.base for stream in self.streams]
        wanted = np.frombuffer(doc_id, np.uint64)
        for segment, start in enumerate(self._segment_start.tolist()):
            if shard is not None and self._segment_shard[segment] != shard:
                continue
            batch = self._segment(segment)
            ids = batch.doc_ids.view(np.uint64)
            for row in np.flatnonzero((ids[:, 0] == wanted[0]) & (ids[:, 1] == wanted[1])).tolist():
                stream = bisect_right(bases, start) - 1  # an empty stream shares its base: the last one holds tokens
                inside = start - self.streams[stream].base
                yield stream, inside + int(batch.offsets[row]), inside + int(batch.offsets[row + 1])
