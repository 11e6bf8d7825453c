import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipeline.base.errors import UserError
from pipeline.filter import RULES, judge, signals
from pipeline.filter.rules.document_rules import DOCUMENT_COLUMNS, document_failures
from pipeline.recipe.filter_options import Filter
from tests.pipeline.filter.helpers import GOOD


def test_good_text_fails_no_rule() -> None:
    assert judge(signals([GOOD]), list(RULES)) == [[]]


def test_document_of_49_words_is_too_short_and_of_50_is_not() -> None:
    words = ("the cat sat with that dog and they have gone to be happy " * 5).split()
    reasons = judge(signals([" ".join(words[:49]), " ".join(words[:50])]), ["gopher_quality"])
    assert reasons == [["gopher_quality.min_words"], []]


def test_every_failed_rule_is_named_in_rule_order() -> None:
    (reasons,) = judge(signals(["{ # # #"]), ["c4", "gopher_quality"])
    assert reasons[:1] == ["c4.min_sentences"]
    assert {"gopher_quality.min_words", "gopher_quality.max_symbol_word_ratio"} <= set(reasons)


def test_zero_is_a_threshold_and_not_off() -> None:
    table = signals([GOOD.replace("careful", "#careful")])
    assert judge(table, ["gopher_quality"], {"gopher_quality": {"max_symbol_word_ratio": 0}}) == [
        ["gopher_quality.max_symbol_word_ratio"]
    ]


def test_ratio_equal_to_the_threshold_passes() -> None:
    table = pa.table({"symbol_word_ratio": pa.array([0.1, np.nextafter(np.float32(0.1), np.float32(1))], pa.float32())})
    full = signals([GOOD, GOOD]).drop_columns(["symbol_word_ratio"])
    table = full.append_column("symbol_word_ratio", table["symbol_word_ratio"])
    assert judge(table, ["gopher_quality"]) == [[], ["gopher_quality.max_symbol_word_ratio"]]


def test_null_stop_words_fail_no_rule() -> None:
    table = signals([GOOD], "xx")
    assert table["stop_word_count"].null_count == 1
    assert judge(table, ["gopher_quality"]) == [[]]


@pytest.mark.parametrize(
    ("rules", "options", "message"),
    [
        (["gopher_qualty"], {}, "did you mean gopher_quality"),
        (["c4"], {"c4": {"min_sentence": 1}}, "did you mean min_sentences"),
        (["c4"], {"cc4": {}}, "did you mean c4"),
        (["gopher_quality"], {"gopher_quality": {"min_words": 10, "max_words": 5}}, "no document could pass"),
        (["c4"], {"c4": {"min_sentences": float("nan")}}, "expected a finite number"),
    ],
)
def test_wrong_names_and_thresholds_are_named(rules, options, message) -> None:
    with pytest.raises(UserError, match=message):
        judge(signals([GOOD]), rules, options)


def test_table_without_a_signal_is_named() -> None:
    with pytest.raises(UserError, match="needs the signal 'c4_sentence_count'"):
        judge(signals([GOOD]).drop_columns(["c4_sentence_count"]), ["c4"])


def test_recipe_section_reports_all_its_mistakes() -> None:
    with pytest.raises(ValidationError) as error:
        Filter(
            rules=["c5"],
            gopher_quality={"min_word": 3},
            per_language={"de": {"c4": {"min_sentences": -1, "x": 1}}},
            length={"min_characters": 5, "max_characters": 4},
        )
    for part in ("did you mean c4", "did you mean min_words", "per_language.de.c4.x", "length.min_characters = 5"):
        assert part in str(error.value)


def test_table_of_no_rows_is_judged() -> None:
    assert judge(signals([GOOD]).slice(0, 0), list(RULES)) == []


def test_a_domain_is_denied_with_all_below_it_however_its_url_is_written() -> None:
    denied = ["https://bad.example/a", "HTTP://user@Sub.Bad.Example:80?q", "//bad.example.", " http:/\t/bad.example"]
    denied += ["bad.example/a"]
    others = [None, "", "https://notbad.example/", "https://good.example/bad.example", "http://[bad/"]
    urls = pa.chunked_array([denied[:1], denied[1:] + others], pa.string())
    columns = {name: pa.chunked_array([pa.nulls(len(urls), pa.string())]) for name in DOCUMENT_COLUMNS}
    columns |= {"url": urls, "language_score": pa.chunked_array([np.ones(len(urls), np.float32)])}
    sizes = pa.table({"character_count": [1] * len(urls), "byte_count": [1] * len(urls)})
    options = Filter.model_validate({"url": {"deny_domains": ["bad.example"]}})
    failures = document_failures(pa.table(columns), sizes, options, None)
    mask = failures.masks[failures.reasons.index("url.domain")]
    assert mask.tolist() == [True] * len(denied) + [False] * len(others)
