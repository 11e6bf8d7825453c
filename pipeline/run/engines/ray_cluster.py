"""The Ray engine.  datatrove's executor runs in a child process, so that a lost cluster cannot take the run with it.

Ray ends a driver that cannot reach its head; here that is the child, and the run stops with a sentence.
``python -m pipeline.run.engines.ray_cluster FOLDER TASKS WORKERS OPTIONS`` is the child.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from pipeline.base.errors import RunError, parse_json
from pipeline.base.processes import end_with_parent, environment
from pipeline.run.engine import Step
from pipeline.run.engines.batch import Batch
from pipeline.run.engines.cluster import Cluster, local_log
from pipeline.run.engines.options import RayOptions

UNREACHABLE, TOO_SMALL = 11, 12  # exit codes of the child
POLL_SECONDS = 0.2
LATE_SECONDS = 1.0
START = "start one with `ray start --head` and name it with --engine-set ray.address=HOST:PORT"
STOP_SECONDS = 5.0


class RayCluster(Cluster):
    """Shards as tasks of ``RayPipelineExecutor``."""

    def __init__(self, options: RayOptions, workers: int) -> None:
        super().__init__(workers)
        self.options = options
        _check_address(options.address)

    def submit(self, root: str, folder: str, step: Step, tasks: int, shard_seconds: float) -> Batch:
        """Starts the child that drives the batch."""
        return RayBatch(root, [folder, str(tasks), str(self.workers), self.options.model_dump_json()])


def _check_address(address: str) -> None:
    """Ray itself tries for a long time, and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # "auto": Ray looks for a head on this machine
    try:
        with socket.create_connection((host, int(port)), timeout=10.0):
            return
    except OSError as error:
        raise RunError(f"no Ray cluster at {address}: {error.strerror or error}; {START}") from error


class RayBatch(Batch):
    """The child process of one batch."""

    poll_seconds = POLL_SECONDS
    late_seconds = LATE_SECONDS

    def __init__(self, root: str, arguments: list[str]) -> None:
        self._log = local_log(root, "ray.log")
        options = RayOptions.model_validate_json(arguments[-1])
        variables = {
            **environment(),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_gcs_rpc_server_reconnect_timeout_s": str(options.lost_seconds),
            "RAY_DEDUP_LOGS": "0",
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.run.engines.ray_cluster", *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=variables,
                start_new_session=True,
            )

    def ended(self, seconds: Sequence[float]) -> bool:
        """See ``Batch``."""
        code = self._process.poll()
        if code in (None, 0):
            return code == 0
        said = self._log.read_text(errors="replace", encoding="utf-8").strip().splitlines()[-3:]
        if code in (UNREACHABLE, TOO_SMALL):
            raise RunError(said[-1] if said else "the Ray cluster cannot be used")
        raise RunError(
            f"the Ray cluster is gone (its client ended with code {code}): {' / '.join(said)}; see {self._log}. "
            f"What was finished is kept: run the same command again when a cluster is there, or with --engine local"
        )

    def cancel(self, *, done: bool) -> None:
        """Ends the child; Ray ends the actors of a driver that is gone."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def drive(folder: str, tasks: int, workers: int, options: RayOptions) -> int:
    """Runs the batch on the cluster to its end; the exit code of the child."""
    import ray
    from datatrove.executor.ray import RayPipelineExecutor

    from pipeline.run.engines.shard_step import ShardStep

    try:
        ray.init(address=options.address, log_to_driver=False, logging_level="error")
    except ConnectionError as error:
        return _say(UNREACHABLE, f"no Ray cluster at {options.address}: {error}; {START}")
    problem = _too_small(ray, options)
    if problem:
        return _say(TOO_SMALL, problem)
    executor = RayPipelineExecutor(
        pipeline=[ShardStep(folder)],
        tasks=tasks,
        workers=workers or tasks_at_once(ray, options, tasks),
        cpus_per_task=options.cpus_per_task,
        mem_per_cpu_gb=options.memory_gb_per_cpu,
        logging_dir=f"{folder}/datatrove",
        skip_completed=False,
    )
    executor.run()
    ray.shutdown()
    return 0


def tasks_at_once(ray: Any, options: RayOptions, tasks: int) -> int:
    """As many tasks as the cluster has processors for: each waiting one would hold an actor and a thread."""
    cpus = ray.cluster_resources().get("CPU", 1.0)
    return max(1, min(tasks, 2 * int(cpus // options.cpus_per_task)))


def _too_small(ray: Any, options: RayOptions) -> str:
    """Why no node could ever run a task: Ray would wait for ever."""
    needed = {
        "CPU": options.cpus_per_task,
        "memory": int(options.memory_gb_per_cpu * options.cpus_per_task * 2**30),
    }
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in nodes):
        return ""
    wanted = f"{needed['CPU']} CPU, {needed['memory'] / 2**30:.1f} GB memory"
    has = "; ".join(f"{node.get('CPU', 0):.0f} CPU, {node.get('memory', 0) / 2**30:.1f} GB" for node in nodes)
    return f"a shard reserves {wanted}, and no node of the Ray cluster has that ({has}): see --engine-set ray.…"


def _say(code: int, text: str) -> int:
    sys.stderr.write(" ".join(text.split()) + "\n")
    return code


if __name__ == "__main__":
    end_with_parent()
    batch_folder, number_of_tasks, at_once, settings = sys.argv[1:]
    code = drive(
        batch_folder,
        int(number_of_tasks),
        int(at_once),
        RayOptions(**parse_json(settings)),
    )
    sys.stderr.flush()
    os._exit(code)  # Ray's threads may hang on a cluster that has just gone
