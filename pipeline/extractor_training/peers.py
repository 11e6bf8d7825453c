"""Other extractors on the same pages, where they are installed."""

from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import get_args

from pipeline.extraction.combined import Choose, combined
from pipeline.extraction.extractor import extract_page

Extract = Callable[[str], str]


def extractors() -> dict[str, Extract]:
    """Ours, and the peers that are installed, by name and version."""
    found: dict[str, Extract] = {"tokenmill": lambda html: extract_page(html).text}
    for name, load in (("resiliparse", _resiliparse), ("trafilatura", _trafilatura), ("trafipy", _trafipy)):
        if find_spec(name) is not None:
            found[f"{name} {version(name)}"] = load()
    return found


def combinations(systems: dict[str, Extract]) -> dict[str, Extract]:
    """Ours with trafilatura, where that is among the systems, in every way that ``clean.choose`` has."""
    return {
        f"tokenmill and {name}, {choose}": _both(systems["tokenmill"], extract, choose)
        for name, extract in systems.items()
        if name.startswith("trafilatura")
        for choose in get_args(Choose)
    }


def _both(ours: Extract, theirs: Extract, choose: Choose) -> Extract:
    return lambda html: combined([ours(html), theirs(html)], choose)


def _resiliparse() -> Extract:
    from resiliparse.extract.html2text import extract_plain_text

    return lambda html: str(extract_plain_text(html, main_content=True, alt_texts=False, comments=False))


def _trafilatura() -> Extract:
    import trafilatura

    return lambda html: trafilatura.extract(html, include_comments=False) or ""


def _trafipy() -> Extract:
    import trafipy

    return lambda html: str(trafipy.extract(html, include_links=False, include_images=False).text)
