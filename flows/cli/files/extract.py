"""``tokenmill extract``: one web page.  The work is in pipeline/page."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from flows.display.answer import answer
from flows.display.options import Json

if TYPE_CHECKING:
    from pipeline.readers.records import Record
    from pipeline.recipe.options import Clean


def extract(
    file: Annotated[str, Parameter(name="FILE", allow_leading_hyphen=True)],
    *,
    url: str | None = None,
    markup: Literal["plain", "markdown"] = "plain",
    extractor: str | None = None,
    blocks: Literal["text", "html"] | None = None,
    json: Json = False,
) -> int:
    """Print the main text of one web page, as the clean stage extracts it; personal data stays in it.

    Example: tokenmill extract page.html

    Example: tokenmill extract crawl.warc.gz --url https://site.example/a --json

    Example: tokenmill extract page.html --blocks html > blocks.html

    Parameters
    ----------
    file
        The page; - reads standard input.
    url
        FILE is a WARC file, and this the URL of the page in it.
    markup
        plain | markdown, which our own extractor writes.
    extractor
        As clean.extractor of a recipe; by default the recipe's default.
    blocks
        Instead of the text each block of the page, kept (+) or dropped (-), how likely it is text, and what was seen
        of it: text | html, a page for a browser.
    """
    from pipeline.page.extract import extract_record, page_options
    from pipeline.page.find import find_page

    if blocks is not None:
        return _show_blocks(find_page(file, url), page_options(extractor, markup), blocks, json)
    page = extract_record(find_page(file, url), page_options(extractor, markup))
    return answer(json, asdict(page), page.text, verbatim=True)


def _show_blocks(record: "Record", options: "Clean", form: str, json: bool) -> int:
    from pipeline.page.blocks import in_html, in_lines, view_blocks

    view = view_blocks(record, options)
    result = {"page_type": view.page_type, "extraction_score": view.score, "blocks": [asdict(b) for b in view.blocks]}
    return answer(json, result, in_html(view) if form == "html" else in_lines(view), verbatim=form == "html")
