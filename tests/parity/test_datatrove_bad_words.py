"""Bad words are found where datatrove's C4BadWordsFilter finds them, with the same lists.

Its lists are fetched from the network; ours are written where it would keep them.
"""

import json
import re
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import c4_filters
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.rules.bad_words import bad_word_counts, bad_words

FILTER = c4_filters.C4BadWordsFilter()
LANGUAGES = sorted(bad_words())


@pytest.fixture(scope="module", autouse=True)
def lists(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("lists")

    def stored(url: str, **_: str) -> str:
        name = url.rsplit("/", 1)[-1]
        (folder / name).write_text("\n".join(bad_words()[name]) + "\n", "utf-8")
        return str(folder / name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(c4_filters, "cached_asset_path_or_download", stored)
        for language in LANGUAGES:
            FILTER._get_badwords(language)


def dropped_by_datatrove(text: str, language: str) -> bool:
    return FILTER.filter(Document(text=text, id="", metadata={"language": language})) is not True


def dropped_by_us(texts: list[str], language: str) -> list[bool]:
    found: list[int] = bad_word_counts(pa.array(texts), pa.array([language] * len(texts))).to_pylist()
    return [count > 0 for count in found]


PIECES = st.sampled_from(
    [" ", "\n", "_", "-", ".", "a", "x", "é", "\u0301", "ा", "字", "1", "²", "Σ", "İ", "\u200c", "ß"]
)


@given(st.data())
def test_entries_between_any_characters(data: st.DataObject) -> None:
    language = data.draw(st.sampled_from(LANGUAGES))
    entry = st.sampled_from(bad_words()[language])
    text = "".join(data.draw(st.lists(st.one_of(PIECES, entry, entry.map(str.upper)), max_size=6)))
    assert dropped_by_us([text], language) == [dropped_by_datatrove(text, language)], (language, text)


def test_articles_and_their_words_in_every_language(sample: Path) -> None:
    import gzip

    with gzip.open(sample / "wikipedia-leads.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [record["extract"] for record, _ in zip(map(json.loads, lines), range(60), strict=False)]
    dropped = 0
    for language in LANGUAGES:
        sown = [f"{text}\n{entry}" for text, entry in zip(texts[:20], bad_words()[language], strict=False)]
        ours = dropped_by_us(texts + sown, language)
        assert ours == [dropped_by_datatrove(text, language) for text in texts + sown], language
        dropped += sum(ours)
    assert dropped > 300


def test_what_belongs_to_a_word_is_what_python_says() -> None:
    """RE2 and Python may know different versions of Unicode: letters and numbers that both know are the same."""
    characters = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    ours = pc.match_substring_regex(pa.array(characters), r"[^\pL\pN_]").to_pylist()
    differing = [
        character
        for character, outside in zip(characters, ours, strict=True)
        if outside != bool(re.match(r"\W", character))
    ]
    known = [character for character in differing if unicodedata.category(character) != "Cn"]
    assert [f"{ord(character):x}" for character in known] == []
