"""Our own extractor on whole pages: what it keeps, of which type it says a page is, and what no page can do to it."""

import hashlib
import re

import pytest

from pipeline.base.errors import UserError
from pipeline.extraction.choice import FILLED, FILLED_BARE, NO_TEXT_AGAIN, choose
from pipeline.extraction.extractor import extract_page
from pipeline.extraction.inline import inline_text
from pipeline.extraction.model import PAGE_TYPES, load_model
from pipeline.extraction.page_tree import page_tree
from pipeline.kernels.html_blocks import FROM, TO
from pipeline.page import extract

PARAGRAPHS = (
    "The ferry across the bay was late again on Tuesday, and the schoolchildren on the pier had begun to sing.",
    "Nobody could say what had held it up: the captain blamed the tide, the harbour master blamed the captain.",
    "By the time that it came in, the lamps along the quay were lit, and half of those waiting had walked home.",
    "A new timetable will be tried from May on, with one boat fewer in the morning and two more in the evening.",
)
NAV = "<nav><ul>" + "".join(f"<li><a href='/{n}'>Section {n}</a></li>" for n in range(8)) + "</ul></nav>"
FOOTER = "<footer><p>© 2024 Bay News. <a href='/t'>Terms of use</a> <a href='/p'>Privacy</a></p></footer>"


def page(body: str) -> str:
    head = "<!DOCTYPE html><html lang='en'><head><title>Late ferry</title></head>"
    return f"{head}<body><header>{NAV}</header>{body}{FOOTER}</body></html>"


def paragraphs(end: str = "") -> str:
    return "".join(f"<p>{text}{end}</p>" for text in PARAGRAPHS)


@pytest.mark.parametrize(
    "wrapper",
    [
        "<main><article>{}</article></main>",
        "<div>{}</div>",
        "<div class='newsletter-post post'><div class='body markup'>{}</div></div>",  # of a newsletter's archive
        "<article class='post tag-gallery tag-promoted'><div class='entry-content share-container'>{}</div></article>",
        "<table><tr><td>{}</td></tr></table>",
    ],
)
def test_text_of_an_article_is_kept_whatever_its_wrapper_is_called(wrapper: str) -> None:
    text = extract_page(page(wrapper.format("<h1>Late ferry</h1>" + paragraphs()))).text
    assert all(paragraph in text for paragraph in PARAGRAPHS)
    assert "Section 3" not in text
    assert "Privacy" not in text


def test_posts_of_a_thread_stay_in_order_with_a_line_between() -> None:
    buttons = "<div class='buttons'><a href=#>Reply</a> <a href=#>Report</a></div>"
    posts = "".join(
        f"<div class='post comment reply' id='p{n}'><div class='author'>user{n}</div>"
        f"<div class='post-date'>2021-03-1{n}</div><div class='postbody'>{text} {n}.</div>{buttons}</div>"
        for n, text in enumerate(PARAGRAPHS * 2)
    )
    found = extract_page(page(f"<div id='posts' class='thread'><h1>Why is the ferry late?</h1>{posts}</div>"))
    assert found.page_type == "forum"
    places = [found.text.index(text) for text in PARAGRAPHS]
    assert places == sorted(places)
    assert found.text.split("\n").count("---") == 7


def test_type_and_score_are_told() -> None:
    found = extract_page(page(f"<article><h1>Late ferry</h1>{paragraphs()}</article>"))
    assert found.page_type in PAGE_TYPES
    assert found.score is not None
    assert 0 < found.score <= 1


@pytest.mark.parametrize(
    "html", ["", "<html></html>", "<script>x</script>", "<p>  </p>", "<body><svg><text>x</text></svg>"]
)
def test_page_without_text_has_neither_type_nor_score(html: str) -> None:
    assert extract_page(html) == extract_page("")
    assert extract_page(html).text == ""
    assert extract_page(html).score is None


