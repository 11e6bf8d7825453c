"""What ``verify`` reads of a run beside outputs and manifests, and which files nothing of the run accounts for.

Checkpoints that no manifest names have their ``state.json``, the report has ``made_from.json``, the record of the steps
a digest of its own, a dedup index its checksums.  Logs and metrics have none: they must be the JSON that they are.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import FormatError, TokenmillError, UnansweredError, parse_json
from pipeline.dedup.index.reader import Index
from pipeline.dedup.index.state import is_index, run_index
from pipeline.inspection.damaged import MISSING, Damaged
from pipeline.inspection.status import FOLDERS
from pipeline.lineage.training import json_lines
from pipeline.report.stage import made_files
from pipeline.run import checkpoints, layout, ledger, step_digests
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_file
from pipeline.takedown.takedown import Plan
from pipeline.tokens import restored

LINES = (layout.TRAIN_METRICS, layout.SAMPLES)
_LEFT_OUT = (layout.METRICS, layout.LOGS, f"{layout.DEDUP_INDEX}/")  # programs of other makes write there too
_OWN = (layout.RECIPE, layout.TAKEDOWN, layout.RESTORED, layout.TAKEDOWN_PLAN, layout.STEP_DIGESTS, layout.SUCCESSION)
_MANIFEST = re.compile(rf"{re.escape(layout.MANIFESTS)}[^/]+(/[^/]+)?\.json")


def side_files(run: Run, checked: set[str], made_under: set[str]) -> Iterator[Damaged]:
    """Each file that was read, with a problem or an empty one.

    Args:
        run: The run.
        checked: Outputs that were compared already.
        made_under: Digests of takedown.jsonl that manifests name.
    """
    yield from _records(run)
    yield from _takedown(run, made_under)
    yield from _checkpoints(run, checked)
    yield from _report(run)
    yield from _logs(run)
    yield from _lines(run)
    yield from _index(run)


def _records(run: Run) -> Iterator[Damaged]:
    """What the run has recorded of itself."""
    copy = "bring it back from a copy"
    asked: tuple[tuple[str, Callable[[bytes], Any], str, str], ...] = (
        (layout.STEP_DIGESTS, step_digests.parse, "manifests", "the next run writes it anew"),
        (layout.TAKEDOWN, lambda data: ledger.parse(data, layout.TAKEDOWN), "takedown", copy),
        (layout.RESTORED, lambda data: restored.load(run.root), "takedown", copy),
        (
            *(layout.TAKEDOWN_PLAN, lambda data: Plan.from_bytes(data, layout.TAKEDOWN_PLAN), "takedown"),
            f"delete {layout.MANIFESTS}: the next run makes every shard again, without what was taken down",
        ),
        (layout.SUCCESSION, lambda data: checkpoints.succession(run.root), "train", ""),
    )
    for path, parse, step, cure in asked:
        data = storage.read_if_there(run.url(path))
        if data is not None:
            yield Damaged(path, _problem_of(parse, data), step, cure=cure)


def _takedown(run: Run, made_under: set[str]) -> Iterator[Damaged]:
    """Whether what was taken down is what the outputs were made without."""
    if storage.exists(run.url(layout.TAKEDOWN_PLAN)) or made_under <= {ledger.digest(run.root)}:
        return
    problem = "not the one that the outputs were made under: changed, or lost"
    yield Damaged(layout.TAKEDOWN, problem, "takedown", cure="bring it back from a copy")


def _problem_of(parse: Callable[[bytes], Any], data: bytes) -> str:
    try:
        parse(data)
    except (ValueError, FormatError, RecursionError) as error:
        return str(error) if isinstance(error, FormatError | step_digests.DamagedDigestsError) else f"damaged ({error})"
    return ""


def _against(run: Run, digests: Iterable[tuple[str, str]], step: str) -> Iterator[Damaged]:
    for path, digest in digests:
        url = run.url(path)
        missing = not storage.exists(url)
        differs = not missing and digest_file(storage.open_local(url)) != digest
        yield Damaged(path, MISSING if missing else "checksum differs" if differs else "", step)


def _checkpoints(run: Run, checked: set[str]) -> Iterator[Damaged]:
    """Files of complete checkpoints that no manifest names, against their own ``state.json``."""
    finished = any(path.startswith(layout.CHECKPOINTS) for path in checked)
    more = "; an earlier checkpoint of a finished training, which nothing makes again" if finished else ""
    for folder, digests, problem in _states(run, checked):
        of_state = Damaged(f"{folder}/{layout.CHECKPOINT_STATE}", problem, "train")
        files = _against(run, ((f"{folder}/{name}", digest) for name, digest in digests.items()), "train")
        for found in (of_state, *files):
            yield replace(found, problem=f"{found.problem}{more}") if found.problem else found


def _states(run: Run, checked: set[str]) -> Iterator[tuple[str, dict[str, str], str]]:
    for name in storage.list_files(run.url(layout.CHECKPOINTS), f"/{layout.CHECKPOINT_STATE}"):
        path = f"{layout.CHECKPOINTS}{name}"
        folder = path.rpartition("/")[0]
        if path in checked:
            continue
        try:
            digests = dict(parse_json(storage.read_bytes(run.url(path))).get("digests", {}))
        except (ValueError, AttributeError, TypeError) as error:
            yield folder, {}, f"damaged ({error})"
            continue
        if strange := [name for name in digests if not layout.is_output(name) or "/" in name]:
            yield folder, {}, f"damaged (it names {strange[0]!r}, which is no file of a checkpoint)"
            continue
        yield folder, digests, ""


def _report(run: Run) -> Iterator[Damaged]:
    """The report's files against what they were made as."""
    made = made_files(run)
    if made is None and storage.exists(run.url(layout.REPORT_MADE_FROM)):
        yield Damaged(layout.REPORT_MADE_FROM, "damaged", "report")
    yield from _against(run, (made or {}).items(), "report")


