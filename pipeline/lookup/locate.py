"""From what a person has in hand (doc_id, URL, record id, a text file) to a document's shard and row.

A doc_id is found by bisection in the mapped ``index/doc_id.arrow``, a URL or record id in ``index/keys.arrow``
(pipeline/lookup/keys.py).  A run without one of them (not tokenized yet) is searched through, which takes longer.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.arrow import doc_id_array
from pipeline.base.errors import UserError, parse_json
from pipeline.lookup import keys
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.rows import behind, matching_rows, numbered_shards, read_rows, shard_names
from pipeline.run.table_files import batches, open_table
from pipeline.run.tables import BATCH_ROWS_KEY, DOC_INDEX, DOCUMENTS

SHOWN = 5  # candidates named in a message
PLACE = ("source", "path", "offset")
SHORTEST_PREFIX = 4  # hex digits


@dataclass(frozen=True)
class Located:
    """Where a document stands."""

    doc_id: bytes
    shard: str
    row: int


class DocIndex:
    """The sorted doc_ids of a run, mapped.

    Raises:
        UserError: If the run has no documents.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.shards = run, numbered_shards(run)
        self._batch_rows: list[list[int]] = []
        if not self.shards or not storage.list_files(run.url(layout.DOCUMENTS), ".arrow"):
            raise UserError(f"{run.root}: no documents yet; `tokenmill run` makes them")
        if storage.exists(run.url(layout.DOC_INDEX)):
            self._load(run.local(layout.DOC_INDEX))
        else:
            self._scan()

    def _load(self, path: Path) -> None:
        reader = open_table(path, DOC_INDEX)
        self._batch_rows = parse_json((reader.schema.metadata or {}).get(BATCH_ROWS_KEY.encode(), b"[]"))
        if len(self._batch_rows) not in (0, len(self.shards)):
            raise behind(path)
        self._ids: list[NDArray[np.uint8]] = []
        self._places: list[tuple[pa.Array, pa.Array]] = []
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            if batch.num_rows:
                self._ids.append(doc_id_array(batch.column("doc_id")))
                self._places.append((batch.column("shard"), batch.column("row")))
        self._firsts = [ids[0].tobytes() for ids in self._ids]

    def _scan(self) -> None:
        """Makes the index in memory: for a run that is not tokenized yet."""
        rows = []
        for number, shard in enumerate(self.shards):
            row = 0
            for batch in batches(self.run.local(layout.documents(shard)), DOCUMENTS, ["doc_id"]):
                rows += [(doc_id, number, row + i) for i, doc_id in enumerate(batch.column(0).to_pylist())]
                row += batch.num_rows
        rows.sort()
        ids = np.frombuffer(b"".join(doc_id for doc_id, _, _ in rows), np.uint8).reshape(-1, 16)
        self._ids = [ids] if rows else []
        self._places = [(pa.array([shard for _, shard, _ in rows]), pa.array([row for _, _, row in rows]))]
        self._firsts = [ids[0].tobytes()] if rows else []

    def edges(self, shard: str) -> list[int] | None:
        """Number of the first row of each record batch of a document shard, and of all rows; None where not known."""
        if len(self._batch_rows) != len(self.shards):
            return None
        return [0, *accumulate(self._batch_rows[bisect_left(self.shards, shard)])]

    def from_key(self, key: bytes) -> Iterator[Located]:
        """The documents from the first doc_id that is not below ``key`` on, in order."""
        number = max(bisect_left(self._firsts, key) - 1, 0)
        while number < len(self._ids):
            ids, (shards, rows) = self._ids[number], self._places[number]
            for row in range(_first_row(ids, key), len(ids)):
                yield Located(ids[row].tobytes(), self.shards[shards[row].as_py()], rows[row].as_py())
            number += 1

    def find(self, text: str) -> Located:
        """The document whose doc_id is, or begins with, ``text`` (hex digits).

        Raises:
            UserError: If there is none (with the nearest known prefix), or several.
        """
        digits = text.strip().lower()
        if not is_prefix(digits):
            raise UserError(
                f"{text!r}: not a doc_id, which has 32 hex digits (at least the first {SHORTEST_PREFIX}); "
                "find a document by --url, --id or --file"
            )
        found: list[Located] = []
        for located in self.from_key(bytes.fromhex(digits.ljust(32, "0"))):
            if not located.doc_id.hex().startswith(digits) or len(found) > SHOWN:
                break
            found.append(located)
        if not found:
            raise UserError(f"{text}: no such document; {self._nearest(digits)}")
        return only(found, f"doc_ids begin with {digits}")

    def begins(self, digits: str) -> bool:
        """Whether a doc_id is, or begins with, these hex digits."""
        first = next(self.from_key(bytes.fromhex(digits.ljust(32, "0"))), None)
        return first is not None and first.doc_id.hex().startswith(digits)

    def _nearest(self, digits: str) -> str:
        after = next(self.from_key(bytes.fromhex(digits.ljust(32, "0"))), None)
        before = self._before(bytes.fromhex(digits.ljust(32, "0")))
        names = [doc_id.hex() for doc_id in (before, after.doc_id if after else None) if doc_id is not None]
        if not names:
            return "the run has no documents"
        best = max(names, key=lambda name: _shared_digits(name, digits))
        return f"the nearest doc_id is {best} (first {_shared_digits(best, digits)} digits the same)"

    def _before(self, key: bytes) -> bytes | None:
        number = bisect_left(self._firsts, key) - 1
        if number < 0:
            return None
        ids = self._ids[number]
        return bytes(ids[_first_row(ids, key) - 1])


