"""The state of a run: what is done, what failed or is missing, and whether every file has its checksum."""

from typing import Any

from pipeline.base import storage
from pipeline.recipe.stage_names import in_order
from pipeline.report.stage import is_current
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run
from pipeline.run.logs import failed_stages, stage_seconds
from pipeline.run.manifest import Manifest, steps_of


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
