"""An interrupt is not lost.

Python runs the handler of a signal between two bytecodes of the main thread.  Where these belong to a destructor or to
a callback of the garbage collector, it prints the exception that the handler raises, drops it, and goes on as if nobody
had asked the program to stop.  A collection takes a tenth of a second in a process with Prefect's objects, and a signal
that comes during it is handled in the first destructor that it runs: of some 40 sent to flow runs, one was lost so.
"""

import _thread
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any


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
