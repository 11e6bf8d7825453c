"""Pollock's polluted and surveyed CSV files, with its simple score; csv-spectrum."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.conformance.cases import Case, Check, Row, Rows, Settings, same_text
from tests.conformance.clones import Clone
from tests.conformance.suites import suite

Table = list[list[str]]
LOW_SCORE = 9.9
OWN_COLUMNS = ("id", "url", "date", "licence")
csv.field_size_limit(1 << 30)


@suite("Pollock", "HPI-Information-Systems/Pollock")
def pollock(clone: Clone) -> Iterator[Case]:
    """Each file, and its clean form; its score out of 10 is what Pollock calls simple."""
    files = dict(
        clone.files("polluted_files/csv/", "polluted_files/clean/", "survey_sample/csv/", "survey_sample/clean/")
    )
    for path, data in files.items():
        folder, kind, name = path.split("/", 2)
        clean = files.get(f"{folder}/clean/{name}")
        if kind == "csv" and clean is not None and name.lower().endswith("csv"):
            table = _table(clean)
            column = "DATE" if folder == "polluted_files" else _full_column(table)
            yield Case(folder, name, data, Settings("csv", (("text", column),)), _scored(table, column))


@suite("csv-spectrum", "maxogden/csv-spectrum")
def csv_spectrum(clone: Clone) -> Iterator[Case]:
    """Twelve files, and the JSON that each is."""
    files = dict(clone.files("csvs/", "json/"))
    for path, data in files.items():
        folder, _, name = path.partition("/")
        if folder == "csvs":
            wanted = json.loads(files[f"json/{name.removesuffix('.csv')}.json"])
            column = next((key for key in reversed(wanted[0]) if all(row[key].strip() for row in wanted)), "")
            yield Case("csvs", name, data, Settings("csv", (("text", column),)), _equal(wanted, column))


def _table(data: bytes) -> Table:
    text = data.decode("utf-8-sig", "surrogateescape")
    return [row for row in csv.reader(io.StringIO(text, newline="")) if row]


def _full_column(table: Table) -> str:
    """A column that every row fills, to be the text; the first where there is none."""
    head, body = (table[0], table[1:]) if table else ([], [])
    full = (n for n, name in enumerate(head) if name.strip() and all(len(row) > n and row[n].strip() for row in body))
    place = next(full, 0)
    return (head[place].strip() if head else "") or "x"


def _scored(wanted: Table, column: str) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        score = simple_score(wanted, table_of(rows, column, wanted[0] if wanted else []))
        yield "SCORE", f"{score:.4f}", 0
        if score < LOW_SCORE:
            yield "VALUE", f"score {score:.2f} of 10: {len(rows.documents)} documents ({rows.reasons()})", 0
        if len(wanted) > 1 and not rows.total:
            yield "SILENT", f"{len(wanted) - 1} rows, none in the tables", len(wanted) - 1

    return check


def table_of(rows: Rows, column: str, order: Sequence[str]) -> Table:
    """Header and rows of the documents, the columns as they stand in the file.

    Their names tell where that is, also with a stray quote, or where the header has lost a delimiter: then one begins
    with the name of the first of its two columns.  Columns without a name are the last ones.

    Args:
        rows: The documents.
        column: Of the text.
        order: The clean header.
    """
    known = [_bare(name) for name in order]
    table: Table = []
    for row in rows.documents:
        values = {**_values(row, [name.strip() for name in order]), column: row["text"]}
        if not table:
            table.append(sorted(values, key=lambda name: _place(_bare(name), known)))
        table.append([str(values.get(name) or "") for name in table[0]])
    return table


def _place(name: str, known: Sequence[str]) -> int:
    if name in known:
        return known.index(name)
    return next((place for place, other in enumerate(known) if other and name.startswith(other)), len(known))


def _bare(name: str) -> str:
    return name.replace('"', "").strip()


def _own_columns(row: Row, names: Sequence[str]) -> dict[str, str]:
    """The fields of a document's record that have columns of their own, but its text."""
    return {name: row[name.lower()] for name in names if row.get(name.lower()) and name.lower() in OWN_COLUMNS}


def _values(row: Row, names: Sequence[str]) -> dict[str, str]:
    """The fields of a document's record but its text."""
    return {**_own_columns(row, names), **json.loads(row["metadata"] or "{}")}


def simple_score(wanted: Table, found: Table) -> float:
    """Out of 10: one for reading at all; precision, recall and F1 of the header's, the records', and all cells."""
    if not wanted:
        return 10.0
    score = 1.0
    for part in (_header, _records, _cells):
        score += sum(_shares(part(wanted), part(found)))
    return score


def _header(table: Table) -> list[str]:
    return [_cell(value) for value in table[0]] if table else []


def _records(table: Table) -> list[str]:
    return ["\x1f".join(filter(None, map(_cell, row))) for row in table[1:]]


def _cells(table: Table) -> list[str]:
    return [_cell(value) for row in table for value in row]


def _cell(value: str) -> str:
    """A value as Pollock compares it: white space and the form of numbers aside."""
    value = " ".join(value.split())
    try:
        number = float({"true": "1", "false": "0"}.get(value.lower(), value))
        return repr(int(number)) if number.is_integer() else repr(number)
    except (ValueError, OverflowError):
        return value


def _shares(wanted: list[str], found: list[str]) -> tuple[float, float, float]:
    if not wanted:
        return 1.0, 1.0, 1.0
    common = (Counter(wanted) & Counter(found)).total()
    if not common:
        return 0.0, 0.0, 0.0
    precision, recall = common / len(found), common / len(wanted)
    return precision, recall, 2 * precision * recall / (precision + recall)


def _equal(wanted: list[dict[str, str]], column: str) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        if rows.total < len(wanted):
            yield "SILENT", f"{len(wanted)} rows, {rows.total} in the tables", len(wanted) - rows.total
        found = [{**_values(row, list(wanted[0])), column: row["text"]} for row in rows.documents]
        same = len(found) == len(wanted) and all(
            one.keys() == other.keys() and all(same_text(one[key] or "", other[key]) for key in one)
            for one, other in zip(found, wanted, strict=True)
        )
        if not same:
            yield "VALUE", f"{str(found)[:120]} for {str(wanted)[:120]} ({rows.reasons()})", 0

    return check
