"""The schedule example: each night the new crawl becomes a run of its own, and the model trains on all of them.

The inputs of a run are closed, so that it can be reproduced; what is new goes into a new run folder, named by the day.
The tokenizer is that of the first run, and training mixes the tokens of all earlier runs in (``train.runs``).
"""

from datetime import UTC, datetime
from typing import Annotated

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows.end_to_end import Summaries, end_to_end
from flows.parameters import LOCAL, NONE, Engine, Location, Overrides, WorkerCount
from pipeline import storage

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
    """The crawl of one day into a run of its own, then training on it and all earlier days.

    Args:
        recipe: Path or URL of the recipe, a TOML file.
        runs: Folder of the runs, one a day.
        day: The day, such as 2026-01-31; empty: the day the run was scheduled for.
        overrides: KEY=VALUE pairs; {day} in them is the day, as in sources.0.paths=["/crawl/{day}/*.warc.gz"].
        workers: Worker processes; 0: one for each processor.
        engine: Where the shards are worked on.
    """
    scheduled = flow_run.get_scheduled_start_time() or datetime.now(UTC)
    day = day or f"{scheduled:%Y-%m-%d}"  # a retry after midnight is still that day's run
    chosen = [override.replace("{day}", day) for override in overrides]
    chosen += earlier_runs_overrides(runs, day)
    return end_to_end(recipe, storage.join(runs, day), chosen, [], workers, engine)


def earlier_runs_overrides(runs: str, day: str) -> list[str]:
    """Overrides that mix the finished runs of earlier days in: their tokens, and the first one's tokenizer."""
    marks = [name for name in storage.list_files(runs, "manifests/tokenize.json") if name.count("/") == 2]
    earlier = sorted(storage.join(runs, name.split("/")[0]) for name in marks if name.split("/")[0] < day)
    if not earlier:
        return []
    listed = ", ".join(f'"{root}"' for root in earlier)
    tokenizer = storage.join(earlier[0], "tokenizer/tokenizer.json")
    return [f"train.runs=[{listed}]", f'tokenize.tokenizer="{tokenizer}"']
