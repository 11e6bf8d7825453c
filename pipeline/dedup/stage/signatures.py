"""Step ``dedup.signatures``: the MinHash signature of every document of a shard, with what else selection must know."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.arrow import array_hashes, doc_id_column
from pipeline.base.progress import count_done
from pipeline.dedup.rule.signing import Signer
from pipeline.recipe.minhash import SCHEME, MinHash
from pipeline.run import layout
from pipeline.run.engine import Job, Outputs
from pipeline.run.table_files import batches
from pipeline.run.tables import DOCUMENTS, SIGNATURES


def sign_shard(job: Job, outputs: Outputs) -> None:
    """Writes signatures/NNNNN.arrow of one document shard."""
    (source,) = job.inputs
    outputs.count(documents=write_signatures(job, outputs, layout.signatures(layout.shard_of(source))))


def write_signatures(job: Job, outputs: Outputs, target: str) -> int:
    """Signs the documents of a job's inputs, whose configuration is a ``MinHash``; returns how many there are."""
    minhash = MinHash(**job.config)
    signer, metadata = Signer.of(minhash), {name: str(value) for name, value in asdict(minhash).items()}
    with outputs.table(target, SIGNATURES, {**metadata, "scheme": SCHEME}) as writer:
        for source in sorted(job.inputs):
            for batch in batches(outputs.run_path(source), DOCUMENTS, ["doc_id", "text"]):
                writer.write(_signature_batch(signer, batch))
                count_done(batch.num_rows)
    return writer.rows


def _signature_batch(signer: Signer, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of the signatures table for a batch of ``doc_id`` and ``text``."""
    texts = batch.column("text")
    signatures_NP, sets = signer.sign_and_hash(texts)
    width = signatures_NP.shape[1]
    offsets = pa.array(np.arange(len(signatures_NP) + 1, dtype=np.int32) * width)
    columns = [
        batch.column("doc_id"),
        doc_id_column(array_hashes(texts)),
        pa.array(np.diff(sets.offsets).astype(np.int32)),
        pc.utf8_length(texts).cast(pa.int64()),
        pa.ListArray.from_arrays(offsets, pa.array(signatures_NP.reshape(-1))),
    ]
    return pa.record_batch([column.cast(field.type) for column, field in zip(columns, SIGNATURES.schema, strict=True)],
                           schema=SIGNATURES.schema)  # fmt: skip
