"""The logs of a run: what it remembers of how it went, as JSON files below ``RUN/logs/``, by stage.

- ``stages.json``: the seconds that a stage took, all of its attempts together, and which stages are unfinished.  It is
  brought up to date while a stage works, so that a kill loses seconds of it, not the whole.
- ``failed.json``: why a stage failed, until it succeeds.  A gate is held after every shard is made, so the manifests
  alone would call such a stage done.
- ``environment.json``: by which command, when and on what machine a stage did its work; for the report.

Nothing in them decides a byte of the outputs, and none of it stands in a manifest.
"""

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import parse_json
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import digest_bytes

MOST_COMMAND = 10_000  # characters of a command line that are kept
RECORD_SECONDS = 10.0  # between two records of a stage that works


def _read(run: Run, path: str) -> dict[str, Any]:
    url = run.url(path)
    try:
        loaded = parse_json(storage.read_bytes(url))
    except FileNotFoundError:
        return {}
    except ValueError:
        loaded = None
    if not isinstance(loaded, dict):  # nothing in it decides a byte: it is begun anew, and `verify` names it till then
        say(f"{url}: damaged; it is left out of account")
        return {}
    return loaded


def _write(run: Run, path: str, values: dict[str, Any]) -> None:
    storage.publish_bytes((json.dumps(values, indent=1) + "\n").encode(), run.url(path), run.root)


# -- seconds

UNFINISHED = "unfinished"  # beside the seconds: stages whose last attempt has not come to its end


def remember_seconds(run: Run, stage: str, seconds: float, *, finished: bool = True) -> None:
    """Records how long a stage has worked, all attempts together."""
    others = [name for name in unfinished_stages(run) if name != stage]
    unfinished = others if finished else [*others, stage]
    record = {**stage_seconds(run), stage: round(seconds, 3)}
    _write(run, layout.STAGE_SECONDS_LOG, record | ({UNFINISHED: unfinished} if unfinished else {}))


def stage_seconds(run: Run) -> dict[str, float]:
    """Seconds that each stage took for what is there, interrupted attempts included."""
    found = _read(run, layout.STAGE_SECONDS_LOG)
    return {stage: float(seconds) for stage, seconds in found.items() if isinstance(seconds, int | float)}


def unfinished_stages(run: Run) -> list[str]:
    """Stages whose last attempt was interrupted or killed, or is under way."""
    found = _read(run, layout.STAGE_SECONDS_LOG).get(UNFINISHED)
    return [stage for stage in found if isinstance(stage, str)] if isinstance(found, list) else []


class Attempt:
    """One attempt at a stage.

    Args:
        run: The run.
        stage: The stage.
        clock: Seconds.
        began: When it began, by that clock; None: now.
    """

    def __init__(
        self, run: Run, stage: str, clock: Callable[[], float] = time.perf_counter, began: float | None = None
    ) -> None:
        self._run, self._stage, self._clock = run, stage, clock
        self._began = self._recorded = clock() if began is None else began
        self._before = stage_seconds(run).get(stage, 0.0)
        self._interrupted = stage in unfinished_stages(run)

    @property
    def seconds(self) -> float:
        """What this attempt took so far."""
        return self._clock() - self._began

    @property
    def interrupted_seconds(self) -> float:
        """What the attempts took that did not come to the stage's end, since it last did."""
        return self._before if self._interrupted else 0.0

    def total(self, *, goes_on: bool) -> float:
        """All attempts together.

        Args:
            goes_on: Some of what is there was made before this attempt, so what that took counts.
        """
        return self.seconds + (self._before if goes_on or self._interrupted else 0.0)

    def begins_anew(self) -> None:
        """What earlier attempts made is thrown away: their time counts no more, whatever becomes of this one."""
        self._before, self._interrupted = 0.0, False
        self.broken_off(goes_on=False)

    def worked(self, *, goes_on: bool) -> None:
        """Something was made: records the time so far, now and then."""
        if self._clock() - self._recorded >= RECORD_SECONDS:
            self.broken_off(goes_on=goes_on)

    def broken_off(self, *, goes_on: bool) -> None:
        """Records the time of an attempt that does not come to its end, or has not yet."""
        self._recorded = self._clock()
        remember_seconds(self._run, self._stage, self.total(goes_on=goes_on), finished=False)

    def interrupted(self, *, goes_on: bool) -> None:
        """As ``broken_off``, where seconds count: an object store, which may keep one waiting, is not asked."""
        if storage.is_local(self._run.root):
            self.broken_off(goes_on=goes_on)

    def finished(self, *, worked: bool, goes_on: bool) -> float:
        """Records the time of the stage if there was work to do, now or before an interruption; returns it."""
        if not (worked or self._interrupted):
            return self._before
        seconds = self.total(goes_on=goes_on)
        remember_seconds(self._run, self._stage, seconds)
        return seconds


# -- failures


def remember_failure(run: Run, stage: str, error: Exception) -> None:
    """Records why ``stage`` failed, and the state of its manifest then: another one since means it has gone on."""
    record = {"error": str(error) or type(error).__name__, "manifest": _stage_digest(run, stage)}
    _write(run, layout.FAILURES_LOG, _read(run, layout.FAILURES_LOG) | {stage: record})


def forget_failures(run: Run, stages: Iterable[str]) -> None:
    """Removes the record of stages that succeeded."""
    found = _read(run, layout.FAILURES_LOG)
    left = {stage: record for stage, record in found.items() if stage not in set(stages)}
    if left != found:
        _write(run, layout.FAILURES_LOG, left)


def failed_stages(run: Run) -> dict[str, str]:
    """Stages whose last try failed, and why."""
    found = _read(run, layout.FAILURES_LOG)
    sound = {stage: record for stage, record in found.items() if isinstance(record, dict) and "error" in record}
    return {
        stage: str(record["error"])
        for stage, record in sound.items()
        if record.get("manifest") == _stage_digest(run, stage)
    }


def _stage_digest(run: Run, stage: str) -> str:
    data = storage.read_if_there(run.url(layout.stage_manifest(stage)))
    return "" if data is None else digest_bytes(data)


# -- environment


def remember_environment(run: Run, stage: str) -> None:
    """Records by which command, when and on what machine a stage has just done work."""
    record = {
        "command": _command(),
        "folder": _working_folder(),
        "finished": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "machine": machine(),
    }
    _write(run, layout.ENVIRONMENT_LOG, environments(run) | {stage: record})


def _working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "a folder that was removed"


def environments(run: Run) -> dict[str, Any]:
    """What ``remember_environment`` recorded, by stage."""
    wanted = {"command", "folder", "finished", "machine"}
    found = _read(run, layout.ENVIRONMENT_LOG)
    return {stage: record for stage, record in found.items() if isinstance(record, dict) and wanted <= record.keys()}


def _command() -> str:
    """The command line of this process, as it can be typed again."""
    name = Path(sys.argv[0]).name
    first = ["tokenmill"] if name in ("tokenmill", "__main__.py") else [sys.argv[0]]
    command = shlex.join([*first, *sys.argv[1:]])
    return command if len(command) <= MOST_COMMAND else f"{command[:MOST_COMMAND]} ..."


def machine() -> dict[str, str]:
    """System, processor, memory, accelerators and Python of this machine, in words."""
    found = {
        "tokenmill": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} usable",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
    }
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    models = [
        line.split(":", 1)[1].strip() for gpu in gpus for line in gpu.read_text("utf-8").splitlines() if "Model" in line
    ]
    return found | ({"accelerators": ", ".join(models)} if models else {})


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
