"""Personal data is found by form and checksum, and what only looks like it stays untouched."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.clean import pii
from pipeline.clean.pii.accounts import IBAN_LENGTHS
from pipeline.clean.pii.national import COUNTRIES

Clean = Callable[..., Any]

PERSONAL = {
    "email": [
        "write to john.smith@gmail.com today",
        "<a.b+c@uni-koeln.de>",
        "mailto:bob@corp.co.uk?subject=x",
        "anna@firma.de.",
        "(x@y.io)",
        "?email=bob@corp.de",
        "list/bob@corp.de",
        "Kontakt：jürgen@post.de",
        "o’connor@brueckenhof.ie",
        "почта@пример.рф",
        "anna.berg＠brueckenhof.de",
        "请联系zhang.wei@brueckenhof.cn。谢谢",
        '"john smith"@brueckenhof.org',
        "root@[81.169.145.77]",
    ],
    "ip": [
        "server at 93.184.216.34 port 80",
        "http://8.8.8.8/x",
        "from 2607:f8b0:4005:805::200e ok",
        "[151.101.1.69]",
        "port 80 93.184.216.34",
        "from 2a02:8108:9640:3b54::1.",
        "host-81.169.145.77-dyn",
        '8.8.4.4 - - [10/Oct/2020:13:55:36 +0000] "GET /"',
    ],
    "phone": [
        "Tel.: 030 1234567-89",
        "call +49 30 12345678 now",
        "(212) 555-0187",
        "212-555-0187",
        "Phone: 555 0187 234",
        "+1-202-555-0143",
        "Fax +33 1 42 68 53 00",
        "Téléphone : 01 42 68 53 00",
        "Tel:030 5550 1234",
        "Phone:\n030 5550 1234",
        "Telephone\n030 5550 1234",
        "ring 0049 30 5550 1234 at noon",
        "電話：03-5550-1234です",
        "电话：010-5550-1234，请",
        "Телефон: 8 (495) 555-01-23",
        "هاتف: 050 123 4567",
        "फोन: 011 2345 6789",
        "ফোন: ০১৭১১-২৩৪৫৬৭",
        "Telp. 021 5550 1234",
        "Tel.: 030\u00a05550\u202f1234",
        "+49\u201130\u20115550\u20111234",
        "＋８１－３－５５５０－１２３４",
        "(898) 666-3621 x0135",
        "0170 5550123 (mobile)",
    ],
    "national_id": [
        "CPF 390.533.447-05",
        "756.9217.0769.85",
        "Steuer-ID: 36 574 261 809",
        "PESEL 44051401359",
        "Aadhaar 2341 2341 2346",
    ],
    "iban": [
        "DE89 3704 0044 0532 0130 00",
        "GB82WEST12345698765432",
        "IBAN: FR14 2004 1010 0505 0001 3M02 606",
        "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
        "de89 3704 0044 0532 0130 00",
        "DE89-3704-0044-0532-0130-00",
        "IBAN:DE89370400440532013000.",
    ],
    "card": [
        "4111 1111 1111 1111",
        "5500005555555559",
        "3714 496353 98431",
        "card 4012-8888-8888-1881",
        "4111\u202f1111\u202f1111\u202f1111",
        "anna,4111111111111111,12/29",
        "card:4111111111111111",
        "pan=4111111111111111&cvv=1",
        "4111 1111 1111 1111 12/29",
    ],
    "secret": [
        "AKIAQYLPMN5HFIQR7XYA",
        "aws_secret_access_key = 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",
        "ABIAQYLPMN5HFIQR7XYA",
        "xapp-1-A03PB5G7XYZ-4012345678901-" + "0a1b2c3d4e5f6789" * 4,
        "https://hooks.slack.com/services/T0ABCDEFG/B0HIJKLMN/abcDEF123ghiJKL456mnoPQR",
        "glrt-aB3dE6gH9jK2mN5pQ8rS",
        "sk-ant-admin01-" + "aB3dE6gH9jK2mN5pQ8rS_-x" * 4 + "1AA",
        "whsec_aB3dE6gH9jK2mN5pQ8rSaB3dE6gH9jK2",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "key=sk-proj-abcdEFGHijklMNOPqrstUVWX1234567890abcd",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA04up8hoqzS1" * 3 + "\n-----END RSA PRIVATE KEY-----",
        '"-----BEGIN PRIVATE KEY-----\\n' + "MIIEpAIBAAKCAQEA04up8hoqzS1\\n" * 3 + '-----END PRIVATE KEY-----\\n"',
    ],
}
LOOK_ALIKES = """version 1.2.3.4|v10.0.19041.1|Chrome/91.0.4.12|section 3.4.5.6|192.168.1.1 host|192.0.2.44 address
198.51.100.7|203.0.113.9|127.0.0.1|10.0.0.5|2001:db8::1|fe80::1|std::vector<int>::iterator|abc::def|12:34:56|a1:b2:c3:d4:e5:f6
git@github.com:foo/bar.git|user@example.com|user@localhost|icon@2x.png|@property|pkg@1.2.3|978-3-16-148410-0
ISBN 9783161484100|2024-01-02 10:11:12|2024-01-02|20240102|1234567890123456|4111 1111 1111 1112|1,234,567,890
3.14159265358979|d41d8cd98f00b204e9800998ecf8427e|550e8400-e29b-41d4-a716-446655440000|0x1234567890abcdef
1-2-3-4-5-6-7-8|doi:10.1000/182|DE89 3704 0044 0532 0130 01|RFC 2616|#1234567|tel aviv 1948|1990 2000 2010 2020
100 200 300 400|sk-learn-contrib-something|eyJhbGciOi|AKIAXXXXXXXXXXXXXXXX|-----BEGIN CERTIFICATE-----|$1,000,000.00
5.10.0-23-amd64|2.6.32.71-1|1.0.0.0|1.3.6.1.4.1.311|a.b@c|foo@bar.baz1|x = y @ z|+0.123456789|(1234567)
1914-1918-1939-1945|GPS 52.5200066 13.404954|UPC 036000291452|0123456789|14:30-15:00 2020-2021|4-4-4-4
00:1A:2B:3C:4D:5E|Rev. 12.34.56.78|linux-image-5.10.0.20|name@domain.example|ssh://git@host.internal/x|sha512-abc123
Parcel 4111111111111112|4539 1488 0343 6467 0|EAN 4006381333931|0.4539148803436467|2 + 12345678|+2147483647
Update from 1.2.99.2 to 1.2.99.4|OID 1.3.6.1.4.1.311|section 52.1.3.7|Oct 25 2000::|M: 70.54 ( 46.84 %)|port = 1234.5678
AKIAIOSFODNN7EXAMPLE|sk-learn-pipeline-with-a-very-long-name-in-python|Telephone 1876-1976|cell 1234567 divided
mobile 20190405|does not work 1614 9.0.1210|390.533.447-06|social security number is 853-37-1694
xoxe.xoxp-1-YourTokenStandsHere|AIzaSyabcdefghijklmnopqrstuvwxyz1234567
sk-ant-api03-abc123xyz-456de-klMnopqrstuvwx-3456yza789bcde-1234fghijklmnopAA
{"a": 12345678901234}|0000000000000000|1e-10|16:9|64-bit|IPv4|127.0.0.1:8080|::1|00000000-0000-0000-0000-000000000000"""


@pytest.mark.parametrize("kind", PERSONAL)
def test_personal_data_is_found(kind: str) -> None:
    texts = PERSONAL[kind]
    found = pii.find(texts, COUNTRIES)
    assert {number: [span[2] for span in found.get(number, (b"", []))[1]] for number in range(len(texts))} == {
        number: [kind] for number in range(len(texts))
    }


@pytest.mark.parametrize("text", [line for row in LOOK_ALIKES.split("\n") for line in row.split("|")])
def test_look_alike_stays_untouched(text: str) -> None:
    assert pii.find([text, f"see {text}, there"], COUNTRIES) == {}


def test_keys_are_replaced_whole() -> None:
    key = "glrt-t1_aB3dE6gH9jK2mN5pQ8rStUvWxYz.01a2b3c4d"
    data, spans = pii.find([f'token = "{key}"'])[0]
    assert pii.replace(data, spans) == 'token = "<SECRET>"'


def test_addresses_are_replaced_whole() -> None:
    for address in ("jürgen.groß@brueckenhof.de", "_anna_berg@brueckenhof.de", "andré.dupont@brueckenhof.de"):
        data, spans = pii.find([f"Write to {address}."])[0]
        assert pii.replace(data, spans) == "Write to <EMAIL_ADDRESS>."


def test_ibans_are_those_of_the_registry_of_python_stdnum() -> None:
    import stdnum

    registry = (Path(stdnum.__file__).parent / "iban.dat").read_text("utf-8")
    assert "iban-registry-v101" in registry, "another release: say so in accounts.py and docs/clean.md"
    lengths = {}
    for country, form in re.findall(r'^([A-Z]{2}) .*bban="([^"]*)"', registry, re.MULTILINE):
        lengths[country] = 4 + sum(int(count) for count in re.findall(r"(\d+)!?[nac]", form))
    assert lengths == IBAN_LENGTHS


def test_national_ids_are_found_only_where_the_recipe_names_their_country(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.txt").write_text("Her CPF 390.533.447-05, his PESEL 44051401359.")
    assert clean(tmp_path).documents[0]["pii_national_id"] == 0
    document = clean(tmp_path, national_ids=["br"]).documents[0]
    assert document["text"] == "Her CPF <NATIONAL_ID>, his PESEL 44051401359."


def test_real_prose_about_numbers_stays_untouched(sample: Path) -> None:
    """A book, a manual page and an encyclopaedia's text hold no personal data."""
    for name in ("text/alice-in-wonderland.txt", "text/as-you-like-it.txt", "text/devils-dictionary-a-f.txt"):
        assert pii.find([(sample / name).read_text("utf-8")]) == {}


