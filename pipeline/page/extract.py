"""The main text of one page, made as the clean stage makes it, without a run.

Personal data stays in it, and opt-outs are not asked: who extracts one page looks at it, and trains on nothing.
"""

from dataclasses import dataclass

from pipeline.base.errors import UserError
from pipeline.clean.decode import NotText
from pipeline.clean.extract import ExtractionError, Extractor
from pipeline.clean.normalise import normalise
from pipeline.readers.raw.http import content_type as parsed_content_type
from pipeline.readers.records import Record
from pipeline.recipe.options import Clean

MARKUPS = ("plain", "markdown")


@dataclass(frozen=True)
class ExtractedPage:
    """What was found on a page.

    Attributes:
        text: Its main text; empty where it has none.
        title: What it calls itself.
        date: When it says that it was published, ISO 8601.
        date_from: The place that says so.
        page_type: article, collection, documentation, forum, listing, product or service; None where the extractor
            tells no types.
        extraction_score: How good the text is likely to be, 0 to 1; None where the extractor does not say.
    """

    text: str
    title: str | None
    date: str | None
    date_from: str | None
    page_type: str | None
    extraction_score: float | None


def extract(
    html: bytes, content_type: str | None = None, markup: str = "plain", *, extractor: str | None = None
) -> ExtractedPage:
    """Extracts the main text of a page.

    Args:
        html: The page as it was sent.
        content_type: Of the HTTP header, such as ``text/html; charset=utf-8``; its charset is believed where it fits.
        markup: ``plain`` or ``markdown``, which our own extractor writes.
        extractor: As ``clean.extractor`` of a recipe names it; by default the recipe's default.

    Raises:
        UserError: If an option has no such value, or the page is beyond a limit or no text.
    """
    if not isinstance(html, bytes | bytearray):
        raise UserError(
            f"html: expected the bytes of a page, got {type(html).__name__}; of a string give html.encode() with "
            "content_type='text/html; charset=utf-8'"
        )
    options = page_options(extractor, markup)
    charset = parsed_content_type(content_type)[1] if content_type else None
    return extract_record(Record("page", 0, body=html, body_type="html", charset=charset), options)


def page_options(extractor: str | None, markup: str) -> Clean:
    """The options of one page's extraction.

    Raises:
        UserError: If there is no such extractor or markup, or the two do not go together.
    """
    if markup not in MARKUPS:
        raise UserError(f"markup = {markup!r}: allowed are {', '.join(MARKUPS)}")
    if markup == "markdown" and extractor not in (None, "tokenmill"):
        raise UserError(f"markup = 'markdown': {extractor} writes plain text only; extractor = 'tokenmill' writes it")
    return Clean.model_validate({**({"extractor": extractor} if extractor else {}), "markup": markup})


def extract_record(record: Record, options: Clean) -> ExtractedPage:
    """Extracts the page of a record.

    Raises:
        UserError: If the extractor does not exist, or the page is beyond a limit or no text.
    """
    step = Extractor(options)
    try:
        page = step.look(record)
        found = step.text(page.html)
    except NotText as error:
        raise UserError(f"{record.url or record.path}: no text: {error}") from error
    except ExtractionError as error:
        raise UserError(f"{record.url or record.path}: {error.reason}: {error}") from error
    (text,), _ = normalise([found.text], fix_mojibake=options.fix_mojibake)
    facts = page.facts
    return ExtractedPage(text, facts.title, facts.date, facts.date_from, found.page_type, found.score)
