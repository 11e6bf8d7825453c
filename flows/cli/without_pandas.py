"""Leaves pandas and awkward out of a process that uses neither: a quarter of the time of a small ``dedup run``.

- pyarrow looks for pandas when it is first given a Python object, and remembers whether it was there.
- Numba lets installed packages extend it before it compiles or loads a kernel; awkward does.

Neither library has a setting for it: this leans on when pyarrow looks, and on a private flag of Numba's.  What is
measured, and how it is noticed when it breaks, is in docs/decisions/0006-dedup-run-without-pandas.md.

What would break: pyarrow, in this process and the workers that it forks, takes a pandas Series for a plain sequence, so
that NaN is not null; a kernel that is given an awkward array raises Numba's TypingError.  So it is only for a process
that is the command itself, and only where neither our code nor what it calls hands such an object over.
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
