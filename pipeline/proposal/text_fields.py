"""Which columns of a table hold its text and what is known of it: the ``fields`` that a recipe needs for it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.clean.languages.identify import stated_label
from pipeline.proposal import lists
from pipeline.readers.nested import value_of_json
from pipeline.readers.parts.first import Column, FirstRecords, first_records, value_at
from pipeline.readers.parts.inputs import InputFile, SourceInputs
from pipeline.readers.records import USUAL_NAMES

FEWEST_WORDS = 5
FIRST_WITHOUT_SPACES = "\u2e80"  # radicals, kana, characters
SHORTEST_TEXT = 40  # characters on average; shorter columns are titles and codes
LANGUAGES = frozenset({"language", "lang", "locale", "language_code", "lang_code"})
_HTML = re.compile(r"\s*<(!doctype|html|p|div|h\d|body)\b", re.IGNORECASE)
# beside those that a reader looks for by itself
_USUAL = {
    "id": (*USUAL_NAMES["id"], "_id", "doc_id", "document_id", "uid", "uuid", "key"),
    "url": (*USUAL_NAMES["url"], "source_url", "link", "uri", "href"),
    "date": (*USUAL_NAMES["date"], "created_at", "published", "published_at"),
    "licence": USUAL_NAMES["licence"],
}


def text_fields(inputs: SourceInputs, file: InputFile) -> tuple[dict[str, str], list[str]]:
    """The ``fields`` that a table needs, and its columns; no fields where the readers find the text by themselves."""
    first = first_records(inputs, file)
    return fields_of(first), [column.name for column in first.columns]


def fields_of(first: FirstRecords) -> dict[str, str]:
    """As ``text_fields``, of records that are read already."""
    names = [column.name for column in first.columns]
    texts = [column for column in first.columns if set(column.kinds) & {"string", "bytes"}]
    if any(column.name in USUAL_NAMES["text"] and 2 * column.filled > len(first.values) for column in texts):
        return {**_within(names), **_stated_language(first)}
    usual = {ours: name for ours, usual in _USUAL.items() for name in names if name.lower() in usual}
    usual = {**_within(names), **usual, **_stated_language(first)}
    if (chat := lists.chat_field(first.values)) is not None:
        return {"messages": chat, **usual}
    worded = [column for column in texts if _words(column, first.values) >= FEWEST_WORDS]
    prose = [column for column in worded if not _is_json(column, first.values)]
    best = max(prose or worded, key=lambda column: column.characters, default=None)
    if best is None or best.characters < SHORTEST_TEXT:
        return _fields_in_lists(first.values)
    pages = sum(_is_html(value_at(value, best.name)) for value in first.values)
    return {"html" if 4 * pages > len(first.values) else "text": best.name, **usual}


def _within(names: Sequence[str]) -> dict[str, str]:
    """Fields that stand within an object alone, such as ``meta.source_url``: no reader looks for them there."""
    beside = {name.lower() for name in names}
    found: dict[str, str] = {}
    for ours in ("url", "date", "licence"):
        within = [name for name in names if "." in name and name.rpartition(".")[2].lower() in _USUAL[ours]]
        if within and not beside & set(_USUAL[ours]):
            found[ours] = within[0]
    return found


def _stated_language(first: FirstRecords) -> dict[str, str]:
    """The field that names the language, where most records have one and all of them are languages."""
    for column in first.columns:
        if column.name.rpartition(".")[2].lower() in LANGUAGES and 2 * column.filled > len(first.values):
            said = {value for record in first.values if (value := value_at(record, column.name)) is not None}
            if all(isinstance(word, str) and stated_label(word) for word in said):
                return {"language": column.name}
    return {}


def _is_json(column: Column, values: Sequence[Mapping[str, Any]]) -> bool:
    """Whether most of a column's strings are JSON: the same as the other columns, or settings."""
    texts = [text for value in values if isinstance(text := value_at(value, column.name), str)]
    return 2 * sum(isinstance(value_of_json(text), dict | list) for text in texts) > len(texts)


def _words(column: Column, values: Sequence[Mapping[str, Any]]) -> float:
    """Words of a column's values, on average."""
    found = [value_at(value, column.name) for value in values]
    return _mean_words([value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in found])


def _mean_words(texts: Sequence[Any]) -> float:
    """Words of texts, on average; a character of a script without spaces counts as one.

    A path, a link or a key may be long, and is no text; neither are the numbers of a vector.
    """
    counts = [
        _spaced_words(text) + sum(character >= FIRST_WITHOUT_SPACES for character in text)
        for text in texts
        if isinstance(text, str)
    ]
    return sum(counts) / max(1, len(counts))


def _spaced_words(text: str) -> int:
    """The words between spaces; where most are numbers, those that are none."""
    words = text.split()
    worded = sum(any(map(str.isalpha, word)) for word in words)
    return len(words) if 2 * worded >= len(words) else worded


def _fields_in_lists(values: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The fields of records whose text lies in lists of objects."""
    name, texts = lists.longest_in_lists(values) or ("", [])
    if not texts or sum(map(len, texts)) < SHORTEST_TEXT * len(texts) or _mean_words(texts) < FEWEST_WORDS:
        return {}
    if 4 * sum(map(_is_html, texts)) > len(texts):
        return {"html": name, **lists.beside(name, values, _USUAL)}
    text = lists.marked(name, values)
    return {"text": text, **(lists.beside(name, values, _USUAL) if text != name else {})}


def _is_html(value: Any) -> bool:
    return isinstance(value, str) and bool(_HTML.match(value))


def has_no_text(first: FirstRecords) -> bool:
    """Whether a table was read, and has no column that a reader takes for its text."""
    texts = {column.name for column in first.columns if column.filled and set(column.kinds) & {"string", "bytes"}}
    return bool(first.values) and not texts & set(USUAL_NAMES["text"])
