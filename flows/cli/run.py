"""Commands on a whole run: run, status, verify, inspect, report, doctor, bench.

``run`` plans first, from the manifests alone; Prefect is imported only when there is work to do.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from flows.display.terminal import shown, summary_table
from flows.session.stages import plan
from pipeline.base import storage
from pipeline.base.console import emit, out, say
from pipeline.base.errors import RunError, UserError
from pipeline.base.words import counted
from pipeline.recipe.load import load_recipe
from pipeline.run import failures
from pipeline.run.engines.options import EngineOptions
from pipeline.run.folder import Run
from pipeline.run.logs import stage_seconds
from pipeline.run.stages import StagePlan, chosen_stages

Json = Annotated[bool, Parameter(name="--json", negative=(), help="print exactly one JSON object on standard output")]


def run(
    recipe: str,
    *,
    root: str | None = None,
    set: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    stages: str | None = None,
    engine: Literal["local", "ray", "slurm"] = "local",
    engine_set: Annotated[list[str] | None, Parameter(name="--engine-set", negative=())] = None,
    workers: int = 0,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    rebuild: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> int:
    """Run a recipe: raw files in, token shards, a checkpoint and a report out.

    Example: tokenmill run configs/demo.toml --root runs/demo --set train.steps=100

    Parameters
    ----------
    recipe
        The recipe, a TOML file.
    root
        Run folder, a local path or an fsspec URL; runs/NAME by default.
    set
        KEY=VALUE that overrides the recipe, such as dedup.threshold=0.75; may be given several times.
    stages
        Only these stages, separated by commas.
    engine
        Where the shards are worked on: this machine, a Ray cluster or a Slurm cluster.
    engine_set
        KEY=VALUE of the engine, such as ray.address=head:6379 or slurm.partition=short; may be given several times.
    workers
        Worker processes, or shards at a time on a cluster; 0: one for each processor.
    dry_run
        Say what would run and why, and write nothing.
    rebuild
        Rebuild what was made with other library versions.
    """
    options = EngineOptions.of(engine, engine_set or [])
    job = Run("", load_recipe(recipe, set or []))
    job = Run(_root(root, job.recipe.name), job.recipe)
    chosen = chosen_stages(job, stages.split(",") if stages else None)
    plans = plan(job, chosen, rebuild=rebuild)
    for planned in plans:
        say(planned.line())
    done = all(planned.state == "done" for planned in plans)
    if dry_run:
        return _finish(job, "planned", {p.stage: {"state": p.state, "reasons": p.reasons} for p in plans}, json)
    if done:
        failures.forget(job, chosen)  # a gate that was raised since
        say(f"nothing to do: {job.root} is finished")
        return _finish(job, "done", {p.stage: _done_summary(job, p) for p in plans}, json)
    summaries = _run_flow(job, recipe, set or [], chosen, workers, options, rebuild)
    return _finish(job, "done", summaries, json)


def _root(root: str | None, name: str) -> str:
    if root is not None and "://" in root:
        return root
    return str(Path(root or Path("runs") / name).absolute())


def _done_summary(job: Run, planned: StagePlan) -> dict[str, Any]:
    seconds = stage_seconds(job).get(planned.stage, 0.0)
    return {"seconds": seconds, "shards": 0, "skipped_shards": 0, **planned.summary}


def _run_flow(
    job: Run, recipe: str, overrides: list[str], stages: list[str], workers: int, engine: EngineOptions, rebuild: bool
) -> dict[str, dict[str, Any]]:
    from flows.server.embedded import prefect_api
    from flows.server.settings import prepare

    with job.lock():  # a folder that is in use or cannot be written is refused before a server starts
        prepare(job.root)
    say(f"run folder {job.root}")
    say(f"starting Prefect ({_where()}) ...")
    with prefect_api(lambda: import_module("flows.end_to_end")):
        from flows.end_to_end import Summaries, end_to_end
        from flows.server.lost_server import observed

        recipe = recipe if "://" in recipe else str(Path(recipe).absolute())
        found: Summaries = observed(end_to_end, recipe, job.root, overrides, stages, workers, engine, rebuild)
        return found


def _where() -> str:
    return os.environ.get("PREFECT_API_URL") or "embedded, recorded in the run folder"


def _finish(job: Run, status: str, stages: dict[str, dict[str, Any]], as_json: bool) -> int:
    if as_json:
        emit({"root": job.root, "status": status, "stages": stages})
    elif status != "planned":
        out(summary_table(stages))
        out(f"run folder: {job.root}")
    return 0


def status(root: str, *, json: Json = False) -> int:
    """Show each stage of a run: shards done and in all, records, bytes, seconds, and its state.

    The state is done, running, interrupted (not finished, and no process works on the run), failed with the reason,
    damaged, missing (outputs that were removed: the next run makes them again), or outdated (a report of earlier
    tables).

    Example: tokenmill status runs/demo
    """
    from pipeline.inspection.inspect import status_rows

    rows = status_rows(Run.open(root))
    if json:
        emit({"root": root, "stages": rows})
        return 0
    for stage, row in rows.items():
        records = ", ".join(f"{name} {value:,}" for name, value in row["counts"].items() if "." not in name)
        shards = f"{row['done']:5} of {row['total']:<5}"
        out(f"{stage:22} {shards} {row['bytes']:>14,} B  {row['state']:11} {records}".rstrip())
        for problem in row["problems"]:
            out(f"  {problem}")
    return 0


def verify(root: str, *, delete: Annotated[bool, Parameter(negative=())] = False, json: Json = False) -> int:
    """Re-read every output of a run against its checksum; exit code 1 when something is damaged.

    Example: tokenmill verify runs/demo

    Parameters
    ----------
    root
        The run folder.
    delete
        Remove what is damaged, so that the next `tokenmill run` rebuilds it.
    """
    from pipeline.inspection.inspect import rebuild_command, verify_run

    opened = Run.open(root)
    files, damaged = verify_run(opened.root, delete=delete)
    if json:
        emit({"root": root, "files": files, "damaged": damaged})
    for entry in damaged:
        say(f"damaged: {entry['path']} ({entry['problem']}); made by {entry['step']} {entry['shard']}")
    if damaged:
        first = "" if delete else f"tokenmill verify {root} --delete, then "
        say(f"to rebuild: {first}{rebuild_command(opened)}")
    if not json:
        out(f"{counted(files, 'file')} read, {len(damaged)} damaged{' and removed' if damaged and delete else ''}")
    return RunError.exit_code if damaged and not delete else 0


def inspect(path: str, *, rows: int = 5, json: Json = False) -> int:
    """Show the schema, counts and a few rows of a table, or what a run folder or a dedup output holds.

    Example: tokenmill inspect runs/demo/documents/00000.arrow --rows 3

    Parameters
    ----------
    path
        An Arrow, Parquet or JSONL file, a run folder, or the output folder of `tokenmill dedup run`.
    rows
        Rows to show; of a dedup output, clusters.
    """
    from pipeline.inspection.inspect import describe

    described = describe(path, rows)
    if json:
        emit(described)
    else:
        out(described["text"])
    return 0


def report(root: str, other: str | None = None, *, output: Path | None = None, json: Json = False) -> int:
    """Write report/index.html of a run from its manifests and tables, or one page of two runs side by side.

    Example: tokenmill report runs/demo runs/stricter

    Parameters
    ----------
    root
        The run folder.
    other
        Another run: the page then shows both, and what differs.
    output
        Where the page of two runs is written; by default RUN/report/and-OTHER.html.
    """
    if other is not None:
        return _compared(root, other, output, json)
    if output is not None:
        raise UserError("--output is for the page of two runs; that of one is RUN/report/index.html")
    from flows.session.stages import run_stage, working_context
    from pipeline.base.pool import Pool

    opened = Run.open(root)
    with opened.lock(), Pool(1) as pool:
        summary = run_stage("report", working_context(opened, pool, rebuild=True))
    if json:
        emit({"root": root, **summary})
    else:
        out(f"{opened.url('report/index.html')}")
    return 0


def _compared(root: str, other: str, output: Path | None, json: bool) -> int:
    from pipeline.report.compare import compare_page

    first, second = Run.open(root), Run.open(other)
    page = compare_page(first, second).encode()
    if output is None:
        where = first.url(f"report/and-{Path(other.rstrip('/')).name}.html")
        storage.publish_bytes(page, where, first.root)
    else:
        where = str(output)
        try:
            output.write_bytes(page)
        except OSError as error:
            raise UserError(f"--output {output}: cannot be written: {error.strerror}") from error
    if json:
        emit({"roots": [root, other], "page": where})
    else:
        out(where)
    return 0


def doctor(*, json: Json = False) -> int:
    """Check this environment (packages, processor, disk, the pairs that must fit) and say what to do.

    Example: tokenmill doctor
    """
    from flows.cli.doctor import checks

    rows = checks()
    if json:
        emit({"checks": rows})
    else:
        for row in rows:
            out(f"{'ok ' if row['ok'] else 'BAD'} {row['name']:22} {row['found']}")
            if not row["ok"]:
                out(f"    {row['advice']}")
    return 0 if all(row["ok"] for row in rows) else 1


def bench(*names: str, json: Json = False) -> int:
    """Time tokenmill against installed peers, side by side, as a table of ratios.

    Example: tokenmill bench dedup filter
    """
    from pipeline.bench import run_benchmarks

    rows = run_benchmarks(list(names))
    if json:
        emit({"rows": rows})
    else:
        for row in rows:
            out("  ".join(f"{key} {shown(value)}" for key, value in row.items()))
    return 0
