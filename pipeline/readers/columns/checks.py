"""What the readers of Arrow's formats do not check: that a column's offsets lie within its data."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def check_column(batch: pa.RecordBatch, number: int) -> None:
    """Checks that the offsets of a column lie within their data; not that strings are UTF-8, row by row.

    Raises:
        ArrowInvalid: If its offsets do not lie within its data.
        ArrowNotImplementedError: If pyarrow makes no Python objects of its type.
    """
    alone = batch.select([number]).rename_columns([""])  # pyarrow gives no column whose name it cannot decode
    try:
        _check(alone.column(0))
    except KeyError as error:  # pyarrow has no class for arrays of some types, as intervals of months
        raise pa.ArrowNotImplementedError(f"pyarrow makes no values of {batch.schema.field(number).type}") from error


def sound_columns(batch: pa.RecordBatch) -> tuple[list[int], str]:
    """Places of the columns that can be read, and what is wrong with the first of the others, in words."""
    sound, problem = [], ""
    for number in range(batch.num_columns):
        try:
            check_column(batch, number)
            sound.append(number)
        except (pa.ArrowException, ValueError) as error:
            problem = problem or str(error)
    return sound, problem


def _check(column: pa.Array) -> None:
    column.validate()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column.view(pa.binary() if pa.types.is_string(kind) else pa.large_binary()).validate(full=True)
    elif pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            _check(column.field(number))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        _check_offsets(column.offsets, len(column.values))
        _check(column.values)
    elif pa.types.is_map(kind):
        _check_offsets(column.offsets, len(column.keys))
        _check(column.keys)
        _check(column.items)
    elif pa.types.is_fixed_size_list(kind):
        _check(column.values)
    elif pa.types.is_dictionary(kind):
        _check_indices(column)
        _check(column.dictionary)
    elif isinstance(column, pa.ExtensionArray):
        _check(column.storage)
    elif not pa.types.is_primitive(kind):  # one of these has no offsets, and any value
        column.validate(full=True)


def _check_offsets(offsets: pa.Array, length: int) -> None:
    places = np.concatenate(([0], offsets.to_numpy(), [length]))
    if (np.diff(places) < 0).any():
        raise pa.ArrowInvalid("a list that ends before it begins, or after its values")


def _check_indices(column: pa.DictionaryArray) -> None:
    bounds: Any = pc.min_max(column.indices).as_py()
    if bounds["max"] is not None and not (bounds["min"] >= 0 and bounds["max"] < len(column.dictionary)):
        raise pa.ArrowInvalid("a value that is not in its dictionary")