def test_line_of_links_notices_and_buttons_are_taken_out() -> None:
    links = "<p><a href=a>Back</a> | <a href=b>Next</a></p>"
    body = f"<main>{links}{paragraphs()}<noscript>Please enable scripts</noscript><button>Subscribe</button></main>"
    tree = page_tree(page(body))
    choice = choose(tree, load_model())
    text = extract_page(page(body)).text
    assert "Next" not in text
    assert "enable scripts" not in text
    assert "Subscribe" not in text
    assert not any(choice.keep[block] for block, rule in choice.rules.items() if rule != FILLED)


@pytest.mark.parametrize(
    ("html", "runs"),
    [
        ("<p>A <x-emoji>b</x-emoji> c</p>", ["A b c"]),
        ("<h2><x-emoji>b</x-emoji> c</h2>", ["b c"]),
        ("<p>A <a href=a>b <x-y>c</x-y></a> d</p>", ["A b c d"]),
        ("<p>A <x-y><i>b</i></x-y> c</p>", ["A b c"]),
        ("<ul><li>A <x-y>b</x-y> c</li></ul>", ["A b c"]),
        ("<ul><li><x-y>A</x-y><x-y>b</x-y></li></ul>", ["A", "b"]),
        ("<div>A <x-y>b</x-y> c</div>", ["A", "b", "c"]),
        ("<p>A</p><x-y>b</x-y>c", ["A", "b", "c"]),
        ("<ul><li>A <div><x-y>b</x-y>c</div></li></ul>", ["A", "b", "c"]),
    ],
)
def test_elements_of_unknown_names_are_part_of_a_line_in_the_midst_of_one(html: str, runs: list[str]) -> None:
    tree = page_tree(html)
    found = [tree.html[block[FROM] : block[TO]].decode() for block in tree.layout.blocks]
    assert [inline_text(run, markdown=False) for run in found] == runs


def test_page_without_links_or_navigation_is_kept_whole_but_for_what_it_hides() -> None:
    ends = "<p>Rows are read.</p><p hidden>Not shown.</p>"
    shown = extract_page(f"<html><body><h1>SELECT</h1><p>{PARAGRAPHS[0]}</p>{ends}").text
    assert shown == f"SELECT\n\n{PARAGRAPHS[0]}\n\nRows are read."
    tree = page_tree(f"<html><body><h1>SELECT</h1><p>{PARAGRAPHS[0]}</p>{ends}")
    assert FILLED_BARE in choose(tree, load_model()).rules.values()
    for more in ("<a href=/>Home</a>", "<nav>Home</nav>"):
        with_more = page_tree(f"<html><body><h1>SELECT</h1><p>{PARAGRAPHS[0]}</p>{ends}{more}")
        assert FILLED_BARE not in choose(with_more, load_model()).rules.values()


@pytest.mark.parametrize(
    "region",
    [
        "<table><caption>Fares</caption><tr><th>Boat</th><th>Fare</th></tr><tr><td>Heron</td><td>4.50</td></tr></table>",
        "<ul><li>Heron<ul><li>small boat</li></ul></li><li>Gull</li></ul>",
        "<dl><dt>Heron</dt><dd>A small boat.</dd></dl>",
        "<figure><img src=a.jpg><figcaption>The Heron in May.</figcaption></figure>",
    ],
)
def test_region_between_kept_paragraphs_is_kept_whole(region: str) -> None:
    first, *rest = (f"<p>{text}</p>" for text in PARAGRAPHS)
    text = extract_page(page(f"<main><article><h1>Late ferry</h1>{first}{region}{''.join(rest)}</article></main>")).text
    words = re.sub(r"<[^>]*>", " ", region).split()
    assert [word for word in words if word not in text] == []


def test_hidden_text_goes_where_other_text_is_not_and_stays_where_all_is() -> None:
    hidden = "<div style='display:none'><p>The secret timetable of the winter is hidden from all who read.</p></div>"
    shown = extract_page(page(f"<main><h1>Late ferry</h1>{paragraphs()}{hidden}{paragraphs()}</main>")).text
    assert "secret" not in shown
    whole = f"<div id=app style='visibility: hidden'><main><h1>Late ferry</h1>{paragraphs()}</main></div>"
    assert PARAGRAPHS[1] in extract_page(page(whole)).text


