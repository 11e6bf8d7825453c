"""A datatrove step as a function of our document batches.

Documents cross as datatrove ``Document`` objects: ``id`` is the hex doc_id, the other columns are metadata.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline.base.class_path import make
from pipeline.base.errors import UserError

BATCH_DOCUMENTS = 1024
_HEX = "doc_id"


class DatatroveStep:
    """Any datatrove step that takes documents and gives documents: filters, formatters, annotators.

    Args:
        step: A datatrove ``PipelineStep``, or the class path of one.
        arguments: Of the class, where ``step`` is a path.

    Raises:
        UserError: If it is no such step.

    Example:
        ``from_datatrove("datatrove.pipeline.filters.GopherQualityFilter", min_doc_words=20)``
    """

    def __init__(self, step: Any, **arguments: Any) -> None:
        from datatrove.pipeline.base import PipelineStep

        self.step = make(step, arguments) if isinstance(step, str) else step
        if not isinstance(self.step, PipelineStep):
            raise UserError(f"{step!r}: not a datatrove step")

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Sends document batches through the step; yields what comes out, with the same columns.

        A text that the step changed is the new one; metadata that it added is left out, unless it is a column.
        """
        schema: list[pa.Schema] = []

        def documents() -> Iterator[Any]:
            for batch in batches:
                schema[:] = [batch.schema]
                yield from to_documents(batch)

        survivors = self.step.run(documents(), 0, 1)
        while rows := [_row(document) for document in islice(survivors, BATCH_DOCUMENTS)]:
            yield pa.RecordBatch.from_pylist(rows, schema=schema[0])

    def judge(self, batch: pa.RecordBatch) -> list[list[str]]:
        """Failed reasons of each document by a datatrove filter; [] = kept.

        Raises:
            UserError: If the step is no filter.
        """
        from datatrove.pipeline.filters.base_filter import BaseFilter, get_filter_result

        if not isinstance(self.step, BaseFilter):
            raise UserError(f"{type(self.step).__name__}: not a datatrove filter")
        results = [get_filter_result(result) for result in self.step.filter_batch(list(to_documents(batch)))]
        name = type(self.step).__name__
        return [[] if kept else [f"{name}.{reason or 'dropped'}"] for kept, reason in results]


def to_documents(batch: pa.RecordBatch) -> Iterator[Any]:
    """Datatrove documents of a batch of our documents."""
    from datatrove.data import Document

    for row in batch.to_pylist():
        text, doc_id = row.pop("text"), row.pop(_HEX)
        yield Document(text=text, id=doc_id.hex(), metadata=row)


def _row(document: Any) -> dict[str, Any]:
    return {**document.metadata, "text": document.text, _HEX: bytes.fromhex(document.id)}
