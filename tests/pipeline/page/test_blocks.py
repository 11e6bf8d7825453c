"""What the view of a page's blocks tells: which are kept, why, and nothing of the page that a browser would run."""

from dataclasses import replace

import pytest

from pipeline.base.errors import UserError
from pipeline.page.blocks import PageView, in_html, in_lines, view_blocks
from pipeline.page.extract import extract_record, page_options
from pipeline.readers.records import Record

WORDS = "The ferry across the bay was late again on Tuesday, and the children on the pier had begun to sing."
NAV = '<nav><ul class="menu"><li><a href="/a">Ferries</a></li><li><a href="/b">Fares</a></li></ul></nav>'
PAGE = f"<html><body>{NAV}<main><p>{WORDS}</p><p>{WORDS} Nobody &lt;b&gt; knew why.</p></main></body></html>"


def view(page: str) -> PageView:
    return view_blocks(Record("page", 0, body=page.encode(), body_type="html"), page_options(None, "plain"))


def test_blocks_that_are_kept_are_the_text() -> None:
    record = Record("page", 0, body=PAGE.encode(), body_type="html")
    kept = [block.text for block in view(PAGE).blocks if block.kept]
    assert "\n\n".join(kept) == extract_record(record, page_options(None, "plain")).text


def test_lines_say_what_is_kept_and_what_was_seen() -> None:
    lines = in_lines(view(PAGE)).splitlines()
    assert lines[0].endswith("words kept")
    menu = next(number for number, line in enumerate(lines) if "Ferries" in line)
    assert lines[menu].startswith("- 0.")
    assert "100% in links, called menu" in lines[menu + 1]
    assert next(line for line in lines if line.startswith("+ ")).endswith(WORDS)


def test_html_escapes_the_page_and_leads_to_the_first_kept_block() -> None:
    html = in_html(view(PAGE))
    assert "Nobody &lt;b&gt; knew why." in html
    assert html.count('href="#kept"') == html.count('id="kept"') == 1
    assert html.index('id="kept"') > html.index("Fares")


def test_page_of_which_nothing_is_kept_leads_nowhere() -> None:
    found = view(PAGE)
    dropped = PageView([replace(block, kept=False) for block in found.blocks], found.page_type, found.score)
    assert "#kept" not in in_html(dropped)
    assert in_lines(view("<p> </p>")) == "no text"


def test_other_extractors_tell_no_blocks() -> None:
    record = Record("page", 0, body=PAGE.encode(), body_type="html")
    with pytest.raises(UserError, match="resiliparse does not tell"):
        view_blocks(record, page_options("resiliparse", "plain"))
