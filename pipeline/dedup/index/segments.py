"""Segments of a dedup index: documents, and three kinds of sorted keys by which they are found.

A segment is immutable.  Its file has one row per document (``DOCUMENT``), their ids, and sorted (key, row) pairs: the
band keys of the signatures, the first half of the text hashes, and hashes of the ids.  Only the first of several equal
texts has band keys: ten thousand copies of an error page are one candidate.  The shingle sets lie in files of their
own, so that merging segments and removing documents do not copy those that stay.

Shape letters: N documents, n of them with band keys, B bands.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.dedup.index.blocks import BlockFile, FileEntry, write_file
from pipeline.dedup.index.state import SegmentEntry
from pipeline.dedup.rule.join import Ints, Keys, find_nodes
from pipeline.kernels import verify

DOCUMENT = np.dtype(
    [
        ("text_hash", "<u8", (2,)),  # BLAKE2b-128 of the text
        ("id_start", "<u8"),  # where its id begins in the section "ids"
        ("set_start", "<u8"),  # where its shingle set begins in its file, in hashes
        ("set_file", "<u4"),  # number of that file
        ("num_shingles", "<u4"),
        ("corpus", "<u4"),  # place in the index's list of corpora
        ("id_bytes", "<u4"),
    ]
)
SET_FILE_HASHES = 1 << 24  # 128 MiB
Rows = NDArray[np.void]


def id_keys(ids: Sequence[bytes]) -> Keys:
    """The 64-bit key of each id."""
    digests = b"".join([hashlib.blake2b(value, digest_size=8).digest() for value in ids])
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def content_digest(documents: Rows, keys: Keys) -> tuple[int, int]:
    """Sums of both halves of a 128-bit hash of each document's id and text: what ``Corpus.digest`` adds up."""
    odd = keys | np.uint64(1)
    low, high = (int((documents["text_hash"][:, half] * odd).sum(dtype=np.uint64)) for half in (0, 1))
    return high, low


