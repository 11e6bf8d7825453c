"""Evidence of documents that were taken down from the run: remembered by the ledger, and put back into clusters/.

After a takedown the clusters step runs without the texts that are gone.  The documents that they had removed stay
removed, for the reasons that the ledger remembers, and the counts stay as they were.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.run import ledger
from pipeline.run.manifest import canonical_json, digest_bytes
from pipeline.run.tables import CLUSTERS

if TYPE_CHECKING:
    from pipeline.run.context import Context

IDS = ("doc_id", "kept_id", "cluster_id")


def config_digest(config: dict[str, Any]) -> str:
    """What the remembered counts hold for: the configuration of the step that makes clusters/."""
    return digest_bytes(canonical_json(config).encode())


def remembered(context: "Context", config: dict[str, Any], threshold: float) -> dict[str, Any]:
    """An argument of the clusters step: ``gone`` and ``rows`` (left out of the selection), and the counts that hold.

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

    def merged(self, found: pa.Table, doc_ids: pa.Array) -> pa.Table:
        """Found and remembered rows of a shard together, in the order of the removed documents.

        Args:
            found: Rows of clusters/.
            doc_ids: The shard's documents, in order.
        """
        whole = pa.concat_tables([found, self._table.filter(pc.is_in(self._table["doc_id"], value_set=doc_ids))])
        order = np.argsort(pc.index_in(whole["doc_id"], value_set=doc_ids).to_numpy(), kind="stable")
        return whole.take(pa.array(order))

    @cached_property
    def _table(self) -> pa.Table:
        """All remembered rows as rows of clusters/."""
        names = CLUSTERS.schema.names
        columns = [[bytes.fromhex(v) if name in IDS else v for v in self._column(name)] for name in names]
        arrays = [pa.array(values, CLUSTERS.schema.field(n).type) for n, values in zip(names, columns, strict=True)]
        return pa.Table.from_arrays(arrays, schema=CLUSTERS.schema)

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
