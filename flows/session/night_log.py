"""What a night's run folder remembers of the night: ``RUN/logs/night.json``.

One run a night, named by its day: a scheduled flow run that finds the run there already has the wrong name or comes
twice, and its crawl would never be read.  So it fails, unless it is the same flow run, tried again.
"""

import json
from typing import Any

from prefect.runtime import deployment, flow_run

from flows.session.night_schedule import Night
from pipeline.base import storage
from pipeline.base.errors import RunError, parse_json
from pipeline.run import layout


def claim(root: str, night: Night) -> None:
    """Records that the current flow run makes the night's run.

    Raises:
        RunError: If the run is there already, and neither was its day given nor is it a try of the same flow run.
    """
    made = read(root)
    there = storage.exists(storage.join(root, layout.RECIPE)) or "quiet" in made
    if there and night.where and (made.get("flow_run") is None or made["flow_run"] != flow_run.get_id()):
        by = f" by the flow run that was scheduled for {made['scheduled']}" if "scheduled" in made else ""
        raise RunError(
            f"{root}: the run of the night of {night.day} has been made already{by}, so nothing was read for "
            f"{night.scheduled:%Y-%m-%d %H:%M} UTC. A night has one run, named by its day in {night.zone} "
            f"({night.where}): look at the schedule and its zone; another deployment needs a folder of its own. "
            f"To go on with a night, give its day: day={night.day}"
        )
    when = {"day": night.day, "zone": night.zone, "scheduled": night.scheduled.isoformat()}
    _write(root, {**when, "flow_run": flow_run.get_id(), "deployment": deployment.get_id()})


def remember_quiet(root: str, words: str) -> None:
    """Records that the night brought nothing new."""
    _write(root, read(root) | {"quiet": words})


def read(root: str) -> dict[str, Any]:
    """What is recorded; empty where nothing is, as in runs that were made without."""
    try:
        found = parse_json(storage.read_bytes(storage.join(root, layout.NIGHT_LOG)))
    except (FileNotFoundError, ValueError):  # a damaged one is named by `tokenmill verify`
        return {}
    return found if isinstance(found, dict) else {}


def _write(root: str, values: dict[str, Any]) -> None:
    data = (json.dumps(values, indent=1) + "\n").encode()
    storage.publish_bytes(data, storage.join(root, layout.NIGHT_LOG), root)
