"""Text is normalised once, and what shows no sign of damage is left alone."""

import random
import sys
import unicodedata

import pytest
from ftfy import fix_encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clean import normalise as normalise_module
from pipeline.clean.decode import decode
from pipeline.clean.lines import clean_lines
from pipeline.clean.normalise import flags_of, normalise, repair
from pipeline.kernels import text_scan

TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=60)


LEGACY = {
    "shift_jis": "日本語の文章です。",
    "euc_kr": "한국어 문장입니다.",
    "gb18030": "这是一个中文句子。",
    "cp1251": "Русский текст",
    "iso-8859-2": "Zażółć gęślą jaźń",
    "big5": "這是中文",
}


def one(text: str) -> str:
    return normalise([text])[0][0]


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("a\r\nb\rc\x0cd\x0be\u2028f", "a\nb\nc\nd\ne\nf"),
        ("and so on\x85", "and so on…"),
        ("a\x00b\x07c\x7fd\u200be\ufefff\u00adg\u2060h\u202ei", "abcdefghi"),
        ("e\u0301 A\u030a \u1100\u1161", "é Å 가"),
        ("  words \n", "words"),
        ("می\u200cخواهم 👨\u200d👩\u200d👧", "می\u200cخواهم 👨\u200d👩\u200d👧"),
        ("a\tb\nc", "a\tb\nc"),
    ],
)
def test_characters_are_normalised(raw: str, stored: str) -> None:
    assert one(raw) == stored


VISIBLE = "Cut above an outer bud, 😊 and wait."
TAGS = "".join(chr(0xE0000 + ord(character)) for character in "ignore all of this")
SELECTORS = "".join(chr(0xFE00 + n) if n < 16 else chr(0xE0100 + n - 16) for n in (9, 9, 70, 200, 15, 105, 110))


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        (VISIBLE + TAGS + " Then rest.", VISIBLE + " Then rest."),
        ("😊" + SELECTORS[2:] + VISIBLE, "😊" + VISIBLE),
        ("Cut" + SELECTORS[2:] + " here", "Cut here"),
        ("\u034f".join(VISIBLE), VISIBLE),
        ("\u200d".join("This page") + "\u200c", "This page"),
        (VISIBLE.replace(" ", " \u180e"), VISIBLE),
        (VISIBLE.replace(" ", " \u3164"), VISIBLE),
        (VISIBLE.replace(" ", "\U0001d173 "), VISIBLE),
        ("e\U000e0041\u0301 and e\u200d\u0301x", "é and e\u200d\u0301x"),
    ],
)
def test_characters_that_hide_text_go(hidden: str, shown: str) -> None:
    assert one(hidden) == shown


@pytest.mark.parametrize(
    "text",
    [
        "under \U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f flags",
        "می\u200cخواهم کتاب\u200cها",
        "क्\u200dष and ක්\u200dෂ",
        "❤\ufe0f 👩\u200d❤\ufe0f\u200d💋\u200d👨 1\ufe0f\u20e3",
        "葛\U000e0100飾区",
        "ᄀ\uffa0 ㅏ\u3164",
        "ᠠ\u180eᠡ",
        "𝅘𝅥\U0001d173",
        "א\u034f\u05b0",
    ],
)
def test_characters_that_spell_something_stay(text: str) -> None:
    assert one(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "text",
    [
        "L’été à Genève : déjà vu, « café »",
        "Größe, Übung, Fußgängerübergänge",
        "Привет, как дела? Это обычный текст.",
        "日本語のテキスト",
        "señor niño",
    ],
)
def test_mojibake_is_repaired_and_right_text_is_not_touched(text: str) -> None:
    for encoding in ("cp1252", "latin-1", "cp1251"):
        try:
            broken = text.encode().decode(encoding)
        except UnicodeDecodeError:
            continue
        if broken != text:
            assert flags_of([broken])[0] & text_scan.MOJIBAKE
    assert one(text) == unicodedata.normalize("NFC", text)


RIGHT = ("l’été", "«\xa0œuvre\xa0»", "20\xa0°C", "déjà", "plain words", "où ±\xa05", "naïve", "’", "–", "ça ", "日本")
BROKEN = tuple(
    piece.encode().decode(codec)
    for piece in RIGHT
    for codec in ("mac_roman", "cp437", "cp1252", "cp1250", "cp1257")
    if piece.encode().decode(codec, "ignore").encode(codec, "ignore") == piece.encode()
)


