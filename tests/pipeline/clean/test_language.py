"""The language of a text does not depend on how it is set."""

import pytest

from pipeline.clean.languages.identify import detect
from pipeline.clean.languages.sample import sample

TEXTS = {
    "en": "The parties agree that the goods are delivered to the warehouse before the end of the month. ",
    "pl": "Strony ustalają, że towar zostanie dostarczony do magazynu przed końcem miesiąca i opłacony. ",
    "sl": "Stranki se strinjata, da bo blago dostavljeno v skladišče pred koncem meseca in plačano. ",
    "pt": "As partes concordam que a mercadoria será entregue no armazém antes do fim do mês. ",
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("more", ["", " (b) see the annex"])
def test_text_in_capitals_is_of_the_language_of_its_small_letters(language: str, more: str) -> None:
    text = TEXTS[language] * 3
    labels, scores = detect([text, text.upper() + more], 300)
    assert labels == [language] * 2
    assert scores[1] is not None
    assert scores[1] > 0.5


@pytest.mark.parametrize("language", TEXTS)
def test_text_set_in_columns_is_told_by_as_many_words_as_any_other(language: str) -> None:
    """The navigation above and below a page, as `inner text` of HTML has it, is mostly blanks."""
    around = "\n      \n        Home  |\n        Index  |\n      \n    « previous\n     |\n    next »\n    \n\n"
    text = around + (TEXTS[language] * 6).replace(", ", ",\n" + " " * 30) + around
    labels, _ = detect([text], 300)
    assert labels == [language]
    assert len(sample(text, 300)) > 200
    assert "  " not in sample(text, 300)


def test_text_with_few_blanks_is_sampled_as_it_stands() -> None:
    text = "".join(f"word{number}  \n" for number in range(200))
    assert sample(text, 300).startswith("word0   word1   word2")


def test_no_break_space_parts_words() -> None:
    text = TEXTS["en"] * 3
    assert detect([text.replace(" ", "\N{NO-BREAK SPACE}")], 300) == detect([text], 300)
