"""The language of a text does not depend on how it is set."""

import pytest

from pipeline.clean.language import detect

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
