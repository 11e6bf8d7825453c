"""A quicker start of a process that is ``dedup run`` or ``report`` itself: packages that it does not use are left out.

- pandas: pyarrow looks for it when it is first given a Python object, and remembers whether it was there.
- awkward (``dedup run``): Numba lets installed packages extend it before it compiles or loads a kernel; awkward does.
- scipy and coverage (``dedup run``): Numba looks for them when it is loaded; for matrix products within kernels, of
  which ours have none, and to tell what of them was run.

No library has a setting for it: this leans on when pyarrow and Numba look, and on a private flag of Numba's.  What is
measured, and how it is noticed when it breaks, is in docs/decisions/0006-dedup-run-without-pandas.md.

What would break: pyarrow, in this process and the workers that it forks, takes a pandas Series for a plain sequence, so
that NaN is not null; a kernel that is given an awkward array, or multiplies matrices, raises Numba's TypingError.  So
it is only for a process that is the command itself, and only where neither our code nor what it calls does so.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from flows.display.loading import loading


class _Without:
    """Says that there are no such packages."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name in self._names:
            raise ModuleNotFoundError(f"{name} is left out of this command", name=name)


@contextmanager
def _without(*names: str) -> Iterator[None]:
    finder = _Without(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def quick_start(arguments: list[str]) -> None:
    """Call it before the kernels are imported and before pyarrow is given anything, with the command line."""
    if arguments[:1] == ["report"]:
        _leave_out_pandas()
    elif arguments[:2] == ["dedup", "run"]:
        _leave_out_pandas()
        _leave_out_what_numba_looks_for()


def _leave_out_pandas() -> None:
    with loading(), _without("pandas"):
        import pyarrow as pa

        pa.array([0])  # the moment in which pyarrow looks


def _leave_out_what_numba_looks_for() -> None:
    with loading(), _without("scipy", "coverage"):
        import pipeline.kernels  # noqa: F401, I001  first: it names Numba's cache folder
        from numba.core import entrypoints

        entrypoints._already_initialized = True
        import numba.np.arraymath  # noqa: F401  Numba has looked
