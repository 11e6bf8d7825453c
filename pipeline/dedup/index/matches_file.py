"""The file of matches that an index command writes: refused before anything is done, or published whole at the end."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import FormatError, RunError, UserError
from pipeline.run.table_files import TableWriter, open_table
from pipeline.run.tables import INDEX_MATCHES


class MatchesFile:
    """A table of matches (``INDEX_MATCHES``) to be.

    Args:
        flag: The option that names it, for messages.
        path: Where it will be; an earlier table of matches there is replaced.

    Raises:
        UserError: If nothing can be written there, or something else is there.
    """

    def __init__(self, flag: str, path: Path) -> None:
        self.path, self._partial = path, path.with_name(f".{path.name}.partial")
        if path.exists():
            try:
                open_table(path, INDEX_MATCHES)
            except (FormatError, OSError) as error:
                raise UserError(
                    f"{flag} {path}: there is something else than a table of matches; name another"
                ) from error
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.touch()
            self._partial.unlink()
        except OSError as error:
            raise UserError(f"{flag} {path}: cannot be written: {error.strerror or error}; name another") from error

    def publish(self, tables: Iterable[pa.Table]) -> None:
        """Writes the rows of some tables.

        Raises:
            RunError: If the disk is full, or the file cannot be written any more.
        """
        try:
            with TableWriter(self._partial, INDEX_MATCHES) as writer:
                for table in tables:
                    writer.write(table)
            storage.publish(self._partial, str(self.path))
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise RunError(f"{self.path}: cannot be written: {error.strerror or error}") from error
