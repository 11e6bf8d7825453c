"""The Slurm engine: a batch is a job array that datatrove's executor writes and submits.

The run's process submits, looks, and goes on with the next step when the results stand; it needs the Slurm commands
(sbatch, squeue, scancel) and a run folder that the nodes share.  A job that is pre-empted is queued again by Slurm; one
that ended without a result is sent again.  The name of the running array is kept in the run folder, so that what a
killed run left behind is cancelled before its successor submits.
"""

import json
import subprocess

from datatrove.executor.slurm import SlurmPipelineExecutor

from pipeline.base import storage
from pipeline.base.errors import RunError
from pipeline.run import layout
from pipeline.run.engine import Step
from pipeline.run.engines.cluster import Batch, Cluster, activation
from pipeline.run.engines.options import SlurmOptions
from pipeline.run.engines.shard_step import ShardStep

ACTIVE = f"{layout.CLUSTER_LOGS}/slurm-active.json"
MAX_SILENT_LOOKS = 40  # at a controller that does not answer


class SlurmCluster(Cluster):
    """Shards as tasks of ``SlurmPipelineExecutor``."""

    def __init__(self, options: SlurmOptions, workers: int) -> None:
        super().__init__(workers)
        self.options = options

    def submit(self, root: str, folder: str, step: Step, tasks: int) -> Batch:
        """Cancels what an earlier run of this folder left, then submits the batch."""
        cancel_left_over(root)
        name = f"tokenmill-{folder.rsplit('/', 1)[-1]}"
        storage.publish_bytes(json.dumps({"name": name}).encode(), storage.join(root, ACTIVE), root)
        executor = make_executor(self.options, self.workers, folder, step, tasks, name)
        try:
            executor.run()
        except subprocess.CalledProcessError as error:
            raise RunError(f"sbatch refused the batch (code {error.returncode}); see {folder}/datatrove") from error
        return SlurmBatch(root, name, self.options.poll_seconds)


class OurExecutor(SlurmPipelineExecutor):  # type: ignore[misc]  # datatrove ships no types
    """datatrove's executor without its extra job that merges statistics: ours are in the manifests."""

    def launch_merge_stats(self) -> None:
        """Nothing to merge."""


def make_executor(
    options: SlurmOptions, workers: int, folder: str, step: Step, tasks: int, name: str
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
        tasks_per_job=options.shards_per_job,
        logging_dir=f"{folder}/datatrove",
        slurm_logs_folder=None if storage.is_local(folder) else f"slurm_logs/{name}",
        skip_completed=False,
        requeue=True,
    )


class SlurmBatch(Batch):
    """The job array of one batch, known by its name."""

    def __init__(self, root: str, name: str, poll_seconds: float) -> None:
        self._root, self._name, self.poll_seconds = root, name, poll_seconds
        self._silent = 0

    def ended(self) -> bool:
        """See ``Batch``: squeue lists nothing of that name."""
        look = subprocess.run(
            ["squeue", "--noheader", f"--name={self._name}", "--format=%i %T"], capture_output=True, text=True
        )
        if look.returncode == 0:
            self._silent = 0
            return not look.stdout.strip()
        self._silent += 1
        if self._silent >= MAX_SILENT_LOOKS:
            raise RunError(f"squeue does not answer: {look.stderr.strip()}; run the same command again later")
        return False

    def cancel(self) -> None:
        """Cancels what is left of the array and forgets its name."""
        subprocess.run(["scancel", f"--name={self._name}"], capture_output=True)
        storage.delete(storage.join(self._root, ACTIVE))


def cancel_left_over(root: str) -> None:
    """Cancels the array of a killed run of this folder: two writers would work on the same shards."""
    url = storage.join(root, ACTIVE)
    if storage.exists(url):
        name = json.loads(storage.read_bytes(url))["name"]
        subprocess.run(["scancel", f"--name={name}"], capture_output=True)
        storage.delete(url)
