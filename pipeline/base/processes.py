"""Processes of our own: none below a run outlives it, none outlives its parent, and no interrupt is lost.

A trainer's ranks sit several levels down, so that ``/proc`` is asked for the processes below one.  Where there is none,
the answer is empty and only the workers themselves are ended.

Python runs the handler of a signal between two bytecodes of the main thread.  Where these belong to a destructor or to
a callback of the garbage collector, it prints the exception that the handler raises, drops it, and goes on as if nobody
had asked the program to stop.  A collection takes a tenth of a second in a process with Prefect's objects, and a signal
that arrives during it is handled in the first destructor that runs: of some 40 sent to flow runs, one was lost this
way.  ``interrupts_kept`` sends such a signal again.

Python puts the working directory before all else where it is started with ``-m`` or ``-c``, which is how children are
started, the fork server of multiprocessing among them.  A folder ``pipeline`` or a module ``random`` that a user may
have there would be taken for ours or for Python's: ``environment`` keeps it out.
"""

import _thread
import atexit
import contextlib
import os
import select
import signal
import sys
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

from pipeline.base.console import say

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
HOME = str(Path(__file__).resolve().parents[2])  # holds pipeline/, model/ and flows/
KEPT_LINES = 12  # of what a child has said last, for a message
KEPT_CHARACTERS = 2000
LAST_WORDS_SECONDS = 5.0  # for the last lines of a child that has ended; a process below it may hold the pipe open
ENDS_WITH_STDIN = "TOKENMILL_ENDS_WITH_STDIN"  # set for a command whose standard input is such a pipe


def descendants(pid: int) -> list[int]:
    """Every living process below ``pid``, children before their own children; zombies are left out."""
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            # "pid (name) state parent ...": the name may hold spaces and brackets
            state, parent = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()[:2]
            if state not in ("Z", "X"):
                children.setdefault(int(parent), []).append(int(folder.name))
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in children.get(parent, [])]
        found += level
    return found


def ended_for_memory() -> int:
    """How many processes the kernel has ended for want of memory: of our control group, else of the machine."""
    group = _first_line(PROC / "self/cgroup").rpartition(":")[2].lstrip("/")
    for path in (CGROUPS / group / "memory.events", CGROUPS / "memory.events", PROC / "vmstat"):
        with contextlib.suppress(OSError):
            for line in path.read_text("utf-8").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0


def _first_line(path: Path) -> str:
    try:
        return path.read_text("utf-8").partition("\n")[0]
    except OSError:
        return ""


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Sends a signal to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def alive(pids: Iterable[int]) -> list[int]:
    """Those of ``pids`` that have not ended; a zombie has."""
    left = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if (PROC / str(pid) / "stat").read_text("utf-8").rpartition(")")[2].split()[0] not in ("Z", "X"):
                left.append(pid)
    return left


