"""``python -m model.several TORCHRUN_OPTIONS``: torchrun, with the exit codes of a training in one process.

torchrun itself (torch 2.9) ends with a traceback and exit code 1 when a signal has stopped it, however well the
processes below it have ended, and whatever the exit code of one that has failed.
"""

import signal
import sys
from typing import NoReturn

from pipeline.base.console import say


def main() -> NoReturn:
    """Starts the processes, passes signals on to them, and ends with the exit code of docs/cli.md."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun(sys.argv[1:])
    except SignalException as stopped:
        sys.exit(130 if stopped.sigval == signal.SIGINT else 0)
    except ChildFailedError as failed:
        rank, first = failed.get_first_failure()
        say(f"process {rank} of the training was the first to end, with exit code {first.exitcode}")
        sys.exit(first.exitcode if first.exitcode > 0 else 128 - first.exitcode)  # of a signal: as a shell has it
    sys.exit(0)


if __name__ == "__main__":
    main()
