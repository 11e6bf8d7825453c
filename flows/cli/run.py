"""Commands on a whole run: run, status, verify, clean-up.

``run`` plans first, from the manifests alone; Prefect is imported only when there is work to do.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from flows.display.answer import answer
from flows.display.loading import loading
from flows.display.options import DryRun, Flag, Json, Overrides, Repeated, Workers
from flows.display.terminal import summary_table, with_more
from flows.server.address import configured
from flows.server.settings import flow_runs_folder, prepare
from flows.session.ahead import Ahead
from flows.session.refusals import what_cannot_work
from flows.session.stages import plan, replacements
from pipeline.base import storage
from pipeline.base.console import emit, say, width_of
from pipeline.base.errors import UserError
from pipeline.base.progress import Moment, watcher
from pipeline.base.words import counted
from pipeline.recipe.load import load_recipe, recipe_toml
from pipeline.run.engines.options import EngineOptions
from pipeline.run.folder import Run
from pipeline.run.logs import forget_failures, stage_seconds
from pipeline.run.stages import StagePlan, chosen_stages
from pipeline.screen.cold import say_if_cold

MOST_OVERRIDES, MOST_OVERRIDE_BYTES = 1000, 100_000  # as parameters of a flow run
MOST_RECORDS = 256 << 20  # bytes of Prefect's records that a run keeps


def run(
    recipe: str,
    *,
    root: str | None = None,
    set: Overrides | None = None,
    stages: str | None = None,
    engine: Literal["local", "ray", "slurm"] = "local",
    engine_set: Repeated | None = None,
    workers: Workers = 0,
    dry_run: DryRun = False,
    rebuild: Flag = False,
    restart: Flag = False,
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
        Say what would run and why, what the sources hold, and an estimate of documents, minutes and disk; write
        nothing.
    rebuild
        Rebuild what was made with other library versions.
    restart
        Begin the training anew; the model that is there goes once the first new checkpoint is complete.
    """
    options = EngineOptions.of(engine, engine_set or [])
    loaded = load_recipe(recipe, set or [])
    job = Run(storage.absolute(root or f"runs/{loaded.name}"), loaded)
    job.refuse_foreign()
    chosen = chosen_stages(job, stages.split(",") if stages else None)
    if restart and "train" not in chosen:
        raise UserError(f"--restart begins the training anew, but train is none of the stages: {', '.join(chosen)}")
    plans = replacements(job, plan(job, chosen, rebuild=rebuild, restart=restart))
    refused = what_cannot_work(job, plans, options)
    if dry_run or not refused:
        for planned in plans:
            say(planned.line())
            if planned.replaces:
                say(f"{'':9} {planned.replaces}")
    if refused:
        raise UserError(refused)
    if dry_run:
        return _planned(job, plans, workers, json)
    if all(planned.state == "done" for planned in plans):
        forget_failures(job, chosen)  # a gate that was raised since
        _settle(job)
        say(f"nothing to do: {job.root} is finished")
        return _finish(job, {p.stage: _done_summary(job, p) for p in plans}, json)
    from pipeline.preview.room import told_of_room

    if told := told_of_room(job, plans):
        say(told)
    if options.kind == "local":
        say_if_cold(*(planned.stage for planned in plans if planned.state != "done"))
    return _finish(job, _run_flow(job, plans, recipe, set or [], chosen, workers, options, rebuild, restart), json)


def _planned(job: Run, plans: list[StagePlan], workers: int, json: bool) -> int:
    """What a dry run says beside the plan."""
    from flows.session.preview import preview

    found = preview(job, plans, workers)
    for line in found.lines() if found else ():
        say(line)
    if json:
        shown = ("state", "reasons", "replaces")
        states = {planned.stage: {name: getattr(planned, name) for name in shown} for planned in plans}
        emit({"root": job.root, "status": "planned", "stages": states, **(found.as_dict() if found else {})})
    return 0


