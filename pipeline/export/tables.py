"""The tables of a run as they stand on disk, for a program that reads them."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.base.words import nearest
from pipeline.export.columns import several
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.table_files import Table, batches, open_table
from pipeline.run.tables import CLUSTERS, DOCUMENTS, EXCLUDED, QUARANTINE, SIGNALS, SIGNATURES, VERDICTS

_TABLES: dict[str, Table] = {
    table.folder.rstrip("/"): table for table in (DOCUMENTS, QUARANTINE, EXCLUDED, SIGNATURES, SIGNALS)
}


def table_batches(run: Run, folder: str, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """The record batches of a table, shard by shard; of ``clusters`` the evidence.

    Raises:
        UserError: If the run has no such table, or the table no such column.
    """
    table, paths = _find(run, folder.rstrip("/"))
    columns = several(columns)
    if columns is not None and paths:
        has = open_table(run.local(paths[0]), table).schema.names
        unknown = [name for name in columns if name not in has]
        if unknown:
            hint = nearest(unknown[0], has) or f"; it has {', '.join(has)}"
            raise UserError(f"{folder}: no column {unknown[0]!r}{hint}")
    return (batch for path in paths for batch in batches(run.local(path), table, columns))


def _find(run: Run, folder: str) -> tuple[Table, list[str]]:
    verdicts = {
        f"{layout.VERDICTS}{name.split('/')[0]}" for name in storage.list_files(run.url(layout.VERDICTS), ".arrow")
    }
    known = [*_TABLES, "clusters", *sorted(verdicts)]
    if folder == "clusters":
        return CLUSTERS, [layout.EVIDENCE] if storage.exists(run.url(layout.EVIDENCE)) else []
    if folder not in known:
        raise UserError(f"{folder}: no table of {run.root}{nearest(folder, known)}; it has {', '.join(known)}")
    names = storage.list_files(run.url(folder), ".arrow")
    return _TABLES.get(folder, VERDICTS), [f"{folder}/{name}" for name in names]
