"""The net around what is worked on: an exception costs the record that it came from, never the run.

Conversions meet input that nobody foresaw, and so errors that no list names.  What they raise becomes one ``Damaged``
item with the exception's type in its detail.  What is the user's to decide (a recipe that cannot be followed) or the
machine's (its memory) is no fault of a record, and goes through.
"""

from collections.abc import Callable

from pipeline.base.errors import NO_RECORD_S_FAULT, in_words, out_of_memory
from pipeline.readers.records import Damaged, Excluded, Item, Record

REASON = "record_failed"


def guarded_step(step: Callable[[Record], Item], item: Item) -> Item:
    """What ``step`` makes of a record, or the damage that stands for what it raised; any other item as it is."""
    if not isinstance(item, Record):
        return item
    try:
        return step(item)
    except NO_RECORD_S_FAULT:
        raise
    except MemoryError as error:
        raise out_of_memory(item.path) from error
    except Exception as error:  # noqa: BLE001  whatever it is, it costs this record
        return failed(item, error)


def failed(item: Record | Excluded, error: Exception) -> Damaged:
    """What stands for a record, or for an excluded one, that could not be worked on."""
    length, head = None, b""
    if isinstance(item, Record):
        head = item.body if item.body is not None else item.text[:1024].encode("utf-8", "replace")
        length = len(item.body) if item.body is not None else None
    path = item.path.encode("utf-8", "replace").decode("utf-8")
    return Damaged(path, item.offset, length, REASON, in_words(error), head)


def one_by_one(work: Callable[[list[Record]], list[Item]], records: list[Record]) -> list[Item]:
    """What ``work`` makes of records, one item each.

    Where it fails with all of them, it is called with each alone; it must not have changed them then.
    """
    try:
        return work(records)
    except NO_RECORD_S_FAULT:
        raise
    except MemoryError as error:
        raise out_of_memory(records[0].path) from error
    except Exception as error:  # noqa: BLE001  whatever it is, it costs the record that it came from
        if len(records) == 1:
            return [failed(records[0], error)]
        return [item for record in records for item in one_by_one(work, [record])]