def test_text_that_stands_there_twice_is_kept_once_and_cells_and_code_as_often_as_they_are() -> None:
    table = f"<table>{''.join(f'<tr><th>{n}</th><td>{PARAGRAPHS[3]}</td></tr>' for n in range(3))}</table>"
    body = (
        f"<main><article><h1>Late ferry</h1>{paragraphs()}<p>{PARAGRAPHS[0]}</p>{table}{paragraphs()}</article></main>"
    )
    tree = page_tree(page(body))
    choice = choose(tree, load_model())
    again = [rule for rule in choice.rules.values() if rule == NO_TEXT_AGAIN]
    text = extract_page(page(body)).text
    assert len(again) == 5
    assert [text.count(one) for one in PARAGRAPHS[:3]] == [1, 1, 1]
    assert text.count(PARAGRAPHS[3]) == 4


def test_comments_of_an_article_are_left_out_and_posts_of_a_thread_are_not() -> None:
    said = "I was on that boat myself, and the captain told us that the engine had failed again before the pier."
    remark = f"<div class='comment'><div class='comment-body'><p>{said}</p></div></div>"
    article = f"<article><h1>Late ferry</h1>{paragraphs()}</article><section class='comments'>{remark}</section>"
    head = "<meta property='og:type' content='article'>"
    assert said not in extract_page(page(article).replace("<head>", f"<head>{head}")).text
    thread = f"<div class='thread'><h1>Why late?</h1>{remark * 6}</div>"
    assert said in extract_page(page(thread)).text


def test_markdown_is_written_by_our_extractor_alone() -> None:
    body = page(f"<main>{paragraphs()}<h2>Why it was late</h2>{paragraphs('!')}</main>").encode()
    assert "## Why it was late" in extract(body, markup="markdown").text
    assert "## Why it was late" in extract(body, markup="markdown", extractor="tokenmill").text
    with pytest.raises(UserError, match="resiliparse writes plain text only"):
        extract(body, markup="markdown", extractor="resiliparse")
    with pytest.raises(UserError, match="allowed are plain, markdown"):
        extract(body, markup="html")


HOSTILE = {
    "deep": "<div>" * 900 + "words in the deep" + "</div>" * 900,
    "wide": "<p>a b c d e f g h i</p>" * 20_000,
    "empty elements": "<div></div>" * 50_000 + "<p>words</p>",
    "one line": "<p>" + "a <b>b</b> " * 30_000,
    "attributes": f"<p class='{'menu ' * 50_000}'>words</p>",
    "formatting": "<p><b><i><u>" * 200 + "words",
    "powers": "<p>" + "<sup>" * 800 + "words",
    "cells": "<table>" + "<tr>" + "<td>1</td>" * 5_000 + "</table>",
    "nested lists": "<ul><li>" * 300 + "words",
    "nested tables": "<table><tr><td>" * 200 + "words",
    "formulas": "<p>" + "<math><mi>x</mi></math>" * 5_000,
    "readings": "<p><ruby>" + "a<rt>b</rt>" * 5_000,
    "odd names": "<p>" + "<a b\"c='' =d>x</a>" * 5_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("markdown", [False, True])
def test_page_that_no_one_would_write_is_read_to_its_end(name: str, markdown: bool) -> None:
    from pipeline.extraction.extractor import text_of

    tree = page_tree(HOSTILE[name])
    choice = choose(tree, load_model())
    choice.keep[:] = True
    assert text_of(tree, choice, markdown=markdown)


def test_same_page_gives_the_same_bytes() -> None:
    body = page(f"<main>{paragraphs()}<ul><li>one<li>two</ul></main>")
    said = {hashlib.sha256(repr(extract_page(body, markdown=True)).encode()).hexdigest() for _ in range(3)}
    assert len(said) == 1
