"""The Slurm engine: a batch is a job array that datatrove's executor writes and submits.

The run's process submits, looks, and goes on with the next step when the results stand; it needs the Slurm commands
(sbatch, squeue, scancel) and a run folder that the nodes share.  A job that is pre-empted is queued again by Slurm; one
that ended without a result is sent again.  The name of the running array is kept in the run folder, so that what a
killed run left behind is cancelled before its successor submits.
"""

import json
import math
import re
import subprocess
import time
from collections import Counter
from collections.abc import Sequence

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.utils.logging import logger

from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import RunError, parse_json
from pipeline.base.words import counted
from pipeline.run import layout
from pipeline.run.engine import Step
from pipeline.run.engines.batch import Batch
from pipeline.run.engines.cluster import LOOKS_SHARE, Cluster, activation
from pipeline.run.engines.options import SlurmOptions
from pipeline.run.engines.shard_step import ShardStep

ACTIVE = f"{layout.CLUSTER_LOGS}/slurm-active.json"
MAX_SILENT_SECONDS = 600.0  # of a controller that does not answer
JOB_SECONDS = 60.0  # what a job should take, where it is ours to say how many shards it has
SHORTEST_LOOK = 1.0  # seconds between two questions to the controller
TELL_WAITING_SECONDS = 30.0  # so long a batch may wait for its first job before that is said
LATE_LOOKS = 3  # of ``poll_seconds``, after the array's end
SLURM_ERROR = re.compile(r"^(?:\d+: )?slurmstepd\S*: error: (?:\*\*\* )?(.*?)(?: \*\*\*)?$", re.MULTILINE)
KILLED_FOR_MEMORY = re.compile(r"memory limit|oom.?kill", re.IGNORECASE)
GOING = ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING", "STOPPED", "SIGNALING")
CURES = {
    "OUT_OF_MEMORY": "give a shard more memory: --engine-set slurm.memory_gb_per_cpu={more_memory}",
    "TIMEOUT": "give a job more time than {time}: --engine-set slurm.time=…, or fewer shards: slurm.shards_per_job=1",
    "DEADLINE": "its deadline is over: --engine-set slurm.sbatch.deadline=…",
}


class SlurmCluster(Cluster):
    """Shards as tasks of ``SlurmPipelineExecutor``."""

    def __init__(self, options: SlurmOptions, workers: int) -> None:
        super().__init__(workers, options.leader_seconds)
        self.options = options
        logger.disable("datatrove")  # its lines would stand among ours; those of the jobs are in the batch's folder

    def submit(self, root: str, folder: str, step: Step, tasks: int, shard_seconds: float) -> Batch:
        """Cancels what an earlier run of this folder left, then submits the batch."""
        cancel_left_over(root)
        name = f"tokenmill-{folder.rsplit('/', 1)[-1]}"
        storage.publish_bytes(json.dumps({"name": name}).encode(), storage.join(root, ACTIVE), root)
        batch = SlurmBatch(root, folder, name, step.name, self.options)
        executor = make_executor(self.options, self.workers, folder, tasks, name, shard_seconds)
        answered = False
        while True:
            try:
                executor.run()
            except subprocess.CalledProcessError as error:
                if batch.states() is None:
                    answered = False
                    time.sleep(self.options.poll_seconds)  # the controller is away: states() counts for how long
                    continue
                if answered:
                    raise RunError(
                        f"sbatch refused {step.name} (code {error.returncode}); what it said stands above, "
                        f"the script is in {folder}/datatrove"
                    ) from error
                answered = True  # once may be a controller that has come back since: asked again, it tells
                continue
            return batch


class OurExecutor(SlurmPipelineExecutor):  # type: ignore[misc]  # datatrove ships no types
    """datatrove's executor without its extra job that merges statistics: ours are in the manifests."""

    def launch_merge_stats(self) -> None:
        """Nothing to merge."""


def make_executor(
    options: SlurmOptions, workers: int, folder: str, tasks: int, name: str, shard_seconds: float = 0.0
) -> SlurmPipelineExecutor:
    """The executor of a batch; ``run()`` writes ``launch_script.slurm`` and calls sbatch."""
    return OurExecutor(
        pipeline=[ShardStep(folder)],
        tasks=tasks,
        time=options.time,
        partition=options.partition,
        cpus_per_task=options.cpus_per_task,
        mem_per_cpu_gb=options.memory_gb_per_cpu,
        workers=workers or -1,
        job_name=name,
        qos=options.qos,
        venv_path=activation(options.venv),
        sbatch_args=dict(options.sbatch),
        max_array_size=options.max_array_size,
        tasks_per_job=options.shards_per_job or shards_of_a_job(shard_seconds, tasks, workers),
        logging_dir=f"{folder}/datatrove",
        slurm_logs_folder=None if storage.is_local(folder) else f"slurm_logs/{name}",
        skip_completed=False,
        requeue=True,
    )


