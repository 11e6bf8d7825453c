"""Names of flow runs: what they work on and when they began, where Prefect draws two words by lot."""

import re
from datetime import UTC, datetime

from prefect.runtime import flow_run

GIVEN_BY_LOT = re.compile(r"[a-z]+\d*(-[a-z]+){1,2}")  # "discreet-sturgeon", and "nu4-argana-v" of the form
WORKS_ON = ("recipe", "output", "root")  # the parameters that say what a run is about, the best one first
MOST_CHARACTERS = 60


def run_name() -> str:
    """The name of the flow run that is beginning, such as ``demo 2026-01-31 14:05:09``; a typed one stays.

    Prefect calls it when the run begins.
    """
    named = str(flow_run.get_name() or "")
    if named and not GIVEN_BY_LOT.fullmatch(named):
        return named
    given = flow_run.get_parameters() or {}
    subject = next((subject_of(str(given[key])) for key in WORKS_ON if given.get(key)), flow_run.get_flow_name())
    day = f" of {given['day']}" if given.get("day") else ""
    return f"{subject}{day} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def subject_of(place: str) -> str:
    """The name of a recipe's file or of a folder.

    Example:
        >>> subject_of("configs/demo.toml"), subject_of("s3://bucket/runs/web/")
        ('demo', 'web')
    """
    name = place.rstrip("/").rpartition("/")[2].removesuffix(".toml")
    return name[:MOST_CHARACTERS] or place[:MOST_CHARACTERS]
