"""The text layer of PDF files, page after page; a scanned page has none."""

import io
import logging

from pipeline.readers.works.package import PaperError

MAX_PAGES = 20_000


def installed() -> bool:
    """Whether the package that reads PDF files is there: the extra ``documents``."""
    from importlib.util import find_spec

    return find_spec("pypdf") is not None


def pdf_text(data: bytes, max_bytes: int) -> str:
    """The text of a file's pages, a blank line between two.

    Raises:
        PaperError: If it is encrypted, damaged or too large.
    """
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.ERROR)  # what it mends in a file is no news
    pages: list[str] = []
    size = 0
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise PaperError("it needs a password")
        if len(reader.pages) > MAX_PAGES:
            raise PaperError(f"{len(reader.pages):,} pages, more than {MAX_PAGES:,}")
        for page in reader.pages:
            pages.append(page.extract_text().strip())
            size += len(pages[-1])
            if size > max_bytes:
                raise PaperError("more text than max_record_bytes")
    except PaperError:
        raise
    except Exception as error:
        raise PaperError(f"{type(error).__name__}: {error}") from error
    return "\n\n".join(filter(None, pages))
