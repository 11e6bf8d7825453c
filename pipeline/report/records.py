"""Records that never became documents: counts, reasons and examples from excluded/ and quarantine/."""

from typing import Any

import pyarrow.compute as pc

from pipeline.base.words import head, visible
from pipeline.clean.stage import seen_inputs
from pipeline.report.figures import Example, Figures, Reason
from pipeline.report.hidden import Places, is_legible
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run
from pipeline.run.table_files import Table, read_table
from pipeline.run.tables import EXCLUDED, QUARANTINE

KINDS = {"documents": "documents", "excluded": "excluded", "quarantine": "quarantined"}
TABLES = {"excluded": EXCLUDED, "quarantined": QUARANTINE}
HEAD_CHARACTERS = 256
NO_PLACES = Places([])


def collect_records(run: Run, figures: Figures) -> dict[str, int]:
    """Fills the reasons of "excluded" and "quarantined"; returns records by kind, and ``records_in``."""
    found = manifests.load_manifests(run.root, "clean")
    rows = dict.fromkeys(KINDS.values(), 0)
    reasons: dict[str, dict[str, Reason]] = {kind: {} for kind in TABLES}
    for output in (output for m in found.values() for output in m.outputs):
        kind = KINDS.get(output.path.split("/")[0], "")
        if not kind:
            continue
        rows[kind] += output.rows or 0
        if kind in TABLES and output.rows:
            _add(run, output.path, TABLES[kind], kind, reasons[kind])
    for kind, by_name in reasons.items():
        figures.reasons[kind] = sorted(by_name.values(), key=lambda reason: (-reason.documents, reason.name))
    read = manifests.total_counts(found.values()).get("records_in", sum(rows.values()))
    if read != sum(rows.values()):
        figures.conservation.append(f"records read: {read:,}; accounted for: {sum(rows.values()):,}")
    seen = seen_inputs(run.root)  # a file without a byte is no record, and stands in no table
    figures.empty_files = [path for files in seen.values() for path, (size, made) in files.items() if made and not size]
    return {"records_in": read, **rows}


def _add(run: Run, path: str, table: Table, kind: str, reasons: dict[str, Reason]) -> None:
    rows = read_table(run.local(path), table)
    for pair in rows["reason"].value_counts().to_pylist():
        reason = reasons.setdefault(pair["values"], Reason(kind, pair["values"]))
        reason.documents += pair["counts"]
        reason.alone += pair["counts"]
        chosen = rows.filter(pc.equal(rows["reason"], pair["values"]))
        reason.of["source"].update(chosen["source"].to_pylist())
        missing = max(0, run.recipe.report.examples - len(reason.examples))
        reason.examples += [_example(row) for row in chosen.slice(0, missing).to_pylist()]


def _example(row: dict[str, Any]) -> Example:
    place = f"{visible(row['path'])}, offset {row['offset']:,}"
    if row.get("length") is not None:
        place += f", {row['length']:,} bytes"
    more = (NO_PLACES.in_text(visible(row[key])) for key in ("detail", "url") if row.get(key))
    facts = [row["source"], place, *more]
    damaged = row.get("head", b"").decode("utf-8", errors="replace")
    if not is_legible(damaged):
        note = f"Its first {len(row['head'])} bytes are no text."
        return Example(title=f"record of {row['source']}", facts=facts, head="", note=note)
    return Example(title=f"record of {row['source']}", facts=facts, head=head(damaged, HEAD_CHARACTERS))
