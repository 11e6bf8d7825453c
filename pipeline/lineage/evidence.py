"""What a takedown must remember of the clusters and of the split, so that both come out the same when made again.

With its text gone, a document is a twin of nothing any more; the documents that were removed in its favour, or kept out
of training because they are near it, would come back unasked, and every later token would move.  So takedown.jsonl
keeps the evidence of each cluster that holds a document taken down: ids and counts, no text.  The dedup stage leaves
those documents out of its selection and writes the remembered rows.  A twin that may stay is brought back on purpose
(restore.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline import storage
from pipeline.dedup.survivors import PATH as SURVIVORS_PATH
from pipeline.lineage import ledger
from pipeline.lineage.lookup import Located
from pipeline.lineage.rows import matching_rows, read_row, read_rows
from pipeline.manifest import canonical_json, digest_bytes, load_manifest
from pipeline.run import Run
from pipeline.tables import CLUSTERS, SIGNATURES, SURVIVORS, VERDICTS, batches

if TYPE_CHECKING:
    from pipeline.engine import Context

EVIDENCE = "clusters/evidence.arrow"
CLUSTERS_STEP = "dedup.clusters"
_IDS = ("doc_id", "kept_id", "cluster_id")


def config_digest(config: dict[str, Any]) -> str:
    """What the remembered counts hold for: the configuration of the step that makes clusters/."""
    return digest_bytes(canonical_json(config).encode())


def evidence_line(run: Run, documents: Sequence[Located]) -> dict[str, Any] | None:
    """The ledger's line: all rows of the clusters that the documents are in; None where there are none.

    The rows and the counts are those of clusters/ as it stands, which a takedown does not change.
    """
    made = load_manifest(run.root, CLUSTERS_STEP, "all")
    if made is None or not storage.exists(run.url(EVIDENCE)):
        return None
    path = run.local(EVIDENCE)
    wanted = pa.array([located.doc_id for located in documents], pa.binary(16))
    touched = {row for column in _IDS for row in matching_rows(path, CLUSTERS, column, wanted)}
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
    if not storage.exists(run.url(EVIDENCE)) or not storage.exists(run.url(SURVIVORS_PATH)):
        return None
    wanted = pa.array([located.doc_id for located in documents], pa.binary(16))
    clusters: set[bytes] = set()
    for name, table, columns in ((EVIDENCE, CLUSTERS, _IDS), (SURVIVORS_PATH, SURVIVORS, ("doc_id", "cluster_id"))):
        path = run.local(name)
        touched = {row for column in columns for row in matching_rows(path, table, column, wanted)}
        clusters |= set(read_rows(path, table, sorted(touched), ["cluster_id"])["cluster_id"].to_pylist())
    path, ids = run.local(SURVIVORS_PATH), pa.array(sorted(clusters), pa.binary(16))
    rows = sorted(matching_rows(path, SURVIVORS, "cluster_id", ids)) if clusters else []
    found = read_rows(path, SURVIVORS, rows).to_pylist() if rows else []
    return {"survivors": [[row["doc_id"].hex(), row["cluster_id"].hex()] for row in found]} if found else None


def near_validation_line(run: Run, documents: Sequence[Located]) -> dict[str, Any] | None:
    """The ledger's line: documents kept out of training because they are near a validation document that goes."""
    from pipeline.tokens.split import NearValidation

    if not run.recipe.tokenize.exclude_near_validation or "dedup" not in run.recipe.stages:
        return None
    signatures = [_signature(run, located) for located in documents if _split_of(run, located) == "validation"]
    if not signatures:
        return None
    near = NearValidation(np.stack(signatures), run.recipe.tokenize.train_exclusion_similarity)
    found: list[str] = []
    for name in storage.list_files(run.url("verdicts/tokenize"), ".arrow"):
        rows, ids = _excluded(run, name)
        if len(rows):
            found += [ids[row] for row in np.flatnonzero(near.mask(_signatures(run, name, rows))).tolist()]
    return {"near_validation": sorted(found)} if found else None


def _split_of(run: Run, located: Located) -> str | None:
    path = f"verdicts/tokenize/{located.shard}.arrow"
    split: str | None = read_row(run, path, VERDICTS, located.row, ["doc_id", "split"]).get("split")
    return split


def _signature(run: Run, located: Located) -> NDArray[np.uint32]:
    found = read_row(run, f"signatures/{located.shard}.arrow", SIGNATURES, located.row, ["doc_id", "signature"])
    return np.array(found["signature"], np.uint32)


