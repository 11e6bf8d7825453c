"""Files that people write and send, to records: a file, the chapters of a book, or the messages of a mailbox.

What a file holds is told by ``works``; here it becomes records, and what is wrong with it a damaged item.
"""

from collections.abc import Callable, Iterator
from xml.etree.ElementTree import ParseError

from pipeline.base.errors import NO_RECORD_S_FAULT, in_words
from pipeline.readers.lines import lines
from pipeline.readers.records import Damaged, Excluded, Item, Record, too_large
from pipeline.readers.streams import Gap, Limits
from pipeline.readers.text import whole
from pipeline.readers.works import books, office, pdf
from pipeline.readers.works.mail import message_of
from pipeline.readers.works.notebook import notebook_text
from pipeline.readers.works.package import LockedError, Package, PaperError
from pipeline.screen.kind_words import NO_TEXT_LAYER

FROM = b"From "
NO_FAULT_OF_A_FILE = (*NO_RECORD_S_FAULT, MemoryError)
_TEXTS: dict[str, Callable[[bytes, int], str]] = {
    "docx": lambda data, limit: office.docx_text(Package(data, limit)),
    "odt": lambda data, limit: office.odt_text(Package(data, limit)),
    "ipynb": lambda data, limit: notebook_text(data),
    "pdf": pdf.pdf_text,
}


def read_paper(chunks: Iterator[bytes | Gap], path: str, kind: str, limits: Limits) -> Iterator[Item]:
    """The records of a file; offsets are bytes, or chapters of a book."""
    if kind == "mbox":
        yield from _mailbox(chunks, path, limits)
        return
    data = whole(chunks, path, limits)
    if isinstance(data, bytes):
        if data:
            yield from _whole(data, path, kind, limits)
    else:
        yield from data


def _whole(data: bytes, path: str, kind: str, limits: Limits) -> Iterator[Item]:
    items = list(_converted(data, path, kind, limits))
    if not items:
        yield Excluded(path, 0, "empty", f"no text in the {kind} file", length=len(data))
    for item in items:
        item.length = len(data) // len(items)
        yield item if kind != "pdf" or not isinstance(item, Record) or item.text.strip() else _scan(item)


def _scan(record: Record) -> Excluded:
    detail = "none of its pages has text, as in a scan: OCR adds it, such as ocrmypdf"
    return Excluded(record.path, record.offset, NO_TEXT_LAYER, detail, length=record.length)


def _converted(data: bytes, path: str, kind: str, limits: Limits) -> Iterator[Record | Damaged]:
    if kind == "epub":
        yield from _chapters(data, path, limits)
    elif kind == "eml":
        yield _guarded(lambda: _letter(data, path, 0), path, 0, kind, data)
    else:
        yield _guarded(lambda: Record(path, 0, _TEXTS[kind](data, limits.record_bytes)), path, 0, kind, data)


def _chapters(data: bytes, path: str, limits: Limits) -> Iterator[Record | Damaged]:
    """A record of each chapter; one that cannot be read costs itself."""
    try:
        book = Package(data, limits.record_bytes)
        names = books.page_names(book)
    except NO_FAULT_OF_A_FILE:
        raise
    except Exception as error:  # noqa: BLE001  whatever a list of pages makes of its reader is the book's damage
        yield _refused(path, 0, "epub", error, data)
        return
    for number, name in enumerate(names):
        chapter = f"{path}/{name}"
        try:
            yield Record(chapter, number, body=book.read(name), body_type="html")
        except PaperError as error:
            yield _refused(chapter, number, "epub", error, b"")


def _guarded(convert: Callable[[], Record], path: str, offset: int, kind: str, data: bytes) -> Record | Damaged:
    """A record, or the damage that stands for what its conversion raised."""
    try:
        return convert()
    except NO_FAULT_OF_A_FILE:
        raise
    except Exception as error:  # noqa: BLE001  parsers of letters and XML raise whatever they meet
        return _refused(path, offset, kind, error, data)


def _refused(path: str, offset: int, kind: str, error: Exception, data: bytes) -> Damaged:
    said = str(error) if isinstance(error, PaperError | ParseError) else in_words(error)
    reason = "encrypted" if isinstance(error, LockedError) else "corrupt_file"
    return Damaged(path, offset, len(data), reason, f"{kind}: {said}", data)


def _letter(data: bytes, path: str, offset: int) -> Record:
    """The record of a message; one in HTML alone is a page, which is extracted as others are."""
    message = message_of(data)
    record = Record(path, offset, id=message.id, date=message.date, length=len(data))
    if message.is_html:
        record.body, record.body_type, record.charset = message.words.encode("utf-8", "replace"), "html", "utf-8"
        record.metadata = {"subject": message.subject} if message.subject else None
    else:
        record.text = "\n\n".join(filter(None, (message.subject, message.words.strip("\r\n"))))
    return record


def _mailbox(chunks: Iterator[bytes | Gap], path: str, limits: Limits) -> Iterator[Item]:
    """One record per message: from a line that begins with ``From ``, after a blank one, to the next.

    Offsets are bytes in the decompressed file.  A gap takes the unfinished message before it with it.
    """
    held: list[bytes] = []
    start = size = 0
    blank = True
    for line in lines(chunks, path, limits.record_bytes):
        if isinstance(line, Damaged):
            yield line
            held, size, blank = [], 0, True
            continue
        if held and blank and line.data.startswith(FROM):
            yield from _message(held, path, start, size, limits)
            held, size = [], 0
        start = start if held else line.offset
        size += len(line.data) + 1
        if size <= limits.record_bytes or not held:
            held.append(line.data)
        blank = not line.data.strip(b"\r")
    yield from _message(held, path, start, size, limits)


def _message(held: list[bytes], path: str, start: int, size: int, limits: Limits) -> Iterator[Item]:
    data = b"\n".join(held)
    if size > limits.record_bytes:
        yield too_large(path, start, size, f"a message of {size:,} bytes", limits.record_bytes, data)
    elif data.strip():
        if data.startswith(FROM):
            data = data.partition(b"\n")[2].replace(b"\n>From ", b"\nFrom ")
        item = _guarded(lambda: _letter(data, path, start), path, start, "mbox", data)
        item.length = size
        yield item
