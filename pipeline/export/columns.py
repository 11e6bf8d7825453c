"""The columns that documents can be taken out with, and the table that each comes from.

A ``doc_id`` is written as hex, as every command shows it.  What stands in no table is made here: ``kept``, ``reasons``
(of every stage), ``split`` and ``cut_bytes`` from the verdicts, ``kept_id``, ``similarity`` and ``cluster_id`` from the
evidence of the dedup stage.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.base.words import nearest
from pipeline.recipe.stage_names import stage_of
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.rows import shard_names
from pipeline.run.table_files import open_table
from pipeline.run.tables import DOCUMENTS, SIGNALS

OF_VERDICTS = {
    "kept": (pa.bool_(), "whether dedup and filter keep the document"),
    "reasons": (pa.list_(pa.string()), "every rule that the document failed, of dedup, filter and the split"),
    "split": (pa.string(), "train | validation; null where the document is on no side"),
    "cut_bytes": (pa.int64(), "bytes that were cut out of the text"),
}
OF_CLUSTERS = {
    "kept_id": (pa.string(), "for a duplicate: doc_id of the document kept in its place"),
    "similarity": (pa.float64(), "for a duplicate: exact Jaccard similarity to that document"),
    "cluster_id": (pa.string(), "for a duplicate: doc_id of the first document of its cluster"),
}
_MADE_BY = {"split": "tokenize.split", "cut_bytes": "filter", **dict.fromkeys(OF_CLUSTERS, "dedup")}  # column -> step
_MEASURED_BY = "filter.signals"
BESIDE_DROPPED = ("kept", "reasons")  # what documents that were not kept are taken out with, unless asked otherwise


@dataclass(frozen=True)
class Chosen:
    """The columns of an export, in their order; ``signals`` are those that the signals table has."""

    names: tuple[str, ...]
    schema: pa.Schema
    descriptions: dict[str, str]
    documents: tuple[str, ...]
    signals: tuple[str, ...]

    @property
    def verdicts(self) -> bool:
        """Whether a column is made of verdicts."""
        return any(name in OF_VERDICTS for name in self.names)

    @property
    def clusters(self) -> bool:
        """Whether a column is made of the evidence of duplicates."""
        return any(name in OF_CLUSTERS for name in self.names)

    @property
    def steps(self) -> list[str]:
        """The steps that a column is made by, but those of the selection, which ``kept`` and ``reasons`` are of."""
        made = {_MADE_BY[name] for name in self.names if name in _MADE_BY}
        return sorted(made | ({_MEASURED_BY} if self.signals else set()))

    @property
    def judged(self) -> bool:
        """Whether a column says what the selection has decided."""
        return any(name in BESIDE_DROPPED for name in self.names)


def several(names: str | Sequence[str] | None) -> Sequence[str] | None:
    """Names of columns; a string, which is a sequence of its letters too, is one name."""
    return [names] if isinstance(names, str) else names


def choose_columns(run: Run, wanted: Sequence[str] | None, select: str) -> Chosen:
    """Looks up the columns asked for; by default those of documents/, and for dropped documents why.

    Raises:
        UserError: If the run has no such column, or one is named twice.
    """
    fields, descriptions = _known(run)
    names = list(
        several(wanted) or [field.name for field in DOCUMENTS.schema] + list(BESIDE_DROPPED if select != "kept" else ())
    )
    unknown = [name for name in names if name not in fields]
    if unknown:
        raise UserError(_unknown(run, unknown, fields))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"--columns: {', '.join(twice)} more than once")
    own = set(DOCUMENTS.schema.names)
    return Chosen(
        tuple(names),
        pa.schema([pa.field(name, fields[name]) for name in names]),
        {name: descriptions[name] for name in names},
        tuple(name for name in names if name in own),
        tuple(name for name in names if name not in own and name not in OF_VERDICTS and name not in OF_CLUSTERS),
    )


def _unknown(run: Run, names: list[str], fields: dict[str, pa.DataType]) -> str:
    """Why columns are not there: their stage is left out or has not run, or nobody knows them."""
    hints, listed = [], ""
    for name in names:
        step = _MADE_BY.get(name) or (_MEASURED_BY if name in SIGNALS.schema.names else None)
        if step is None:
            near = nearest(name, fields)
            hints.append(f"no column {name!r}{near}")
            listed = listed if near else f"; {run.root} has {', '.join(fields)}"
        else:
            stage = stage_of(step)
            which = "has not finished" if stage in run.recipe.stages else "the recipe leaves out"
            hints.append(f"{name!r} is made by the {stage} stage, which {which}")
    return f"--columns: {'; '.join(hints)}{listed}"


def _known(run: Run) -> tuple[dict[str, pa.DataType], dict[str, str]]:
    """Type and description of every column that the run has."""
    fields = {column.name: column.type for column in DOCUMENTS.columns}
    words = {column.name: column.description for column in DOCUMENTS.columns}
    fields["doc_id"] = pa.string()
    words["doc_id"] += ", as hex"
    for name, (kind, description) in {**OF_VERDICTS, **OF_CLUSTERS}.items():
        if name == "cut_bytes" or name not in _MADE_BY or stage_of(_MADE_BY[name]) in run.recipe.stages:
            fields[name], words[name] = kind, description
    described = {column.name: column.description for column in SIGNALS.columns}
    for field in _signal_fields(run):
        fields[field.name], words[field.name] = field.type, described.get(field.name, "signal of a rule of this recipe")
    return fields, words


def _signal_fields(run: Run) -> list[pa.Field]:
    shards = shard_names(run, layout.SIGNALS)
    if not shards:
        return []
    schema = open_table(run.local(layout.signals(shards[0])), SIGNALS).schema
    return [field for field in schema if field.name != "doc_id"]
