"""``python -m model.several TORCHRUN_OPTIONS``: torchrun, with the exit codes of a training in one process.

torchrun itself (torch 2.9) ends with a traceback and exit code 1 when a signal has stopped it, however well the
processes below it have ended.
"""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Starts the processes, passes signals on to them, and ends with the exit code of docs/cli.md."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.run import main as torchrun

    try:
        torchrun(sys.argv[1:])
    except SignalException as stopped:
        sys.exit(130 if stopped.sigval == signal.SIGINT else 0)
    sys.exit(0)


if __name__ == "__main__":
    main()
