"""The order in which records are visited: first, longest, or by a column, highest first; ties in input order."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import UserError

FIRST, LONGEST = "first", "longest"
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def parse_memory(text: str) -> int:
    """Bytes of a size such as ``2GB``, ``512MiB`` or ``1000000``.

    Raises:
        UserError: If it is none.

    Example:
        >>> parse_memory("2GB")
        2000000000
    """
    number = text.strip().upper().removesuffix("B")
    digits = number.rstrip("KMGTI ")
    unit = number[len(digits) :].strip()
    try:
        size = int(float(digits) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        size = 0
    if size < 1:
        raise UserError(f"memory {text!r}: expected a size such as 2GB, 512MiB or 800MB")
    return size


def visiting_order(
    keep: str,
    count: int,
    lengths: NDArray[np.int64] | None = None,
    values: Sequence[pa.Array] | None = None,
    preference: Sequence[str] = (),
) -> NDArray[np.int64]:
    """Record numbers in priority order, shape (N,).

    Args:
        keep: ``first``, ``longest``, or the name of the column that ``values`` holds.
        count: N.
        lengths: Characters of each text, for ``longest``.
        values: The column in pieces; null (and not-a-number) comes last.
        preference: Values of the column from best to worst, instead of highest first; others come after them.

    Raises:
        UserError: If the column mixes numbers and text, or holds what has no order.
    """
    if keep == FIRST:
        return np.arange(count)
    if keep == LONGEST:
        assert lengths is not None
        return np.argsort(-lengths, kind="stable")
    column = _one_column(keep, values or [])
    if preference:
        wanted = pa.array(list(preference), pa.string())
        column = pc.negate(pc.index_in(column.cast(pa.string()), value_set=wanted).fill_null(len(preference)))
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    table = pa.table({"value": column, "record": np.arange(count)})
    try:
        order = pc.sort_indices(table, [("value", "descending", "at_end"), ("record", "ascending", "at_end")])
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f"keep = {keep}: values of type {column.type} have no order") from error
    return order.to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def _one_column(name: str, values: Sequence[pa.Array]) -> pa.ChunkedArray:
    types = {str(piece.type): piece.type for piece in values if not pa.types.is_null(piece.type)}
    kinds = {_kind(kind) for kind in types.values()}
    if len(kinds) > 1:
        raise UserError(f"keep = {name}: the field holds {' and '.join(sorted(kinds))}, which have no common order")
    if not types:
        target = pa.float64()
    elif len(types) == 1:
        (target,) = types.values()
    else:
        target = pa.float64() if kinds == {"numbers"} else pa.large_string()
    return pa.chunked_array([piece.cast(target) for piece in values], target)


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return "numbers"
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)
