"""Texts as the clean stage writes them: normalised, with their language and the personal data found in them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from pipeline.base.errors import UserError
from pipeline.clean import pii
from pipeline.clean.settings import Settings, SourceSettings, list_paths
from pipeline.clean.worker import Cleaner, slices
from pipeline.readers.records import Damaged, Excluded, Record
from pipeline.recipe.load import Recipe
from pipeline.recipe.options import Clean
from pipeline.texts.given import Texts, Values, one_each, section_given, text_column


@dataclass(frozen=True, slots=True)
class CleanText:
    """A text as documents/ would hold it.

    Attributes:
        text: Normalised, with placeholders for personal data unless the options say otherwise; empty if excluded.
        language: Label of the language; None where nothing can be told.
        language_score: How sure it is, from 0 to 1; None also where the language was stated.
        pii: Personal data found, by kind; kinds of which there is none are left out.
        excluded: Why it would be no document: ``empty``, ``url_list``; None otherwise.
    """

    text: str
    language: str | None
    language_score: float | None
    pii: dict[str, int]
    excluded: str | None = None


@overload
def clean(texts: str, recipe: str | Path | Recipe | None = None, **options: Any) -> CleanText: ...
@overload
def clean(texts: Texts, recipe: str | Path | Recipe | None = None, **options: Any) -> list[CleanText]: ...
def clean(
    texts: Texts,
    recipe: str | Path | Recipe | None = None,
    *,
    url: Values = None,
    language: Values = None,
    **options: Any,
) -> CleanText | list[CleanText]:
    """Cleans one text, or many, as the clean stage does.

    Args:
        texts: A string, or several of them.
        recipe: Its [clean] section is followed; or give ``options``.
        url: Of each text, for the URL lists of the recipe.
        language: Of each text, where it is known, as a source's ``fields.language`` states it.
        options: Keys of [clean], such as ``pii="count"``.

    Returns:
        A ``CleanText``; of several texts a list of them.

    Raises:
        UserError: If a text is none, or an option is wrong.
    """
    section: Clean = section_given("clean", recipe, options)
    alone = isinstance(texts, str)
    column = text_column([texts] if alone else texts)
    found = clean_all(column.to_pylist(), section, url, language)
    return found[0] if alone else found


def clean_all(texts: list[str], options: Clean, urls: Values = None, languages: Values = None) -> list[CleanText]:
    """The same of a list of texts and a section that is known to be right."""
    stated = {"language": "language"} if languages is not None else {}
    settings = Settings(options, SourceSettings("texts", "text", fields=stated))
    cleaner = Cleaner(settings, list_paths(options), options.robots, options.language_model)
    rows = zip(texts, one_each("url", urls, len(texts)), one_each("language", languages, len(texts)), strict=True)
    records = (
        Record("texts", row, text=text, url=url, language=language) for row, (text, url, language) in enumerate(rows)
    )
    found = []
    for slice_ in slices(records):
        items, columns = cleaner.cleaned(slice_)
        found += [_clean_text(item, columns.get(id(item), {})) for item in items]
    return found


def _clean_text(item: Any, columns: dict[str, Any]) -> CleanText:
    if isinstance(item, Damaged):
        raise UserError(f"texts: row {item.offset:,} cannot be cleaned: {item.detail}")
    if isinstance(item, Excluded):
        return CleanText("", None, None, {}, item.reason)
    counts = {kind: columns[f"pii_{kind}"] for kind in pii.KINDS if columns[f"pii_{kind}"]}
    return CleanText(item.text, columns["language"], columns["language_score"], counts)
