"""Rows of an Arrow batch as Python values, whatever stands in them.

pyarrow makes Python objects of whole columns, and raises for one value that Python cannot hold: a date beyond the year
9999, an unknown time zone, a struct that names a field twice, bytes that are not UTF-8.  Such a column is made value by
value: what Arrow can print becomes text, and only the row whose string is not UTF-8 is lost.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

NOT_UTF8 = object()  # stands for a value that holds a string that is not UTF-8


def column_names(schema: pa.Schema | pa.StructType) -> list[str]:
    """Names of the columns or fields; bytes that are not UTF-8 become U+FFFD in them."""
    count = schema.num_fields if isinstance(schema, pa.StructType) else len(schema)
    return [_name(schema, number) for number in range(count)]


def _name(schema: pa.Schema | pa.StructType, number: int) -> str:
    try:
        return str(schema.field(number).name)
    except UnicodeDecodeError as error:  # pyarrow decodes a name when it is asked for it
        return bytes(error.object).decode("utf-8", "replace")


def distinct(names: Sequence[str]) -> list[str]:
    """The names, a repeated one with its number: ``a``, ``a (2)``.

    Example:
        >>> distinct(["a", "b", "a"])
        ['a', 'b', 'a (2)']
    """
    if len(set(names)) == len(names):
        return list(names)
    made: dict[str, None] = {}
    last: dict[str, int] = {}  # a file may have thousands of columns of one name
    for name in names:
        number, free = last.get(name, 1), name
        while free in made:
            number += 1
            free = f"{name} ({number})"
        last[name] = number
        made[free] = None
    return list(made)


def rows_of(batch: pa.RecordBatch) -> list[dict[str, Any] | None]:
    """One mapping per row; None where a string of the row is not UTF-8.

    Args:
        batch: Whose columns have distinct names that are UTF-8.
    """
    names = batch.schema.names
    columns = [values_of(column) for column in batch.columns]
    odd = {number for column in columns for number, value in enumerate(column) if value is NOT_UTF8}
    rows: list[dict[str, Any] | None] = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    for number in odd:
        rows[number] = None
    return rows or [{} for _ in range(batch.num_rows)]


def values_of(column: pa.Array) -> list[Any]:
    """The values of a column; ``NOT_UTF8`` for one that holds a string that is none."""
    try:
        if pa.types.is_time(column.type):
            column.validate(full=True)  # of a time that is none pyarrow makes another one
        return list(column.to_pylist())
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  pyarrow raises what Python's types raise: OverflowError, ValueError, KeyError
        return [_guarded_value(column, number) for number in range(len(column))]


def _guarded_value(column: pa.Array, number: int) -> Any:
    try:
        return _value(column[number])
    except UnicodeDecodeError:
        return NOT_UTF8
    except KeyError:  # in a union, say: pyarrow makes no values of some types
        return f"({column.type})"


def _value(scalar: pa.Scalar) -> Any:
    """The Python value of a scalar, with text in the place of what Python cannot hold."""
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if isinstance(kind, pa.StructType):
        names = distinct(column_names(kind))
        return {name: _value(scalar[number]) for number, name in enumerate(names)}
    if isinstance(scalar, pa.ListScalar) or pa.types.is_map(kind):
        return _elements(scalar.values)
    if isinstance(scalar, pa.DictionaryScalar | pa.ExtensionScalar | pa.RunEndEncodedScalar):
        inner = scalar.value
        return _value(inner) if isinstance(inner, pa.Scalar) else inner
    if pa.types.is_time(kind):
        return _printed(scalar)
    try:
        return scalar.as_py()
    except (UnicodeDecodeError, MemoryError):
        raise
    except Exception:  # noqa: BLE001
        return _printed(scalar)


def _elements(values: pa.Array) -> list[Any]:
    try:
        return list(values.to_pylist())
    except (UnicodeDecodeError, MemoryError):
        raise
    except Exception:  # noqa: BLE001
        return [_value(values[number]) for number in range(len(values))]


def _printed(scalar: pa.Scalar) -> str:
    """A date, time or duration as Arrow prints it; a time of an unknown zone in UTC."""
    kind, value = scalar.type, scalar
    if isinstance(kind, pa.TimestampType) and kind.tz is not None:
        value = pa.scalar(scalar.value, pa.timestamp(kind.unit, "UTC"))
    try:
        text = str(value.cast(pa.string()).as_py())
    except pa.ArrowException:
        text = ""
    if text and "out of range" not in text:
        return text
    return f"{getattr(scalar, 'value', None)} ({kind})"