def test_placeholders_are_typed_and_counted(tmp_path: Path, clean: Clean) -> None:
    (tmp_path / "a.txt").write_text("Mail bob@corp.de or eve@corp.de, call +49 30 12345678.")
    document = clean(tmp_path).documents[0]
    assert document["text"] == "Mail <EMAIL_ADDRESS> or <EMAIL_ADDRESS>, call <PHONE_NUMBER>."
    assert (document["pii_email"], document["pii_phone"], document["pii_ip"]) == (2, 1, 0)


def test_pii_can_be_counted_only_or_off(tmp_path: Path, clean: Clean) -> None:
    text = "Mail bob@corp.de now."
    (tmp_path / "a.txt").write_text(text)
    counted, off = clean(tmp_path, pii="count").documents[0], clean(tmp_path, pii="off").documents[0]
    assert (counted["text"], counted["pii_email"]) == (text, 1)
    assert (off["text"], off["pii_email"]) == (text, 0)


PIECES = st.sampled_from(
    [text for texts in PERSONAL.values() for text in texts] + ["word", " ", "\n", "é", "12", ".", "@", "+"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
@settings(max_examples=150, deadline=None)
def test_replacing_twice_changes_nothing_and_spans_do_not_overlap(text: str) -> None:
    found = pii.find([text])
    if not found:
        return
    data, spans = found[0]
    assert data == text.encode()
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    replaced = pii.replace(data, spans)
    for placeholder in pii.PLACEHOLDERS.values():
        assert pii.find([placeholder.decode()]) == {}
    assert replaced.count("<") >= len(spans)
