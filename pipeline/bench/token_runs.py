"""Synthetic token shards of any size for the benchmarks: sparse files that take no disk."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.base.arrow import doc_id_column
from pipeline.run import layout
from pipeline.run.manifest import Manifest, Output
from pipeline.run.tables import tokens_table
from pipeline.tokens.shards.shard_facts import describe
from pipeline.tokens.shards.token_shard import TokenFormat

TOKENS_PER_DOCUMENT = 1_000


BATCH_DOCUMENTS = 4_096  # of a token shard: about 4 million tokens


class SparseFile:
    """A file that leaves holes where large blocks of zeros are written."""

    closed = False

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, data: Any) -> int:
        """Writes bytes, or skips them."""
        view = memoryview(data)
        if view.nbytes > 1 << 20 and not np.frombuffer(view, np.uint8).any():
            self._file.seek(view.nbytes, os.SEEK_CUR)
        else:
            self._file.write(view)
        return view.nbytes

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def flush(self) -> None:
        """Flushes."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file at its full size."""
        self._file.truncate()
        self._file.close()


def write_tokens(path: Path, ids: NDArray[np.uint8]) -> None:
    """A sparse token shard: 1,000 zeros for each doc_id of (N, 16)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = tokens_table(50_257)
    metadata = {
        key.encode(): value.encode() for key, value in TokenFormat("synthetic", 50_257, 0).metadata("web").items()
    }
    schema = table.schema.with_metadata({**table.schema.metadata, **metadata})
    file, batches = SparseFile(path), []
    with pa.ipc.new_file(pa.PythonFile(file, mode="w"), schema) as writer:
        for start in range(0, len(ids), BATCH_DOCUMENTS):
            rows = ids[start : start + BATCH_DOCUMENTS]
            offsets = pa.array(np.arange(len(rows) + 1) * TOKENS_PER_DOCUMENT)
            tokens = pa.LargeListArray.from_arrays(
                offsets, pa.array(np.zeros(len(rows) * TOKENS_PER_DOCUMENT, np.uint16))
            )
            writer.write_batch(pa.record_batch([doc_id_column(rows), tokens], schema=schema))
            batches.append((len(rows), len(rows) * TOKENS_PER_DOCUMENT))
    file.close()
    name, shard = layout.tokens("train", path.stem), path.stem
    output = Output(name, path.stat().st_size, "not read", len(ids))
    read = {name: describe("web", TokenFormat("synthetic", 50_257, 0), batches)}
    made = Manifest("tokenize", shard, "", 1, {}, {}, {}, [output], {"documents": len(ids)}, read)
    target = path.parents[2] / layout.shard_manifest("tokenize", shard)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(made.to_bytes())