def _excluded(run: Run, name: str) -> tuple[NDArray[np.int64], list[str]]:
    """Rows and doc_ids of a shard's documents that are near a validation document."""
    rows, ids, first = [], [], 0
    for batch in batches(run.local(f"verdicts/tokenize/{name}"), VERDICTS, ["doc_id", "keep"]):
        inside = np.flatnonzero(pc.equal(batch.column("keep"), False).fill_null(False).to_numpy(zero_copy_only=False))
        rows.append(inside + first)
        ids += [batch.column("doc_id")[row].as_py().hex() for row in inside.tolist()]
        first += batch.num_rows
    return np.concatenate([*rows, np.zeros(0, np.int64)]), ids


def _signatures(run: Run, name: str, rows: NDArray[np.int64]) -> NDArray[np.uint32]:
    table = read_rows(run.local(f"signatures/{name}"), SIGNATURES, rows.tolist(), ["doc_id", "signature"])
    return np.array(table["signature"].to_pylist(), np.uint32)


# -- when the stages are run again


def remembered(context: "Context", config: dict[str, Any], threshold: float) -> dict[str, Any]:
    """What the clusters step is told: ``gone`` and ``rows`` (left out of the selection), and the counts that hold.

    Under another recipe the rows hold as far as their similarity reaches its threshold; ``counts`` is null then.
    """
    removed = ledger.load(context.root)
    rows = [row for row in removed.evidence.values() if row[5] != "near" or row[2] >= threshold]
    counts = removed.cluster_counts.get(config_digest(config))
    return {"gone": sorted(removed.documents), "rows": [list(row) for row in rows], "counts": counts}


class Remembered:
    """The remembered evidence in the clusters step; nothing where nothing was taken down.

    Args:
        arguments: What ``remembered`` gave, or None.

    Attributes:
        left_out: Doc_ids that do not take part in the selection.
    """

    def __init__(self, arguments: dict[str, Any] | None) -> None:
        given = arguments or {"gone": [], "rows": [], "counts": None}
        self._rows, self._counts = given["rows"], given["counts"]
        left_out = [bytes.fromhex(name) for name in [*given["gone"], *(row[0] for row in self._rows)]]
        self.left_out = pa.array(left_out, pa.binary(16))

    def __bool__(self) -> bool:
        return bool(self._rows)

    def merged(self, found: pa.Table, doc_ids: pa.Array) -> tuple[pa.Table, NDArray[np.int64]]:
        """Found and remembered rows together, in the order of the removed documents, and the numbers of these.

        Args:
            found: Rows of clusters/.
            doc_ids: Every document, in order.
        """
        names = found.schema.names
        columns = [[bytes.fromhex(v) if name in _IDS else v for v in self._column(name)] for name in names]
        arrays = [pa.array(values, found.schema.field(n).type) for n, values in zip(names, columns, strict=True)]
        whole = pa.concat_tables([found, pa.Table.from_arrays(arrays, schema=found.schema)])
        places = pc.index_in(whole["doc_id"], value_set=doc_ids).to_numpy()
        order = np.argsort(places, kind="stable")
        return whole.take(pa.array(order)), places[order].astype(np.int64)

    def _column(self, name: str) -> list[Any]:
        number = CLUSTERS.schema.names.index(name)
        return [row[number] if number < len(row) else None for row in self._rows]  # format 1.0 had fewer columns

    def counts(self, found: dict[str, int]) -> dict[str, int]:
        """The step's counts with what is remembered: as they were, or, under another recipe, added up."""
        if self._counts is not None:
            return dict(self._counts)
        rules, clusters = self._column("rule"), self._column("cluster_id")
        sizes = {name: clusters.count(name) + 1 for name in set(clusters)}
        if "removed_earlier" in found:
            earlier = sum(corpus is not None for corpus in self._column("kept_corpus"))
            found = {**found, "removed_earlier": found["removed_earlier"] + earlier}
        return {
            **found,
            "removed_exact": found["removed_exact"] + rules.count("exact") + rules.count("url"),
            "removed_url": found["removed_url"] + rules.count("url"),
            "removed_near": found["removed_near"] + rules.count("near"),
            "clusters": found["clusters"] + len(sizes),
            "largest_cluster": max([found["largest_cluster"], *sizes.values()]),
        }
