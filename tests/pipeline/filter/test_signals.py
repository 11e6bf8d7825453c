import numpy as np
import pyarrow as pa
import pytest

from pipeline.filter import signals
from pipeline.run.tables import SIGNALS
from tests.pipeline.filter.helpers import token_texts

PROSE = "The committee of the town met with the mayor. They have agreed to be careful, and that was that."


def row(text: str, language: str = "en") -> dict:
    return signals([text], language).to_pylist()[0]


def test_columns_and_types_are_those_of_the_signals_table() -> None:
    found = signals([PROSE]).schema
    assert [(f.name, f.type) for f in found] == [(f.name, f.type) for f in SIGNALS.schema if f.name != "doc_id"]


def test_counts_of_a_small_text() -> None:
    found = row("One cat, two cats.\n- three...\n\nfour #1")
    assert token_texts("One cat, two cats.") == ["One", "cat", ",", "two", "cats", "."]
    assert found["token_count"] == 12
    assert found["word_count"] == 7  # One cat two cats three four 1
    assert found["hash_word_ratio"] == pytest.approx(1 / 12)
    assert found["ellipsis_word_ratio"] == pytest.approx(1 / 12)
    assert found["bullet_line_ratio"] == found["ellipsis_line_ratio"] == pytest.approx(1 / 4)
    assert found["newline_word_ratio"] == pytest.approx(3 / 12)
    assert found["longest_word"] == len("three...")


@pytest.mark.parametrize("texts", [("One..", "."), ("One.", ".."), ("One..", ".\nTwo")])
def test_ellipsis_of_a_short_first_line_is_not_made_of_the_text_before_it(texts: tuple[str, str]) -> None:
    found = signals(list(texts))["ellipsis_line_ratio"].to_pylist()
    assert found == [row(text)["ellipsis_line_ratio"] for text in texts] == [0.0, 0.0]


def test_repeated_lines_and_paragraphs_are_counted() -> None:
    found = row("same\n\nsame\n\nother")
    assert found["duplicate_line_ratio"] == found["duplicate_paragraph_ratio"] == pytest.approx(1 / 3)
    assert found["duplicate_line_char_ratio"] == pytest.approx(4 / 17)
    assert found["fineweb_duplicate_char_ratio"] == pytest.approx(4 / 13)


def test_repeated_ngrams_are_counted() -> None:
    found = row("a b c d e f " * 3)
    characters = len("a b c d e f " * 3)
    assert found["top_2gram_char_ratio"] == pytest.approx(3 * 3 / characters)
    assert found["duplicate_5gram_char_ratio"] == pytest.approx(10 / characters)


def test_c4_sentences_leave_out_lines_with_policy_words_and_count_without_citations() -> None:
    assert row("We use cookies on this site. Really.\nOne two three. Four five six.")["c4_sentence_count"] == 2
    assert row("It was so.[1] And then it was not.[citation needed]")["c4_sentence_count"] == 2
    assert row("one two three {")["c4_has_curly_bracket"] is True
    assert row("Lorem Ipsum dolor sit")["c4_has_lorem_ipsum"] is True


def test_stop_words_are_null_where_the_language_has_no_list() -> None:
    table = signals([PROSE, PROSE, "Der Hund und die Katze sind nicht da"], pa.array(["en", "xx", "de"]))
    assert table["stop_word_count"].to_pylist()[:2] == [8, None]
    assert table["stop_word_count"].to_pylist()[2] > 3


def test_each_character_is_a_token_in_a_language_written_without_spaces() -> None:
    assert row("我们都是人", "zh")["token_count"] == 5
    assert row("我们都是人", "en")["token_count"] == 1


BAD = {
    "empty": "",
    "blank": " \n\t \u3000",
    "one enormous line": "word and more. " * 50_000,
    "one enormous word": "x" * 1_000_000,
    "only punctuation": "!?.,;:" * 100,
    "enormous punctuation": "(" * 200_000,
    "only dots": "." * 100_000,
    "only digits": "1234567890 " * 100,
    "only emoji": "😀🎉👨‍👩‍👧 " * 100,
    "only line feeds": "\n" * 1000,
    "a null character": "a\0b",
    "infixes": "a-" * 50_000,
    "a word of digits longer than the room for a cut": "(" + "9" * 40_000 + ").",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_text_gives_a_row_of_finite_numbers(name: str) -> None:
    table = signals([BAD[name], PROSE])
    assert table.num_rows == 2
    for column in table.column_names:
        assert table[column].null_count == 0
        assert np.isfinite(table[column].to_numpy(zero_copy_only=False).astype(float)).all(), column
    assert table["token_count"][1].as_py() == 22


def test_words_too_long_for_the_kept_room_are_cut_all_the_same() -> None:
    assert [len(token) for token in token_texts("(" + "9" * 40_000 + ").")] == [1, 40_000, 1, 1]
    assert (len(token_texts("x1-" * 100)), len(token_texts("x1-" * 10_000))) == (199, 19_999)
    assert row("漢" * 20_000, "zh")["token_count"] == 20_000


def test_bytes_that_are_not_utf8_count_as_replacement_characters() -> None:
    raw = [b"good \xff\xfe text \xc3", b"\x80\x80", PROSE.encode()]
    damaged = pa.Array.from_buffers(pa.large_string(), 3, pa.array(raw, pa.large_binary()).buffers())
    with pytest.raises(pa.ArrowInvalid):
        damaged.validate(full=True)
    table = signals(damaged)
    assert table["character_count"].to_pylist() == [14, 2, len(PROSE)]


def test_lone_surrogates_in_a_list_are_replaced() -> None:
    assert row("a \ud800 b")["token_count"] == 3


def test_a_slice_of_an_array_and_a_chunked_array_are_measured_as_themselves() -> None:
    texts = pa.array(["zero", "one two", "three", None], pa.string())
    assert signals(texts.slice(1, 2))["token_count"].to_pylist() == [2, 1]
    assert signals(pa.chunked_array([texts, texts]))["token_count"].to_pylist() == [1, 2, 1, 0] * 2
    assert signals(pa.array([], pa.string())).num_rows == 0


def test_languages_must_be_as_many_as_the_texts() -> None:
    with pytest.raises(ValueError, match="1 languages for 2 texts"):
        signals(["a", "b"], pa.array(["en"]))


def test_result_does_not_depend_on_the_texts_measured_before() -> None:
    texts = ["Don't (re-)use U.S.A.-based e-mail: a@b.com, see http://x.org/y.", PROSE, "US$5 10km :-) 'tis"] * 3
    together = signals(texts)
    assert together.to_pylist() == [row(text) for text in texts]
