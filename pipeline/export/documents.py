"""Documents of a run as Arrow record batches: chosen by their verdicts, texts without what the filter stage cuts.

``kept``: dedup and filter keep it, or it came back after a takedown.  ``dropped``: one of them drops it.  What was
taken down has no text any more and is in neither.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.base import storage
from pipeline.base.arrow import doc_id_array, hex_column
from pipeline.base.errors import RunError, UserError
from pipeline.export.columns import Chosen
from pipeline.filter.rules.cuts import cut_texts
from pipeline.recipe.stage_names import JUDGES, SELECTION, stage_of
from pipeline.run import layout, ledger
from pipeline.run.folder import Run
from pipeline.run.rows import shard_names
from pipeline.run.table_files import batches, open_table, read_table
from pipeline.run.tables import CLUSTERS, DOCUMENTS, SIGNALS, VERDICTS
from pipeline.run.tables.alive import Mask, alive
from pipeline.tokens import restored
from pipeline.tokens.documents.kept_documents import cuts_of

Select = Literal["kept", "dropped", "all"]
SELECTIONS: tuple[Select, ...] = get_args(Select)


@dataclass(frozen=True)
class Part:
    """Record batches ``first`` to before ``last`` of one document shard."""

    shard: str
    first: int
    last: int


class Documents:
    """The documents of a finished curation.

    Args:
        run: The run.
        chosen: The columns.
        select: Which documents.

    Raises:
        UserError: If a stage whose verdicts are needed has not finished.
    """

    def __init__(self, run: Run, chosen: Chosen, select: Select) -> None:
        self.run, self.chosen, self.select = run, chosen, select
        self._judges = stages_judged(run, chosen, select)
        self._taken_down = frozenset(bytes.fromhex(doc_id) for doc_id in ledger.load(run.root).documents)
        back = (doc_id for item in restored.load(run.root) for doc_id, _, _ in item.documents)
        self._restored = frozenset(map(bytes.fromhex, back)) - self._taken_down
        self._evidence: pa.Table | None = None

    def read(self, part: Part) -> Iterator[pa.RecordBatch]:
        """The chosen documents of a part, batch by batch, in the order of documents/; empty batches are left out."""
        shard = _Shard(self, part.shard)
        path = self.run.local(layout.documents(part.shard))
        columns = list(dict.fromkeys(("doc_id", *self.chosen.documents)))
        reader = open_table(path, DOCUMENTS, columns)
        first = sum(shard.batch_rows[: part.first])
        for number in range(part.first, part.last):
            batch = reader.get_batch(number)
            rows = np.flatnonzero(shard.wanted[first : first + batch.num_rows])
            if len(rows):
                taken = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
                yield shard.with_columns(taken, rows + first)
            first += batch.num_rows

    def mask(self, doc_ids: NDArray[np.uint8], kept: Mask) -> tuple[Mask, Mask]:
        """Of a shard: the documents that are wanted, and those that count as kept."""
        if self._taken_down or self._restored:
            raw = [row.tobytes() for row in doc_ids]
            gone = np.fromiter((doc_id in self._taken_down for doc_id in raw), bool, len(raw))
            back = np.fromiter((doc_id in self._restored for doc_id in raw), bool, len(raw))
            kept = (kept | back) & ~gone
        else:
            gone = np.zeros(len(kept), bool)
        if self.select == "kept":
            return kept, kept
        return (~gone if self.select == "all" else ~kept & ~gone), kept

    def evidence(self) -> pa.Table:
        """The evidence of duplicates of the whole run; empty where it has no dedup stage."""
        if self._evidence is None:
            url = self.run.url(layout.EVIDENCE)
            wanted = ["doc_id", "kept_id", "similarity", "cluster_id"]
            found = read_table(self.run.local(layout.EVIDENCE), CLUSTERS, wanted) if storage.exists(url) else None
            self._evidence = CLUSTERS.schema.empty_table().select(wanted) if found is None else found
        return self._evidence

    def verdict_paths(self, shard: str) -> dict[str, Any]:
        """Local verdict files of a shard, by stage."""
        found = {}
        for stage in self._judges:
            url = self.run.url(layout.verdicts(stage, shard))
            if not storage.exists(url):
                raise RunError(
                    f"{url}: missing; `tokenmill verify {self.run.root}` names what is damaged, `tokenmill run` makes "
                    "it again"
                )
            found[stage] = storage.open_local(url)
        return found


class _Shard:
    """What stands beside the documents of one shard, row by row."""

    def __init__(self, documents: Documents, name: str) -> None:
        self._all, self._name = documents, name
        self._paths = documents.verdict_paths(name)
        path = documents.run.local(layout.documents(name))
        ids = [doc_id_array(batch.column(0)) for batch in batches(path, DOCUMENTS, ["doc_id"])]
        self.batch_rows = [len(batch) for batch in ids]
        self.doc_ids = np.concatenate([np.empty((0, 16), np.uint8), *ids])
        kept = alive((self._paths[s] for s in SELECTION if s in self._paths), len(self.doc_ids))
        self.wanted, self.kept = documents.mask(self.doc_ids, kept)
        self._cuts = cuts_of(self._paths["filter"]) if "filter" in self._paths else None
        chosen = documents.chosen
        signals = documents.run.local(layout.signals(name)) if chosen.signals else None
        self._signals = read_table(signals, SIGNALS, list(chosen.signals)) if signals else None
        self._reasons = self._read_reasons() if "reasons" in chosen.names else None
        self._split = self._read_split() if "split" in chosen.names else None

    def with_columns(self, batch: pa.RecordBatch, rows: NDArray[np.intp]) -> pa.RecordBatch:
        """The batch with the chosen columns; ``rows`` are its rows in the shard."""
        chosen = self._all.chosen
        index = pa.array(rows)
        duplicates = self._duplicates(batch.column("doc_id")) if chosen.clusters else {}
        columns = []
        for field in chosen.schema:
            if field.name in duplicates:
                values = duplicates[field.name]
            elif field.name in chosen.signals and self._signals is not None:
                values = self._signals[field.name].take(index).combine_chunks()
            else:
                values = self._column(field.name, batch, rows, index)
            columns.append(values if values.type == field.type else values.cast(field.type))
        return pa.record_batch(columns, schema=chosen.schema)

    def _column(self, name: str, batch: pa.RecordBatch, rows: NDArray[np.intp], index: pa.Array) -> pa.Array:
        if name == "doc_id":
            return hex_column(batch.column("doc_id"))
        if name == "text" and self._cuts is not None:
            return cut_texts(batch.column("text"), self._cuts.take(index))
        if name == "kept":
            return pa.array(self.kept[rows])
        if name == "cut_bytes":
            return self._cut_bytes(index)
        if name in ("reasons", "split"):
            held = self._reasons if name == "reasons" else self._split
            return pa.nulls(len(rows), self._all.chosen.schema.field(name).type) if held is None else held.take(index)
        return batch.column(name)

    def _cut_bytes(self, index: pa.Array) -> pa.Array:
        spans = [None] * len(index) if self._cuts is None else self._cuts.take(index).to_pylist()
        return pa.array([sum(own[1::2]) - sum(own[::2]) if own else 0 for own in spans], pa.int64())

    def _read_reasons(self) -> pa.Array:
        """The reasons of all stages, one list per document."""
        parts = [read_table(path, VERDICTS, ["reasons"])["reasons"].to_pylist() for path in self._paths.values()]
        if not parts:
            return pa.array([[]] * len(self.doc_ids), pa.list_(pa.string()))
        return pa.array(
            [[r for own in row for r in own or ()] for row in zip(*parts, strict=True)], pa.list_(pa.string())
        )

    def _read_split(self) -> pa.Array | None:
        path = self._paths.get("tokenize")
        return None if path is None else read_table(path, VERDICTS, ["split"])["split"].combine_chunks()

    def _duplicates(self, doc_ids: pa.Array) -> dict[str, pa.Array]:
        evidence = self._all.evidence()
        place = pc.index_in(doc_ids, value_set=evidence["doc_id"].combine_chunks())
        found = {name: evidence[name].combine_chunks().take(place) for name in ("kept_id", "similarity", "cluster_id")}
        return {name: hex_column(values) if name != "similarity" else values for name, values in found.items()}


def batch_rows(run: Run, shard: str) -> list[int]:
    """Documents in each record batch of a document shard."""
    return [batch.num_rows for batch in batches(run.local(layout.documents(shard)), DOCUMENTS, ["doc_id"])]


def whole_shards(run: Run) -> Iterator[Part]:
    """Every document shard of a run, whole."""
    for shard in shard_names(run):
        yield Part(shard, 0, len(batch_rows(run, shard)))


def stages_judged(run: Run, chosen: Chosen, select: Select) -> list[str]:
    """The stages of the recipe that have judged every document.

    Raises:
        UserError: If ``clean``, or a stage that decides what was asked for, has not finished.
    """
    stages: list[str] = list(run.recipe.stages)
    if select == "dropped" and not set(SELECTION).intersection(stages):
        raise UserError(f"{run.root}: nothing is dropped, as its recipe has no stage {' or '.join(SELECTION)}")
    steps = ["clean", *(SELECTION if select != "all" or chosen.judged else ()), *chosen.steps]
    missing = [
        stage_of(step)
        for step in steps
        if stage_of(step) in ("clean", *stages) and not storage.exists(run.url(layout.stage_manifest(step)))
    ]
    if missing:
        until = stages[: max(stages.index(stage) for stage in missing) + 1]
        raise UserError(
            f"{run.root}: its {missing[0]} stage has not finished; `tokenmill run {run.root}/{layout.RECIPE} --root "
            f"{run.root} --stages {','.join(until)}` finishes it"
        )
    manifests = {stage: layout.stage_manifest("tokenize.split" if stage == "tokenize" else stage) for stage in JUDGES}
    return [stage for stage in JUDGES if storage.exists(run.url(manifests[stage]))]


def check_selection(select: str) -> Select:
    """Raises a UserError where ``select`` is none of the three."""
    for known in SELECTIONS:
        if select == known:
            return known
    raise UserError(f"--select {select}: expected one of {', '.join(SELECTIONS)}")
