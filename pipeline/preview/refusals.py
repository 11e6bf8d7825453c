"""What the curation stages would refuse when their turn comes, hours later: asked before anything starts.

A stage meets a missing file or a name that nothing has in its own turn, and refuses it there too.  Here the same
questions are asked of all stages that have work, so that a person is told of everything at once.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pipeline.base import storage
from pipeline.base.errors import UserError
from pipeline.recipe.filter_options import Classifier, Filter
from pipeline.recipe.options import EXTRACTORS
from pipeline.recipe.rule_sets import is_class_path
from pipeline.run.folder import Run


def of_stage(stage: str, run: Run) -> Iterator[str]:
    """What cannot work of one curation stage, a sentence each.

    Args:
        stage: A stage that has work to do, or may have.
        run: The run, with the recipe that is asked for.
    """
    if (found := _STAGES.get(stage)) is not None:
        yield from found(run)


def refusal(ask: Callable[..., Any], *arguments: Any) -> Iterator[str]:
    """The sentence with which a call refuses; none where it does not.

    Example:
        >>> def double(n):
        ...     raise UserError(f"{n}: expected an even number")
        >>> list(refusal(double, 3)), list(refusal(len, "abc"))
        (['3: expected an even number'], [])
    """
    try:
        ask(*arguments)
    except UserError as error:
        yield str(error)


def _of_clean(run: Run) -> Iterator[str]:
    from pipeline.clean.settings import list_paths
    from pipeline.clean.stage import list_notes

    clean = run.recipe.clean
    missing = list(refusal(list_paths, clean))
    yield from missing or refusal(list_notes, clean)
    if clean.language_model:
        from pipeline.clean.languages.identify import check_model

        yield from refusal(check_model, clean.language_model)
    for name in clean.all_extractors:
        yield from _extractor(name)
    from pipeline.base.class_path import load_class

    wrong = [
        f"source {source.name}: {words}"
        for source in run.recipe.sources
        if is_class_path(source.format)
        for words in refusal(load_class, source.format)
    ]
    if wrong:
        yield from wrong
    else:
        from pipeline.preview import columns

        yield from columns.refused(run.recipe)


def _extractor(name: str) -> Iterator[str]:
    if name in EXTRACTORS:
        return
    if is_class_path(name):
        from pipeline.clean.datatrove import datatrove_extract

        yield from (f"clean.extractor: {words}" for words in refusal(datatrove_extract, name))
    else:
        yield f"clean.extractor = {name!r}: allowed are {', '.join(EXTRACTORS)}, or a datatrove class path"


def _of_dedup(run: Run) -> Iterator[str]:
    if not run.recipe.dedup.against:
        return
    from pipeline.dedup.index.runs import against_digest

    for place in run.recipe.dedup.against:
        yield from (f"dedup.{words}" for words in refusal(against_digest, place, run.recipe.dedup.minhash, run.root))


def _of_filter(run: Run) -> Iterator[str]:
    options = run.recipe.filter
    yield from _evaluation_sets(options)
    if options.url.blocklist and not storage.exists(options.url.blocklist):
        yield f"filter.url.blocklist = {options.url.blocklist!r}: no such file"
    elif options.url.blocklist or options.url.deny_domains:
        from pipeline.filter.rules.document_rules import list_notes  # loads Numba

        yield from refusal(list_notes, options)
    for name, classifier in options.classifiers.items():
        yield from _classifier(name, classifier, [source.name for source in run.recipe.sources])
    from pipeline.base.class_path import make

    for path in filter(is_class_path, options.rules):
        yield from (f"filter.rules: {words}" for words in refusal(make, path, options.datatrove.get(path, {})))


def _evaluation_sets(options: Filter) -> Iterator[str]:
    """A set whose files are missing, or whose first item cannot be read as the recipe says."""
    for wanted in options.decontamination.sets:
        from pipeline.filter.decontamination.evaluation_sets import data_files, read_items

        key = f"filter.decontamination.sets.{wanted.name}"
        files = data_files(wanted.path)
        if not files:
            yield f"{key}.path = {wanted.path!r}: no such file, or no JSONL, Parquet or text file in that folder"
            continue
        items = read_items(wanted.name, files, wanted.fields, wanted.id_field)
        yield from (f"{key}: {words}" for words in refusal(next, items, None))


def _classifier(name: str, classifier: Classifier, sources: list[str]) -> Iterator[str]:
    """A model file that is missing, damaged or without the label; a query that no document can fit."""
    key = f"filter.classifiers.{name}"
    if not classifier.path:
        from pipeline.filter.classifier.texts import document_conditions

        for query in (*classifier.positive, *classifier.negative):
            yield from (f"{key}: {words}" for words in refusal(document_conditions, query, sources))
    elif not storage.exists(classifier.path):
        yield f"{key}.path = {classifier.path!r}: no such file"
    else:
        from pipeline.filter.classifier.fasttext_file import check_label

        local = storage.open_local(classifier.path)
        yield from (f"{key}.path: {words}" for words in refusal(check_label, local, classifier.label))


def _of_tokenize(run: Run) -> Iterator[str]:
    from pipeline.tokens.stage import check_sources, given_file

    options = run.recipe.tokenize
    yield from refusal(check_sources, run.recipe)
    if options.held_out:
        yield from refusal(given_file, options.held_out, "tokenize.held_out")
    if options.tokenizer:
        yield from refusal(_load_tokenizer, run)


def _load_tokenizer(run: Run) -> None:
    from pipeline.tokens.stage import given_file
    from pipeline.tokens.tokenizer.training import load_given

    options = run.recipe.tokenize
    load_given(given_file(str(options.tokenizer), "tokenize.tokenizer"), options.model_dump())


_STAGES: dict[str, Callable[[Run], Iterator[str]]] = {
    "clean": _of_clean,
    "dedup": _of_dedup,
    "filter": _of_filter,
    "tokenize": _of_tokenize,
}