def _logs(run: Run) -> Iterator[Damaged]:
    """Logs, and the name in the tools of ``train.loggers``, that are no JSON objects."""
    names = [f"{layout.LOGS}{name}" for name in storage.list_files(run.url(layout.LOGS), ".json") if "/" not in name]
    for path in (*names, layout.LOGGERS):
        data = storage.read_if_there(run.url(path))
        if data is None:
            continue
        try:
            problem = "" if isinstance(parse_json(data), dict) else "not a JSON object"
        except ValueError as error:
            problem = f"damaged ({error})"
        yield Damaged(path, problem, "logs")


def _lines(run: Run) -> Iterator[Damaged]:
    """Metrics and samples, of which a damaged line is left out by whoever reads them."""
    for path in LINES:
        data = storage.read_if_there(run.url(path))
        if data is not None:
            problems = json_lines(data)[1]
            more = f"; and {len(problems) - 1:,} other lines" if len(problems) > 1 else ""
            told = f"line {problems[0][0]} is damaged ({problems[0][1]}){more}" if problems else ""
            yield Damaged(path, told, "metrics")


def _index(run: Run) -> Iterator[Damaged]:
    """The dedup index of the run, if one was built."""
    place = run_index(run.root)
    if not is_index(place):
        return
    try:
        with Index(place) as index:
            index.verify()
        problem = ""
    except UnansweredError:
        raise
    except TokenmillError as error:
        problem = str(error).removeprefix(f"{run.root.rstrip('/')}/")
    rebuilds = f"delete {layout.DEDUP_INDEX}, then `tokenmill dedup index build {place} {run.root}`"
    yield Damaged(layout.DEDUP_INDEX, problem, "index", cure=rebuilds)


def without_damaged_lines(data: bytes) -> bytes:
    """Metrics or samples without the lines that say nothing."""
    numbers = {number for number, _ in json_lines(data)[1]}
    return b"".join(line for number, line in enumerate(data.splitlines(keepends=True), 1) if number not in numbers)


def unknown(run: Run, checked: set[str], states: dict[str, str]) -> list[str]:
    """Files below the run folder that nothing of the run accounts for.

    In the folders of a stage that is not finished there are files that its manifests do not name yet, or no longer.
    """
    known = {*_OWN, *checked, *(made_files(run) or {layout.REPORT_PAGE}), layout.REPORT_MADE_FROM}
    for folder, digests, _ in _states(run, checked):
        known |= {f"{folder}/{name}" for name in (*digests, layout.CHECKPOINT_STATE)}
    unfinished = tuple(
        folder for stage, folders in FOLDERS.items() if states.get(stage) != "done" for folder in folders
    )
    return [
        name
        for name in storage.list_files(run.root)
        if name not in known and not name.startswith((*_LEFT_OUT, *unfinished, ".")) and not _MANIFEST.fullmatch(name)
    ]