@pytest.mark.parametrize("seed", range(40))
def test_lines_that_are_passed_over_are_those_that_ftfy_leaves(seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(60):
        pool = generator.choice((RIGHT, BROKEN, RIGHT + BROKEN, BROKEN[:: generator.randrange(2, 6)]))
        line = generator.choice(("", " ", " ")).join(generator.choices(pool, k=generator.randrange(1, 7)))
        if flags_of([line])[0] & (text_scan.MOJIBAKE | text_scan.WHOLE_LINES):
            assert repair(line) == fix_encoding(line)


def test_lines_of_whole_line_encodings_are_repaired_and_passed_over() -> None:
    """Guard: both occur in the comparison above."""
    broken = "l’été à Genève".encode().decode("mac_roman")
    assert repair(broken) == "l’été à Genève"
    right = "l’été à Genève, 20\xa0°C"
    assert flags_of([right])[0] & (text_scan.MOJIBAKE | text_scan.WHOLE_LINES) == text_scan.WHOLE_LINES
    assert not normalise_module._may_be_utf8(right)
    assert normalise_module._may_be_utf8(broken)


def test_mojibake_is_counted() -> None:
    texts, repaired = normalise(["sÃ© cafÃ© â€œquotedâ€\x9d", "right: café"])
    assert texts == ["sé café “quoted”", "right: café"]
    assert repaired == 1


def test_mojibake_is_repaired_in_its_line_alone() -> None:
    assert one("cafÃ©\nÃ® la carte: déjà vu\nright: café") == "café\nî la carte: déjà vu\nright: café"


def test_mojibake_repair_can_be_off() -> None:
    assert normalise(["cafÃ©"], fix_mojibake=False) == (["cafÃ©"], 0)


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise([text], fix_mojibake=False)[0]
    assert normalise(once, fix_mojibake=False)[0] == once
    assert unicodedata.is_normalized("NFC", once[0])


@given(st.lists(TEXT, max_size=5))
@settings(max_examples=100, deadline=None)
def test_texts_do_not_touch_their_neighbours(texts: list[str]) -> None:
    assert normalise(texts)[0] == [one(text) for text in texts]


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_unflagged_text_is_already_normal(text: str) -> None:
    """The kernel's promise: where no flag is set, the slow steps would change nothing."""
    flags = int(flags_of([text])[0])
    if not flags & text_scan.NOT_NFC:
        assert unicodedata.is_normalized("NFC", text)
    if not flags & (text_scan.INVISIBLE | text_scan.LINE_ENDS):
        assert not set(text) & set("\r\v\f\x00\x7f\x85\xad\u200b\u200e\u2028\u2060\ufeff\uffff")


def test_every_character_that_composition_may_touch_is_flagged() -> None:
    """A text of others is in NFC: each is its own composed form, starts a cluster, and is no second half of a pair."""
    characters = [chr(number) for number in range(sys.maxunicode + 1) if not 0xD800 <= number < 0xE000]
    decompositions = (unicodedata.decomposition(character).split() for character in characters)
    second = {chr(int(parts[1], 16)) for parts in decompositions if len(parts) == 2 and "<" not in parts[0]}
    second.update(map(chr, (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))))  # Hangul vowels and finals
    flags = flags_of(characters) & text_scan.NOT_NFC
    inert = [character for character, flag in zip(characters, flags.tolist(), strict=True) if not flag]
    assert len(inert) > 25_000
    wrong = [
        character
        for character in inert
        if unicodedata.combining(character) or character in second or not unicodedata.is_normalized("NFC", character)
    ]
    assert wrong == []


@pytest.mark.parametrize("encoding", LEGACY)
def test_declared_encoding_is_used(encoding: str) -> None:
    text = LEGACY[encoding]
    assert decode(text.encode(encoding), encoding)[0] == text
    page = f'<meta http-equiv="Content-Type" content="text/html; charset={encoding}">{text}'.encode(encoding)
    assert decode(page, html=True)[0].endswith(text)


def test_undeclared_legacy_encoding_is_detected() -> None:
    text = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему."
    assert decode(text.encode("cp1251"))[0] == text


def test_utf8_is_believed_over_any_declaration() -> None:
    assert decode("déjà vu".encode(), "iso-8859-1")[0] == "déjà vu"


def test_utf8_cut_in_a_character_keeps_the_rest() -> None:
    assert decode("déjà".encode()[:-1])[0] == "déj"


def test_page_that_claims_utf16_in_ascii_is_utf8() -> None:
    assert decode(b'<meta charset="utf-16">caf\xc3\xa9', html=True)[0].endswith("café")


def test_line_rules_drop_what_they_name_and_nothing_else() -> None:
    text = "A sentence that ends well.\nMenu\n\n\nThis site uses cookies for you.\n"
    text += "Please enable JavaScript now.\nNo end here at all"
    assert clean_lines(text, []) == text.replace("\n\n\n", "\n\n")
    assert clean_lines(text, ["short", "policy", "javascript"]) == "A sentence that ends well.\n\nNo end here at all"
    assert clean_lines(text, ["terminal", "policy", "javascript"]) == "A sentence that ends well."
    assert clean_lines("Fact [12] here[edit].", ["citations"]) == "Fact  here."


@pytest.mark.parametrize("codec", ["cp1252", "cp1250", "mac_roman", "cp437", "cp1253", "iso8859_2", "cp1257"])
@pytest.mark.parametrize("text", ["La montaña está más allá del río, señor.", "L’été déjà passé — où êtes-vous ?"])
def test_mojibake_that_ftfy_mends_is_mended(codec: str, text: str) -> None:
    misread = text.encode().decode(codec, "replace")
    assert normalise([misread])[0] == [normalise([fix_encoding(misread)], fix_mojibake=False)[0][0]]


PIECES = (
    "a",
    " ",
    "\n",
    "\r",
    "\r\n",
    "\u2028",
    "\x0b",
    "\xad",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u0301",
    "e",
    "Ã©",
    "â€™",
    "İ",
)
MORE = ("\ufe0f", "\U0001f468", "\u0644", "क", "्", "\u1100", "\u1161", "\x85", "Â ", "\ufeff", "中", "\x00", "\u034f")


def test_long_text_by_pieces_becomes_what_it_becomes_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = random.Random(1)
    texts = ["".join(generator.choices((*PIECES, *MORE), k=generator.randrange(40))) for _ in range(3000)]
    whole, repaired = normalise(texts)
    monkeypatch.setattr(normalise_module, "PIECE_CHARACTERS", 2)
    by_pieces, also_repaired = normalise(list(texts))
    assert [*zip(texts, by_pieces, strict=True)] == [*zip(texts, whole, strict=True)]
    assert repaired == also_repaired > 0
    assert sum("\n" in text and len(text) > 4 for text in texts) > 1000
