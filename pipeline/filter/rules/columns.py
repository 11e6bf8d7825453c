"""Reading columns of tables without the rest: an Arrow file's other columns are neither read nor decompressed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.run.tables import Table, open_table


def column_batches(path: Path, table: Table, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches with only ``columns``, of those that the file has."""
    schema = open_table(path, table).schema
    wanted = [schema.get_field_index(name) for name in columns if name in schema.names]
    options = pa.ipc.IpcReadOptions(included_fields=sorted(wanted), use_threads=False)
    reader = pa.ipc.open_file(pa.memory_map(str(path), "r"), options=options)
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def read_columns(path: Path, table: Table, columns: Sequence[str]) -> pa.Table:
    """All rows with only ``columns``, of those that the file has."""
    found = list(column_batches(path, table, columns))
    if found:
        return pa.Table.from_batches(found)
    schema = open_table(path, table).schema
    return pa.schema([schema.field(name) for name in schema.names if name in columns]).empty_table()
