"""datatrove steps on our record batches, and our stages as datatrove steps: a face that nothing inside imports.

``from_datatrove`` wraps any datatrove filter or formatter so that it works on our record batches; ``to_datatrove``
wraps one of our stages (``stages``) as a datatrove ``PipelineStep``, and ``run_reader`` gives a run's documents to one
(``documents``).  In a recipe, datatrove's readers, extractors and
filters are named by class path: ``datatrove.py`` in the readers, clean and filter rooms.
"""

from collections.abc import Sequence
from typing import Any

__all__ = ["from_datatrove", "run_reader", "to_datatrove"]


def from_datatrove(step: Any, **arguments: Any) -> Any:
    """A datatrove step as a function of record batches; see ``pipeline.filter.datatrove.DatatroveStep``."""
    from pipeline.filter.datatrove import DatatroveStep

    return DatatroveStep(step, **arguments)


def to_datatrove(stage: str, **options: Any) -> Any:
    """One of our stages as a datatrove ``PipelineStep``; see ``pipeline.interop.stages``."""
    from pipeline.interop.stages import stage_step

    return stage_step(stage, **options)


def run_reader(root: Any, select: str = "kept", columns: Sequence[str] | None = None) -> Any:
    """The documents of a run as the first step of a datatrove pipeline; see ``pipeline.interop.documents``."""
    from pipeline.interop.documents import RunReader

    return RunReader(str(root), select, columns)
