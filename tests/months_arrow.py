"""An Arrow file with a column of months, of which pyarrow reads the type and makes no values."""

from pathlib import Path

import pyarrow as pa

UNITS_OF_INTERVALS = {"month_interval": b"\0", "month_day_nano_interval": b"\2"}


def write_months(path: Path, texts: list[str]) -> None:
    """Writes a file with the columns ``text`` and ``x``, intervals of months.

    pyarrow writes none, so the file is one of the other intervals, of which the footer then says another unit.
    """
    table = pa.table({"text": texts, "x": pa.array([pa.MonthDayNano([1, 2, 3])] * len(texts))})
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)
    data = path.read_bytes()
    unit = UNITS_OF_INTERVALS["month_day_nano_interval"]
    for at in (place for place in range(len(data)) if data[place : place + 1] == unit):
        changed = data[:at] + UNITS_OF_INTERVALS["month_interval"] + data[at + 1 :]
        if _kind(changed) == "month_interval":
            path.write_bytes(changed)
            return
    raise AssertionError("no place for the unit of the interval")


def _kind(data: bytes) -> str:
    try:
        return str(pa.ipc.open_file(pa.BufferReader(data)).schema.field("x").type)
    except (pa.ArrowException, OSError, KeyError):
        return ""
