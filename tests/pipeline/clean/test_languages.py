"""The package's language model: what is told, and what is no language or none that it knows."""

import unicodedata

import pytest

from pipeline.base.errors import parse_json
from pipeline.clean.languages.identify import FACTS, SURE, Label, detect, facts
from pipeline.clean.languages.letters import letters, script, scripts
from pipeline.recipe.language_codes import LABELS

TEXTS = {  # each made for this test
    "sl": "Mestni svet je včeraj sprejel predlog, da se stara tovarna ob reki preuredi v knjižnico in muzej.",
    "sw": "Wakulima wa kijiji hicho walisema mvua imechelewa mwaka huu, na bei ya mahindi imepanda sokoni.",
    "ga": "Dúirt an múinteoir leis na páistí go mbeadh an scoil dúnta ar an Aoine de bharr na stoirme.",
    "la": "Agricolae in agris laborant, dum pueri in ripa fluminis ludunt et naves parvas spectant.",
    "af": "Die boere van die distrik het gister vergader oor die pryse van mielies en die droogte wat voortduur.",
    "zu": "Abantu bendawo bathi umfula ugcwele kakhulu kulo nyaka ngenxa yezimvula ezinkulu.",
    "ja": "昨日の会議では、古い工場を図書館に改築する案が承認されました。",
    "zh": "昨天的会议通过了把旧工厂改建成图书馆的方案。",
    "hi": "कल की बैठक में पुराने कारखाने को पुस्तकालय में बदलने का प्रस्ताव स्वीकार किया गया।",
    "sr": "Градско веће је јуче прихватило предлог да се стара фабрика поред реке претвори у библиотеку.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_sentence_is_told_and_passes_the_filter(language: str) -> None:
    labels, scores = detect([TEXTS[language]], 240)
    assert labels == [language]
    assert scores[0] is not None
    assert scores[0] >= SURE


@pytest.mark.parametrize("text", ["", " \n", "1234 5678", "→ ✓ ★ 😀 😀", "ꀀꀁꀂꀃ ꀄꀅꀆ ꀇꀈꀉ", "ⰀⰁⰂⰃ ⰄⰅⰆ ⰇⰈⰉⰊ"])
def test_no_letters_and_scripts_that_no_label_is_written_in_are_no_language(text: str) -> None:
    assert detect([text], 240) == ([None], [None])


@pytest.mark.parametrize("text", ["acgtgactgacc tgacagtcag gatcgatcgg " * 4, "3f a9 0c bd ef 11 e4 b5 " * 8])
def test_what_is_no_language_does_not_pass_the_filter(text: str) -> None:
    (score,) = detect([text], 240)[1]
    assert (score or 0) < SURE


def test_every_label_of_a_recipe_is_one_that_the_model_gives_and_the_reverse() -> None:
    assert set(facts()) == LABELS
    assert all(label.scripts and 0 < label.threshold < 1 for label in facts().values())
    assert set(parse_json(FACTS.read_bytes())) == {"sha256", "labels"}


def test_scores_rise_with_the_probability_and_meet_the_default_at_the_threshold() -> None:
    label = Label(0.8, frozenset({"Latn"}))
    scores = [label.score(step / 100) for step in range(101)]
    assert scores == sorted(scores)
    assert scores[80] == pytest.approx(SURE)
    assert (scores[0], scores[100]) == (0.0, pytest.approx(1.0))
    assert label.score(1.00002) == 1.0  # as fastText has been seen to answer


def test_letters_keep_every_letter_and_mark_of_the_scripts_that_labels_are_written_in() -> None:
    wanted = {name for label in facts().values() for name in label.scripts}
    lost = [
        character
        for code in range(0x80, 0x10000)
        if unicodedata.category(character := chr(code))[0] in "LM"
        and script(character) in wanted
        and not letters(character).strip()
    ]
    # letters of other signs' kind: the tatweel, a Khmer sign of repetition, sums of letters in squares
    assert {unicodedata.category(one) for one in lost} <= {"Lm", "Lo"}
    assert len(lost) < 8


def test_digits_and_punctuation_of_every_script_part_words() -> None:
    assert letters("«Ты», 3—4 раза…").split() == ["ты", "раза"]
    assert letters("١٢ كتاب؟ २३ पुस्तक। ๓ เล่ม、「本」").split() == ["كتاب", "पुस्तक", "เล่ม", "本"]
    assert letters("l'eau d’ici").split() == ["l", "eau", "d", "ici"]


def test_the_words_are_the_same_whether_a_text_is_ascii_or_not() -> None:
    text = "The mill, it's said, was sold in 1904 (twice)!"
    assert letters(text).split() == letters(text + " é").split()[:-1]


def test_scripts_are_those_of_the_letters() -> None:
    assert scripts(letters("plain words")) == {"Latn": 1}
    assert set(scripts(letters("мельница and mill"))) == {"Cyrl", "Latn"}
