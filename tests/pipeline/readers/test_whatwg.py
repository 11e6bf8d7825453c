"""Bytes are read as browsers read them, and a declaration is distrusted on evidence alone."""

import random

import pytest

from pipeline.clean.decode import decode
from pipeline.readers.raw.charsets import detected_encoding, undeclared_text
from pipeline.readers.raw.whatwg import decode_as, decoder_of, encoding_of

KOREAN = "오늘 회의에서는 새로운 도서관의 설계를 논의하였습니다. 뷁이라는 별명을 가진 똠방각하 씨가 소개되었다."
JAPANESE = "会議の資料は①概要、②予算、③日程の三部からなります。株式会社はやま㈱の髙橋さんが受付を担当します。"
CHINESE = "會議於上午十時開始，主席介紹了新圖書館的設計。與會者包括來自深水埗、鰂魚涌的代表，並討論了𨋢和邨的計劃。"
WIDER = [
    ("euc-kr", "cp949", KOREAN),
    ("ks_c_5601-1987", "cp949", KOREAN),
    ("shift_jis", "cp932", JAPANESE),
    ("big5", "big5hkscs", CHINESE),
    ("gb2312", "gb18030", "会议于上午十时开始，主席朱镕基介绍了新图书馆的設計，费用约为€３００。"),
    ("iso-8859-1", "cp1252", "Das Angebot „Frühstück für Gäste“ gilt täglich – auch sonntags – und kostet 12 €."),
]


@pytest.mark.parametrize(("label", "codec", "text"), WIDER)
def test_a_label_means_the_code_page_that_browsers_take_for_it(label: str, codec: str, text: str) -> None:
    assert decode(text.encode(codec), label)[:3] == (text, encoding_of(label), 0)


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        (b"\xad\xa1\xadj", "euc-jp", "①\ufffdj"),  # NEC's row 13, which Python's codec lacks
        (b"\x1b$B-!\x1b(Babc", "iso-2022-jp", "①abc"),
        (b"\x88\x62", "big5", "Ê̄"),
        (b"\x81\x8d\x8f\x90\x9d", "windows-1252", "\x81\x8d\x8f\x90\x9d"),
        (b"\xae\xbe", "koi8-u", "ўЎ"),
        (b"\x80", "gbk", "€"),
    ],
)
def test_what_python_s_codecs_lack_is_read(data: bytes, encoding: str, text: str) -> None:
    assert decode_as(data, encoding) == text


@pytest.mark.parametrize("encoding", ["euc-kr", "shift_jis", "big5", "gbk", "euc-jp"])
def test_ascii_after_a_broken_lead_byte_stays(encoding: str) -> None:
    assert decode_as(b"\x85\n<p>", encoding).endswith("\n<p>")


@pytest.mark.parametrize("encoding", ["euc-kr", "shift_jis", "big5", "gbk", "euc-jp", "windows-1255", "gb18030"])
def test_pieces_are_read_as_the_whole(encoding: str) -> None:
    for seed in range(50):
        chance = random.Random(seed)
        data = bytes(chance.choice([chance.randrange(256), chance.randrange(128, 256), 32]) for _ in range(60))
        decoder, text, at = decoder_of(encoding), "", 0
        while at < len(data):
            step = chance.randrange(1, 5)
            text, at = text + decoder.decode(data[at : at + step]), at + step
        assert text + decoder.decode(b"", True) == decode_as(data, encoding)


def test_pieces_of_iso_2022_jp_are_read_as_the_whole() -> None:
    data = f"{JAPANESE.replace('①', '').replace('②', '').replace('③', '').replace('㈱', '').replace('髙', '高')}\n" * 3
    body = data.encode("iso2022_jp")
    for width in (1, 2, 3, 7):
        decoder = decoder_of("iso-2022-jp")
        pieces = [decoder.decode(body[at : at + width]) for at in range(0, len(body), width)]
        assert "".join(pieces) + decoder.decode(b"", True) == data


@pytest.mark.parametrize("label", ["cp949", "UHC", "x-mac-cyrillic", "hz", "cp850", "johab"])
def test_further_labels_mean_an_encoding(label: str) -> None:
    assert encoding_of(label) is not None


@pytest.mark.parametrize("label", ["base64", "rot13", "replacement", "no such\0name", ""])
def test_what_is_no_text_encoding_is_none(label: str) -> None:
    assert encoding_of(label) is None


@pytest.mark.parametrize(("label", "codec", "text"), WIDER)
def test_one_bad_byte_costs_no_declaration(label: str, codec: str, text: str) -> None:
    found = decode(b"\xff " + text.encode(codec), label)
    assert found.encoding == encoding_of(label)
    assert found.text.endswith(text)


def test_utf_8_with_a_bad_byte_stays_utf_8_declared_or_not() -> None:
    body = "यह एक वाक्य है। ".encode() + b"\xff" + "और दूसरा।".encode()
    for declared in ("utf-8", None):
        assert decode(body, declared)[1:] == ("utf-8", 1)


def test_a_lie_is_distrusted() -> None:
    russian = "Заседание началось в десять часов утра, и председатель рассказал о проекте новой библиотеки. " * 3
    assert decode(russian.encode("cp1251"), "utf-8")[:2] == (russian, "windows-1251")
    assert decode(russian.encode(), "iso-8859-1")[:2] == (russian, "utf-8")
    czech = "Žluťoučký kůň příšerně úpěl ďábelské ódy, řekl šéf a žasl. Šťáva, žížala, ťuhýk. " * 4
    assert decode(czech.encode("cp1250"), "iso-8859-2")[:2] == (czech, "windows-1250")


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("euc_kr", "오늘 회의에서는 새로운 도서관의 설계를 논의하였습니다. " * 3),
        ("cp949", KOREAN * 2),
        ("iso2022_kr", "오늘 회의에서는 새로운 도서관의 설계를 논의하였습니다. " * 3),
        ("iso2022_jp", "会議の資料は概要と予算からなります。受付でお尋ねください。" * 3),
        ("mac_cyrillic", "Заседание началось в десять часов утра, председатель рассказал о проекте. " * 3),
        ("cp855", "Заседание началось в десять часов утра, председатель рассказал о проекте. " * 3),
        ("iso8859_15", "Le prix moyen du logement neuf est de 2212 € le mètre carré, déjà élevé. " * 2),
    ],
)
def test_what_nothing_declares_is_told_from_the_bytes(codec: str, text: str) -> None:
    found = undeclared_text(text.encode(codec))
    assert found is not None
    assert found.text == text


def test_bytes_that_are_no_text_have_no_encoding() -> None:
    chance = random.Random(1)
    assert detected_encoding(bytes(chance.randrange(256) for _ in range(4000))) is None
