"""Texts judged by the rules of a recipe: cleaned as its clean stage does, measured and judged as its filter stage does.

What compares documents with each other (deduplication) is no part of it: pipeline/texts/duplicates.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import pyarrow as pa

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.clean import pii
from pipeline.clean.worker import replaced_share
from pipeline.filter.decontamination.build import build_index
from pipeline.filter.decontamination.index import Index
from pipeline.filter.rules.compared import compared
from pipeline.filter.rules.cuts import cut_text
from pipeline.filter.rules.document_rules import read_blocklist
from pipeline.filter.rules.measure import measure
from pipeline.filter.rules.verdicts import all_failures, wanted_cuts
from pipeline.filter.stage import signal_config
from pipeline.filter.worker import extra_signals, signals_schema
from pipeline.recipe.filter_options import Filter
from pipeline.recipe.load import Recipe, load_recipe
from pipeline.recipe.options import Clean
from pipeline.run import layout
from pipeline.run.folder import Run
from pipeline.run.tables import DOCUMENTS
from pipeline.texts.cleaning import CleanText, clean_all
from pipeline.texts.given import Texts, Values, one_each, section_given, text_column


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a recipe says of one text.

    Attributes:
        keep: Whether clean and filter keep it.
        reasons: Every rule that it fails; ``clean.<reason>`` where it would be no document.
        rules: Each rule with a threshold: ``rule``, ``signal``, ``value``, ``bound``, ``threshold``, ``failed``.
        signals: All that was measured.
        document: The text as it was judged, with its language and personal data.
        text: The text that would be trained on: without what decontamination cuts; empty where it is dropped.
    """

    keep: bool
    reasons: list[str]
    rules: list[dict[str, Any]]
    signals: dict[str, Any]
    document: CleanText
    text: str


@overload
def verdict(texts: str, recipe: str | Path | Recipe | Run | None = None, **options: Any) -> Verdict: ...
@overload
def verdict(texts: Texts, recipe: str | Path | Recipe | Run | None = None, **options: Any) -> list[Verdict]: ...
def verdict(
    texts: Texts,
    recipe: str | Path | Recipe | Run | None = None,
    *,
    url: Values = None,
    licence: Values = None,
    language: Values = None,
    **options: Any,
) -> Verdict | list[Verdict]:
    """Judges one text, or many, by the rules of a recipe.

    Args:
        texts: A string, or several of them.
        recipe: Its [clean] and [filter] are followed; or give ``options``.  A run has its own classifiers besides.
        url: Of each text, for rules over URLs.
        licence: Of each text, for rules over licences.
        language: Of each text, where it is known; otherwise it is identified.
        options: Keys of [filter], such as ``rules=["gopher_quality"]``.

    Returns:
        A ``Verdict``; of several texts a list of them.

    Raises:
        UserError: If a text is none, an option is wrong, or a model that the rules ask for is missing.
    """
    run, loaded = _recipe_of(recipe)
    section: Filter = section_given("filter", loaded, options)
    cleaning = section_given("clean", loaded, {})
    alone = isinstance(texts, str)
    column = text_column([texts] if alone else texts)
    found = _verdicts(column.to_pylist(), cleaning, section, run, (url, licence, language))
    return found[0] if alone else found


def _recipe_of(given: str | Path | Recipe | Run | None) -> tuple[Run | None, Recipe | None]:
    if isinstance(given, Run):
        return given, given.recipe
    return None, load_recipe(given) if isinstance(given, str | Path) else given


def _verdicts(
    texts: list[str], cleaning: Clean, options: Filter, run: Run | None, stated: tuple[Values, Values, Values]
) -> list[Verdict]:
    urls, licences, languages = stated
    cleaned = clean_all(texts, cleaning, urls, languages)
    documents = _documents(cleaned, one_each("url", urls, len(texts)), one_each("licence", licences, len(texts)))
    signals = _signals(documents, options, run)
    failures = all_failures(signals, pa.table(documents), options, read_blocklist(options.url.blocklist))
    cuts = wanted_cuts(signals, options)
    found = []
    for row, (document, reasons) in enumerate(zip(cleaned, failures.lists().to_pylist(), strict=True)):
        if document.excluded is not None:
            found.append(Verdict(False, [f"clean.{document.excluded}"], [], {}, document, ""))
            continue
        measured = {name: signals[name][row].as_py() for name in signals.column_names if name != "doc_id"}
        record = {name: documents[name][row].as_py() for name in ("language", "language_score", "replaced_share")}
        rules = compared(options, record, measured, reasons)
        text = "" if reasons else cut_text(document.text, cuts.get(row, []))
        found.append(Verdict(not reasons, reasons, rules, measured, document, text))
    return found


def _documents(cleaned: list[CleanText], urls: Sequence[Any], licences: Sequence[Any]) -> pa.RecordBatch:
    """The texts as rows of documents/."""
    known = {
        "doc_id": [row.to_bytes(16, "big") for row in range(len(cleaned))],
        "text": [document.text for document in cleaned],
        "language": [document.language for document in cleaned],
        "language_score": [document.language_score for document in cleaned],
        "replaced_share": [replaced_share(document.text) for document in cleaned],
        "url": urls,
        "licence": licences,
        "source": ["texts"] * len(cleaned),
        "path": ["texts"] * len(cleaned),
        "offset": list(range(len(cleaned))),
        **{f"pii_{kind}": [document.pii.get(kind, 0) for document in cleaned] for kind in pii.KINDS},
    }
    schema = DOCUMENTS.schema
    arrays = [pa.array(known.get(field.name, [None] * len(cleaned)), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _signals(documents: pa.RecordBatch, options: Filter, run: Run | None) -> pa.Table:
    """The signals of the rule sets, classifiers, evaluation sets and datatrove filters."""
    config = signal_config(options)
    table = measure(documents["text"], documents["language"])
    columns = [documents["doc_id"], *table.columns]
    for extra in extra_signals(config, lambda name: _model(options, name, run), lambda: _index(options, run)):
        columns += extra(documents)
    return pa.table(columns, schema=signals_schema(config))


def _model(options: Filter, name: str, run: Run | None) -> Path:
    given = options.classifiers[name].path
    if given:
        return storage.open_local(given)
    if run is None or not storage.exists(run.url(layout.classifier(name))):
        raise UserError(
            f"filter.classifiers.{name}: is trained from the documents of a run, and its filter stage has not done so; "
            "judge by that run once it is finished, or name a model with path"
        )
    return run.local(layout.classifier(name))


def _index(options: Filter, run: Run | None) -> Index:
    if run is not None and all(storage.exists(run.url(path)) for path in layout.INDEX_OF_ITEMS):
        return Index.load(*(run.local(path) for path in layout.INDEX_OF_ITEMS))
    decontamination = options.decontamination
    sets = [evaluation.model_dump(include={"name", "fields", "id_field"}) for evaluation in decontamination.sets]
    paths = {evaluation.name: evaluation.path for evaluation in decontamination.sets}
    return build_index(sets, paths, decontamination.ngram)
