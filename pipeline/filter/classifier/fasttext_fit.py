"""One fastText training in a process of its own: ``python fasttext_fit.py OPTIONS.json``; started by train.py.

fastText 0.9.2 makes its input matrix with ``posix_memalign`` and sets only as many tenths of it as there are threads
(``DenseMatrix::uniform``); the rest keeps what the memory held before.  Fresh pages hold zeros, so the training works;
memory that the process freed earlier holds anything, NaN included: the weights, and the model's bytes, then depend on
what ran before.  The size of the matrix does not help: the allocator joins small free pieces into large ones.  So the
training has its own process, started with ``MALLOC_PERTURB_=255``: glibc fills every block it hands out with the
complement of that byte, zero.  Whether that holds is tried out before the training.  One thread: with more, the order
of the updates is left to chance.
"""

import ctypes
import signal
import sys
from pathlib import Path
from typing import Any

from pipeline.base.errors import parse_json

ENVIRONMENT = {"MALLOC_PERTURB_": "255", "MALLOC_ARENA_MAX": "1"}
DIVERGED, UNSET_MEMORY = 3, 4  # exit codes
PROBE_BYTES = (64, 4096, 1 << 20)
DIRT = 0x7F  # as a byte of every float32: 3.4e38


def memory_is_set(sizes: tuple[int, ...] = PROBE_BYTES) -> bool:
    """Whether ``posix_memalign`` gives zeros where the memory was written and freed before."""
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.restype, library.free.argtypes = None, [ctypes.c_void_p]
    for size in sizes:
        pieces = [library.malloc(max(size // 8, 32)) for _ in range(32)]
        if not all(pieces):
            return False
        for piece in pieces:
            ctypes.memset(piece, DIRT, max(size // 8, 32))
        for piece in pieces:
            library.free(piece)
        block = ctypes.c_void_p()
        if library.posix_memalign(ctypes.byref(block), ctypes.c_size_t(64), ctypes.c_size_t(size)) or not block.value:
            return False
        is_zero = not any(ctypes.string_at(block.value, size))
        library.free(block.value)
        if not is_zero:
            return False
    return True


def fit(options: dict[str, Any], output: Path) -> int:
    """Trains, and writes the model; returns an exit code."""
    import fasttext
    import numpy as np

    if not memory_is_set():
        return UNSET_MEMORY
    try:
        model = fasttext.train_supervised(**options, thread=1, verbose=0)
    except RuntimeError as error:  # what the library raises on "Encountered NaN"
        sys.stderr.write(f"{error}\n")
        return DIVERGED
    if not (np.isfinite(model.get_output_matrix()).all() and np.isfinite(model.get_input_matrix()).all()):
        sys.stderr.write("weights are not finite\n")
        return DIVERGED
    model.save_model(str(output))
    return 0


def end_with_parent() -> None:
    """Lets the kernel end this process when the one that started it ends, whatever ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    end_with_parent()
    given = parse_json(Path(sys.argv[1]).read_text("utf-8"))
    sys.exit(fit(given["options"], Path(given["output"])))
