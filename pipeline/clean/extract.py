"""HTML to main-content text, behind limits that a scan checks before any parser sees the page.

There is no wall clock: whether a page is extracted depends on its bytes and the recipe, never on the machine's speed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pipeline.base.errors import UserError, in_words
from pipeline.clean.decode import decode
from pipeline.clean.html_facts import TELLING, Facts, facts
from pipeline.extraction.combined import Choose, combined
from pipeline.extraction.extractor import Extracted, extract_page
from pipeline.kernels import html_scan
from pipeline.readers.records import Record
from pipeline.recipe.options import EXTRACTORS, Clean

Extract = Callable[[str], Extracted]  # a page's HTML -> its text, empty where there is none
# about nanoseconds of parsing and extraction beyond those of a plain page, as html_scan counts them
MAX_COST = 2_000_000_000


class ExtractionError(ValueError):
    """A page that cannot be extracted; ``reason`` is its quarantine code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(slots=True)
class Page:
    """A page that is within the limits, decoded but not yet extracted."""

    html: str
    facts: Facts
    decoded_as: str


class Extractor:
    """Looks at pages, then extracts them.

    Args:
        options: The recipe's section.

    Raises:
        UserError: If the recipe names no extractor that exists.
    """

    def __init__(self, options: Clean) -> None:
        self.options = options
        self._extract = _of_all([load_extract(name, options.markup) for name in options.all_extractors], options.choose)

    def look(self, record: Record) -> Page:
        """Decodes a page, checks its limits and reads what it says about itself.

        Raises:
            ExtractionError: If it is beyond a limit.
            NotText: If its bytes are no text.
        """
        body = record.body or b""
        if len(body) > self.options.max_html_bytes:
            limit = self.options.max_html_bytes
            raise ExtractionError("html_too_large", f"{len(body):,} bytes, more than max_html_bytes = {limit:,}")
        html, encoding, _ = decode(body, record.charset, html=True)
        if encoding != "utf-8":  # the facts are then read as the text is
            body = html.encode("utf-8", "replace")
        seen = self._within_limits(body)
        return Page(html, facts(body, "utf-8", record, seen), encoding)

    def text(self, html: str) -> Extracted:
        """The text of a page; empty where it has none.

        Raises:
            ExtractionError: If the extractor fails.
        """
        try:
            return self._extract(html)
        except (ValueError, RuntimeError, RecursionError, TypeError, LookupError) as error:
            raise ExtractionError("extractor_failed", in_words(error)) from error

    def _within_limits(self, body: bytes) -> html_scan.Scan:
        """Refuses a page that would take a parser too long."""
        options = self.options
        seen = html_scan.scan(body, options.max_html_depth, TELLING)
        if seen.depth > options.max_html_depth:
            raise ExtractionError("html_too_deep", f"nested deeper than max_html_depth = {options.max_html_depth:,}")
        if seen.tags > options.max_html_tags:
            detail = f"{seen.tags:,} tags, more than max_html_tags = {options.max_html_tags:,}"
            raise ExtractionError("html_too_many_tags", detail)
        if seen.cost > MAX_COST:
            detail = f"cost {seen.cost:,} by its nesting and attributes, limit {MAX_COST:,}"
            raise ExtractionError("html_too_complex", detail)
        return seen


def load_extract(name: str, markup: str = "plain") -> Extract:
    """The function that an extractor's name in the recipe stands for; ``markup`` is heeded by our own alone.

    Raises:
        UserError: If there is none.
    """
    if name == "tokenmill":
        return partial(extract_page, markdown=markup == "markdown")
    if name == "resiliparse":
        return _text_only(_resiliparse())
    if name == "trafilatura":
        return _text_only(_trafilatura())
    if "." in name:
        from pipeline.clean.datatrove import datatrove_extract

        return _text_only(datatrove_extract(name))
    raise UserError(f"clean.extractor = {name!r}: allowed are {', '.join(EXTRACTORS)}, or a datatrove class path")


def _of_all(extracts: list[Extract], choose: Choose) -> Extract:
    """One extractor out of several; what ours says of the page stays, its score only where its text was taken."""
    if len(extracts) == 1:
        return extracts[0]

    def extract(html: str) -> Extracted:
        found = [one(html) for one in extracts]
        text = combined([one.text for one in found], choose)
        page_type = next((one.page_type for one in found if one.page_type), None)
        score = next((one.score for one in found if one.text == text), None)
        return Extracted(text, page_type if text else None, score)

    return extract


def _text_only(extract: Callable[[str], str]) -> Extract:
    """An extractor that says nothing of the page's type, nor how good its text is."""
    return lambda html: Extracted(extract(html), None, None)


def _resiliparse() -> Callable[[str], str]:
    from resiliparse.extract.html2text import extract_plain_text

    def extract(html: str) -> str:
        return str(extract_plain_text(html, main_content=True, alt_texts=False, comments=False))

    return extract


def _trafilatura() -> Callable[[str], str]:
    import trafilatura

    def extract(html: str) -> str:
        return trafilatura.extract(html, include_comments=False, deduplicate=False) or ""

    return extract