def shards_of_a_job(shard_seconds: float, tasks: int, workers: int) -> int:
    """As many as take about a minute, but not so many that a worker has no job.

    Example:
        >>> shards_of_a_job(2.0, 1000, 0), shards_of_a_job(2.0, 100, 50), shards_of_a_job(0.0, 1000, 0)
        (30, 2, 1)
    """
    if not shard_seconds:
        return 1
    return max(1, min(int(JOB_SECONDS / shard_seconds), math.ceil(tasks / workers) if workers else tasks))


class SlurmBatch(Batch):
    """The job array of one batch, known by its name."""

    def __init__(self, root: str, folder: str, name: str, step: str, options: SlurmOptions) -> None:
        self._root, self._folder, self._name, self._step, self._options = root, folder, name, step, options
        self.poll_seconds = options.poll_seconds
        self.late_seconds = LATE_LOOKS * options.poll_seconds
        self._started = self._answered = time.monotonic()
        self._looked = -SHORTEST_LOOK
        self._is_over, self._has_run, self._told = False, False, set[str]()

    def ended(self, seconds: Sequence[float]) -> bool:
        """See ``Batch``: squeue lists no job of that name that waits or runs."""
        now = time.monotonic()
        pause = min(self.poll_seconds, max(SHORTEST_LOOK, LOOKS_SHARE * (now - self._started)))
        if self._is_over or now - self._looked < pause:
            return self._is_over
        states = self.states()
        self._looked = time.monotonic()
        if states is None:
            return False
        going = [(state, reason) for state, reason in states if state in GOING]
        self._has_run = self._has_run or any(state != "PENDING" for state, _ in states)
        if not self._has_run and now - self._started > TELL_WAITING_SECONDS:
            self._tell_waiting(Counter(reason for _, reason in going))
        self._is_over = not going
        if any(state != "COMPLETED" for state, _ in states):
            self.late_seconds = min(self.late_seconds, SHORTEST_LOOK)  # those are missing, not late
        return self._is_over

    def states(self) -> list[tuple[str, str]] | None:
        """State and reason of each job of the array; None: the controller does not answer.

        Raises:
            RunError: If it has not answered for ``MAX_SILENT_SECONDS``.
        """
        look = subprocess.run(
            ["squeue", "--noheader", "--array", "--states=all", f"--name={self._name}", "--format=%T|%r"],
            capture_output=True,
            text=True,
        )
        if look.returncode == 0:
            self._answered = time.monotonic()
            lines = [line.strip().partition("|") for line in look.stdout.splitlines() if line.strip()]
            return [(state, reason) for state, _, reason in lines]
        silent = time.monotonic() - self._answered
        if silent > MAX_SILENT_SECONDS:
            raise RunError(f"squeue does not answer: {look.stderr.strip()}; run the same command again later")
        if silent > TELL_WAITING_SECONDS:
            self._tell(f"squeue does not answer ({look.stderr.strip()}); waiting up to {MAX_SILENT_SECONDS:.0f} s")
        return None

    def _tell_waiting(self, reasons: Counter[str]) -> None:
        for reason, jobs in reasons.items():
            self._tell(f"{counted(jobs, 'job waits', 'jobs wait')} in Slurm's queue: {reason.replace('_', ' ')}")

    def _tell(self, words: str) -> None:
        if words not in self._told:
            self._told.add(words)
            say(f"{self._step}: {words}")

    def why_missing(self) -> tuple[str, str]:
        """See ``Batch``: the states that jobs ended in, what Slurm wrote into their logs, and over which limit."""
        ends = Counter(state for state, _ in self.states() or () if state != "COMPLETED")
        counts = ", ".join(f"{counted(jobs, 'job')} ended as {state}" for state, jobs in sorted(ends.items()))
        said = self._last_error()
        limits = {*ends, *(["OUT_OF_MEMORY"] if KILLED_FOR_MEMORY.search(said) else [])}  # else it may be FAILED
        values = {"more_memory": 2 * self._options.memory_gb_per_cpu, "time": self._options.time}
        cure = "; ".join(words.format(**values) for state, words in CURES.items() if state in limits)
        return f"{counts}: {said}" if said else counts, cure

    def _last_error(self) -> str:
        """The last line that Slurm itself wrote into the log of a job; "" where there is none or it is elsewhere."""
        if not storage.is_local(self._folder):
            return ""
        logs = sorted((storage.local_path(self._folder) / "datatrove" / "slurm_logs").glob("*.out"))
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in logs]
        found = [line for text in texts for line in SLURM_ERROR.findall(text)]
        return next((line for line in found if KILLED_FOR_MEMORY.search(line)), found[-1] if found else "")

    def cancel(self, *, done: bool) -> None:
        """Cancels what is left of the array and forgets its name."""
        if not done:
            subprocess.run(["scancel", f"--name={self._name}"], capture_output=True)
        storage.delete(storage.join(self._root, ACTIVE))


def cancel_left_over(root: str) -> None:
    """Cancels the array of a killed run of this folder: two writers would work on the same shards."""
    url = storage.join(root, ACTIVE)
    if storage.exists(url):
        name = parse_json(storage.read_bytes(url))["name"]
        subprocess.run(["scancel", f"--name={name}"], capture_output=True)
        storage.delete(url)
