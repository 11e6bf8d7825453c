"""What the tasks of the join read of a shard, and where they keep what does not fit their memory."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.dedup.rule.signing import url_hashes
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import batches
from pipeline.run.tables import SIGNATURES
from pipeline.run.tables.alive import Mask, alive


@contextmanager
def scratch_folder(job: Job) -> Iterator[Path]:
    """A folder that goes with the task; ``arguments["scratch"]`` says where, None for the system's temporary one."""
    parent = job.arguments["scratch"]
    if parent is not None:
        Path(parent).mkdir(parents=True, exist_ok=True)  # nothing else of this run may have been written yet
    with tempfile.TemporaryDirectory(prefix="dedup-", dir=parent) as folder:
        yield Path(folder)


def doc_ids_of(outputs: Outputs, shards: Sequence[str]) -> pa.Array:
    """The doc_ids of all documents of some shards, in order."""
    paths = [outputs.run_path(layout.signatures(shard)) for shard in shards]
    pieces = [batch.column("doc_id") for path in paths for batch in batches(path, SIGNATURES, ["doc_id"])]
    return pa.concat_arrays([*pieces, pa.array([], pa.binary(16))])


def alive_of_shard(job: Job, outputs: Outputs, shard: str, rows: int) -> Mask:
    """Documents of a shard that no stage before this one dropped, shape (rows,)."""
    return alive([outputs.run_path(layout.verdicts(stage, shard)) for stage in job.config["stages_before"]], rows)


def signature_matrix(batch: pa.RecordBatch) -> NDArray[np.uint32]:
    """The signatures of a batch, shape (rows, P), not copied."""
    column = batch.column("signature")
    matrix: NDArray[np.uint32] = column.flatten().to_numpy().reshape(len(column), -1)
    return matrix


def batch_url_hashes(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    """Hashes of the canonical URLs of a batch, else of their URLs; zeros for none; shape (rows, 2)."""
    return url_hashes(pc.coalesce(batch.column("canonical_url"), batch.column("url")))


URL_COLUMNS = ["url", "canonical_url"]  # what ``batch_url_hashes`` needs
