"""What a takedown must remember of the clusters and of the split, so that both come out the same when made again.

With its text gone, a document is a twin of nothing any more; the documents that were removed in its favour, or kept out
of training because they are near it, would come back unasked, and every later token would move.  So takedown.jsonl
keeps the evidence of each cluster that holds a document taken down: ids and counts, no text.  The dedup stage leaves
those documents out of its selection and writes the remembered rows.  A twin that may stay is brought back on purpose
(restore.py).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.dedup.stage.remembered_evidence import IDS, config_digest
from pipeline.lookup.locate import Located
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.manifest import load_manifest
from pipeline.run.rows import matching_rows, read_row, read_rows, shard_names
from pipeline.run.table_files import batches
from pipeline.run.tables import CLUSTERS, SIGNATURES, SURVIVORS, VERDICTS

CLUSTERS_STEP = "dedup.clusters"


def evidence_line(run: Run, documents: Sequence[Located]) -> dict[str, Any] | None:
    """The ledger's line: all rows of the clusters that the documents are in; None where there are none.

    The rows and the counts are those of clusters/ as it stands, which a takedown does not change.
    """
    made = load_manifest(run.root, CLUSTERS_STEP, "all")
    if made is None or not storage.exists(run.url(layout.EVIDENCE)):
        return None
    path = run.local(layout.EVIDENCE)
    wanted = pa.array([located.doc_id for located in documents], pa.binary(16))
    touched = {row for column in IDS for row in matching_rows(path, CLUSTERS, column, wanted)}
    clusters = {row["cluster_id"] for row in read_rows(path, CLUSTERS, sorted(touched), ["cluster_id"]).to_pylist()}
    if not clusters:
        return None
    rows = sorted(matching_rows(path, CLUSTERS, "cluster_id", pa.array(sorted(clusters), pa.binary(16))))
    found = [
        [value.hex() if isinstance(value, bytes) else value for value in row.values()]
        for row in read_rows(path, CLUSTERS, rows).to_pylist()
    ]
    return {"evidence": config_digest(made.config), "counts": made.counts, "rows": found}


def survivors_line(run: Run, documents: Sequence[Located]) -> dict[str, Any] | None:
    """The ledger's line: the kept documents of clusters that keep several and lose one, and the clusters' ids.

    The id decides the side of the split: those that stay keep theirs.
    """
    if not storage.exists(run.url(layout.EVIDENCE)) or not storage.exists(run.url(layout.SURVIVORS)):
        return None
    wanted = pa.array([located.doc_id for located in documents], pa.binary(16))
    clusters: set[bytes] = set()
    for name, table, columns in (
        (layout.EVIDENCE, CLUSTERS, IDS),
        (layout.SURVIVORS, SURVIVORS, ("doc_id", "cluster_id")),
    ):
        path = run.local(name)
        touched = {row for column in columns for row in matching_rows(path, table, column, wanted)}
        clusters |= set(read_rows(path, table, sorted(touched), ["cluster_id"])["cluster_id"].to_pylist())
    path, ids = run.local(layout.SURVIVORS), pa.array(sorted(clusters), pa.binary(16))
    rows = sorted(matching_rows(path, SURVIVORS, "cluster_id", ids)) if clusters else []
    found = read_rows(path, SURVIVORS, rows).to_pylist() if rows else []
    return {"survivors": [[row["doc_id"].hex(), row["cluster_id"].hex()] for row in found]} if found else None


def near_validation_line(run: Run, documents: Sequence[Located]) -> dict[str, Any] | None:
    """The ledger's line: documents kept out of training because they are near a validation document that goes."""
    from pipeline.tokens.documents.split import NearValidation

    if not run.recipe.tokenize.exclude_near_validation or "dedup" not in run.recipe.stages:
        return None
    signatures = [_signature(run, located) for located in documents if _split_of(run, located) == "validation"]
    if not signatures:
        return None
    near = NearValidation(np.stack(signatures), run.recipe.tokenize.train_exclusion_similarity)
    found: list[str] = []
    for shard in shard_names(run, layout.verdicts_folder("tokenize")):
        rows, ids = _excluded(run, shard)
        if len(rows):
            found += [ids[row] for row in np.flatnonzero(near.mask(_signatures(run, shard, rows))).tolist()]
    return {"near_validation": sorted(found)} if found else None


def _split_of(run: Run, located: Located) -> str | None:
    path = layout.verdicts("tokenize", located.shard)
    split: str | None = read_row(run, path, VERDICTS, located.row, ["doc_id", "split"]).get("split")
    return split


def _signature(run: Run, located: Located) -> NDArray[np.uint32]:
    found = read_row(run, layout.signatures(located.shard), SIGNATURES, located.row, ["doc_id", "signature"])
    return np.array(found["signature"], np.uint32)


def _excluded(run: Run, shard: str) -> tuple[NDArray[np.int64], list[str]]:
    """Rows and doc_ids of a shard's documents that are near a validation document."""
    rows, ids, first = [], [], 0
    for batch in batches(run.local(layout.verdicts("tokenize", shard)), VERDICTS, ["doc_id", "keep"]):
        inside = np.flatnonzero(pc.equal(batch.column("keep"), False).fill_null(False).to_numpy(zero_copy_only=False))
        rows.append(inside + first)
        ids += [batch.column("doc_id")[row].as_py().hex() for row in inside.tolist()]
        first += batch.num_rows
    return np.concatenate([*rows, np.zeros(0, np.int64)]), ids


def _signatures(run: Run, shard: str, rows: NDArray[np.int64]) -> NDArray[np.uint32]:
    table = read_rows(run.local(layout.signatures(shard)), SIGNATURES, rows.tolist(), ["doc_id", "signature"])
    return np.array(table["signature"].to_pylist(), np.uint32)


# -- when the stages are run again
