"""Records by their path, or by any phrase of their text, with no index of either.

A path reads one column of every table, a phrase the text of every document: some 1.7 s of processor time for 1 GB,
spread over all processors that the process may use.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.pool import default_workers
from pipeline.base.words import counted
from pipeline.lookup import paths
from pipeline.lookup.found import TABLES, Found, Rows, phrase_pattern
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.rows import shard_names
from pipeline.run.table_files import Table, batches
from pipeline.run.tables import DOCUMENTS, EXCLUDED, QUARANTINE

NOT_MEANT = 99
Mask = NDArray[np.bool_]


def excluded_urls(run: Run, urls: list[str]) -> list[Rows]:
    """Excluded records with one of these URLs."""
    return _scan(run, EXCLUDED, ["url"], _is_one_of(urls))


def canonical_urls(run: Run, url: str) -> list[Rows]:
    """Documents that name this URL as their own."""
    return _scan(run, DOCUMENTS, ["canonical_url"], _is_one_of([url]))


def _is_one_of(wanted: list[str]) -> Callable[[pa.RecordBatch], Mask]:
    values = pa.array(wanted, pa.string())
    return lambda batch: _mask(pc.is_in(batch.column(0), value_set=values))


# -- paths


def by_path(run: Run, asked: str) -> Found:
    """Records of the files that ``asked`` names, best reading of it first; ``PATH:OFFSET`` is one record of a file."""
    found = _by_path(run, asked, None)
    at = paths.split_offset(asked)
    return _by_path(run, asked, at) if at is not None and not found.places else found


def _by_path(run: Run, asked: str, at: tuple[str, int] | None) -> Found:
    path = at[0] if at else asked
    meant = _Meant(path)
    found: dict[int, list[tuple[Rows, NDArray[np.int64]]]] = {}
    for number, table in enumerate(TABLES):
        for shard, first, batch in _batches(run, table, ["path", "offset"]):
            kinds, lengths = meant.of(batch.column("path"))
            if at is not None:
                kinds[_mask(pc.not_equal(batch.column("offset"), at[1]))] = NOT_MEANT
            for kind in set(kinds.tolist()) - {NOT_MEANT}:
                rows = np.flatnonzero(kinds == kind)
                found.setdefault(kind, []).append((Rows(number, shard, rows + first), lengths[rows]))
    if not found:
        return Found(asked, "path", "a path")
    kind = min(found)
    places = [rows for rows, _ in found[kind]]
    if kind % paths.OTHER_CASE == paths.LONGER:  # of several paths that end the given one, the longest
        longest = max(int(lengths.max()) for _, lengths in found[kind])
        places = [Rows(r.table, r.shard, r.rows[lengths == longest]) for r, lengths in found[kind]]
    taken_for = f"{paths.in_words(kind, path)}{f', and the offset {at[1]:,}' if at else ''}"
    others = sum(len(rows.rows) for rows, _ in found.get(paths.END, ()))
    return Found(asked, "path", taken_for, _joined(places), _others_named_so(path, kind, others))


class _Meant:
    """How the paths of batches are meant by what was asked for."""

    def __init__(self, asked: str) -> None:
        self._name, self._kind_of = paths.last_name(asked), paths.matcher(asked)

    def of(self, column: pa.StringArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The kind of each row's path, or ``NOT_MEANT``, and its length; equal paths of a batch are looked at once."""
        codes = column.dictionary_encode()
        names, rows = codes.dictionary, codes.indices.to_numpy()
        kinds, lengths = np.full(len(names), NOT_MEANT), np.zeros(len(names), np.int64)
        for number in np.flatnonzero(_maybe(names, self._name)).tolist():
            path = names[number].as_py()
            kind = self._kind_of(path)
            kinds[number], lengths[number] = NOT_MEANT if kind is None else kind, len(path)
        return kinds[rows], lengths[rows]


def _maybe(names: pa.StringArray, name: str) -> Mask:
    """The paths that are worth a look: those that hold a name, which may be in another form of Unicode."""
    if not name or not name.isascii():
        return np.ones(len(names), bool)
    return _mask(pc.match_substring(names, name, ignore_case=True))


def _others_named_so(asked: str, kind: int, others: int) -> str:
    if kind != paths.EQUAL or not others or "/" in paths.plain(asked):
        return ""
    return f"files of this name in other folders have {counted(others, 'more record')}: ask for **/{paths.plain(asked)}"


# -- phrases


def by_phrase(run: Run, phrase: str) -> Found:
    """Documents that have a phrase in their text, and damaged records that have it in their first bytes.

    White space, and upper and lower case, are not compared.
    """
    normal = unicodedata.normalize("NFC", phrase)
    pattern = phrase_pattern(normal, r"[\s\pZ]+")
    raw = re.compile(phrase_pattern(normal, r"(?:\s|\xc2\xa0)+").encode(), re.IGNORECASE)

    longest = re.escape(max(normal.split(), key=len))

    def in_text(batch: pa.RecordBatch) -> Mask:
        found = _mask(pc.match_substring_regex(batch.column(0), longest, ignore_case=True))  # one word is soon found
        if pattern != longest and found.any():
            texts = batch.column(0).filter(pa.array(found))
            found[found] = _mask(pc.match_substring_regex(texts, pattern, ignore_case=True))
        return found

    def in_head(batch: pa.RecordBatch) -> Mask:
        return np.array([raw.search(head) is not None for head in batch.column(0).to_pylist()], bool)

    places = [*_scan(run, DOCUMENTS, ["text"], in_text), *_scan(run, QUARANTINE, ["head"], in_head)]
    return Found(phrase, "phrase", "a phrase", places)


# -- scanning


def _scan(run: Run, table: Table, columns: list[str], matches: Callable[[pa.RecordBatch], Mask]) -> list[Rows]:
    number = TABLES.index(table)

    def of_shard(shard: str) -> Rows:
        found = [np.flatnonzero(matches(batch)) + first for first, batch in _of_shard(run, table, shard, columns)]
        return Rows(number, shard, np.concatenate(found) if found else np.empty(0, np.int64))

    with ThreadPoolExecutor(default_workers()) as threads:  # Arrow works without Python's lock
        return [rows for rows in threads.map(of_shard, shard_names(run, table.folder)) if len(rows.rows)]


def _joined(places: list[Rows]) -> list[Rows]:
    """The rows of batches as those of shards."""
    by_shard: dict[tuple[int, str], list[NDArray[np.int64]]] = {}
    for place in places:
        by_shard.setdefault((place.table, place.shard), []).append(place.rows)
    joined = [Rows(*key, np.concatenate(rows)) for key, rows in by_shard.items()]
    return [place for place in joined if len(place.rows)]


def _batches(run: Run, table: Table, columns: list[str]) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """Shard, number of the first row, and batch, of every shard of a table that has rows."""
    for shard in shard_names(run, table.folder):
        yield from ((shard, first, batch) for first, batch in _of_shard(run, table, shard, columns))


def _of_shard(run: Run, table: Table, shard: str, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    first = 0
    for batch in batches(run.local(layout.shard_table(table.folder, shard)), table, columns):
        if batch.num_rows:
            yield first, batch
        first += batch.num_rows


def _mask(found: Any) -> Mask:
    flags: Mask = found.fill_null(False).to_numpy(zero_copy_only=False)
    return flags
