"""The run's own machine works on what is too small to be worth a job, in one process beside the run.

A job of a cluster waits in a queue, starts an interpreter and loads libraries: seconds, for a shard of milliseconds.
The leader begins each step at its first shard; once it is clear that it would take longer than its budget, it is ended
where it stands, and what it has not finished goes to the cluster.  How long its shards took says how many of them make
a job of about a minute.

``python -m pipeline.run.engines.leader`` is the process: it reads a batch's folder and its number of shards, a JSON
object per line, and ends when its standard input closes.
"""

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from pipeline.base.errors import parse_json
from pipeline.base.pool import THREAD_VARIABLES
from pipeline.base.processes import end_here, environment
from pipeline.run.engines.batch import Batch
from pipeline.run.engines.shard_work import work

GRACE_SECONDS = 2.0


class Leader:
    """A process that outlives its batches, so that it loads its libraries once.

    Args:
        seconds: What a step may take here; 0: every shard is a job of the cluster.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def submit(self, folder: str, tasks: int) -> "LeaderBatch":
        """Begins a batch at its first shard."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.run.engines.leader"],
                stdin=subprocess.PIPE,
                env={**environment(), **dict.fromkeys(THREAD_VARIABLES, "1"), "TOKENIZERS_PARALLELISM": "false"},
                start_new_session=True,  # Ctrl-C is for the run, which decides
            )
        assert self._process.stdin is not None  # asked for above
        self._process.stdin.write(json.dumps({"folder": folder, "tasks": tasks}).encode() + b"\n")
        self._process.stdin.flush()
        return LeaderBatch(self, self._process, tasks)

    def close(self) -> None:
        """Ends the process; it removes what it was writing, or the next command on this run does."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            assert self._process.stdin is not None  # asked for above
            self._process.stdin.close()
            self._process = None


class LeaderBatch(Batch):
    """What the leader does of one step."""

    poll_seconds = 0.2
    late_seconds = 0.0

    def __init__(self, leader: Leader, process: subprocess.Popen[bytes], tasks: int) -> None:
        self._leader, self._process, self._tasks = leader, process, tasks
        self._started = time.monotonic()

    def ended(self, seconds: Sequence[float]) -> bool:
        """See ``Batch``: the process is gone, or what is left would take longer than the budget."""
        if self._process.poll() is not None:
            return True
        ahead = sum(seconds) / len(seconds) * (self._tasks - len(seconds)) if seconds else 0.0
        return max(ahead, time.monotonic() - self._started) > self._leader.seconds

    def cancel(self, *, done: bool) -> None:
        """See ``Batch``."""
        if not done:
            self._leader.close()


def _serve() -> None:
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin.buffer:
            asked.put(line)
        end_here(0)  # the run has ended, however that came

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Thread(target=listen, daemon=True).start()
    while True:
        batch = parse_json(asked.get())
        for rank in range(batch["tasks"]):
            work(batch["folder"], rank)


if __name__ == "__main__":
    _serve()
