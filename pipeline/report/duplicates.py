"""Clusters of duplicates, and the two texts of the near ones side by side.

What is worth a look is the doubtful end: of each cluster shown, the removed document that is least like the one kept.
"""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.side_by_side import side_by_side
from pipeline.report.documents import document_shards, documents_at, facts_of
from pipeline.report.figures import Cluster, Compared, Figures
from pipeline.run import layout
from pipeline.run import manifest as manifests
from pipeline.run.folder import Run
from pipeline.run.table_files import read_table
from pipeline.run.tables import CLUSTERS, DOCUMENTS

CLUSTERS_SHOWN = 12
COMPARED = 8
SIMILARITIES = 200_000


def collect_duplicates(run: Run, figures: Figures) -> None:
    """Fills cluster sizes, similarities, and the clusters to show: the largest, and the most doubtful."""
    found = manifests.load_manifests(run.root, "dedup.clusters")
    paths = sorted(path for m in found.values() for path in m.digests(layout.EVIDENCE))
    tables = [read_table(run.local(path), CLUSTERS) for path in paths]
    if not tables or not sum(table.num_rows for table in tables):
        return
    rows = pa.concat_tables(tables).combine_chunks()
    members = Counter(rows["cluster_id"].to_pylist())
    figures.cluster_sizes = dict(sorted(Counter(members.values()).items()))
    rules = Counter(rows["rule"].to_pylist())
    figures.removed_exact, figures.removed_near = rules["exact"], rules["near"]
    near = rows["similarity"].to_numpy()[np.array(rows["rule"].to_pylist()) == "near"]
    figures.similarities = near[:SIMILARITIES].tolist()
    figures.clusters = [_cluster(rows, row, members) for row in _chosen(rows, members)]
    _texts(run, [cluster for cluster in figures.clusters if cluster.rule == "near"][:COMPARED])


def _chosen(rows: pa.Table, members: Counter[bytes]) -> list[int]:
    """One row per cluster: half of them of the largest clusters, half of the least similar near-duplicates."""
    similarity, ids = rows["similarity"].to_numpy(), rows["cluster_id"].to_pylist()
    order = np.argsort(similarity, kind="stable").tolist()
    least: dict[bytes, int] = {}
    for row in order:
        least.setdefault(ids[row], row)
    largest = sorted(least, key=lambda cluster: (-members[cluster], cluster))[: CLUSTERS_SHOWN // 2]
    doubtful = [cluster for cluster in least if cluster not in largest][: CLUSTERS_SHOWN - len(largest)]
    return [least[cluster] for cluster in (*largest, *doubtful)]


def _cluster(rows: pa.Table, row: int, members: Counter[bytes]) -> Cluster:
    values = rows.slice(row, 1).to_pylist()[0]
    return Cluster(
        cluster_id=values["cluster_id"].hex(),
        removed=members[values["cluster_id"]],
        rule=values["rule"],
        similarity=values["similarity"],
        doc_id=values["doc_id"].hex(),
        kept_id=values["kept_id"].hex(),
    )


def _texts(run: Run, clusters: list[Cluster]) -> None:
    documents = find_documents(run, {doc_id for c in clusters for doc_id in (c.doc_id, c.kept_id)})
    for cluster in clusters:
        removed, kept = documents.get(cluster.doc_id), documents.get(cluster.kept_id)
        if removed and kept:
            cluster.texts = Compared(*side_by_side(removed["text"], kept["text"]))
            cluster.facts = [" · ".join(facts_of(removed)), " · ".join(facts_of(kept))]


def find_documents(run: Run, doc_ids: set[str]) -> dict[str, dict[str, Any]]:
    """Documents by hex doc_id, found without reading any other text."""
    wanted = pa.array([bytes.fromhex(doc_id) for doc_id in sorted(doc_ids)], pa.binary(16))
    found: dict[str, dict[str, Any]] = {}
    for shard in document_shards(run) if doc_ids else ():
        column = read_table(run.local(layout.documents(shard)), DOCUMENTS, ["doc_id"])["doc_id"]
        rows = np.flatnonzero(pc.is_in(column, value_set=wanted).to_numpy()).tolist()
        if rows:
            found |= {values["doc_id"].hex(): values for values in documents_at(run, shard, rows)}
    return found
