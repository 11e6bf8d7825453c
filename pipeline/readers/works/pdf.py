"""The text layer of PDF files, page after page, as PDFium reads it; a scanned page has none."""

from typing import Any

from pipeline.readers.works.package import LockedError, PaperError

MAX_PAGES = 20_000
JOINED_HYPHEN = "\ufffe"  # how PDFium marks a word that was divided at the end of a line


def pdf_text(data: bytes, max_bytes: int) -> str:
    """The text of a file's pages, a blank line between two; a word that a line's end divides is whole.

    Raises:
        PaperError: If it is encrypted, damaged or too large.
    """
    import pypdfium2

    pages: list[str] = []
    size = 0
    try:
        with pypdfium2.PdfDocument(data) as document:
            if len(document) > MAX_PAGES:
                raise PaperError(f"{len(document):,} pages, more than {MAX_PAGES:,}")
            for number in range(len(document)):
                pages.append(_page_text(document[number]))
                size += len(pages[-1])
                if size > max_bytes:
                    raise PaperError("more text than max_record_bytes")
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise LockedError("it needs a password") from error
        raise PaperError(str(error)) from error
    return "\n\n".join(filter(None, pages))


def _page_text(page: Any) -> str:
    """The text of a page; the page is closed, for a file may have thousands."""
    held = page.get_textpage()
    try:
        text: str = held.get_text_range()
    finally:
        held.close()
        page.close()
    return text.replace(JOINED_HYPHEN, "").replace("\r\n", "\n").strip()
