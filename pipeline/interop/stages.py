"""Our stages as datatrove pipeline steps: ``to_datatrove("clean")``, ``"filter"`` and ``"dedup"``.

``clean`` and ``filter`` take datatrove documents a slice at a time and do our work on the slice's texts at once;
``dedup`` takes all documents of its task.  Each counts what it drops in datatrove's own statistics, under the reasons
of docs/clean.md, docs/dedup.md and docs/filter.md.
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
from pipeline.clean.languages.identify import detect
from pipeline.clean.normalise import normalise
from pipeline.filter.rules.predicates import check_rules
from pipeline.readers.records import Record
from pipeline.recipe.load import section_from
from pipeline.recipe.options import Clean
from pipeline.texts.duplicates import deduplicate

SLICE_DOCUMENTS = 256


def stage_step(stage: str, **options: Any) -> PipelineStep:
    """The step of one of our stages.

    Args:
        stage: ``clean``, ``dedup`` or ``filter``.
        options: Keys of that section of a recipe; ``clean`` also knows ``html=True``: the texts are HTML.

    Raises:
        UserError: If there is no such stage or option.
    """
    steps = {"clean": CleanStep, "dedup": DedupStep, "filter": FilterStep}
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
        self.options: Clean = section_from("clean", options)
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
            document.text = self._extractor.text(self._extractor.look(record).html).text
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
        found = {} if self.options.pii == "off" else pii.find(texts, self.options.national_ids)
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
        check_rules(self.rules, options)

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


class DedupStep(PipelineStep):  # type: ignore[misc]
    """Exact and near-duplicate removal among the documents of one task, which are held in memory.

    Sets the metadata ``duplicate_of`` (the id of the document kept in its place) and ``similarity`` with ``annotate``.

    Args:
        annotate: Keep every document and write into its metadata what it is a duplicate of.
        options: As ``tokenmill.deduplicate`` takes them, such as ``threshold=0.7``.
    """

    name, type = "dedup", "tokenmill"

    def __init__(self, *, annotate: bool = False, **options: Any) -> None:
        super().__init__()
        self.annotate, self.options = annotate, options
        try:
            deduplicate([], **options)
        except TypeError as error:
            raise UserError(f"to_datatrove('dedup'): {error}") from error

    def run(self, data: Iterable[Any], rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Yields the documents that are kept, in their order.

        Raises:
            UserError: If there are several tasks: duplicates in two of them would not meet.
        """
        if world_size > 1:
            raise UserError(
                f"dedup: {world_size} tasks, and duplicates in two of them would not meet; run this step with tasks=1, "
                "or `tokenmill dedup run` on what the steps before it have written"
            )
        documents = list(data)
        with self.track_time("batch"):
            found = deduplicate([document.text for document in documents], **self.options)
        self.stat_update("total", value=len(documents))
        self.stat_update("forwarded", value=len(documents) if self.annotate else len(found.kept))
        gone = {row["row"]: row for row in found.removed.to_pylist()}
        for rule in ("exact", "near"):
            self.stat_update(f"dropped_dedup.{rule}", value=sum(row["rule"] == rule for row in gone.values()))
        for number, document in enumerate(documents):
            row = gone.get(number)
            if row is None:
                yield document
            elif self.annotate:
                twin = documents[row["kept_row"]].id
                document.metadata |= {"duplicate_of": twin, "similarity": row["similarity"]}
                yield document
