"""``python -m flows.cli``: the command line where no script ``tokenmill`` is installed."""

import contextlib
import os
import sys

# Python has put the working directory first: what lies there must not be taken for ours, or for Python's own
with contextlib.suppress(FileNotFoundError):  # it was removed
    if not sys.flags.safe_path and sys.path[0] == os.getcwd() != os.path.realpath(f"{__file__}/../../.."):
        del sys.path[0]

from flows.cli.app import main

main()
