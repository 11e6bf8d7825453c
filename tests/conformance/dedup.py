"""The second reading path: `dedup run` must find the records that the clean stage finds, in every file.

A suite's files go through it together, by the field of their text, and by halves where it fails or finds another
number of records, down to the file.
"""

import contextlib
import io
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.errors import RunError, UserError
from pipeline.dedup.command.request import Request, checked_options
from pipeline.dedup.command.run import run
from pipeline.readers.parts.formats import HEAD_BYTES, format_of_bytes, format_of_name
from tests.conformance.apart import Apart, DiedError, HungError
from tests.conformance.cases import Case, Finding, Rows
from tests.conformance.product import Outcome

BATCH_SECONDS, FILE_SECONDS = 900.0, 60.0
RECORDS_WITHOUT_TEXT = ("empty", "empty_extraction")
MAX_RUNS = 200  # of one suite: where everything differs, the first files tell
COUNTS = ("records_in", "records_kept", "records_quarantined")
REMOVED = tuple(f"records_removed_{why}" for why in ("exact", "near", "url", "earlier"))
PARTS = ("records_kept", *REMOVED, "records_quarantined")


@dataclass
class Found:
    """What became of a suite's files."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    runs: int = 0


def deduplicated(folder: str, output: str, text_field: str) -> dict[str, Any]:
    """The summary of one run; or in words why it was refused."""
    request = Request(
        inputs=(folder,),
        output=Path(output),
        options=checked_options(keep="first"),
        text_field=text_field,
        exact_only=True,
        overwrite=True,
    )
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # what it says as it goes
            return dict(run(request))
    except (UserError, RunError) as error:
        return {"refused": str(error)}


def dedup(cases: Sequence[Case], outcome: Outcome, folder: Path) -> Found:
    """Every case that the clean stage read, through `dedup run`."""
    by_field: dict[str, list[Case]] = {}
    for case in cases:
        if (text_field := _field(case)) is not None and case.place in outcome.rows:
            by_field.setdefault(text_field, []).append(case)
    found = Found()
    with Apart(deduplicated, BATCH_SECONDS) as batch, Apart(deduplicated, FILE_SECONDS) as single:
        for text_field, group in by_field.items():
            _tried(group, outcome, folder, text_field, (batch, single), found)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _field(case: Case) -> str | None:
    """The field of the text; None where `dedup run` would read the file in another way than the recipe says."""
    fields, named = dict(case.settings.fields), case.settings.format
    if "html" in fields or case.settings.separator or case.settings.encoding:
        return None
    if named != "auto" and named != (format_of_name(case.name) or format_of_bytes(case.data[:HEAD_BYTES])):
        return None
    return fields.get("text", "text")


def _tried(
    cases: Sequence[Case], outcome: Outcome, folder: Path, text_field: str, apart: tuple[Apart, Apart], found: Found
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for case in cases:
        (folder / "in" / case.place).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / case.place).write_bytes(case.data)
    found.runs += 1
    try:
        summary = apart[len(cases) == 1](str(folder / "in"), str(folder / "out"), text_field)
    except (DiedError, HungError) as error:
        summary = {"hung" if isinstance(error, HungError) else "died": str(error)}
    if "refused" in summary and not any(outcome.rows[case.place].documents for case in cases):
        return  # where nothing can be read, being refused is right
    least = sum(_records(outcome.rows[case.place]) for case in cases)
    empty = sum(_empty(outcome.rows[case.place]) for case in cases)  # a page without text is no record here
    told = sum(summary.get(part, 0) for part in PARTS)
    if least <= summary.get("records_in", -1) <= least + empty and told == summary["records_in"]:
        found.counts.update({count: summary[count] for count in COUNTS})
    elif len(cases) == 1:
        found.counts.update({count: summary.get(count, 0) for count in COUNTS})
        found.findings += _difference(cases[0], outcome.rows[cases[0].place], summary)
    elif found.runs < MAX_RUNS:
        half = len(cases) // 2
        for part in (cases[:half], cases[half:]):
            _tried(part, outcome, folder, text_field, apart, found)
    else:
        detail = f"{len(cases)} files: {least} records by clean, {summary}"
        found.findings.append(Finding("VALUE", f"dedup: {cases[0].place} and others", detail[:400]))


def _records(rows: Rows) -> int:
    return len(rows.documents) + len(rows.quarantined)


def _empty(rows: Rows) -> int:
    return sum(row["reason"] in RECORDS_WITHOUT_TEXT for row in rows.excluded)


def _difference(case: Case, rows: Rows, summary: dict[str, Any]) -> Iterator[Finding]:
    place, wanted = f"dedup: {case.place}", _records(rows)
    for key, kind in (("died", "DEATH"), ("hung", "HANG")):
        if key in summary:
            yield Finding(kind, place, summary[key])
            return
    if "refused" in summary:
        yield Finding("STRICT", place, f"{len(rows.documents)} documents by clean; refused: {summary['refused']}")
        return
    parts = sum(summary[part] for part in PARTS)
    if parts != summary["records_in"]:
        yield Finding(
            "SILENT", place, f"{summary['records_in']} records in, {parts} told", summary["records_in"] - parts
        )
    read = summary["records_in"] - summary["records_quarantined"]
    texts = wanted - len(rows.quarantined)
    detail = f"{texts} texts and {len(rows.quarantined)} damaged by clean, {read} and {summary['records_quarantined']}"
    if read < texts and not summary["records_quarantined"]:
        yield Finding("SILENT", place, detail, texts - read)
    elif (read, summary["records_in"]) != (texts, wanted):
        yield Finding("COLLATERAL" if read < texts else "VALUE", place, detail)