def is_prefix(digits: str) -> bool:
    """Whether this may be a doc_id or the beginning of one."""
    return SHORTEST_PREFIX <= len(digits) <= 32 and not set(digits) - set("0123456789abcdef")


def _first_row(ids: NDArray[np.uint8], key: bytes) -> int:
    """The first of sorted doc_ids that is not below ``key``."""
    first, end = 0, len(ids)
    while first < end:
        middle = (first + end) // 2
        if bytes(ids[middle]) < key:
            first = middle + 1
        else:
            end = middle
    return first


def _shared_digits(name: str, digits: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(name, digits, strict=False)) if a != b), min(len(name), len(digits)))


def only(found: list[Located], what: str) -> Located:
    """The one document found.

    Raises:
        UserError: If there are several; some are named.
    """
    if len(found) == 1:
        return found[0]
    names = "\n".join(f"  {located.doc_id.hex()}  {located.shard} row {located.row}" for located in found[:SHOWN])
    more = "\n  ..." if len(found) > SHOWN else ""
    raise UserError(f"{len(found)}{'+' if more else ''} {what}; ask for one of them by its doc_id:\n{names}{more}")


def by_key(run: Run, kind: str, value: str) -> list[Located]:
    """Every document whose record id (``kind`` "id") or URL ("url") is ``value``, in shard order."""
    shards = numbered_shards(run)
    places = keys.find(run, kind, value) if keys.exists(run) else _scan(run, shards, kind, value)
    found = []
    for number, row in places:
        if number >= len(shards):
            raise behind(run.url(layout.KEY_INDEX))
        shard = shards[number]
        (values,) = read_rows(run.local(layout.documents(shard)), DOCUMENTS, [row], ["doc_id", kind]).to_pylist()
        if values[kind] == value:
            found.append(Located(values["doc_id"], shard, row))
    return found


def _scan(run: Run, shards: list[str], kind: str, value: str) -> Iterator[tuple[int, int]]:
    for number, shard in enumerate(shards):
        for row in matching_rows(run.local(layout.documents(shard)), DOCUMENTS, kind, pa.array([value])):
            yield number, row


def one_by_key(run: Run, kind: str, value: str) -> Located:
    """The document with this record id or URL.

    Raises:
        UserError: If there is none, or several.
    """
    found = by_key(run, kind, value)
    if found:
        return only(found, f"documents have the {kind} {value}")
    gone = ledger.load(run.root).by_key(kind, value)
    if gone:
        return only(
            [Located(bytes.fromhex(g.doc_id), g.shard, g.row) for g in gone], f"documents had the {kind} {value}"
        )
    raise UserError(f"no document has the {kind} {value}; it is compared as it stands, letter by letter")


def places_of(run: Run, documents: Iterable[Located]) -> dict[bytes, dict[str, Any]]:
    """``source``, ``path`` and ``offset`` of documents, by doc_id."""
    by_shard: dict[str, list[Located]] = {}
    for located in documents:
        by_shard.setdefault(located.shard, []).append(located)
    found: dict[bytes, dict[str, Any]] = {}
    for shard, inside in by_shard.items():
        rows = [located.row for located in inside]
        table = read_rows(run.local(layout.documents(shard)), DOCUMENTS, rows, ["doc_id", *PLACE])
        values = table.select(list(PLACE)).to_pylist()
        found |= {located.doc_id: place for located, place in zip(inside, values, strict=True)}
    return found


def every(run: Run, columns: list[str], matches: Callable[[pa.RecordBatch], NDArray[np.bool_]]) -> Iterator[Located]:
    """Every document that ``matches`` says yes to, in shard order; reads ``columns`` of all document shards."""
    for shard in shard_names(run):
        path = run.local(layout.documents(shard))
        first, rows = 0, []
        for batch in batches(path, DOCUMENTS, columns):
            rows += (np.flatnonzero(matches(batch)) + first).tolist()
            first += batch.num_rows
        if rows:
            ids = read_rows(path, DOCUMENTS, rows, ["doc_id"])["doc_id"].to_pylist()
            yield from (Located(doc_id, shard, row) for doc_id, row in zip(ids, rows, strict=True))
