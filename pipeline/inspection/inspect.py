"""Looks at what stands on disk: the state of a run, its checksums, a table's schema and first rows."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import counted
from pipeline.recipe.stage_names import in_order
from pipeline.report.stage import is_current
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run
from pipeline.run.logs import failed_stages, stage_seconds
from pipeline.run.manifest import Manifest, steps_of

MAX_CELL = 160


def status_rows(run: Run) -> dict[str, dict[str, Any]]:
    """For each step with manifests, each stage that failed, and the report: its figures, state and problems.

    A row has shards ``done`` and in ``total``, ``bytes`` of the outputs, ``counts``, ``seconds`` of the stage, and
    ``state``: done | running | interrupted (not finished, and no process works on the run) | failed | missing (outputs
    removed: the next run makes them again) | damaged | outdated (a report of earlier tables), with ``problems`` in
    words.
    """
    rows: dict[str, dict[str, Any]] = {}
    seconds, failed = stage_seconds(run), failed_stages(run)
    clean = manifests.load_manifests(run.root, "clean")
    for step in in_order({*steps_of(run.root), *failed}):
        found = clean if step == "clean" else manifests.load_manifests(run.root, step)
        finished = storage.exists(run.url(layout.stage_manifest(step)))
        state, problems = _state(run, found, finished)
        if step in failed and state in ("done", "running", "interrupted"):
            state, problems = "failed", [failed[step]]
        rows[step] = {
            "done": len(found),
            "total": len(found) if finished else max(len(clean), len(found)),
            "bytes": sum(output.bytes for m in found.values() for output in m.outputs),
            "counts": manifests.total_counts(found.values()),
            "seconds": seconds.get(step.split(".")[0], 0.0),
            "state": state,
            "problems": problems,
        }
    if "report" not in rows and storage.exists(run.url(layout.REPORT_PAGE)):
        rows["report"] = _report_row(run, seconds.get("report", 0.0))
    return rows


def _state(run: Run, found: dict[str, Manifest], finished: bool) -> tuple[str, list[str]]:
    problems = [problem for m in found.values() if (problem := manifests.missing_output(run.root, m))]
    if any(not problem.endswith(manifests.MISSING) for problem in problems):
        return "damaged", problems
    if problems:
        return "missing", [f"{problem}; the next run makes it again" for problem in problems]
    if finished:
        return "done", []
    if run.is_locked():
        return "running", []
    where = "" if storage.is_local(run.root) else " of this machine"
    return "interrupted", [f"no process{where} works on this run; run the same command again to go on"]


def _report_row(run: Run, seconds: float) -> dict[str, Any]:
    """The report stands outside the manifests, so its row is made from its files."""
    sizes = [storage.size(run.url(layout.REPORT, name)) or 0 for name in storage.list_files(run.url(layout.REPORT))]
    current = is_current(run)
    outdated = f"{layout.REPORT_PAGE} was made from earlier tables; `tokenmill report {run.root}` renews it"
    return {
        "done": 1,
        "total": 1,
        "bytes": sum(sizes),
        "counts": {"files": len(sizes)},
        "seconds": seconds,
        "state": "done" if current else "outdated",
        "problems": [] if current else [outdated],
    }


def rebuild_command(run: Run) -> str:
    """The command that makes again what is missing, and starts no stage of the recipe that was never run."""
    begun = {step.split(".")[0] for step in steps_of(run.root)}
    if storage.exists(run.url(layout.REPORT_PAGE)):
        begun.add("report")
    stages = [stage for stage in run.recipe.stages if stage in begun]
    command = f"tokenmill run {run.url(layout.RECIPE)} --root {run.root}"
    return command if stages == run.recipe.stages else f"{command} --stages {','.join(stages)}"


def verify_run(root: str, *, delete: bool = False) -> tuple[int, list[dict[str, str]]]:
    """Reads every output against its checksum.

    Returns:
        Files read, and one entry for each damaged file: path, problem, step and shard.
    """
    files, damaged = 0, []
    for step in steps_of(root):
        for shard, found in manifests.load_manifests(root, step).items():
            for output in found.outputs:
                files += 1
                problem = _problem(root, output)
                if problem:
                    damaged.append({"path": output.path, "problem": problem, "step": step, "shard": shard})
                    if delete:
                        storage.delete(storage.join(root, output.path))
    return files, damaged


def _problem(root: str, output: manifests.Output) -> str | None:
    url = storage.join(root, output.path)
    if not storage.exists(url):
        return "missing"
    path = storage.open_local(url)
    if path.stat().st_size != output.bytes:
        return f"{path.stat().st_size:,} bytes instead of {output.bytes:,}"
    return None if manifests.digest_file(path) == output.digest else "checksum differs"


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
