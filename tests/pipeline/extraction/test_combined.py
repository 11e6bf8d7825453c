"""One text out of several: which lines stay, where added ones go, and what of nothing."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import UserError
from pipeline.clean.extract import Extractor
from pipeline.clean.settings import job_config
from pipeline.extraction.combined import Choose, combined
from pipeline.extraction.extractor import extract_page
from pipeline.readers.records import Record
from pipeline.recipe.load import section_from
from pipeline.recipe.options import Clean, Source

OURS = "The mill stands by the river.\n\nIts wheel turns slowly in summer.\n\nShare this page with friends"
THEIRS = "Old mills\nThe mill stands, by the river!\nIt was built of grey stone.\nIts wheel turns slowly in summer."


def test_longest_is_the_text_with_most_characters_and_of_equals_the_first() -> None:
    assert combined(["short", "longer"], "longest") == "longer"
    assert combined(["same", "size"], "longest") == "same"


def test_agreement_keeps_the_lines_of_the_first_that_another_has_too() -> None:
    assert combined([OURS, THEIRS], "agreement") == "The mill stands by the river.\n\nIts wheel turns slowly in summer."


def test_agreement_of_texts_that_share_nothing_is_the_first_as_it_is() -> None:
    assert combined([OURS, "Nothing of this is there at all."], "agreement") == OURS


def test_union_adds_what_the_first_lacks_where_the_other_has_it() -> None:
    assert combined([OURS, THEIRS], "union").splitlines()[::2] == [
        "Old mills",
        "The mill stands by the river.",
        "It was built of grey stone.",
        "Its wheel turns slowly in summer.",
        "Share this page with friends",
    ]


@pytest.mark.parametrize("choose", get_args(Choose))
def test_page_of_which_one_extractor_has_a_text_is_that_text(choose: Choose) -> None:
    assert combined(["", " \n", OURS], choose) == OURS
    assert combined(["", " "], choose) == ""


@given(st.lists(st.lists(st.text("ab \n.", max_size=30), max_size=6).map("\n".join), min_size=2, max_size=3))
def test_union_holds_every_line_of_the_first_and_agreement_adds_none(texts: list[str]) -> None:
    first = next((text for text in texts if text.strip()), "")
    lines = [line for line in first.split("\n") if line.strip()]
    union, agreement = combined(texts, "union"), combined(texts, "agreement")
    assert [line for line in union.split("\n") if line in lines][: len(lines)] or not lines
    assert all(line in union.split("\n") for line in lines)
    assert set(filter(str.strip, agreement.split("\n"))) <= set(lines)


PAGE = (
    "<html><body><nav><a href='/'>Home</a></nav><article><h1>Mills</h1>"
    + "".join(f"<p>Sentence {n} tells of the mill by the river, and of how its wheel turns.</p>" for n in range(8))
    + "</article></body></html>"
)


def test_clean_takes_several_extractors_and_keeps_what_ours_says_of_the_page() -> None:
    options = section_from("clean", {"extractors": ["tokenmill", "trafilatura", "resiliparse"], "choose": "union"})
    step = Extractor(options)
    found = step.text(step.look(Record("page", 0, body=PAGE.encode(), body_type="html")).html)
    assert found.page_type == extract_page(PAGE).page_type
    assert "Sentence 7 tells of the mill" in found.text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"extractors": ["tokenmill"]}, "give two or more different ones"),
        ({"extractors": ["tokenmill", "tokenmill"]}, "give two or more different ones"),
        ({"extractor": "trafilatura", "extractors": ["tokenmill", "resiliparse"]}, "give one of them"),
        ({"choose": "union"}, "chooses among several"),
        ({"extractors": ["tokenmill", "trafilatura"], "markup": "markdown"}, "trafilatura writes plain text only"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        section_from("clean", values)


def test_keys_of_several_extractors_define_bytes_only_where_there_are_several() -> None:
    source = Source(name="s", paths=["."])
    assert "choose" not in job_config(Clean(), source, [])["clean"]
    assert job_config(Clean(extractors=["tokenmill", "trafilatura"]), source, [])["clean"]["choose"] == "longest"