def end(pids: list[int], grace_seconds: float) -> None:
    """SIGTERM, then SIGKILL for what is still there after ``grace_seconds``: a trainer uses them to save itself."""
    if grace_seconds > 0.0:
        send(pids, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while alive(pids) and time.monotonic() < deadline:
            time.sleep(0.05)  # there is no way to wait for a process that is not one's child
    send(pids, signal.SIGKILL)


def end_with_parent(pipe: int = 0, *, code: int = 1, last_words: str = "", grace_seconds: float = 0.0) -> None:
    """From now on this process and all below it end when a pipe closes whose other end only its parent has.

    A pipe tells of the parent's end however that comes, SIGKILL included.

    Args:
        pipe: Descriptor of our end; what is read from it is thrown away.  By default standard input.
        code: Exit code of this process then.
        last_words: A line on standard error before it ends.
        grace_seconds: It gets a SIGTERM first, and so long to end by itself.
    """

    def watch() -> None:
        while os.read(pipe, 4096):
            pass
        if last_words:
            say(last_words)
        end_here(code, grace_seconds)

    threading.Thread(target=watch, daemon=True).start()


def end_with_process(pid: int, *, grace_seconds: float = 0.0) -> None:
    """As ``end_with_parent``, for a process that has given us no pipe; nothing where the kernel cannot watch one."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return  # it is gone, or this kernel has no such call: we end by ourselves

    def watch() -> None:
        select.select([descriptor], [], [])
        end_here(1, grace_seconds)

    threading.Thread(target=watch, daemon=True).start()


def end_here(code: int, grace_seconds: float = 0.0) -> None:
    """Ends this process and all below it, without the clean-up of anything that runs in it.

    Args:
        code: Exit code.
        grace_seconds: From a thread other than the main one: this process gets a SIGTERM, and so long to end by itself.
    """
    if grace_seconds > 0.0:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_seconds)
    send(descendants(os.getpid()), signal.SIGKILL)
    os._exit(code)


def end_before_finalization(code: int) -> NoReturn:
    """Ends this process, what it printed written and what its libraries registered for the end done.

    For one of which threads may still let go of what is Python's, as gloo's do with the tensors of their last exchange:
    they abort the process where the interpreter is being taken down.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextlib.contextmanager
def interrupts_kept(*kinds: type[BaseException]) -> Iterator[None]:
    """Sends SIGTERM to this process again for each dropped exception of one of ``kinds``: those that handlers raise."""
    before = sys.unraisablehook

    def again(dropped: Any) -> None:
        if isinstance(dropped.exc_value, kinds):
            # from a thread that is not waited for, and last: what is handled before this function ends is dropped again
            _thread.start_new_thread(os.kill, (os.getpid(), signal.SIGTERM))
        else:
            before(dropped)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def environment() -> dict[str, str]:
    """This process's environment for a child that imports our code and no module of the working directory.

    The child gets the code that we are, also where we have it from the working directory, as in a checkout that is not
    installed.  An installed one is found without our help.  Where the working directory was removed, we leave it first:
    no child can start in it.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        os.chdir("/")
    found = {**os.environ, "PYTHONSAFEPATH": "1"}
    if HOME not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", HOME)]
        found["PYTHONPATH"] = os.pathsep.join([HOME, *others])
    return found


NO_LEAKS = "ignore:resource_tracker:UserWarning"  # a filter of warnings by how they begin


@contextlib.contextmanager
def in_environment(more: Mapping[str, str] | None = None) -> Iterator[None]:
    """Sets the environment, and ``more``, for children that are started by others on our behalf, as a fork server is.

    One of them is Python's own tracker of semaphores: that a run was killed it would tell as leaks, after the run.
    """
    before = dict(os.environ)
    more = more or {}
    os.environ.update({**environment(), **more})
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before.get("PYTHONWARNINGS"), NO_LEAKS)))
    try:
        yield
    finally:
        for name in ("PYTHONSAFEPATH", "PYTHONPATH", "PYTHONWARNINGS", *more):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


class ChildWords:
    """Passes the lines of a child's standard error on, in a thread of its own, and keeps the last of them.

    Args:
        stream: The child's standard error, a pipe; it is closed at its end.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._last: deque[str] = deque(maxlen=KEPT_LINES)
        self._thread = threading.Thread(target=self._read, daemon=True, name="child-words")
        self._thread.start()

    def finish(self) -> None:
        """Passes on what is left of a child that has ended."""
        self._thread.join(LAST_WORDS_SECONDS)

    def last(self) -> str:
        """The last lines of a child that has ended, or that there were none: for the end of a message."""
        self.finish()
        text = "\n".join(f"  {line}" for line in list(self._last) if line.strip())[-KEPT_CHARACTERS:]
        return f"; the last that it said:\n{text}" if text else "; it said nothing"

    def _read(self) -> None:
        with self._stream:
            for line in self._stream:
                self._last.append(line.rstrip())
                say(line.rstrip())
