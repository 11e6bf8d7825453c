"""One process pool for all stages of a run; it outlives a killed worker.

Worker processes come from a fork server, compute on one thread each, and end with their parent, however that dies.
A caller that has no other thread may fork them itself: they then have all that it has imported.
The fork server may load modules before it forks (``loads``): no worker loads them again, and they share the memory.
They do not run the caller's main program again, as multiprocessing has its processes do: a script that calls a flow at
its top level, without ``if __name__ == "__main__"``, would begin a run of its own in each of them.
When a worker is killed (out of memory, SIGKILL), the executor is rebuilt; the jobs that were in flight then run one at
a time, so that the one that kills its worker is known, and after ``TRIES`` it is named and the run stops.
"""

import contextlib
import multiprocessing
import multiprocessing.spawn
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, resource_tracker
from typing import Any, TypeVar

from pipeline.base.closable import Closable
from pipeline.base.console import guard_streams
from pipeline.base.errors import RunError
from pipeline.base.processes import descendants, end, end_with_parent, ended_for_memory, in_environment, send
from pipeline.base.progress import Tally, count_into, watcher
from pipeline.base.words import counted

TRIES = 3
GRACE_SECONDS = 5.0  # of the ten in which an interrupted run has ended all of its processes
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "ARROW_IO_THREADS",
)
# read when a library is loaded, which the fork server may do
ONE_THREAD = {**dict.fromkeys(THREAD_VARIABLES, "1"), "TOKENIZERS_PARALLELISM": "false"}
LOST_STATUS = 255  # what multiprocessing says of a process whose fork server has gone before it told
Item = TypeVar("Item")


class WorkerKilledError(RunError):
    """The job of ``item`` killed its worker process as often as it was tried; ``how`` says what was seen of it."""

    def __init__(self, item: Any, name: str, how: str, tries: int = TRIES) -> None:
        super().__init__(
            f"{name} killed its worker process {counted(tries, 'time')} ({how}); nothing of it was published"
        )
        self.item, self.how, self.tries = item, how, tries


