"""MLflow: the server of ``MLFLOW_TRACKING_URI``, else a store of the run's own, ``metrics/mlflow.db``.

MLflow takes no value back.  Steps that a kill lost and that are made again are not logged again: their figures are
those of their first time, which on a CPU are the same but for the seconds.
"""

import os
import time
from typing import Any

from model.loggers.bridges import Line, Start, numbers
from model.loggers.refused import TRACKING_URI
from pipeline.base import storage
from pipeline.run import layout

TAG = "tokenmill.name"
LONGEST_VALUE = 500  # of a parameter, as far as every server takes it


class Tool:
    """One run of MLflow."""

    def __init__(self, start: Start) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        own = f"sqlite:///{storage.local_path(start.run.url(layout.MLFLOW))}"
        self._client = MlflowClient(tracking_uri=os.environ.get(TRACKING_URI) or own)
        self._run = self._opened(start)
        self._last: dict[str, int] = {}  # step of the last value of each figure
        for line in start.kept:
            self.write(line)

    def _opened(self, start: Start) -> str:
        """The id of the run of this training: found by its name where it goes on, else a new one."""
        name = start.run.recipe.name
        experiment = self._client.get_experiment_by_name(name)
        number = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        for found in self._client.search_runs([number], f"tags.`{TAG}` = '{start.name}'", max_results=1):
            self._client.update_run(found.info.run_id, status="RUNNING")
            return str(found.info.run_id)
        made = self._client.create_run(number, run_name=f"{name}-{start.name}", tags={TAG: start.name})
        for section, values in start.settings.items():
            for key, value in values.items() if isinstance(values, dict) else [("", values)]:
                self._client.log_param(made.info.run_id, f"{section}.{key}".rstrip("."), str(value)[:LONGEST_VALUE])
        return str(made.info.run_id)

    def write(self, line: Line) -> None:
        """Takes a line of metrics, but what is there."""
        from mlflow.entities import Metric

        step, now = line["step"], int(time.time() * 1000)
        found: list[Any] = []
        for name, value in numbers(line):
            if step > self._last_step(name):
                found.append(Metric(name, float(value), now, step))
                self._last[name] = step
        if found:
            self._client.log_batch(self._run, metrics=found)

    def _last_step(self, name: str) -> int:
        if name not in self._last:
            history = self._client.get_metric_history(self._run, name)
            self._last[name] = max((value.step for value in history), default=-1)
        return self._last[name]

    def flush(self) -> None:
        """Nothing to do: each line is a request of its own."""

    def close(self, *, finished: bool) -> None:
        """Ends the run; one that was stopped is marked as killed, until it goes on."""
        self._client.set_terminated(self._run, status="FINISHED" if finished else "KILLED")
