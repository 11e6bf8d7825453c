"""Format of a file: what the recipe says, else its name, else its first bytes."""

import re

from pipeline.base import storage
from pipeline.readers.encodings import utf16_of
from pipeline.readers.parts.inputs import InputFile
from pipeline.readers.raw.compression import Inflater, compression_of, decompression_errors
from pipeline.readers.raw.kinds import OCTETS, PDF, kind_of, package_kind, why_no_text

COMPRESSION_SUFFIXES = (".gz", ".zst", ".zstd", ".bz2", ".xz")
SUFFIXES = {
    ".warc": "warc",
    ".wet": "warc",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".rst": "text",
    ".markdown": "text",
    ".ipynb": "ipynb",
    ".docx": "docx",
    ".odt": "odt",
    ".epub": "epub",
    ".eml": "eml",
    ".mbox": "mbox",
    ".pdf": "pdf",
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "tar",
}
BINARY = "binary"  # what is no text, and read by nothing
ARCHIVES = ("zip", "tar")
PAPERS = frozenset({"docx", "odt", "epub", "eml", "mbox", "ipynb", "pdf"})  # what people write and send
STREAMED = frozenset({"jsonl", "json", "text", "html", "csv", "tsv"}) | PAPERS  # read from front to back
SNIFF_BYTES = 4096
HEAD_BYTES = SNIFF_BYTES * 16  # of a file as it lies on disk
ARROW_STREAM = b"\xff\xff\xff\xff"  # begins each message of the streaming format; no text begins so
PACKAGES = {  # of ZIP files: which of them are read, by the kind that their first members tell
    "application/zip": "zip",
    "application/epub+zip": "epub",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml": "docx",
}
_JSON_OBJECT = re.compile(rb'\[?\s*\{\s*"')  # an object or a list of objects


def format_of(file: InputFile, named: str) -> str:
    """The reader's name for a file; an archive is opened whatever format the recipe names for its members.

    Raises:
        OSError: If its bytes decide, and cannot be read.
    """
    by_name = format_of_name(file.path)
    if by_name in ARCHIVES and named not in ARCHIVES:
        return by_name
    if named != "auto":
        return "warc" if named == "wet" else named
    if by_name is not None:
        return by_name
    with open(storage.open_local(file.url), "rb") as opened:
        return format_of_bytes(opened.read(HEAD_BYTES))


def format_if_told(file: InputFile, named: str) -> str | None:
    """As ``format_of``; None of a file that cannot be read, which the plan of its parts tells."""
    try:
        return format_of(file, named)
    except OSError:
        return None


def format_of_name(name: str) -> str | None:
    """Format by extension, compression suffixes aside.

    Example:
        >>> format_of_name("a/B.JSONL.gz"), format_of_name("crawl.warc.wet.gz"), format_of_name("README")
        ('jsonl', 'warc', None)
    """
    name = name.rsplit("/", 1)[-1].lower()
    for suffix in COMPRESSION_SUFFIXES:
        name = name.removesuffix(suffix)
    stem, dot, suffix = name.rpartition(".")
    return SUFFIXES.get(dot + suffix) if stem else None


def format_of_bytes(head: bytes) -> str:
    """Format by content: text where nothing else fits, binary where the bytes are no text."""
    compression = compression_of(head)
    if compression:
        try:
            head = Inflater(compression).decompress(head, SNIFF_BYTES)
        except decompression_errors():
            return "text"  # its reader says what is wrong with it
    if head.startswith(b"WARC/"):
        return "warc"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return PACKAGES.get(package_kind(head) or "application/zip", BINARY)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", ARROW_STREAM)):
        return "arrow"
    if head[257:262] == b"ustar":
        return "tar"
    if is_binary(head):
        return "pdf" if kind_of(head) == PDF else BINARY
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:SNIFF_BYTES]
    if _JSON_OBJECT.match(start):
        return "json"
    return "html" if start[:14].lower().startswith((b"<!doctype html", b"<html")) else "text"


def is_binary(head: bytes) -> bool:
    """Whether a file that begins so is of a known kind that is no text, or no text in any encoding."""
    return kind_of(head) is not None or (utf16_of(head) is None and why_no_text(head) is not None)


def binary_kind(head: bytes) -> str:
    """Media type of a file of the format ``binary`` that begins so, compressed or not."""
    compression = compression_of(head)
    if compression:
        head = Inflater(compression).decompress(head, SNIFF_BYTES)
    return package_kind(head) or kind_of(head) or OCTETS
