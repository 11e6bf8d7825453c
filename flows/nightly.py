"""The schedule example: each night the new crawl becomes a run of its own, and the model trains on all of them.

The inputs of a run are closed, so that it can be reproduced; what is new goes into a new run folder, named by the day.
What another run has kept does not come again (``dedup.against``, through a dedup index in each run folder).  The
tokenizer is that of the first run.  Training goes on from the last checkpoint of the latest earlier run (its export is
``model.init``) and mixes the tokens of all earlier runs in (``train.runs``), so that what is old is not forgotten.
"""

from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.display.terminal import tell
from flows.end_to_end import Summaries, end_to_end
from flows.server.in_service import in_service
from flows.server.lost_server import interruptible, observed
from flows.session import night_log
from flows.session.bounded import bounded
from flows.session.night_schedule import Night, days_between, find_night
from flows.session.night_turn import turn
from flows.session.nights import Nights, curation, nothing_there, selection, told_if_few, told_if_quiet
from flows.session.parameters import LOCAL, NONE, Engine, Location, Overrides, WorkerCount
from flows.session.run_names import run_name
from pipeline.base import storage
from pipeline.base.words import counted
from pipeline.recipe.load import load_recipe

Day = Annotated[str, Field(pattern=r"^(\d{4}-\d\d-\d\d)?$")]
Zone = Annotated[str, Field(max_length=64)]
MOST_NAMED = 10


@bounded
@flow(name="nightly", flow_run_name=run_name, persist_result=False)
def nightly(
    recipe: Location,
    runs: Location,
    day: Day = "",
    overrides: Overrides = NONE,
    workers: WorkerCount = 0,
    engine: Engine = LOCAL,
    zone: Zone = "",
) -> Summaries:
    """The crawl of one day into a run of its own; training goes on from the day before, on it and all earlier days.

    Args:
        recipe: Path or URL of the recipe, a TOML file.
        runs: Folder of the runs, one per day.
        day: The day, such as 2026-01-31; empty: the day the run was scheduled for.
        overrides: KEY=VALUE pairs; {day} in them is the day, as in sources.0.paths=["/crawl/{day}/*.warc.gz"].
        workers: Worker processes; 0: one for each processor.
        engine: Where the shards are worked on.
        zone: The zone of the day, such as Europe/London; empty: that of the deployment's schedule, or UTC without one.
    """
    runs = storage.absolute(runs)
    with in_service(), interruptible():
        night = find_night(day, zone)
        tell(night.told())
        chosen = [override.replace("{day}", night.day) for override in overrides]
        with turn(runs):
            return _make(night, recipe, runs, chosen, workers, engine)


def _make(night: Night, recipe: str, runs: str, chosen: list[str], workers: int, engine: Engine) -> Summaries:
    root = storage.join(runs, night.day)
    night_log.claim(root, night)
    nights = Nights(runs, night.day)
    _tell_missed(night, nights)
    if nights.others and nothing_there(load_recipe(recipe, chosen)):
        told_if_quiet(root, night.day, {})
        return {}
    chosen += nights.overrides(recipe, chosen)
    if not nights.others:
        return _stages([], recipe, root, chosen, workers, engine)
    loaded = load_recipe(recipe, chosen)
    summaries: Summaries = {}
    if stages := selection(loaded):
        summaries = _stages(stages, recipe, root, chosen, workers, engine)
        if told_if_quiet(root, night.day, summaries):
            return summaries
    if "train" in loaded.stages:
        summaries = _stages(curation(loaded), recipe, root, chosen, workers, engine)
        if told_if_few(night.day, loaded, summaries):
            return summaries
    return _stages([], recipe, root, chosen, workers, engine)


def _stages(stages: list[str], recipe: str, root: str, chosen: list[str], workers: int, engine: Engine) -> Summaries:
    found: Summaries = observed(end_to_end, recipe, root, chosen, stages, workers, engine)
    return found


def _tell_missed(night: Night, nights: Nights) -> None:
    """Names the nights that a schedule has had since the last one and that have no finished run."""
    if not night.where or not nights.days:
        return
    due = {*days_between(night.schedules, min(nights.days), night.day), *(d for d in nights.days if d < night.day)}
    missed = sorted(due - nights.done)
    if missed:
        more = f" and {counted(len(missed) - MOST_NAMED, 'other')}" if len(missed) > MOST_NAMED else ""
        tell(
            f"{counted(len(missed), 'night')} before this one without a finished run: {', '.join(missed[-MOST_NAMED:])}"
            f"{more}; their crawls are not in what follows. To make one up, start this deployment with its day, as in "
            f"day={missed[-1]}"
        )
