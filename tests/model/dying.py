"""A training that kills itself at the n-th call of a function: ``python -m tests.model.dying THREAD PLACE WHEN N ...``.

Calls count in threads whose name holds ``THREAD``; an empty one is any.  ``WHEN`` is before, after or half: after, with
half of the file that the call has written on the disk.  What follows are the arguments of ``model.train``.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from model.checkpoints import writer
from model.train import main
from pipeline.run import checkpoints

PLACES: dict[str, tuple[Any, str]] = {
    "write_rows": (writer, "write_rows"),
    "digest": (writer, "digest_file"),
    "fsync": (writer.storage, "fsync_path"),  # type: ignore[attr-defined]
    "publish": (writer, "_publish"),
    "rename": (writer.os, "rename"),  # type: ignore[attr-defined]
    "promote": (checkpoints, "promote"),
    "remove": (checkpoints, "remove"),
    "delete": (checkpoints.storage, "delete"),  # type: ignore[attr-defined]
    "begin": (checkpoints, "begin_succession"),
    "move": (checkpoints, "_move"),
}


def dying(real: Callable[..., Any], thread: str, when: str, number: int) -> Callable[..., Any]:
    """``real``, whose call of that number in such a thread ends the process."""
    calls = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        counts = thread in threading.current_thread().name
        calls += counts
        if not counts or calls != number:
            return real(*arguments, **options)
        if when != "before":
            real(*arguments, **options)
        if when == "half":
            os.truncate(arguments[0], os.path.getsize(arguments[0]) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    return call


def command(thread: str, moment: tuple[str, str, int], *arguments: str) -> list[str]:
    """The command of a training that dies at ``moment``: place, when, number."""
    return [sys.executable, "-m", "tests.model.dying", thread, *map(str, moment), *arguments]


if __name__ == "__main__":
    owner, name = PLACES[sys.argv[2]]
    setattr(owner, name, dying(getattr(owner, name), sys.argv[1], sys.argv[3], int(sys.argv[4])))
    main(sys.argv[5:])
