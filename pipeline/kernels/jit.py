"""How kernels that allocate nothing are compiled."""

from collections.abc import Callable
from typing import Any

import numba

# Without Numba's runtime no array is counted: each look at an array of a tuple would else cost two atomic additions,
# which in a long function is most of the time.  Such a function cannot make an array, nor return one that it was given.
bare: Callable[..., Any] = numba.njit(cache=True, nogil=True, _nrt=False)
inlined: Callable[..., Any] = numba.njit(nogil=True, inline="always")
