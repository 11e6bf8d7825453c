"""``tokenmill extract``: one web page.  The work is in pipeline/page."""

from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.display.answer import answer
from flows.display.options import Json
from pipeline.base.errors import UserError


def extract(
    file: Annotated[str, Parameter(name="FILE", allow_leading_hyphen=True)],
    *,
    url: str | None = None,
    markup: Literal["plain", "markdown"] = "plain",
    extractor: str | None = None,
    json: Json = False,
) -> int:
    """Print the main text of one web page, as the clean stage extracts it; personal data stays in it.

    Example: tokenmill extract page.html

    Example: tokenmill extract crawl.warc.gz --url https://site.example/a --json

    Parameters
    ----------
    file
        The page; - reads standard input.
    url
        FILE is a WARC file, and this the URL of the page in it.
    markup
        plain | markdown.
    extractor
        As clean.extractor of a recipe; by default the recipe's default.
    """
    from pipeline.page.extract import extract_record
    from pipeline.page.find import find_page
    from pipeline.recipe.options import Clean

    if markup != "plain":
        raise UserError(f"--markup {markup}: this extractor writes plain text only")
    options = Clean() if extractor is None else Clean(extractor=extractor)
    page = extract_record(find_page(file, url), options)
    return answer(json, asdict(page), page.text, verbatim=True)
