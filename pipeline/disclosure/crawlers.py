"""What web archives say of the crawler that made them: the ``warcinfo`` record at the head of a WARC file.

The input files of a run are read for it where they still lie where they were; nothing else of them is.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.base import storage, stores
from pipeline.base.errors import RefusedError, UserError
from pipeline.clean.stage import source_inputs
from pipeline.readers.parts.formats import format_of_name
from pipeline.readers.raw.compression import Inflater, compression_of, decompression_errors
from pipeline.readers.raw.http import parse_headers
from pipeline.recipe.options import Source

MOST_FILES = 100  # of a source; archives of one crawl begin alike
HEAD_BYTES = 1 << 16
# where inputs have gone, moved, or are no longer for this user to read; any other error of a disk or store is told
_NOT_THERE = (UserError, RefusedError, FileNotFoundError, NotADirectoryError, PermissionError)
FIELDS = ("operator", "software", "http-header-user-agent", "robots", "ispartof", "description")


@dataclass(frozen=True)
class Crawler:
    """What the archives of a source say, by field; ``unread`` files could not be asked."""

    source: str
    said: tuple[tuple[str, str], ...]
    files: int
    unread: int


def crawlers_of(sources: Iterable[Source]) -> list[Crawler]:
    """The crawlers of sources that have web archives."""
    return [_of_source(source) for source in sources]


def _of_source(source: Source) -> Crawler:
    try:
        files = [file for file in source_inputs(source).files if _is_archive(source, file.path)]
    except _NOT_THERE:
        return Crawler(source.name, (), 0, 1)
    said: dict[tuple[str, str], None] = {}
    unread = 0
    for file in files[:MOST_FILES]:
        try:
            said |= dict.fromkeys(warcinfo(_head(file.url)))
        except _NOT_THERE:
            unread += 1
    return Crawler(source.name, tuple(said), len(files), unread + len(files[MOST_FILES:]))


def _is_archive(source: Source, path: str) -> bool:
    return source.format in ("warc", "wet") or format_of_name(path) == "warc"


def _head(url: str) -> bytes:
    if storage.is_local(url):
        with storage.local_path(url).open("rb") as file:
            return file.read(HEAD_BYTES)
    filesystem, path = stores.filesystem_of(url)
    with stores.asking("reading", url):
        found: bytes = filesystem.cat_file(path, start=0, end=HEAD_BYTES)
    return found


def warcinfo(head: bytes) -> list[tuple[str, str]]:
    """The fields of the warcinfo record that a WARC file begins with; none where it begins otherwise.

    Args:
        head: The first bytes of the file, compressed or not.
    """
    compression = compression_of(head)
    if compression:
        try:
            head = Inflater(compression).decompress(head, HEAD_BYTES)
        except decompression_errors():
            return []  # what is damaged was told by the run that read it
    record, _, rest = head.partition(b"\r\n\r\n")
    headers = parse_headers(record)
    if not record.startswith(b"WARC/") or headers.get("warc-type", "").lower() != "warcinfo":
        return []
    length = int(headers["content-length"]) if headers.get("content-length", "").isdecimal() else 0
    values = parse_headers(rest[:length])
    return [(name, values[name]) for name in FIELDS if values.get(name)]
