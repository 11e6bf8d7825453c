"""Personal data and secrets: found with precision first, counted, and replaced by typed placeholders.

A kernel (pipeline/kernels/pii_scan.py) names the places where something may begin; each kind here has a rule that
decides, with a checksum where there is one.  A thing that only looks like personal data (a version, a date, a hash, an
ISBN, an address of a documentation range) stays untouched: docs/clean.md lists what is taken for what.
"""

import ipaddress
import re
from collections.abc import Callable
from functools import cache

from pipeline.base.arrow import text_buffers
from pipeline.kernels import pii_scan

KINDS = ("email", "ip", "phone", "iban", "card", "secret")
PLACEHOLDERS = {
    "email": b"<EMAIL_ADDRESS>",
    "ip": b"<IP_ADDRESS>",
    "phone": b"<PHONE_NUMBER>",
    "iban": b"<IBAN_CODE>",
    "card": b"<CREDIT_CARD>",
    "secret": b"<SECRET>",
}
Span = tuple[int, int, str]  # first byte, one past the last, kind

_LOCAL = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._%+'-]{0,63}$")
_DOMAIN = re.compile(
    rb"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+([A-Za-z]{2,24})(?![A-Za-z0-9_-]|\.[A-Za-z0-9])"
)
_RESERVED = re.compile(
    rb"(?:^|\.)(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost|local)$", re.IGNORECASE
)
_VERSION_BEFORE = re.compile(
    r"(?:[vV]|[vV]er(?:sion|s)?\.?|[rR]elease|[rR]ev(?:ision)?\.?|[sS]ection|§|[/_=-]|[A-Za-z]/)\s*$".encode()
)
_ADDRESS_BEFORE = re.compile(
    rb"(?:\bIP(?:v[46])?\b|\baddress|\bhost|\bserver|\bclient|\bfrom|\bping|\bgateway|//|\[|@|\bby)[^\n]{0,12}$",
    re.IGNORECASE,
)
_PHONE_LABEL = re.compile(
    (
        r"(?:\b(?:tel(?:e(?:phone|fon|fono))?|phone|ph|fax|mobile|mob|cell|call(?: us)?(?: at| on)?|hotline|whatsapp"
        r"|t(?:é|e)l(?:é|e)?(?:phone)?|telef(?:ó|o)n[oa]?|handy|rufen)\.?(?: ?(?:no|number|nr|n°)\.?)?|☎|📞)"
        r"\s*[:.=]?\s*\(?$"
    ).encode(),
    re.IGNORECASE,
)
_NORTH_AMERICAN = re.compile(rb"(?:\(([2-9]\d\d)\) ?|([2-9]\d\d)([-. ]))([2-9]\d\d)([-. ])(\d{4})$")
_CARD_GROUPS = re.compile(rb"(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}|3\d{3}([ -])\d{6}\2\d{5})$")
_NOT_A_NUMBER_BEFORE = re.compile(r"(?:ISBN|ISSN|DOI|doi|OCLC|EAN|UPC|#|№|\$|€|£|0[xX])[^\n]{0,8}$|[./_=:,-]$".encode())
_SECRET_FORMS = re.compile(
    rb"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    rb"|AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"
    rb"|gh[posru]_[A-Za-z0-9]{36,251}(?![A-Za-z0-9])"
    rb"|github_pat_[A-Za-z0-9_]{60,90}(?![A-Za-z0-9_])"
    rb"|glpat-[A-Za-z0-9_-]{20,50}(?![A-Za-z0-9_-])"
    rb"|sk-(?:proj-|ant-[a-z0-9]+-)?[A-Za-z0-9_-]{32,200}(?![A-Za-z0-9_-])"
    rb"|[sr]k_live_[A-Za-z0-9]{20,100}(?![A-Za-z0-9])"
    rb"|xox[abprs]-[0-9A-Za-z-]{20,250}(?![A-Za-z0-9-])"
    rb"|SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"
    rb"|npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"
    rb"|hf_[A-Za-z]{34}(?![A-Za-z0-9])"
    rb"|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{16,2000}(?![A-Za-z0-9_-])"
    rb"|-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s\\:,.()_-]{40,20000}?"
    rb"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
)
_SMALL_NUMBERS = re.compile(rb"0*1?\d(?:\.0*1?\d){3}")  # four numbers below 20
_EIGHT_DIGITS_OF_A_DATE = re.compile(rb"(?:19|20)\d\d[-./ ]?(?:0[1-9]|1[0-2])[-./ ]?(?:0[1-9]|[12]\d|3[01])(?!\d)")
_LOOK_BACK = 32

# length of an IBAN by country: SWIFT's IBAN registry, release 99
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip


def find(texts: list[str]) -> dict[int, tuple[bytes, list[Span]]]:
    """What each text holds: number of the text -> its bytes and the spans in them, in order; only texts with a find.

    Args:
        texts: Without lone surrogates.
    """
    offsets, data = text_buffers(texts)
    rows = pii_scan.anchors(data, offsets).tolist() if len(data) else []
    found: dict[int, tuple[bytes, list[Span]]] = {}
    current, text = -1, b""
    for number, kind, first, last in rows:
        if number != current:
            current, text = number, data[offsets[number] : offsets[number + 1]].tobytes()
        span = _RULES[kind](text, first, last)
        if span is None:
            continue
        spans = found.setdefault(number, (text, []))[1]
        if not spans or span[0] >= spans[-1][1]:
            spans.append(span)
    return found


