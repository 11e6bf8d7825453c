"""Evaluation sets -> items: what of a record is looked for in documents.

A record is a row with its fields; or, as sets are also published, one object with the items deep inside (SQuAD,
BIG-bench), a mapping of items by key, or columns of them.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.filter.decontamination.set_files import TASK_SUFFIXES, USUAL_FIELDS, data_files, strings, task, values

__all__ = ["data_files", "read_items"]
SHOWN_FIELDS = 20


def read_items(
    name: str, files: dict[str, Path], fields: Sequence[str], id_field: str | None
) -> Iterator[tuple[str, list[str]]]:
    """Items of an evaluation set: id, and the texts of their fields.

    Raises:
        UserError: If a file cannot be read as what its name says, or an item lacks a field that was named.
    """
    wanted = list(fields)
    for path in files.values():
        if path.name.endswith(TASK_SUFFIXES) and not wanted:
            wanted = task(path)[1]
    for file, path in files.items():
        if path.name.endswith(TASK_SUFFIXES):
            continue
        for number, value in enumerate(values(name, path)):
            record = value if isinstance(value, Mapping) else {"text": str(value)}
            where = f"evaluation set {name}: {file}, item {number}"
            if id_field and id_field not in record:
                raise UserError(f"{where} has no field {id_field!r}; it has {_named(record)}")
            item = str(record[id_field]) if id_field else f"{file}:{number}"
            yield from _items(record, wanted, item, where)


def _items(record: Mapping[str, Any], fields: Sequence[str], item: str, where: str) -> Iterator[tuple[str, list[str]]]:
    """The items of a record: itself, or those inside of it."""
    missing = [field for field in fields if field not in record]
    chosen = list(fields) or [field for field in USUAL_FIELDS if isinstance(record.get(field), str)]
    if chosen and not missing:
        yield item, [text for field in chosen for text in strings(record[field])]
        return
    inner = list(_inside(record, fields or USUAL_FIELDS))
    if inner:
        yield from ((f"{item}.{number}", texts) for number, texts in enumerate(inner))
        return
    if missing:
        raise UserError(f"{where} has no field {missing[0]!r}; it has {_named(record)}")
    alone = [value for value in record.values() if isinstance(value, str)]
    if len(alone) != 1:
        raise UserError(f"{where} has none of the usual fields; name its fields with text, of {_named(record)}")
    yield item, alone


def _inside(value: Any, fields: Sequence[str]) -> Iterator[list[str]]:
    """The texts of each object in a value that has one of the fields, and of each column that is one."""
    waiting = deque([value])
    while waiting:
        outer = waiting.popleft()
        if isinstance(outer, Mapping):
            own = [outer[field] for field in fields if isinstance(outer.get(field), str)]
            if own:
                yield own
            for field in fields:
                yield from ([text] for text in _column(outer.get(field)))
            waiting += [inner for inner in outer.values() if isinstance(inner, Mapping | list)]
        elif isinstance(outer, list):
            waiting += [inner for inner in outer if isinstance(inner, Mapping | list)]


def _column(value: Any) -> list[str]:
    """The strings that a field holds: a column of items, by row or in order, or the parts of a question."""
    held = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for text in held if isinstance(text, str)]


def _named(record: Mapping[str, Any]) -> str:
    names = ", ".join(list(record)[:SHOWN_FIELDS])
    return names if len(record) <= SHOWN_FIELDS else f"{names}, ... ({len(record):,} in all)"
