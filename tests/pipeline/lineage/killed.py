"""Takes documents down, or restores one, and dies by SIGKILL at one of its changes of the run folder.

``python killed.py ROOT NUMBER WHEN IDS [RESTORE]``: at change NUMBER (a rename or a removal), WHEN "before" or "after".
Prints how many changes there were, when it is not killed.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from pipeline.run.folder import Run
from pipeline.takedown.choose import Choice
from pipeline.takedown.takedown import take_down

changes = 0


def dying(real: Any, root: str, number: int, when: str) -> Any:
    """``real``, but change ``number`` below ``root`` kills the process."""

    def change(*arguments: Any, **options: Any) -> Any:
        global changes
        inside = str(arguments[-1]).startswith(root)
        here = inside and changes == number
        changes += inside
        if here and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = real(*arguments, **options)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return change


def main() -> None:
    """Reads the arguments, and takes down or restores."""
    root, number, when, ids, *restoring = sys.argv[1:]
    os.replace = dying(os.replace, root, int(number), when)
    Path.unlink = dying(Path.unlink, root, int(number), when)  # type: ignore[method-assign]
    choice = Choice(ids=tuple(ids.split(",")) if ids else ())
    take_down(Run.open(root), choice, restoring=restoring)
    sys.stdout.write(str(changes))


if __name__ == "__main__":
    main()
