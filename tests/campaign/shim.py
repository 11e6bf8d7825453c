"""The preloaded library of ``shim.c``: built with the C compiler of the machine, told what to do by a mapped file.

A process is under it where it was started with ``environment()``; whatever it forks or starts is too.
"""

import ctypes
import errno
import mmap
import os
import shutil
import subprocess
from enum import IntEnum, IntFlag
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
VARIABLE = "CAMPAIGN_CONTROL"


class Action(IntEnum):
    """What happens at the N-th operation."""

    COUNT = 0
    KILL_GROUP = 1
    KILL_SELF = 2
    FAIL = 3
    SHORT = 4
    JUMP = 5


class Kind(IntFlag):
    """Kinds of file operations, as shim.c has them."""

    OPEN = 1
    WRITE = 2
    PWRITE = 4
    RENAME = 8
    LINK = 16
    FSYNC = 32
    TRUNCATE = 64
    UNLINK = 128
    MKDIR = 256
    READ = 512


ALL = ~Kind.READ  # every one that changes something or begins to
ERRORS = {name: getattr(errno, name) for name in ("EIO", "ENOSPC", "EDQUOT", "EACCES", "EINTR")}


class _Control(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("armed", "action", "error", "lasting")),
        ("kinds", ctypes.c_uint32),
        ("group", ctypes.c_int32),
        *((name, ctypes.c_int64) for name in ("count", "target", "hits", "seconds")),
        ("root", ctypes.c_char * 512),
        ("hit", ctypes.c_char * 512),
    ]


def compiler() -> str | None:
    """The C compiler of this machine, if it has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(folder: Path) -> dict[str, str]:
    """Builds the library below ``folder``; what the environment of a process needs to be under it."""
    library, control = folder / "shim.so", folder / "control"
    name = compiler()
    assert name is not None, "no C compiler"
    subprocess.run([name, "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"], check=True)
    control.write_bytes(bytes(ctypes.sizeof(_Control)))
    return {"LD_PRELOAD": str(library), VARIABLE: str(control)}


class Shim:
    """The control of the library that this process and those below it are under."""

    def __init__(self) -> None:
        with open(os.environ[VARIABLE], "r+b") as file:
            self._map = mmap.mmap(file.fileno(), ctypes.sizeof(_Control))
        self._control = _Control.from_buffer(self._map)

    def arm(
        self,
        root: Path,
        action: Action = Action.COUNT,
        target: int = 0,
        *,
        kinds: Kind = ALL,
        error: int = 0,
        lasting: bool = False,
        seconds: int = 0,
    ) -> None:
        """From now on operations below ``root`` count, and the one after ``target`` others is disturbed.

        ``seconds`` is how far the wall clock jumps then, back where it is negative.
        """
        control = self._control
        control.armed = 0
        control.action, control.error, control.lasting = int(action), error, int(lasting)
        control.kinds, control.group = int(kinds) & 0xFFFFFFFF, 0
        control.count, control.target, control.hits = 0, target, 0
        control.seconds = seconds
        control.root, control.hit = os.fsencode(root), b""
        control.armed = 1

    def disarm(self) -> tuple[int, str]:
        """Leaves everything alone; how many operations there were, and which was disturbed."""
        self._control.armed = 0
        return int(self._control.count), os.fsdecode(self._control.hit)

    def hits(self) -> int:
        """How many operations were disturbed since it was armed."""
        return int(self._control.hits)

    def counted(self) -> int:
        """How many operations there have been since it was armed."""
        return int(self._control.count)

    def own_group(self) -> None:
        """This process and what it starts are the tree that is killed as a whole."""
        self._control.group = os.getpid()