def _done_summary(job: Run, planned: StagePlan) -> dict[str, Any]:
    seconds = stage_seconds(job).get(planned.stage, 0.0)
    return {"seconds": seconds, "shards": 0, "skipped_shards": 0, **planned.summary}


def _run_flow(
    job: Run,
    plans: list[StagePlan],
    recipe: str,
    overrides: list[str],
    stages: list[str],
    workers: int,
    engine: EngineOptions,
    rebuild: bool,
    restart: bool,
) -> dict[str, dict[str, Any]]:
    from flows.server.embedded import prefect_api
    from pipeline.inspection.disk import bound_records

    if str(storage.cache_folder()) != (wanted := storage.wanted_cache_folder()):
        say(f"kernels are kept in {storage.cache_folder()}: {wanted} cannot be written; TOKENMILL_CACHE names another")
    with Ahead(job) as ahead:  # a folder that is in use or cannot be written is refused before a server starts
        if gone := bound_records(job, MOST_RECORDS):
            say(f"Prefect's records of earlier runs were over {MOST_RECORDS:,} bytes; {gone:,} bytes are begun anew")
        prepare(job.root)
        say(f"run folder {job.root}")
        server = configured()
        where = f"{server.url}, set by {server.origin}" if server else "embedded, recorded in the run folder"
        say(f"starting Prefect ({where}) ...")
        watcher().show(Moment("starting Prefect"))

        def meanwhile() -> None:
            ahead.prepare(plans, engine, workers)
            with loading():
                import_module("flows.end_to_end")  # a second of Prefect, while the fork server loads as much
            ahead.begin()

        with _parameters(job, recipe, overrides) as (path, few), prefect_api(meanwhile):
            return _call_flow((path, job.root, few, stages, workers, engine, rebuild, restart))


def _call_flow(arguments: tuple[Any, ...]) -> dict[str, dict[str, Any]]:
    from flows.end_to_end import Summaries, end_to_end
    from flows.server import ended_runs
    from flows.server.lost_server import observed, server_answers

    try:
        found: Summaries = observed(end_to_end, *arguments)
    except BaseException as error:
        ended_runs.end_all(error)
        raise
    ended_runs.end_all(None)
    if server_answers():
        ended_runs.settle()
    return found


def _settle(job: Run) -> None:
    """Sets right what the Prefect server shows of flow runs that ended without it; without one, Prefect stays out."""
    if configured() is None or not any(flow_runs_folder().glob("*.json")):
        return
    prepare(job.root)
    from flows.server import ended_runs
    from flows.server.lost_server import server_answers

    if server_answers():
        ended_runs.settle()


