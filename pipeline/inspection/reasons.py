"""Counts of a table of records that became no document, by reason and by file."""

from typing import Any

import pyarrow as pa

from pipeline.base.words import counted

COLUMNS = {"source", "path", "offset", "reason"}  # of quarantine and excluded tables
SHOWN_FILES = 20


def has_reasons(schema: pa.Schema) -> bool:
    """Whether a table is one of these."""
    return set(schema.names) >= COLUMNS


def count(table: pa.Table) -> dict[str, Any]:
    """Rows by reason, and by file and reason, most first.

    Returns:
        ``by_reason`` (reason -> rows and files) and ``by_file`` (source, path, reason, rows, offset of the first).
    """
    keys = ["source", "path", "reason"]
    grouped = table.select([*keys, "offset"]).group_by(keys).aggregate([("offset", "count"), ("offset", "min")])
    names = {"offset_count": "rows", "offset_min": "first_offset"}
    files = [{names.get(key, key): value for key, value in row.items()} for row in grouped.to_pylist()]
    files.sort(key=lambda row: (-row["rows"], row["source"], row["path"], row["reason"]))
    totals: dict[str, dict[str, int]] = {}
    for row in files:
        total = totals.setdefault(row["reason"], {"rows": 0, "files": 0})
        total["rows"] += row["rows"]
        total["files"] += 1
    order = sorted(totals, key=lambda reason: (-totals[reason]["rows"], reason))
    return {"by_reason": {reason: totals[reason] for reason in order}, "by_file": files}


def lines(counts: dict[str, Any]) -> list[str]:
    """The counts for a person."""
    told = [
        f"  {total['rows']:>9,}  {reason}, in {counted(total['files'], 'file')}"
        for reason, total in counts["by_reason"].items()
    ]
    told += ["by file and reason"] if told else []
    for row in counts["by_file"][:SHOWN_FILES]:
        first = "first at" if row["rows"] > 1 else "at"
        told.append(
            f"  {row['rows']:>9,}  {row['reason']}  {row['path']} ({row['source']}), {first} {row['first_offset']:,}"
        )
    more = len(counts["by_file"]) - SHOWN_FILES
    return [*told, f"  and {counted(more, 'more line')}; --json has all of them"] if more > 0 else told
