"""HTML to main-content text, behind limits that a scan checks before any parser sees the page."""

from collections.abc import Callable

from pipeline.clean.decode import decode
from pipeline.options import Clean
from pipeline.readers.items import Record

Extractor = Callable[[Record], str]


class ExtractionError(ValueError):
    """A page that cannot be extracted; ``reason`` is its quarantine code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def load_extractor(options: Clean) -> Extractor:
    """The extractor that the recipe names."""
    return lambda record: _resiliparse(record, options)


def _resiliparse(record: Record, options: Clean) -> str:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    body = record.body or b""
    if len(body) > options.max_html_bytes:
        detail = f"{len(body):,} bytes, more than max_html_bytes = {options.max_html_bytes:,}"
        raise ExtractionError("html_too_large", detail)
    text, _ = decode(body, record.charset, html=True)
    tree = HTMLTree.parse(text)
    return str(extract_plain_text(tree, main_content=True, alt_texts=False, comments=False))
