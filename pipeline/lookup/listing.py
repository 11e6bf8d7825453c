"""Records that were found, as a list for a person: where each stands, what became of it, and how it begins."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.base.words import counted, head, place
from pipeline.lookup.found import LIMIT, TABLES, Found, Rows, phrase_pattern
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.ledger import Ledger
from pipeline.run.rows import read_row, read_rows
from pipeline.run.tables import VERDICTS

BEGINS = 100  # characters
AROUND = 40  # characters on both sides of a phrase
STATES = ("", "quarantined", "excluded")  # of the tables; a document's is told by its verdicts
COLUMNS = (
    ("doc_id", "source", "path", "offset", "url", "title", "text"),
    ("source", "path", "offset", "length", "reason", "detail", "head"),
    ("source", "path", "offset", "reason", "detail", "url"),
)


def listing(run: Run, found: Found, limit: int | None = LIMIT) -> list[dict[str, Any]]:
    """The first ``limit`` records; None: all.

    Returns:
        Of each ``doc_id`` (null of what is no document), ``source``, ``path`` (relative to the source), ``offset``,
        ``table``, ``shard``, ``row``, ``state``, ``reasons``, ``begins``, and what else its table knows of it; of a
        phrase also ``start`` and ``end``, in bytes of the text, and ``around``.
    """
    removed = ledger.load(run.root)
    return [record for place in found.first(limit) for record in _of_place(run, found, place, removed)]


def _of_place(run: Run, found: Found, place: Rows, removed: Ledger) -> list[dict[str, Any]]:
    table = TABLES[place.table]
    path = run.local(layout.shard_table(table.folder, place.shard))
    values = read_rows(path, table, place.rows.tolist(), COLUMNS[place.table]).to_pylist()
    return [_record(run, found, place, row, of, removed) for row, of in zip(place.rows.tolist(), values, strict=True)]


def _record(run: Run, found: Found, place: Rows, row: int, values: dict[str, Any], removed: Ledger) -> dict[str, Any]:
    text = values.pop("text", None)
    if text is None:
        text = values.pop("head", b"").decode("utf-8", "replace")
    doc_id = values.pop("doc_id", None)
    if doc_id is None:
        state, reasons = STATES[place.table], [values["reason"]]
    else:
        state, reasons = state_of(run, doc_id, place.shard, row, removed)
    return {
        "doc_id": None if doc_id is None else doc_id.hex(),
        **values,
        "table": layout.shard_table(TABLES[place.table].folder, place.shard),
        "shard": place.shard,
        "row": row,
        "state": state,
        "reasons": reasons,
        "begins": head(" ".join(text[: 4 * BEGINS].split()), BEGINS),
        **(_at(text, found.asked) if found.kind == "phrase" else {}),
    }


def state_of(run: Run, doc_id: bytes, shard: str, row: int, removed: Ledger) -> tuple[str, list[str]]:
    """What became of a document, with the reasons where a stage dropped it."""
    if doc_id.hex() in removed.documents:
        return "taken down", []
    judged = False
    for stage in run.recipe.stages:
        verdict = read_row(run, layout.verdicts(stage, shard), VERDICTS, row, ["doc_id", "keep", "reasons"])
        if verdict and verdict["keep"] is False:
            return f"dropped by {stage}", verdict["reasons"]
        judged = judged or bool(verdict)
    return ("kept" if judged else "not judged yet"), []


def _at(text: str, phrase: str) -> dict[str, Any]:
    """Where a phrase stands in a text, and what is around it."""
    match = re.search(phrase_pattern(phrase), text, re.IGNORECASE)
    if match is None:  # letters that only Unicode's larger tables fold
        return {"start": None, "end": None, "around": None}
    start = len(text[: match.start()].encode())
    first, last = max(0, match.start() - AROUND), match.end() + AROUND
    around = f"{'…' * (first > 0)}{' '.join(text[first:last].split())}{'…' * (last < len(text))}"
    return {"start": start, "end": start + len(match[0].encode()), "around": head(around, 1000)}


def heading(found: Found) -> str:
    """What was asked for, what it was taken for, and how much was found."""
    return f"{found.asked!r} is {found.taken_for}: {counts_in_words(found)}{f' ({found.note})' if found.note else ''}"


def as_text(found: Found, records: Sequence[Mapping[str, Any]], option: str = "--limit") -> str:
    """The list for a person: the heading, each record, and how many are not shown; ``option`` would show more."""
    told = [heading(found), *record_lines(records)]
    if found.count > len(records):
        how = f"; {option} shows more than {len(records):,}" if option else ""
        told.append(f"  and {found.count - len(records):,} more{how}")
    return "\n".join(told)


def record_lines(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Two lines for each record: where it stands and what became of it, and words of it."""
    told = []
    for record in records:
        name = record["doc_id"] or f"{record['table']} row {record['row']}"
        told.append(f"  {name}  {place(record)}  {state_in_words(record)}")
        shown = record.get("around") or record["begins"]
        told += [f"      {shown}"] if shown else []
    return told


def as_json(run: Run, found: Found, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same as one object."""
    return {
        "root": run.root,
        "asked": found.asked,
        "kind": found.kind,
        "taken_for": found.taken_for,
        "note": found.note or None,
        "count": found.count,
        "documents": found.documents,
        "matches": list(records),
    }


def counts_in_words(found: Found) -> str:
    """``3 documents``, ``1 document, 2 records that became none``."""
    others = found.count - found.documents
    told = [counted(found.documents, "document")] if found.documents or not others else []
    told += [f"{counted(others, 'record')} that became no document"] if others else []
    return ", ".join(told)


def state_in_words(record: Mapping[str, Any]) -> str:
    """``dropped by filter: c4.max_curly_bracket``."""
    reasons = ", ".join(record["reasons"])
    detail = f" ({record['detail']})" if record.get("detail") else ""
    return f"{record['state']}{': ' if reasons else ''}{reasons}{detail}"
