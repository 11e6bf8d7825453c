"""A run whose tags write nothing is read in one go, to the text of the writer that goes through it tag by tag."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction import inline
from pipeline.kernels.html_runs import DECLINED, text_of_run

PIECES = (
    "text", " ", "  two", "\n", "\xa0", "&amp;", "&nbsp;", "&lt;b&gt;", "#", "¶", "<", ">", "a > b",
    "<b>", "</b>", '<a href="#x">', "</a>", '<span class="katex-html">', '<span title="a > b">', "</span>",
    "<em>", "</em>", "<code>", "</code>", "<sup>", "</sup>", "<br>", "<!-- a -->", "<script>x</script>", "<wbr>",
    "<ruby>", "<rt>", "</rt>", "</ruby>", '<img alt="x^2" class="tex">', "<b", "<i/>", "&#10;", "\u3000", "\t",
    "<b ", '<b title="a"', " two>", "=", '"', "<!---->", "<!-->", "<!-- a > -- >", "-->", "<!-", "<input>", "<ins>",
    "</ins>", '<span class="x line-number">', '<b style="line-height: 2">', '<i data-class="lineno">', '<u class="on">',
)  # fmt: skip


def by_writer(run: str, *, markdown: bool, code: bool) -> str:
    writer = inline._Writer(run, markdown=markdown and not code, code=code)
    writer.write()
    return writer.text()


def in_one_go(run: str, *, plain: bool = True, code: bool = False) -> str | None:
    data = np.frombuffer(run.encode(), np.uint8)
    found = np.empty(len(data), np.uint8)
    length = text_of_run(data, 0, len(data), plain, code, found)
    return None if length == DECLINED else found[:length].tobytes().decode()


@pytest.mark.parametrize("code", [False, True])
@pytest.mark.parametrize("markdown", [False, True])
@given(run=st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join))
def test_one_go_and_tag_by_tag_agree(markdown: bool, code: bool, run: str) -> None:
    page = f"<p>{run}</p>".encode()
    texts = inline.InlineTexts(page, markdown=markdown)
    if "<" in run:
        assert texts.of(3, len(page) - 4, code=code) == by_writer(run, markdown=markdown, code=code)


def test_most_runs_are_read_in_one_go() -> None:
    run = 'The <b>mill</b> by <a href="/river#bank">the\n river</a> &amp; its&nbsp;<span class="x">wheel</span>'
    assert in_one_go(run, plain=False) == "The mill by the river & its wheel"
    assert in_one_go("x<sup>2</sup>") == "x2"
    assert in_one_go("a &lt;\n  <b>b</b>", code=True) == "a <\n  b"
    assert in_one_go('a<!-- > b --><input> <i class="inline" style="line-height: 2">c</i><!---->') == "a c"


@pytest.mark.parametrize(
    "run",
    [
        "x<br>y",
        "<!-- a ->x",
        "<!-->x",
        '<b class="a lineno">x',
        "<b",
        "x<",
        "&copy; <b>x</b>",
        "<b a=b>x",
        "<math>x</math>",
        "<bb>x",
        "<b  two>x",
        '<b a="" >x',
    ],
)
def test_run_that_wants_a_closer_look_is_declined(run: str) -> None:
    assert in_one_go(run) is None


def test_what_only_plain_text_is_silent_about_is_declined_for_markdown() -> None:
    assert in_one_go("x<sup>2</sup>", plain=False) is None


def test_link_in_code_is_declined_since_it_may_be_a_sign_that_only_links() -> None:
    assert in_one_go('x<a href="#l1">#</a>', code=True) is None
    assert inline.inline_text('x<a href="#l1">#</a>', markdown=False, code=True) == "x"


def test_numbers_beside_lines_of_code_are_left_out() -> None:
    page = b'<pre><span class="lineno">1</span>x = <b>1</b></pre>'
    assert inline.InlineTexts(page, markdown=True).of(5, len(page) - 6, code=True) == "x = 1"


def test_link_to_the_place_itself_is_no_text() -> None:
    page = 'Wheels<a href="#wheels">¶</a>'.encode()
    assert inline.InlineTexts(page, markdown=False).of(0, len(page)) == "Wheels"
