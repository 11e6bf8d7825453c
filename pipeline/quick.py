"""A quicker start for a command that is over in seconds: two optional packages are not loaded on the way.

- pyarrow looks for pandas when it is first given a Python object, and remembers whether it was there: 0.25 s.
- Numba lets installed packages extend it before it compiles or loads a kernel; awkward does: 0.15 s.

Only for a process that is the command itself, and only where nothing of ours, nor of what it calls, needs either.
"""

import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa


class _WithoutPandas(MetaPathFinder):
    """Says that there is no pandas."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is left out of this command", name=name)


def leave_out_pandas_and_awkward() -> None:
    """Call it before the kernels are imported and before pyarrow is given anything."""
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])  # the moment in which pyarrow looks
    finally:
        sys.meta_path.remove(finder)
    import pipeline.kernels  # noqa: F401, I001  first: it names Numba's cache folder
    from numba.core import entrypoints

    entrypoints._already_initialized = True