class Segment:
    """A segment, mapped.  ``check`` happens here: what is returned stands in checked blocks.

    Args:
        root: The index folder.
        entry: What ``index.json`` says of it.
        bands: B.
    """

    def __init__(self, root: Path, entry: SegmentEntry, bands: int) -> None:
        self.entry, self.bands = entry, bands
        self._file = BlockFile(root, entry.file)
        self._sets = {number: BlockFile(root, file) for number, file in entry.sets.items()}
        self._documents = self._file.array("documents", DOCUMENT)

    def __len__(self) -> int:
        return self.entry.documents

    def find(self, kind: str, queries: Keys, band: int = 0) -> tuple[Ints, Ints]:
        """Which documents have these keys.

        Args:
            kind: ``band``, ``text`` or ``id``.
            queries: Any keys, shape (Q,).
            band: Which band's keys, for ``band``.

        Returns:
            Query numbers and rows of the segment, a pair for each match, ordered by key, then row.
        """
        keys, rows = self._file.array(f"{kind}_keys", "<u8"), self._file.array(f"{kind}_rows", "<u4")
        per_band = len(keys) // self.bands if kind == "band" else len(keys)
        base = band * per_band
        keys, rows = keys[base : base + per_band], rows[base : base + per_band]
        by_key = np.argsort(queries)
        wanted = queries[by_key]
        first, end = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
        # the keys on both sides of the place, checked, prove that the search was not led astray
        self._file.check(f"{kind}_keys", base + np.maximum(first - 1, 0), base + np.minimum(end + 1, per_band), 8)
        self._file.check(f"{kind}_rows", base + first, base + end, 4)
        counts = end - first
        places = np.repeat(first, counts) + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(by_key, counts), rows[places].astype(np.int64)

    def documents(self, rows: Ints) -> Rows:
        """The rows of these documents."""
        self._file.check("documents", rows, rows + 1, DOCUMENT.itemsize)
        return self._documents[rows]

    def ids(self, documents: Rows) -> list[bytes]:
        """The ids of documents."""
        starts = documents["id_start"].astype(np.int64)
        ends = starts + documents["id_bytes"]
        self._file.check("ids", starts, ends, 1)
        data = self._file.array("ids", np.uint8)
        return [data[start:end].tobytes() for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def sets(self, documents: Rows, target: Keys, positions: Ints) -> None:
        """Copies the sorted shingle set of each of these documents to ``target[positions[i]:]``."""
        has_words = documents["num_shingles"] > 0
        for number in np.unique(documents["set_file"][has_words]).tolist():
            chosen = has_words & (documents["set_file"] == number)
            starts = documents["set_start"][chosen].astype(np.int64)
            ends = starts + documents["num_shingles"][chosen]
            file = self._sets[number]
            file.check("hashes", starts, ends, 8)
            verify.gather(file.array("hashes", "<u8"), starts, ends, target, positions[chosen])
            file.release()

    def check_all(self) -> None:
        """Compares every block of every file with its checksum."""
        for file in (self._file, *self._sets.values()):
            file.check_all()
            file.release()

    def content(self) -> "Content":
        """All of it, checked, for merging and removal."""
        self._file.check_all()
        size = len(self._file.array("band_keys", "<u8")) // self.bands
        return Content(
            self._documents.copy(),
            self._file.array("ids", np.uint8),
            self._file.array("band_keys", "<u8").reshape(self.bands, size),
            self._file.array("band_rows", "<u4").reshape(self.bands, size).astype(np.int64),
            self._file.array("id_keys", "<u8"),
            self._file.array("id_rows", "<u4").astype(np.int64),
            dict(self.entry.sets),
        )

    def rewrite_set(self, root: Path, number: int, new_number: int, content: "Content") -> FileEntry | None:
        """Writes a file of shingle sets again, with those of the documents in ``content`` alone.

        The rows of ``content`` then name the new file, and where each set begins in it.

        Returns:
            The new file; None where no set is left in it.
        """
        chosen = np.flatnonzero(content.documents["set_file"] == number)
        chosen = chosen[np.argsort(content.documents["set_start"][chosen], kind="stable")]
        documents = content.documents[chosen]
        positions = np.append(0, np.cumsum(documents["num_shingles"], dtype=np.int64))
        hashes = np.empty(int(positions[-1]), np.uint64)
        self.sets(documents, hashes, positions[:-1])
        content.documents["set_start"][chosen] = positions[:-1]
        content.documents["set_file"][chosen] = new_number
        return write_sets(root, new_number, hashes) if len(hashes) else None


@dataclass(frozen=True)
class Content:
    """The arrays of a segment that is to be written.

    Attributes:
        documents: Rows, shape (N,).
        ids: UTF-8 bytes of the ids.
        band_keys: Keys in any order, shape (B, n).
        band_rows: Their rows, shape (B, n).
        id_keys: Keys in any order, shape (N,).
        id_rows: Their rows, shape (N,).
        sets: Files of the shingle sets by number.
    """

    documents: Rows
    ids: NDArray[np.uint8]
    band_keys: Keys
    band_rows: Ints
    id_keys: Keys
    id_rows: Ints
    sets: dict[int, FileEntry]

    def keep(self, mask: NDArray[np.bool_]) -> "Content":
        """The documents of ``mask`` alone, rows renumbered, with one set of band keys per text.

        The first of equal texts has them; where that one goes, the next one takes them.  A text without words has none.
        """
        documents, count = self.documents, len(self.documents)
        nodes = find_nodes(documents["text_hash"], np.arange(count))
        is_owner = np.zeros(count, bool)  # the first equal text: its band keys are those that count
        is_owner[nodes.representative] = True
        is_owner &= documents["num_shingles"] > 0
        left = np.full(len(nodes.representative), count, np.int64)
        np.minimum.at(left, nodes.of_record[mask], np.flatnonzero(mask))
        heir = left[nodes.of_record]  # the first equal text that stays, or count
        stays = (is_owner & (heir < count))[self.band_rows]
        kept_ids = mask[self.id_rows]
        renumbered = np.cumsum(mask) - 1
        bands = len(self.band_rows)
        kept = documents[mask]
        return Content(
            kept,
            _compact_ids(documents, mask, self.ids, kept),
            self.band_keys[stays].reshape(bands, -1),
            renumbered[heir[self.band_rows[stays]]].reshape(bands, -1),
            self.id_keys[kept_ids],
            renumbered[self.id_rows[kept_ids]],
            self.sets,
        )

    def first_of_each_text(self) -> "Content":
        """The same documents; of equal texts, only the first has band keys."""
        return self.keep(np.ones(len(self.documents), bool))

    def write(self, root: Path, number: int) -> SegmentEntry:
        """Writes the segment's file."""
        if len(self.documents) >= 1 << 32:
            raise ValueError("a segment holds fewer than 2^32 documents")
        bands = len(self.band_keys)
        by_key = [np.argsort(self.band_keys[band], kind="stable") for band in range(bands)]
        text_keys = self.documents["text_hash"][:, 0]
        by_text, by_id = np.argsort(text_keys, kind="stable"), np.argsort(self.id_keys, kind="stable")
        sections = {
            "documents": self.documents,
            "ids": self.ids,
            "band_keys": np.stack([self.band_keys[band][by_key[band]] for band in range(bands)]).astype("<u8"),
            "band_rows": np.stack([self.band_rows[band][by_key[band]] for band in range(bands)]).astype("<u4"),
            "text_keys": text_keys[by_text].astype("<u8"),
            "text_rows": by_text.astype("<u4"),
            "id_keys": self.id_keys[by_id].astype("<u8"),
            "id_rows": self.id_rows[by_id].astype("<u4"),
        }
        file = write_file(root, f"segments/{number:06d}", {n: a.reshape(-1) for n, a in sections.items()})
        return SegmentEntry(file, len(self.documents), self.sets)


def merged(segments: Iterable[Segment]) -> Content:
    """The documents of several segments, in their order."""
    pieces = [segment.content() for segment in segments]
    rows = np.cumsum([0, *(len(piece.documents) for piece in pieces)])
    starts = np.cumsum([0, *(len(piece.ids) for piece in pieces)])
    for piece, start in zip(pieces, starts.tolist(), strict=False):
        piece.documents["id_start"] += np.uint64(start)
    shifted = list(zip(pieces, rows.tolist(), strict=False))
    whole = Content(
        np.concatenate([piece.documents for piece in pieces]),
        np.concatenate([piece.ids for piece in pieces]),
        np.concatenate([piece.band_keys for piece in pieces], axis=1),
        np.concatenate([piece.band_rows + row for piece, row in shifted], axis=1),
        np.concatenate([piece.id_keys for piece in pieces]),
        np.concatenate([piece.id_rows + row for piece, row in shifted]),
        {number: file for piece in pieces for number, file in piece.sets.items()},
    )
    return whole.first_of_each_text()


def _compact_ids(documents: Rows, mask: NDArray[np.bool_], ids: NDArray[np.uint8], kept: Rows) -> NDArray[np.uint8]:
    """The ids of the documents of ``mask`` one after another; writes into ``kept`` where each begins."""
    if mask.all():
        return ids
    offsets = np.append(documents["id_start"], len(ids)).astype(np.int64)
    array = pa.Array.from_buffers(pa.large_binary(), len(documents), [None, pa.py_buffer(offsets), pa.py_buffer(ids)])
    _, new_offsets, data = array.filter(pa.array(mask)).buffers()
    kept["id_start"] = np.frombuffer(new_offsets, np.int64)[: len(kept)]
    return np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)


def write_sets(root: Path, number: int, hashes: Keys) -> FileEntry:
    """Writes a file of shingle sets."""
    return write_file(root, f"sets/{number:06d}", {"hashes": hashes.astype("<u8", copy=False)})
