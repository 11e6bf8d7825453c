"""What a table file, a run folder or the output of a dedup holds, in words: schema, counts, first rows."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.inspection.status import status_rows
from pipeline.run import layout
from pipeline.run.folder import Run

MAX_CELL = 160


def describe(path: str, rows: int) -> dict[str, Any]:
    """Schema, counts and first rows of a table file, the stages of a run folder, or the clusters of a dedup output.

    Raises:
        UserError: If ``path`` is neither.
    """
    if storage.exists(storage.join(path, layout.RECIPE)):
        return _describe_run(path)
    if storage.is_local(path) and (dedup_output := _dedup_output(path, rows)):
        return dedup_output
    if not storage.exists(path):
        raise UserError(f"{path}: no such file, run folder or dedup output")
    table = _load(storage.open_local(path))
    metadata = {k.decode(): v.decode(errors="replace") for k, v in (table.schema.metadata or {}).items()}
    first = [{name: _cell(value) for name, value in row.items()} for row in table.slice(0, rows).to_pylist()]
    schema = {field.name: str(field.type) for field in table.schema}
    lines = [f"{path}: {counted(table.num_rows, 'row')}", *(f"  {key} = {value}" for key, value in metadata.items())]
    lines += [f"  {name}: {kind}" for name, kind in schema.items()]
    for number, row in enumerate(first):
        lines += [f"row {number}", *(f"  {name} = {value}" for name, value in row.items())]
    text = "\n".join(lines)
    return {"path": path, "rows": table.num_rows, "metadata": metadata, "schema": schema, "first": first, "text": text}


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
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    if head[:4] == b"PAR1":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path)
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    try:
        return pa.Table.from_pylist([json.loads(line) for line in lines])
    except (ValueError, AttributeError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: neither an Arrow, a Parquet nor a JSONL file: {error}") from error


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex() if len(value) == 16 else _cell(repr(value)[2:-1])  # an id, or the head of a damaged record
    if isinstance(value, list) and len(value) > 8:
        return f"[{', '.join(str(item) for item in value[:8])}, ...] ({len(value)} items)"
    if isinstance(value, str) and len(value) > MAX_CELL:
        return value[:MAX_CELL] + "..."
    return value