@contextlib.contextmanager
def _parameters(job: Run, recipe: str, overrides: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Recipe and overrides as parameters of the flow: many overrides as a file, the recipe that they have led to.

    A Prefect server refuses parameters of more than 512 kB, and its pages show them all.
    """
    size = sum(len(override.encode()) for override in overrides)
    if len(overrides) <= MOST_OVERRIDES and size <= MOST_OVERRIDE_BYTES:
        yield storage.absolute(recipe), overrides
        return
    with tempfile.TemporaryDirectory(prefix="tokenmill-") as folder:
        path = Path(folder) / "recipe.toml"
        path.write_text(recipe_toml(job.recipe), encoding="utf-8")
        say(f"{len(overrides):,} overrides of {size:,} bytes: the flow run is given the recipe that they lead to")
        yield str(path), []


def _finish(job: Run, stages: dict[str, dict[str, Any]], as_json: bool) -> int:
    text = f"{summary_table(stages, width_of(1))}\nrun folder: {job.root}"
    return answer(as_json, {"root": job.root, "status": "done", "stages": stages}, text, made=True)


def status(root: str, *, disk: Flag = False, json: Json = False) -> int:
    """Show each stage of a run: shards done and in all, records, bytes, seconds, and its state.

    The state is done, not begun, not in the recipe, running, interrupted (not finished, and no process works on the
    run), failed with the reason, damaged, missing (files were removed), unrecorded (files whose manifests are gone),
    outdated (made from earlier tables: a report, or a model of earlier tokens), or imported (tokens of another
    trainer). A damaged byte that leaves the size as it is, only `tokenmill verify` finds.

    Example: tokenmill status runs/demo

    Parameters
    ----------
    root
        The run folder.
    disk
        Show what the run takes on the disk, and what it keeps of its past; `tokenmill clean-up` removes what may go.
    """
    from pipeline.inspection.disk import as_text
    from pipeline.inspection.disk import disk as disk_of
    from pipeline.inspection.status import status_rows

    run = Run.open(root)
    rows = status_rows(run)
    lines = []
    for stage, row in rows.items():
        records = ", ".join(f"{name} {value:,}" for name, value in row["counts"].items() if "." not in name)
        shards = f"{row['done']:5} of {row['total']:<5}"
        line = f"{stage:22} {shards} {row['bytes']:>14,} B  {row['state']:11} "
        lines.append(with_more(line, records, width_of(1)).rstrip())
        lines += [f"  {problem}" for problem in row["problems"]]
    result = {"root": root, "stages": rows}
    if disk:
        found = result["disk"] = disk_of(run)
        lines += ["", *(f"{size:>16,} B  {folder}" for folder, size in found["folders"].items())]
        lines += [f"{found['bytes']:>16,} B  in all", "", *as_text(found["past"])]
        lines.append(f"{found['may_go_bytes']:>16,} B  may go: tokenmill clean-up {root}")
    return answer(json, result, "\n".join(lines))


def clean_up(root: str, *, dry_run: DryRun = False, json: Json = False) -> int:
    """Remove what a run keeps of its past and does not need: old checkpoints, scratch, Prefect's records, copies.

    Never goes: what a manifest names, the last complete checkpoint, checkpoints that train.keep_every_steps or
    train.keep_best ask for or that more train.steps go on from, logs and metrics. A run that a process works on is
    refused.

    Example: tokenmill clean-up runs/demo --dry-run

    Parameters
    ----------
    root
        The run folder.
    dry_run
        Say what would go and why, and remove nothing.
    """
    from pipeline.inspection import disk

    found = disk.clean_up(Run.open(root), dry_run=dry_run)
    lines = disk.as_text([*found["kept"], *found["removed"]])
    lines.append(f"{found['bytes']:,} bytes {'would go' if dry_run else 'are gone'}")
    return answer(json, found, "\n".join(lines))


def verify(root: str, *, delete: Flag = False, json: Json = False) -> int:
    """Re-read everything of a run against its checksums; exit code 1 when something is damaged or missing.

    That is: every output, the manifests themselves, checkpoints, report and logs.

    Example: tokenmill verify runs/demo

    Parameters
    ----------
    root
        The run folder.
    delete
        Remove what is damaged, of a checkpoint all of it, so that the next `tokenmill run` rebuilds it.
    """
    from pipeline.inspection import verify as inspection
    from pipeline.inspection.status import rebuild_command

    opened = Run.open(root)
    found = inspection.verify(opened, delete=delete)
    damaged = [asdict(entry) for entry in found.damaged]
    for entry in found.damaged:
        say(f"damaged: {entry.path} ({entry.problem}); made by {entry.step} {entry.shard}".rstrip())
    for line in inspection.told(found):
        say(line)
    if found.busy:
        say("a process is at work on this run: what it is just writing may show as missing; look again when it is done")
    elif found.exit_code:
        first = f"tokenmill verify {root} --delete, then " if damaged and not delete else ""
        say(f"to rebuild: {first}{rebuild_command(opened)}")
    removed = " and removed" if damaged and delete else ""
    text = f"{counted(found.files, 'file')} read, {len(damaged)} damaged or missing{removed}"
    result = {"root": root, "files": found.files, "damaged": damaged, "stages": found.states, "busy": found.busy}
    answer(json, result, text)
    return 0 if delete and damaged else found.exit_code
