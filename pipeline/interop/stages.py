"""Our stages as datatrove pipeline steps: ``to_datatrove("clean")`` and ``to_datatrove("filter")``.

Each takes datatrove documents a slice at a time, does our work on the slice's texts at once, and counts what it drops
in datatrove's own statistics, under the reasons of docs/clean.md and docs/filter.md.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
from datatrove.pipeline.base import PipelineStep

from pipeline.base.errors import UserError
from pipeline.clean import pii
from pipeline.clean.decode import NotText
from pipeline.clean.extract import ExtractionError, Extractor
from pipeline.clean.language import detect
from pipeline.clean.normalise import normalise
from pipeline.readers.records import Record
from pipeline.recipe.options import Clean

SLICE_DOCUMENTS = 256


def stage_step(stage: str, **options: Any) -> PipelineStep:
    """The step of one of our stages.

    Args:
        stage: ``clean`` or ``filter``.
        options: Keys of that section of a recipe; ``clean`` also knows ``html=True``: the texts are HTML.

    Raises:
        UserError: If there is no such stage or option.
    """
    steps = {"clean": CleanStep, "filter": FilterStep}
    if stage not in steps:
        raise UserError(f"to_datatrove({stage!r}): there are {', '.join(sorted(steps))}")
    return steps[stage](**options)


class _SliceStep(PipelineStep):  # type: ignore[misc]  # datatrove ships no types
    """A step that works on slices of documents."""

    type = "tokenmill"

    def run(self, data: Iterable[Any], rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Yields the documents that are kept."""
        documents = iter(data)
        while batch := list(islice(documents, SLICE_DOCUMENTS)):
            with self.track_time("batch"):
                kept = self.work(batch)
            self.stat_update("total", value=len(batch))
            self.stat_update("forwarded", value=len(kept))
            self.stat_update("dropped", value=len(batch) - len(kept))
            yield from kept

    def work(self, documents: list[Any]) -> list[Any]:
        """The kept documents of a slice."""
        raise NotImplementedError


class CleanStep(_SliceStep):
    """Normalisation, language and PII, after extraction where the texts are HTML.

    Sets the metadata ``language``, ``language_score`` and ``pii_*``.
    """

    name = "clean"

    def __init__(self, *, html: bool = False, **options: Any) -> None:
        super().__init__()
        self.options = Clean(**options)
        self._extractor = Extractor(self.options) if html else None

    def work(self, documents: list[Any]) -> list[Any]:
        """Cleans a slice; a document without text is dropped."""
        documents = [document for document in documents if self._extract(document)]
        texts, _ = normalise([document.text for document in documents], fix_mojibake=self.options.fix_mojibake)
        for document, text in zip(documents, texts, strict=True):
            document.text = text
        kept = [document for document in documents if document.text]
        self.stat_update("dropped_empty", value=len(documents) - len(kept))
        self._annotate(kept)
        return kept

    def _extract(self, document: Any) -> bool:
        if self._extractor is None:
            return True
        body = document.text.encode("utf-8", "replace")
        record = Record("", 0, body=body, charset="utf-8", url=document.metadata.get("url"))
        try:
            document.text = self._extractor.text(self._extractor.look(record).html)
        except ExtractionError as error:
            self.stat_update(f"dropped_{error.reason}")
            return False
        except NotText:
            self.stat_update("dropped_not_text")
            return False
        return True

    def _annotate(self, documents: list[Any]) -> None:
        texts = [document.text for document in documents]
        languages, scores = detect(texts, self.options.language_characters)
        found = {} if self.options.pii == "off" else pii.find(texts)
        for number, document in enumerate(documents):
            document.metadata |= {"language": languages[number], "language_score": scores[number]}
            text, spans = found.get(number, (b"", []))
            for _, _, kind in spans:
                document.metadata[f"pii_{kind}"] = document.metadata.get(f"pii_{kind}", 0) + 1
            if spans and self.options.pii == "replace":
                document.text = pii.replace(text, spans)


class FilterStep(_SliceStep):
    """The rule sets of the filter stage.

    Args:
        rules: Rule sets.
        annotate: Keep every document and write the failed reasons into its metadata.
        options: Thresholds, one dict per rule set.
    """

    name = "filter"

    def __init__(self, rules: list[str] | None = None, *, annotate: bool = False, **options: Any) -> None:
        super().__init__()
        self.rules = rules or ["gopher_quality", "gopher_repetition", "c4", "fineweb"]
        self.annotate, self.options = annotate, options

    def work(self, documents: list[Any]) -> list[Any]:
        """The documents that no rule fails; each failed reason is counted."""
        from pipeline.filter import judge, signals

        languages = [document.metadata.get("language") or "en" for document in documents]
        table = signals(pa.array([document.text for document in documents], pa.large_string()), pa.array(languages))
        kept = []
        for document, reasons in zip(documents, judge(table, self.rules, self.options), strict=True):
            document.metadata["reasons"] = reasons
            for reason in reasons:
                self.stat_update(f"dropped_{reason}")
            if self.annotate or not reasons:
                kept.append(document)
        return kept
