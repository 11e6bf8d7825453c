"""Why a stage of a run failed, kept in ``RUN/logs/failed.json`` until it succeeds, for ``tokenmill status``.

A gate is held after every shard is made, so the manifests alone would call such a stage done.
"""

import json
from collections.abc import Iterable

from pipeline.base import storage
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run


def remember(run: Run, stage: str, error: Exception) -> None:
    """Records why ``stage`` failed, and the state of its manifest then: another one since means it has gone on."""
    message = str(error) or type(error).__name__
    _write(run, _read(run) | {stage: {"error": message, "manifest": _stage_digest(run, stage)}})


def forget(run: Run, stages: Iterable[str]) -> None:
    """Removes the record of stages that succeeded."""
    found = _read(run)
    left = {stage: record for stage, record in found.items() if stage not in set(stages)}
    if left != found:
        _write(run, left)


def failed_stages(run: Run) -> dict[str, str]:
    """Stages whose last try failed, and why."""
    return {
        stage: record["error"]
        for stage, record in _read(run).items()
        if record["manifest"] == _stage_digest(run, stage)
    }


def _stage_digest(run: Run, stage: str) -> str:
    url = run.url(layout.stage_manifest(stage))
    return manifests.digest_bytes(storage.read_bytes(url)) if storage.exists(url) else ""


def _read(run: Run) -> dict[str, dict[str, str]]:
    url = run.url(layout.FAILURES_LOG)
    if not storage.exists(url):
        return {}
    loaded: dict[str, dict[str, str]] = json.loads(storage.read_bytes(url))
    return loaded


def _write(run: Run, records: dict[str, dict[str, str]]) -> None:
    storage.publish_bytes((json.dumps(records, indent=1) + "\n").encode(), run.url(layout.FAILURES_LOG), run.root)