def replace(text: bytes, spans: list[Span]) -> str:
    """The text with a placeholder for each span."""
    pieces: list[bytes] = []
    at = 0
    for first, last, kind in spans:
        pieces += (text[at:first], PLACEHOLDERS[kind])
        at = last
    return b"".join((*pieces, text[at:])).decode()


def _email(text: bytes, first: int, last: int) -> Span | None:
    local = _LOCAL.search(text[max(0, first - 64) : first])
    domain = _DOMAIN.match(text, last)
    if local is None or domain is None or local.group().startswith(b".") or b".." in local.group():
        return None
    start = first - len(local.group())
    name = domain.group()
    if domain.group(1).decode().lower() not in _top_level_domains() or _RESERVED.search(name):
        return None
    if text[max(0, start - 2) : start] == b"//":
        return None  # the user of a URL
    return _not_a_remote(text, start, domain.end())


def _not_a_remote(text: bytes, start: int, end: int) -> Span | None:
    """``git@host:path`` is a remote, not an address."""
    if text[end : end + 1] == b":" and text[end + 1 : end + 2].strip() and text[start : start + 4] == b"git@":
        return None
    return start, end, "email"


@cache
def _top_level_domains() -> frozenset[str]:
    """Top-level domains of the Public Suffix List that tldextract ships; never fetched."""
    import tldextract

    extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    return frozenset(suffix.rpartition(".")[2] for suffix in extract.tlds)


def _ip(text: bytes, first: int, last: int) -> Span | None:
    before = text[max(0, first - _LOOK_BACK) : first]
    stated = _ADDRESS_BEFORE.search(before) is not None
    if not stated and _SMALL_NUMBERS.fullmatch(text, first, last):
        return None  # a version or a section number
    try:
        address = ipaddress.ip_address(text[first:last].decode())
    except ValueError:
        return None
    if not address.is_global or address.is_multicast:
        return None
    if address.version == 6 and not 0x20 <= address.packed[0] <= 0x3F:
        return None  # outside what is handed out (2000::/3): C++ names look like it
    if address.version == 4:
        if not stated and _VERSION_BEFORE.search(before):
            return None
        if before.endswith((b"-", b"_")) or text[last : last + 1] in (b"-", b"_"):
            return None
    return first, last, "ip"


def _number(text: bytes, first: int, last: int) -> Span | None:
    """A card by its checksum, or a telephone number by its form."""
    run = text[first:last]
    digits = bytes(byte for byte in run if 48 <= byte <= 57)
    before = text[max(0, first - _LOOK_BACK) : first]
    if run[:1] != b"+" and _NOT_A_NUMBER_BEFORE.search(before):
        return None
    if len(digits) >= 13 and _is_card(run, digits):
        return first, last, "card"
    if _is_phone(run, digits, before):
        return first, last, "phone"
    return None


def _is_card(run: bytes, digits: bytes) -> bool:
    """Issuer prefix, length, grouping and Luhn checksum of a payment card."""
    if not _CARD_GROUPS.match(run) or len(set(digits)) < 2:
        return False
    two, four, length = int(digits[:2]), int(digits[:4]), len(digits)
    issued = (
        (digits[:1] == b"4" and length in (13, 16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and length == 16)
        or (two in (34, 37) and length == 15)
        or ((four == 6011 or two == 65 or 644 <= int(digits[:3]) <= 649) and length == 16)
        or (3528 <= four <= 3589 and length == 16)
        or (two in (36, 38) and length == 14)
    )
    return issued and _luhn(digits)


def _luhn(digits: bytes) -> bool:
    """The checksum of ISO/IEC 7812-1."""
    total = 0
    for place, byte in enumerate(reversed(digits)):
        value = (byte - 48) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_phone(run: bytes, digits: bytes, before: bytes) -> bool:
    """International form, North American form, or any form after a label such as ``Tel.:``."""
    if not 7 <= len(digits) <= 15 or len(set(digits)) < 3:
        return False
    if run.startswith(b"+"):
        return len(digits) >= 8 and digits[:1] != b"0" and not before[-1:].isalnum()
    if _PHONE_LABEL.search(before):
        return _EIGHT_DIGITS_OF_A_DATE.match(run) is None and run.count(b".") < 5
    match = _NORTH_AMERICAN.match(run)
    return match is not None and (match.group(1) is not None or match.group(3) == match.group(5) != b" ")


def _iban(text: bytes, first: int, last: int) -> Span | None:
    """Country, length and the checksum of ISO 13616 (mod 97)."""
    length = IBAN_LENGTHS.get(text[first : first + 2].decode("ascii", "replace"))
    if length is None:
        return None
    end, kept = first, 0
    while end < last and kept < length:
        kept += text[end] != 32
        end += 1
    if kept < length or (end < len(text) and (chr(text[end]).isalnum() and text[end] < 128)):
        return None
    code = text[first:end].replace(b" ", b"").decode()
    number = "".join(str(int(character, 36)) for character in code[4:] + code[:4])
    return (first, end, "iban") if int(number) % 97 == 1 else None


def _secret(text: bytes, first: int, last: int) -> Span | None:
    match = _SECRET_FORMS.match(text, first)
    if match is None:
        return None
    key = match.group()
    if not key.startswith((b"-----", b"eyJ")) and len(set(key[4:])) < 10:
        return None  # AKIAXXXXXXXXXXXXXXXX
    return first, match.end(), "secret"


_RULES: dict[int, Callable[[bytes, int, int], Span | None]] = {
    pii_scan.AT: _email,
    pii_scan.IPV4: _ip,
    pii_scan.IPV6: _ip,
    pii_scan.NUMBER: _number,
    pii_scan.IBAN: _iban,
    pii_scan.SECRET: _secret,
}
