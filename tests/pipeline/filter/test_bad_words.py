"""C4's bad words: what is found of a language's list, and the rule that counts them."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.base.errors import UserError
from pipeline.filter.rules.bad_words import bad_word_counts, bad_words
from pipeline.filter.rules.compared import compared
from pipeline.filter.stage import signal_config
from pipeline.filter.whatif import what_if
from pipeline.recipe.filter_options import Filter
from pipeline.run.table_files import read_table
from pipeline.run.tables import SIGNALS
from tests.pipeline.filter.helpers import GOOD, make_run, run_filter

BAD = GOOD + " What an arsehole!"


def count(text: str, language: str | None = "en") -> int | None:
    found: int | None = bad_word_counts(pa.array([text]), pa.array([language], pa.string()))[0].as_py()
    return found


def test_an_entry_is_found_between_characters_of_no_word() -> None:
    assert count("ARSEHOLE") == count("an arsehole.") == count("“arsehole”\n") == 1
    assert count("arseholes") == count("xarsehole") == count("arsehole_1") == count("éarsehole") == 0


def test_an_entry_of_several_words_is_found_as_it_stands() -> None:
    assert count("a ball gag,") == 1
    assert count("a ball  gag") == 0


def test_entries_of_chinese_japanese_and_thai_are_found_anywhere() -> None:
    for language in ("zh", "ja", "th"):
        entry = max(bad_words()[language], key=len)
        assert count(f"字{entry}字", language) == 1
    entry = max(bad_words()["ko"], key=len)
    assert count(f"자{entry}자", "ko") == 0
    assert count(f"자 {entry} 자", "ko") == 1


def test_a_language_without_a_list_or_without_a_name_is_not_judged() -> None:
    assert count("arsehole", "lb") is count("arsehole", None) is None


def test_languages_under_another_label_have_their_list() -> None:
    for label, name in (("tl", "fil"), ("nb", "no"), ("nn", "no")):
        assert count(f"x {bad_words()[name][0]} x", label) == 1


def test_lower_case_is_that_of_python() -> None:
    """Of the dotted I it makes two characters, so C4's rule does not find a Turkish word in capitals that has one."""
    assert "siktir" in bad_words()["tr"]
    assert (count("SIKTIR", "tr"), count("SİKTİR", "tr")) == (1, 0)


def test_every_entry_can_be_found() -> None:
    for language, entries in bad_words().items():
        found = bad_word_counts(pa.array(entries), pa.array([language] * len(entries)))
        assert min(found.to_pylist()) >= 1, language


def test_documents_with_more_bad_words_than_allowed_are_dropped(tmp_path: Path) -> None:
    rows = [{"text": GOOD}, {"text": BAD}, {"text": BAD + " Arsehole.", "language": "lb"}]
    context = make_run(tmp_path, {"00000": rows}, 'rules = ["c4"]\nmax_bad_words = 0\n')
    summary = run_filter(context)
    assert summary["alone"] == {"text.max_bad_words": 1}
    assert summary["notes"] == ["max_bad_words judges 1 document not: their language has no list"]
    table = read_table(context.run.local("signals/00000.arrow"), SIGNALS)
    assert table["bad_word_count"].to_pylist() == [0, 1, None]


def test_another_limit_is_looked_at_without_the_text(tmp_path: Path) -> None:
    context = make_run(tmp_path, {"00000": [{"text": GOOD}, {"text": BAD}]}, 'rules = ["c4"]\nmax_bad_words = 0\n')
    run_filter(context)
    seen = what_if(context.run.root, ["filter.max_bad_words=1"])
    assert (seen["before"]["kept"], seen["after"]["kept"], seen["come_in"]["documents"]) == (1, 2, 1)


def test_bad_words_that_were_not_counted_need_the_text(tmp_path: Path) -> None:
    context = make_run(tmp_path, {"00000": [{"text": GOOD}]}, 'rules = ["c4"]\n')
    run_filter(context)
    with pytest.raises(UserError, match="bad words"):
        what_if(context.run.root, ["filter.max_bad_words=0"])


def test_a_recipe_without_the_key_has_the_signals_that_it_had() -> None:
    assert "bad_words" not in signal_config(Filter())
    assert "bad_words" in signal_config(Filter(max_bad_words=0))


def test_explain_shows_the_count_beside_the_limit() -> None:
    shown = compared(
        Filter(max_bad_words=0, rules=[]), {"language": "en"}, {"bad_word_count": 2}, ["text.max_bad_words"]
    )
    assert {"rule": "text.max_bad_words", "signal": "bad_word_count", "value": 2, "bound": "max", "threshold": 0} in [
        {name: value for name, value in rule.items() if name != "failed"} for rule in shown
    ]
