"""The schedule example: each night the new crawl becomes a run of its own, and the model trains on all of them.

The inputs of a run are closed, so that it can be reproduced; what is new goes into a new run folder, named by the day.
What an earlier run has kept does not come again (``dedup.against``, through a dedup index in each run folder).  The
tokenizer is that of the first run.  Training goes on from the last checkpoint of the latest earlier run (its export is
``model.init``) and mixes the tokens of all earlier runs in (``train.runs``), so that what is old is not forgotten.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows.end_to_end import Summaries, end_to_end
from flows.server.lost_server import interruptible
from flows.session.command_child import run_command
from flows.session.parameters import LOCAL, NONE, Engine, Location, Overrides, WorkerCount
from pipeline.base import storage
from pipeline.dedup.index.runs import build_run_index
from pipeline.recipe.load import load_recipe
from pipeline.run import layout
from pipeline.run.manifest import load_manifest

Day = Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\d)?$")]


@flow(name="nightly", persist_result=False)
def nightly(
    recipe: Location,
    runs: Location,
    day: Day = "",
    overrides: Overrides = NONE,
    workers: WorkerCount = 0,
    engine: Engine = LOCAL,
) -> Summaries:
    """The crawl of one day into a run of its own; training goes on from the day before, on it and all earlier days.

    Args:
        recipe: Path or URL of the recipe, a TOML file.
        runs: Folder of the runs, one per day.
        day: The day, such as 2026-01-31; empty: the day the run was scheduled for.
        overrides: KEY=VALUE pairs; {day} in them is the day, as in sources.0.paths=["/crawl/{day}/*.warc.gz"].
        workers: Worker processes; 0: one for each processor.
        engine: Where the shards are worked on.
    """
    scheduled = flow_run.get_scheduled_start_time() or datetime.now(UTC)
    day = day or f"{scheduled:%Y-%m-%d}"  # a retry after midnight is still that day's run
    chosen = [override.replace("{day}", day) for override in overrides]
    with interruptible():
        chosen += earlier_runs_overrides(recipe, runs, day, chosen)
    return end_to_end(recipe, storage.join(runs, day), chosen, [], workers, engine)


def earlier_runs_overrides(recipe: str, runs: str, day: str, overrides: Sequence[str]) -> list[str]:
    """Overrides that bring the finished runs of earlier days in: tokens, the first one's tokenizer, index, checkpoint.

    The index of each earlier run on this machine is built first, unless it is there and up to date; and so is the
    export of the latest one that has trained.
    """
    marks = [name for name in storage.list_files(runs, layout.stage_manifest("tokenize")) if name.count("/") == 2]
    earlier = sorted(storage.join(runs, name.split("/")[0]) for name in marks if name.split("/")[0] < day)
    if not earlier:
        return []
    tokenizer = storage.join(earlier[0], layout.TOKENIZER)
    found = [f"train.runs={_toml(earlier)}", f'tokenize.tokenizer="{tokenizer}"']
    loaded = load_recipe(recipe, overrides)
    if "dedup" in loaded.stages:
        for root in filter(storage.is_local, earlier):
            build_run_index(root)
        found.append(f"dedup.against={_toml([*loaded.dedup.against, *earlier])}")
    trained = [root for root in earlier if storage.is_local(root) and load_manifest(root, "train", "all")]
    if "train" in loaded.stages and trained and loaded.model.init is None:
        found.append(f'model.init="{exported(trained[-1])}"')
    return found


def exported(root: str) -> str:
    """The folder of the export of a run's last checkpoint, named by what it was made from; made unless it is there.

    Raises:
        TokenmillError: If the checkpoint cannot be exported, in the words of ``tokenmill export``.
    """
    made = load_manifest(root, "train", "all")
    if made is None:
        raise ValueError(f"{root}: no finished training")
    folder = storage.local_path(root) / "export" / made.digest()[:16]
    whole = folder / "exported.json"  # written last
    if not whole.exists():
        files = run_command(["export", root, "--output", str(folder), "--overwrite"])["files"]
        whole.write_text(
            json.dumps({"checkpoint": sorted(output.path for output in made.outputs), "files": files}), encoding="utf-8"
        )
    return str(folder)


def _toml(values: list[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"
