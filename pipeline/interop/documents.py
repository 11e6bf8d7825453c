"""The documents of a run as the reader of a datatrove pipeline: for its writers, filters, statistics and tokenizers."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from pipeline.base.errors import UserError, parse_json
from pipeline.export.columns import choose_columns, several
from pipeline.export.documents import Documents, check_selection, whole_shards
from pipeline.run.folder import Run


class RunReader(PipelineStep):  # type: ignore[misc]  # datatrove ships no types
    """Gives the documents of a run; each task takes its share of the document shards.

    The id is the doc_id in hex; the other columns are metadata, a record's own id among them as ``id``.

    Args:
        root: The run folder or URL.
        select: ``kept``, ``dropped`` or ``all``.
        columns: Beside the text; columns of docs/export.md, by default all of documents/.

    Raises:
        UserError: If there is no run, a column or selection is unknown, or a stage whose verdicts are needed has not
            finished.
    """

    name, type = "run", "tokenmill"

    def __init__(self, root: str, select: str = "kept", columns: Sequence[str] | None = None) -> None:
        super().__init__()
        chosen_by = check_selection(select)
        run = Run.open(root)
        beside = several(columns)
        names = None if beside is None else list(dict.fromkeys(("doc_id", "text", *beside)))
        self._documents = Documents(run, choose_columns(run, names, chosen_by), chosen_by)

    def run(self, data: Iterable[Any] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Yields what came before, then the documents of this task's shards."""
        yield from data or ()
        if not 0 <= rank < world_size:
            raise UserError(f"rank {rank} of {world_size}: expected 0 to {world_size - 1}")
        for part in list(whole_shards(self._documents.run))[rank::world_size]:
            for batch in self._documents.read(part):
                for row in batch.to_pylist():
                    document = _document(row)
                    self.stat_update("documents")
                    self.update_doc_stats(document)
                    yield document


def _document(row: dict[str, Any]) -> Any:
    text, doc_id = row.pop("text"), row.pop("doc_id")
    if row.get("metadata"):
        row["metadata"] = parse_json(row["metadata"])
    return Document(text=text, id=doc_id, metadata=row)
