"""What a table, a run folder or the output of a dedup holds, in words: counts, schema, first rows."""

import functools
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import UserError, parse_json
from pipeline.base.words import counted
from pipeline.dedup.index.state import described, is_index, load_state
from pipeline.inspection import reasons
from pipeline.inspection.status import status_rows
from pipeline.lookup import find, listing
from pipeline.lookup.found import phrase_pattern
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.table_files import as_damage

MAX_CELL = 160


def describe(path: str, rows: int, what: str | None = None) -> dict[str, Any]:
    """Schema, counts and first rows of a table, stages of a run folder, clusters of a dedup output, or an index.

    Args:
        path: A table's file, a folder of quarantine or excluded tables, a run folder, a dedup output or a dedup
            index.
        rows: Rows shown.
        what: Only the records of a run that this names, as ``explain`` finds them; of a table, the rows that hold it.

    Raises:
        UserError: If ``path`` is none of these, or ``what`` is nowhere in it.
    """
    if storage.exists(storage.join(path, layout.RECIPE)):
        return _describe_run(path) if what is None else _found_in_run(path, rows, what)
    if what is None and storage.is_local(path) and (dedup_output := _dedup_output(path, rows)):
        return dedup_output
    if what is None and is_index(path):
        return _describe_index(path)
    table = _table(path)
    if what is not None:
        table = table.filter(_rows_with(table, path, what))
    return _describe_table(path, table, rows, what)


def _describe_index(path: str) -> dict[str, Any]:
    """What a dedup index holds."""
    state = load_state(storage.local_path(path))
    corpora = [{"name": c.name, "root": c.root, "documents": c.documents} for c in state.corpora]
    definition = described(state.definition)
    lines = [f"{path}: dedup index, {state.documents:,} documents"]
    lines += [f"  {corpus['documents']:12,} {corpus['name']}" for corpus in corpora]
    lines += [f"  {name}: {value}" for name, value in definition.items()]
    found = {"documents": state.documents, "corpora": corpora, "definition": definition}
    return {"path": path, "kind": "index", **found, "text": "\n".join(lines)}


def _table(path: str) -> pa.Table:
    if storage.list_files(path):
        return _folder(path)
    if not storage.exists(path):
        raise UserError(
            f"{path}: no such file, run folder, dedup output or index; `tokenmill inspect RUN` says what a run holds, "
            "`tokenmill verify RUN` what is missing there"
        )
    return _load(storage.open_local(path))


def _folder(path: str) -> pa.Table:
    """All tables of a folder, where they are those of records that became no document."""
    names = storage.list_files(path, ".arrow")
    urls = [storage.join(path, name) for name in names]
    if not names or not reasons.has_reasons(_arrow_file(storage.open_local(urls[0])).schema):
        example = f", such as {urls[0]}" if urls else ""
        raise UserError(f"{path}: a folder that is no run folder; name one of its files{example}")
    return pa.concat_tables([_load(storage.open_local(url)) for url in urls])


def _found_in_run(path: str, rows: int, what: str) -> dict[str, Any]:
    """The records that ``what`` names; ``rows`` of them with all that is known of them."""
    run = Run.open(path)
    found = find.find(run, what)
    records = listing.listing(run, found, rows)
    shown = listing.as_json(run, found, records)
    return {"path": path, **shown, "text": listing.as_text(found, records, "--rows")}


def _rows_with(table: pa.Table, path: str, what: str) -> pa.ChunkedArray:
    """Which rows hold some words in a column of text or bytes; white space and case are not compared."""
    import pyarrow.compute as pc  # loads pandas

    pattern = phrase_pattern(what)
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    texts = [column for column in table.columns if any(is_kind(column.type) for is_kind in kinds)]
    masks = [pc.fill_null(pc.match_substring_regex(text, pattern, ignore_case=True), False) for text in texts]
    found = functools.reduce(pc.or_, masks) if masks else None
    if found is None or not pc.any(found).as_py():
        raise UserError(f"{path}: no row has {what!r} in a column of text")
    return found


def _describe_table(path: str, table: pa.Table, rows: int, what: str | None) -> dict[str, Any]:
    metadata = {k.decode(): v.decode(errors="replace") for k, v in (table.schema.metadata or {}).items()}
    first = [{name: _cell(value) for name, value in row.items()} for row in table.slice(0, rows).to_pylist()]
    schema = {field.name: str(field.type) for field in table.schema}
    counts = reasons.count(table) if reasons.has_reasons(table.schema) else {}
    lines = [f"{path}: {counted(table.num_rows, 'row')}{'' if what is None else f' with {what!r}'}"]
    lines += reasons.lines(counts) if counts else []
    lines += [f"  {key} = {value}" for key, value in metadata.items()]
    lines += [f"  {name}: {kind}" for name, kind in schema.items()]
    for number, row in enumerate(first):
        lines += [f"row {number}", *(f"  {name} = {value}" for name, value in row.items())]
    told = {"path": path, "rows": table.num_rows, "metadata": metadata, "schema": schema, **counts, "first": first}
    return {**told, "text": "\n".join(lines)}


def _dedup_output(path: str, clusters: int) -> dict[str, Any] | None:
    """The largest clusters, where ``path`` is what `tokenmill dedup run` wrote."""
    if not (storage.local_path(path) / "removed.arrow").is_file():
        return None
    from pipeline.dedup.command.describe_output import describe_output

    return describe_output(path, clusters)


def _describe_run(path: str) -> dict[str, Any]:
    rows = status_rows(Run.open(path))
    lines = [f"{path}: run folder"]
    for step, row in rows.items():
        lines.append(f"  {step:22} {row['done']:5} shards  {row['bytes']:>14,} B  {row['state']}")
        lines += [f"    {problem}" for problem in row["problems"]]
    return {"path": path, "kind": "run", "stages": rows, "text": "\n".join(lines)}


def _load(path: Path) -> pa.Table:
    with path.open("rb") as file:
        head = file.read(6)
    if head == b"ARROW1":
        with as_damage(path, "an Arrow IPC file"):
            found = _arrow_file(path).read_all()
            found.validate(full=True)
            return found
    if head[:4] == b"PAR1":
        import pyarrow.parquet

        with as_damage(path, "a Parquet file"):
            return pyarrow.parquet.read_table(path)
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    try:
        return pa.Table.from_pylist([parse_json(line) for line in lines])
    except (ValueError, AttributeError, RecursionError, pa.ArrowException) as error:
        raise UserError(f"{path}: neither an Arrow, a Parquet nor a JSONL file: {error}") from error


def _arrow_file(path: Path) -> pa.RecordBatchFileReader:
    with as_damage(path, "an Arrow IPC file"):
        return pa.ipc.open_file(pa.memory_map(str(path)))


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex() if len(value) == 16 else _cell(repr(value)[2:-1])  # an id, or the head of a damaged record
    if isinstance(value, list) and len(value) > 8:
        return f"[{', '.join(str(item) for item in value[:8])}, ...] ({len(value)} items)"
    if isinstance(value, str) and len(value) > MAX_CELL:
        return value[:MAX_CELL] + "..."
    return value
