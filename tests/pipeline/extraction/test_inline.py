"""A run whose tags write nothing is read in one go, to the text of the writer that goes through it tag by tag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction import inline

PIECES = (
    "text", " ", "  two", "\n", "\xa0", "&amp;", "&nbsp;", "&lt;b&gt;", "#", "¶", "<", ">", "a > b",
    "<b>", "</b>", '<a href="#x">', "</a>", '<span class="katex-html">', '<span title="a > b">', "</span>",
    "<em>", "</em>", "<code>", "</code>", "<sup>", "</sup>", "<br>", "<!-- a -->", "<script>x</script>", "<wbr>",
    "<ruby>", "<rt>", "</rt>", "</ruby>", '<img alt="x^2" class="tex">', "<b", "<i/>", "&#10;", "\u3000", "\t",
)  # fmt: skip


def by_writer(run: str, *, markdown: bool) -> str:
    writer = inline._Writer(run, markdown=markdown, code=False)
    writer.write()
    return writer.text()


@pytest.mark.parametrize("markdown", [False, True])
@given(run=st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join))
def test_one_go_and_tag_by_tag_agree(markdown: bool, run: str) -> None:
    found = inline._between_silent_tags(run, markdown=markdown)
    assert found is None or found == by_writer(run, markdown=markdown)


def test_most_runs_are_read_in_one_go() -> None:
    run = 'The <b>mill</b> by <a href="/river#bank">the river</a> &amp; its <span class="x">wheel</span>'
    assert inline._between_silent_tags(run, markdown=True) == "The mill by the river & its wheel"
    assert inline._between_silent_tags("x<sup>2</sup>", markdown=False) == "x2"
    assert inline._between_silent_tags("x<sup>2</sup>", markdown=True) is None


def test_link_to_the_place_itself_is_no_text() -> None:
    assert inline.inline_text('Wheels<a href="#wheels">¶</a>', markdown=False) == "Wheels"