def default_workers() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def _start_worker(tally: str) -> None:
    """First thing in a worker: one compute thread, deaf to Ctrl-C (the parent decides), dead with the parent."""
    guard_streams(worker=True)
    count_into(tally)
    os.environ.update(ONE_THREAD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker has one
    end_with_parent(parent.sentinel)


_SWAPPED = threading.Lock()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Processes that this thread starts meanwhile are not told which main program it has."""
    starter, whole = threading.get_ident(), multiprocessing.spawn.get_preparation_data

    def without(name: str) -> dict[str, Any]:
        told = whole(name)
        if threading.get_ident() == starter:  # another thread's processes may need it
            told.pop("init_main_from_name", None)
            told.pop("init_main_from_path", None)
        return told

    with _SWAPPED:
        multiprocessing.spawn.get_preparation_data = without
        try:
            yield
        finally:
            multiprocessing.spawn.get_preparation_data = whole


class InProcess(Closable):
    """Workers that are this process: a few small jobs are not worth starting another one."""

    def run(
        self, function: Callable[..., Any], jobs: Sequence[tuple[tuple[Any, ...], Item]]
    ) -> Iterator[tuple[Item, Any]]:
        """Calls ``function(*arguments)`` for each ``(arguments, item)``, in their order."""
        for arguments, item in jobs:
            yield item, function(*arguments)


class Pool(Closable):
    """Runs jobs on ``workers`` processes; made once per run, lazily started.

    Args:
        workers: Processes; by default one for each processor.
        fork: Fork the workers where this process has one thread only: no import is repeated.
        tries: How often a job may kill its worker before it is named.
        loads: Modules that a fork server loads which this pool starts.
    """

    def __init__(
        self, workers: int | None = None, *, fork: bool = False, tries: int = TRIES, loads: Sequence[str] = ()
    ) -> None:
        self.workers, self._fork, self._tries, self._loads = workers or default_workers(), fork, tries, [*loads]
        self._begun: list[tuple[tuple[Any, ...], Future[Any]]] = []
        self._loading = False  # the fork server may still
        self._executor: ProcessPoolExecutor | None = None
        self._tally: Tally | None = None
        self._out_of_memory = 0  # processes that the system had ended for want of memory when the workers started

    def prepare(self) -> None:
        """Starts the fork server, and does not wait for what it loads; the first job does."""
        if not self._fork:
            with self._deaf_children():
                self._loading = True
                forkserver.ensure_running()

    def begin(self, function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]]) -> None:
        """Begins jobs, given by their arguments, that ``run`` will be asked for with the same function."""
        for arguments in jobs:
            self._begun.append((arguments, self._submit(function, arguments)))

    def run(
        self, function: Callable[..., Any], jobs: Sequence[tuple[tuple[Any, ...], Item]]
    ) -> Iterator[tuple[Item, Any]]:
        """Calls ``function(*arguments)`` for each ``(arguments, item)``; yields ``(item, result)`` as they finish.

        Raises:
            WorkerKilledError: If a job killed its worker ``tries`` times.
            Exception: The first exception that a job raised; jobs in flight are finished first.
        """
        suspects: deque[int] = deque()
        tries = [0] * len(jobs)
        try:
            running = self._take_begun(jobs)
            waiting = deque(number for number in range(len(jobs)) if number not in running.values())
            while waiting or suspects or running:
                width = 1 if suspects else self.workers
                while len(running) < width and (suspects or waiting):
                    number = suspects.popleft() if suspects else waiting.popleft()
                    running[self._submit(function, jobs[number][0])] = number
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                broken = [f for f in finished if isinstance(f.exception(), BrokenProcessPool)]
                for future in finished - set(broken):
                    number = running.pop(future)
                    yield jobs[number][1], future.result()
                if broken:
                    suspects.extend(self._after_kill(running, tries, jobs))
                    running.clear()
        except Exception:
            self.kill()
            raise
        except BaseException:  # interrupted: what a worker has started may save itself first
            self.kill(GRACE_SECONDS)
            raise

    def _take_begun(self, jobs: Sequence[tuple[tuple[Any, ...], Any]]) -> dict[Future[Any], int]:
        """Those of the jobs that are begun; what else was begun, and might write what they write, is over then."""
        running, others = {}, []
        for begun, future in self._begun:
            number = next((number for number, (arguments, _) in enumerate(jobs) if arguments == begun), None)
            if number is None:
                others.append(future)
            else:
                running[future] = number
        self._begun = []
        for future in others:
            future.cancel()
        wait(others)
        return running

    def _submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        if self._executor is not None:
            # it may start another worker; one of them may have been killed while it had no job
            with _without_main(), contextlib.suppress(BrokenProcessPool):
                return self._executor.submit(function, *arguments)
            self.kill()
        with watcher().still():
            return self._start(function, arguments)

    def _start(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        """Starts the executor with its first job."""
        forks = self._fork and threading.active_count() == 1
        context = multiprocessing.get_context("fork" if forks else "forkserver")
        self._out_of_memory = ended_for_memory()
        self._tally = self._tally or Tally()
        with self._deaf_children():
            self._executor = ProcessPoolExecutor(
                self.workers, context, initializer=_start_worker, initargs=(self._tally.path,)
            )
            with _without_main():
                first = self._executor.submit(function, *arguments)
        self._loading = False
        return first

    @contextlib.contextmanager
    def _deaf_children(self) -> Iterator[None]:
        """What is started inside, fork server and workers, has our environment, and no Ctrl-C till it is deaf to it."""
        multiprocessing.set_forkserver_preload(self._loads)
        with in_environment(ONE_THREAD):
            resource_tracker.ensure_running()  # else the first semaphore starts it, and that lets Ctrl-C through again
            held = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            try:
                yield
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _after_kill(
        self, running: dict[Future[Any], int], tries: list[int], jobs: Sequence[tuple[tuple[Any, ...], Any]]
    ) -> list[int]:
        """Drops the broken executor; returns the jobs that were in flight, to be run alone."""
        how = self._how_it_ended()
        self.kill()
        numbers = sorted(running.values())
        for number in numbers:
            tries[number] += 1
            if tries[number] >= self._tries:
                raise WorkerKilledError(jobs[number][1], f"job {jobs[number][1]}", how, self._tries)
        return numbers

    def _how_it_ended(self) -> str:
        """What is seen of the worker that has just ended: its signal, and whether the system ends some for memory."""
        assert self._executor is not None  # it is broken
        codes = [process.exitcode for process in (self._executor._processes or {}).values()]
        # the executor ends the others with SIGTERM
        code = next((code for code in codes if code not in (None, 0, -signal.SIGTERM, LOST_STATUS)), None)
        if code is None:
            return "how it ended is not known"
        if code > 0:
            return f"it ended with exit code {code}; what it said stands above"
        said = f"signal {-code}, {signal.strsignal(-code) or 'unknown'}"
        if code != -signal.SIGKILL:
            return said
        if ended_for_memory() > self._out_of_memory:
            return f"{said}: the system has ended it for want of memory; give it more, or start fewer --workers"
        return f"{said}; no process is counted here that the system ended for want of memory"

    def kill(self, grace_seconds: float = 0.0) -> None:
        """Ends the worker processes at once; the processes they started get ``grace_seconds`` after a SIGTERM."""
        self._begun = []
        server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # there is no public way
        if self._loading and server is not None:
            send([server], signal.SIGKILL)  # while it loads it sees no end of ours; who needs one starts another
        self._loading = False
        if self._executor is None:
            return
        processes = list((self._executor._processes or {}).values())  # no public way before Python 3.14
        end([pid for process in processes if process.pid for pid in descendants(process.pid)], grace_seconds)
        for process in processes:
            process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = None

    def close(self) -> None:
        """Lets the workers end."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None
        self._forget_tally()

    def _forget_tally(self) -> None:
        if self._tally is not None:
            self._tally.close()
            self._tally = None

    def __exit__(self, *raised: object) -> None:
        if raised == (None, None, None):
            self.close()
        else:
            self.kill()
            self._forget_tally()
