"""A datatrove reader as the reader of a source.

A reader of files (a subclass of ``BaseDiskReader``) is given our partition's files one by one, so that balance, input
recognition and traceability are ours.  Any other reader (``HuggingFaceDatasetReader``) is one part, read as a whole.
What such a reader drops silently (datatrove: lines that are not JSON, records without text) cannot be counted; an
input of which it drops everything is one damaged record.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.base.class_path import load_class, make
from pipeline.base.digests import hasher
from pipeline.base.errors import UserError, in_words
from pipeline.readers.records import Damaged, Fields, Item


def is_file_reader(path: str) -> bool:
    """True where the class that ``path`` names reads files.

    Raises:
        UserError: If there is no such reader.
    """
    from datatrove.pipeline.readers.base import BaseDiskReader, BaseReader

    loaded = load_class(path)
    if not issubclass(loaded, BaseReader):
        raise UserError(f"{path}: not a datatrove reader")
    return issubclass(loaded, BaseDiskReader)


def read_file(class_path: str, options: Mapping[str, Any], file: Path, path: str, fields: Fields) -> Iterator[Item]:
    """Records of one file; the offset of a record is its number."""
    reader = make(class_path, {"data_folder": str(file.parent), **options})
    reader.add_file_path = options.get("add_file_path", False)  # not every reader takes the argument
    yield from _items(reader.read_file(file.name), path, fields, file.stat().st_size)


def read_dataset(class_path: str, options: Mapping[str, Any], url: str, path: str, fields: Fields) -> Iterator[Item]:
    """Records of a reader that finds its input itself; the offset of a record is its number.

    The source's path is its ``dataset``, unless the recipe's ``options`` name another one.
    """
    reader = make(class_path, {"dataset": url, **options})
    yield from _items(reader.run(None, 0, 1), path, fields, dataset_version(url)[0])


def dataset_version(url: str) -> tuple[int, str]:
    """Bytes of a local data set's files, and a hash of their names, sizes and times; zeros where it is not local."""
    total, seen = 0, hasher()
    for name in _files(url):
        status = os.stat(os.path.join(url, name))
        total += status.st_size
        seen.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return total, seen.hexdigest()


def dataset_digest(url: str) -> str:
    """BLAKE2b-128 of the names and bytes of a local data set's files."""
    seen = hasher()
    for name in _files(url):
        seen.update(f"{name}\0".encode())
        with open(os.path.join(url, name), "rb") as file:
            while block := file.read(1 << 20):
                seen.update(block)
    return seen.hexdigest()


def _files(url: str) -> list[str]:
    found = [os.path.join(place, name) for place, _, names in os.walk(url) for name in names]
    # datasets leaves caches and locks beside its data
    return sorted(os.path.relpath(name, url) for name in found if "cache" not in name and not name.endswith(".lock"))


def _items(documents: Iterator[Any], path: str, fields: Fields, size: int) -> Iterator[Item]:
    """The reader's documents as records; one damaged record where ``size`` bytes gave none."""
    number = 0
    while True:
        try:
            document = next(documents, None)
        except Exception as error:  # noqa: BLE001  a foreign reader may raise anything; the rest of its input is lost
            detail = f"records from {number:,} on: {in_words(error)}"
            yield Damaged(path, number, None, "reader_failed", detail)
            return
        if document is None:
            break
        value = {**document.metadata, "text": document.text, "id": document.id}
        yield fields.record(value, path, number)
        number += 1
    if number == 0 and size > 0:
        detail = f"no record in {size:,} bytes; do its options, such as text_key, fit the input?"
        yield Damaged(path, 0, size, "reader_failed", detail)
