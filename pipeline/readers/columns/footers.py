"""What the footer of a Parquet file says of its column chunks, read where a fault of the library costs nothing.

pyarrow ends the process where it makes the object of a column chunk whose metadata is encrypted or damaged: a C++
exception that no Python code can catch.  So these objects are made in a process of its own.
"""

import os
import resource
import signal
from pathlib import Path

from pipeline.base.closable import Closable
from pipeline.base.errors import raise_the_systems
from pipeline.base.pool import Pool, WorkerKilledError

Chunks = list[list[tuple[str, str, int]]]  # row groups of columns: name, codec, bytes


class Footers(Closable):
    """Reads footers in a process that is started at the first question and kept."""

    def __init__(self) -> None:
        self._pool: Pool | None = None

    def group_bytes(self, local: Path) -> list[int] | None:
        """Bytes of each row group as it lies in the file; None where the footer cannot be read."""
        chunks = self.chunks(local)
        return None if chunks is None else [sum(size for _, _, size in group) for group in chunks]

    def chunks(self, local: Path) -> Chunks | None:
        """Name, codec and bytes of each column chunk of each row group; None where the footer cannot be read."""
        if self._pool is None:
            self._pool = Pool(1, fork=True, tries=1)
        try:
            found: Chunks | None
            ((_, found),) = self._pool.run(_chunks, [((local,), local)])
        except WorkerKilledError:
            return None
        return found

    def close(self) -> None:
        """Lets the process end."""
        if self._pool is not None:
            self._pool.close()


def _chunks(local: Path) -> Chunks | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # where the library ends this process, it does so without last words and without a core file
    signal.signal(signal.SIGABRT, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        metadata = pq.ParquetFile(local).metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        columns = [[group.column(number) for number in range(metadata.num_columns)] for group in groups]
        return [[(c.path_in_schema, c.compression, c.total_compressed_size) for c in group] for group in columns]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise_the_systems(error)
        return None
