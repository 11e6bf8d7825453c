"""TODO pipeline/run/logs.py."""

import json

from pipeline.base import storage
from pipeline.run import layout
from pipeline.run.folder import Run


def _remember_seconds(run: Run, stage: str, seconds: float) -> None:
    remembered = stage_seconds(run) | {stage: seconds}
    storage.publish_bytes(
        (json.dumps(remembered, indent=1) + "\n").encode(), run.url(layout.STAGE_SECONDS_LOG), run.root
    )


def stage_seconds(run: Run) -> dict[str, float]:
    """Seconds that each stage took when it last did work."""
    url = run.url(layout.STAGE_SECONDS_LOG)
    if not storage.exists(url):
        return {}
    loaded: dict[str, float] = json.loads(storage.read_bytes(url))
    return loaded
