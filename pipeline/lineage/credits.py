"""The attribution file: what the model was trained on by licence and source, and the works that ask to be named.

Licences of the CC-BY family ask for title, author, source, licence and changes.  Author and title are what record and
page say; where they say nothing the file says so.  Works are written as they come, so a file of any length takes no
memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import parse_json
from pipeline.base.words import counted
from pipeline.lineage.licences import attribution, cell, documents_read
from pipeline.lineage.terms import terms_of
from pipeline.lineage.training import Training
from pipeline.run import ledger
from pipeline.run.folder import Run

AUTHORS = ("author", "authors", "creator", "dc.creator", "byline", "by")  # keys of a record's metadata
TITLES = ("title", "headline", "name")
COLUMNS = ("licence", "title", "url", "canonical_url", "path", "metadata")
_SHOWN = 300  # characters of a title, of an author


def write_attribution(found: dict[str, Any], run: Run, path: Path) -> int:
    """Writes the attribution file of what ``licences`` found; returns how many works it names.

    Args:
        found: The answer of ``licences``.
        run: The run.
        path: The file; it stands whole or not at all.
    """
    works = 0
    with storage.whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(attribution(found, run))
        file.write("\n".join(["", *_terms(found), "", "## Changes", "", changes(run), "", "## Works", "", ""]))
        for line in _works(run, found["steps"]):
            file.write(f"{line}\n")
            works += 1
        if not works:
            file.write("No licence of what was read asks for its works to be named.\n")
    return works


def _terms(found: dict[str, Any]) -> list[str]:
    """The licences, with what each asks and where its text is."""
    lines = ["## Licences", "", "| licence | asks for | text |", "|---|---|---|"]
    for name in sorted({row["licence"] for row in found["rows"]}):
        terms = terms_of(name)
        lines.append(f"| {cell(name)} | {terms.asks} | {terms.link} |")
    return [*lines, "", "Read from the names of the licences; this is no legal advice."]


def changes(run: Run) -> str:
    """What was done to the works, in a sentence that may stand for all of them."""
    recipe = run.recipe
    done = ["the text was taken out of its page, file or record and cleaned (docs/clean.md of tokenmill)"]
    if recipe.clean.pii == "replace":
        done.append("personal data found in it was replaced")
    if "dedup" in recipe.stages:
        done.append("duplicates of other works were left out")
    if "filter" in recipe.stages:
        done.append("works that failed the recipe's rules were left out")
        if recipe.filter.decontamination.sets and recipe.filter.decontamination.action == "cut":
            done.append("passages shared with evaluation sets were cut")
    return f"For all of them: {'; '.join(done)}; what is left was split into tokens."


def _works(run: Run, steps: int) -> Iterator[str]:
    """A line for each work that was read and is to be named, in document order."""
    removed = ledger.load(run.root).documents
    taken_down = 0
    for read in documents_read(Training(run), steps):
        table = read.columns(run, COLUMNS)
        if table is None:
            continue
        listed = {name: terms_of(name).listed for name in table["licence"].unique().to_pylist()}
        for row in table.filter(pa.array(read.tokens > 0)).to_pylist():
            if not listed[row["licence"]]:
                continue
            if row["doc_id"].hex() in removed:
                taken_down += 1
            else:
                yield _work(row, read.source)
    if taken_down:
        yield f"- {counted(taken_down, 'work')} taken down since: what they were called is gone with them"


def _work(row: dict[str, Any], source: str) -> str:
    values = _metadata(row["metadata"])
    title = row["title"] or _first(values, TITLES)
    author = _first(values, AUTHORS)
    place = row["canonical_url"] or row["url"] or f"{row['path']} ({source})"
    named = f"“{cell(title[:_SHOWN])}”" if title else "without a title"
    by = cell(author[:_SHOWN]) if author else "not named by the record"
    return f"- {named}; author: {by}; source: {cell(place)}; licence: {cell(row['licence'])}"


def _metadata(text: str | None) -> dict[str, Any]:
    try:
        found = parse_json(text or "{}")
    except ValueError:  # the record's own words, cut or odd: they name nobody
        return {}
    return {str(key).lower(): value for key, value in found.items()} if isinstance(found, dict) else {}


def _first(values: dict[str, Any], names: tuple[str, ...]) -> str:
    """The first of some fields that says anything: a text, names in a list, or an object with a name."""
    for name in names:
        value = values.get(name)
        items = value if isinstance(value, list) else [value]
        texts = [item.get("name") if isinstance(item, dict) else item for item in items]
        if said := ", ".join(text.strip() for text in texts if isinstance(text, str) and text.strip()):
            return said
    return ""
