"""Where the values of a JSON text end, in one pass and without parsing them."""

import numba
import numpy as np
from numpy.typing import NDArray


def value_ends(data: NDArray[np.uint8], state: NDArray[np.int64], base: int) -> NDArray[np.int64]:
    """Places in a chunk where a value at nesting ``base`` has ended.

    Args:
        data: The next bytes.
        state: (depth, inside a string, after a backslash), carried from chunk to chunk; starts as zeros.
        base: 0 = values one after the other: the place is one past a closing bracket; 1 = items of one list: the place
            of the comma or of the closing bracket.

    Returns:
        Offsets in the chunk.
    """
    return _value_ends(data, state, base)  # type: ignore[no-any-return]


@numba.njit(cache=True, nogil=True)
def _value_ends(data, state, base):  # type: ignore[no-untyped-def]
    found = np.empty(len(data), np.int64)
    count = 0
    depth, in_string, escaped = state[0], state[1], state[2]
    for i in range(len(data)):
        byte = data[i]
        if in_string:
            if escaped:
                escaped = 0
            elif byte == 0x5C:
                escaped = 1
            elif byte == 0x22:
                in_string = 0
            continue
        if byte == 0x22:
            in_string = 1
        elif byte == 0x7B or byte == 0x5B:
            depth += 1
        elif byte == 0x7D or byte == 0x5D:
            depth -= 1
            if depth == 0:
                found[count] = i if base else i + 1
                count += 1
        elif byte == 0x2C and base and depth == base:
            found[count] = i
            count += 1
    state[0], state[1], state[2] = depth, in_string, escaped
    return found[:count].copy()
