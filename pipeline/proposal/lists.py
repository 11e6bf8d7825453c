"""``fields`` for records whose text lies in lists: chats, and dumps of pages, from what their first records hold."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pipeline.readers.nested import EACH, chat_text

MOST_ITEMS = 20  # of a list
MOST_LEVELS = 8


def chat_field(values: Sequence[Mapping[str, Any]]) -> str | None:
    """The field that holds a chat in most records."""
    found = Counter(name for value in values for name, item in value.items() if _is_chat(item))
    name, count = found.most_common(1)[0] if found else ("", 0)
    return name if 2 * count > len(values) else None


def _is_chat(value: Any) -> bool:
    return isinstance(value, list | str | dict) and chat_text(value) is not None


def longest_in_lists(values: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]] | None:
    """The dotted name of the longest strings that lie in lists of objects, and these strings; None without any."""
    texts: dict[tuple[str, ...], list[str]] = {}
    for value in values:
        for way, text in _texts(value, (), in_list=False):
            texts.setdefault(way, []).append(text)
    if not texts:
        return None
    way = max(texts, key=lambda way: sum(map(len, texts[way])) / len(texts[way]))
    return ".".join(way), texts[way]


def _texts(value: Any, way: tuple[str, ...], *, in_list: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping) and len(way) < MOST_LEVELS:
        for name, inner in value.items():
            yield from _texts(inner, (*way, name), in_list=in_list)
    elif isinstance(value, list):
        for item in islice(value, MOST_ITEMS):
            yield from _texts(item, way, in_list=True)
    elif isinstance(value, str) and in_list:
        yield way, value


def marked(name: str, values: Sequence[Mapping[str, Any]]) -> str:
    """The name with the mark of a list of documents, where the file is one record: a dump, not the parts of a text."""
    first, dot, rest = name.partition(".")
    return f"{first}{EACH}{dot}{rest}" if len(values) == 1 and isinstance(values[0].get(first), list) else name


def beside(name: str, values: Sequence[Mapping[str, Any]], usual: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Which fields of the items of a list have the usual names of an id, a URL and the like."""
    first = name.partition(".")[0].removesuffix(EACH)
    items = values[0].get(first) if values else None
    keys = [key for key in items[0] if isinstance(key, str)] if items and isinstance(items[0], Mapping) else []
    return {ours: f"{first}.{key}" for ours, names in usual.items() for key in keys if key.lower() in names}
