"""Records of a run by what a person has in hand: a doc_id, URL, id, path, file name, or any phrase of a text.

A record is looked for in documents/, and where it became none, in quarantine/ and excluded/.  There is no index of
paths or texts: a path reads one column of every table, a phrase the text of every document: some 1.5 s of one core's
time for 1 GB.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base.errors import UserError
from pipeline.base.pool import default_workers
from pipeline.base.words import counted
from pipeline.lookup import locate, paths
from pipeline.lookup.locate import DocIndex, Located
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.rows import read_rows, shard_names
from pipeline.run.table_files import Table, batches
from pipeline.run.tables import DOCUMENTS, EXCLUDED, QUARANTINE

TABLES = (DOCUMENTS, QUARANTINE, EXCLUDED)
LIMIT = 20  # records listed
NOT_MEANT = 99
EXACT_URL, ALMOST_URL = "a URL", "a URL but for its scheme, fragment or last slash"
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """Rows of one shard of a table that a record ends in; ``table`` is its number in ``TABLES``."""

    table: int
    shard: str
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        asked: As it was given.
        kind: doc_id | url | id | path | phrase.
        taken_for: The same in words, such as "a file's name".
        places: All of it: documents first, each table in the order of the run.
        note: What else a person should know; may be empty.
    """

    asked: str
    kind: str
    taken_for: str
    places: list[Rows] = field(default_factory=list)
    note: str = ""

    @property
    def count(self) -> int:
        """Records found."""
        return sum(len(place.rows) for place in self.places)

    @property
    def documents(self) -> int:
        """Those of them that became documents."""
        return sum(len(place.rows) for place in self.places if place.table == 0)

    def first(self, limit: int | None) -> Iterator[Rows]:
        """The places of the first ``limit`` records; None: of all."""
        left = self.count if limit is None else limit
        for place in self.places:
            if left > 0:
                yield Rows(place.table, place.shard, place.rows[:left])
            left -= len(place.rows)


def find(run: Run, asked: str) -> Found:
    """The records that ``asked`` names: tried as a doc_id, URL, record id, path, then as a phrase; the first that fits.

    Raises:
        UserError: If it is none of these in this run, or the beginning of several doc_ids.
    """
    index = DocIndex(run)
    digits = asked.strip().rstrip(".…").lower()
    for found in _tries(run, index, asked, digits):
        if found.places:
            return found
    if locate.is_prefix(digits):
        index.find(digits)  # its error names the nearest one
    raise UserError(f"{asked!r}: {_nowhere(run, asked)}")


def by_one_of(
    run: Run,
    any_of_these: str | None = None,
    *,
    path: str | None = None,
    phrase: str | None = None,
    url: str | None = None,
    id: str | None = None,
) -> Found:
    """The records that the one value which is given names.

    Raises:
        UserError: If there are none, or several documents of this URL or id.
    """
    if any_of_these:
        return find(run, any_of_these)
    if url or id:
        found = by_url(run, url) if url else by_id(run, id or "")
        if found.places and (found.taken_for != EXACT_URL or found.count > found.documents):
            return found
        one = locate.one_by_key(run, "url" if url else "id", found.asked)  # its errors say what is wrong with this key
        return Found(found.asked, found.kind, found.taken_for, _places([one]))
    found = by_path(run, path) if path else by_phrase(run, phrase or "")
    if not found.places:
        raise UserError(f"{'--path' if path else '--phrase'} {found.asked!r}: {_nowhere(run, found.asked)}")
    return found


def _tries(run: Run, index: DocIndex, asked: str, digits: str) -> Iterator[Found]:
    if locate.is_prefix(digits) and index.begins(digits):
        yield Found(asked, "doc_id", _doc_id_in_words(digits), _places([index.find(digits)]))
    if "://" in asked:
        yield by_url(run, asked)
    yield by_id(run, asked)
    yield by_path(run, asked)
    yield by_phrase(run, asked)


def _doc_id_in_words(digits: str) -> str:
    return "a doc_id" if len(digits) == 32 else "the beginning of a doc_id"


def _places(found: list[Located]) -> list[Rows]:
    """Documents as places, each once."""
    rows: dict[str, set[int]] = {}
    for located in found:
        rows.setdefault(located.shard, set()).add(located.row)
    return [Rows(0, shard, np.array(sorted(rows[shard]), np.int64)) for shard in sorted(rows)]


def by_url(run: Run, url: str) -> Found:
    """Records with this URL; else with the same but for its scheme, fragment, or a slash at its end."""
    others = {url, url.partition("#")[0], url.rstrip("/"), f"{url}/"}
    others |= {f"http{'' if scheme else 's'}://{u.partition('://')[2]}" for u in others for scheme in (0, 1)}
    for wanted in ([url], sorted(others - {url})):
        places = _places([located for value in wanted for located in locate.by_key(run, "url", value)])
        places += _scan(run, EXCLUDED, ["url"], _is_one_of(wanted))
        if places:
            return Found(url, "url", EXACT_URL if wanted == [url] else ALMOST_URL, places)
    return Found(url, "url", "a page's canonical URL", _scan(run, DOCUMENTS, ["canonical_url"], _is_one_of([url])))


def _is_one_of(wanted: list[str]) -> Callable[[pa.RecordBatch], Mask]:
    values = pa.array(wanted, pa.string())
    return lambda batch: _mask(pc.is_in(batch.column(0), value_set=values))


def by_id(run: Run, value: str) -> Found:
    """Documents whose records have this id."""
    return Found(value, "id", "a record's id", _places(locate.by_key(run, "id", value)))


def _nowhere(run: Run, asked: str) -> str:
    """What it means that nothing was found."""
    from pipeline.clean.stage import seen_inputs

    kind_of = paths.matcher(asked)
    inputs = {path: size for files in seen_inputs(run.root).values() for path, (size, _) in files.items()}
    if named := [path for path in inputs if kind_of(path) is not None]:
        empty = "the file is empty" if not inputs[named[0]] else "nothing of it is a document, damaged or excluded"
        return f"an input of the run ({named[0]}), but no table has a record of it: {empty}"
    told = "no doc_id, URL, record's id, path or file name in this run, and no phrase of its texts"
    if run.recipe.clean.pii == "replace":
        told += ". Personal data are placeholders in the texts (clean.pii), and cannot be found"
    return told


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


def phrase_pattern(phrase: str, space: str = r"\s+") -> str:
    """A pattern of the words of a phrase with ``space`` between them.

    Raises:
        UserError: If there are none.
    """
    words = phrase.split()
    if not words:
        raise UserError("a phrase has at least one word")
    return space.join(re.escape(word) for word in words)


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


def located(run: Run, found: Found) -> list[Located]:
    """The documents among what was found, with their doc_ids."""
    made = []
    for place in found.places:
        if place.table == 0:
            path = run.local(layout.documents(place.shard))
            ids = read_rows(path, DOCUMENTS, place.rows.tolist(), ["doc_id"])["doc_id"].to_pylist()
            made += [Located(doc_id, place.shard, row) for doc_id, row in zip(ids, place.rows.tolist(), strict=True)]
    return made


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
