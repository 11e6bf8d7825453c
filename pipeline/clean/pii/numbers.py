"""Runs of digits: payment cards by network and checksum, telephone numbers by form, label or country code.

The kernel has checked a card's grouping and its Luhn sum (pipeline/kernels/pii_numbers.py); what remains is whether a
network issues such numbers, and what stands around.  A telephone number with a country code is judged by
``phonenumbers``, Google's library; one without by its label, of which ``labels`` has those of two dozen languages.
"""

import re
from functools import lru_cache

from pipeline.clean.pii.labels import AFTER, PAYING, STRONG_LABEL, WEAK_LABEL, may_be_labelled
from pipeline.clean.pii.spans import Span, after, before, plain

# networks by the first digits (lowest, highest) and the lengths of their numbers
NETWORKS: dict[str, tuple[tuple[tuple[int, int], ...], frozenset[int]]] = {
    "Visa": (((4, 4),), frozenset({13, 16, 19})),
    "Mastercard": (((51, 55), (2221, 2720)), frozenset({16})),
    "American Express": (((34, 34), (37, 37)), frozenset({15})),
    "Discover": (((6011, 6011), (644, 649), (65, 65), (622126, 622925)), frozenset({16, 17, 18, 19})),
    "Diners Club": (((36, 36), (38, 39), (300, 305), (3095, 3095)), frozenset({14, 16, 19})),
    "JCB": (((3528, 3589),), frozenset({16, 17, 18, 19})),
    "JCB of 15 digits": (((1800, 1800), (2131, 2131)), frozenset({15})),
    "UnionPay": (((62, 62), (81, 81)), frozenset({16, 17, 18, 19})),
    "Maestro": (((5018, 5018), (5020, 5020), (5038, 5038), (5893, 5893), (6304, 6304), (6759, 6759), (6761, 6763)),
                frozenset(range(12, 20))),
    "Mir": (((2200, 2204),), frozenset({16, 17, 18, 19})),
    "RuPay": (((60, 60), (508, 508), (82, 82), (353, 353), (356, 356)), frozenset({16})),
    "Elo": (((636297, 636297), (636368, 636368), (506699, 506778), (509000, 509999), (504175, 504175)),
            frozenset({16})),
    "Hipercard": (((606282, 606282), (637095, 637095), (637568, 637568), (637599, 637599)), frozenset({16})),
    "Troy": (((9792, 9792),), frozenset({16})),
    "Verve": (((5060, 5061), (650002, 650027), (507865, 507964)), frozenset({16, 18, 19})),
    "Dankort": (((5019, 5019),), frozenset({16})),
}  # fmt: skip
_NOT_A_DIGIT = re.compile(r"\D+")
_EXPIRY = re.compile(r"[ \u00a0]?(?:0[1-9]|1[0-2]) ?[/-] ?(?:20)?\d\d(?!\d)")
_NOT_A_CARD_BEFORE = re.compile(r"(?:ISBN|ISSN|DOI|doi|OCLC|EAN|GTIN|UPC|IMEI|\$|€|£|0[xX])[^\n]{0,8}$|\d[.,]$|[.%]$")
_GLUED_BEFORE = ("/", "_", "=", "-", "–")  # in a URL or an identifier, unless it is told to be a card

_NOT_A_PHONE_BEFORE = re.compile(r"(?:ISBN|ISSN|DOI|doi|OCLC|EAN|UPC|#|№|\$|€|£|0[xX])[^\n]{0,8}$|[./_=-]$|\d[,:]$")
_WORD_BEFORE = 16  # characters in which that stands
_NORTH_AMERICAN = re.compile(r"(?:\(([2-9]\d\d)\)[ .-]?|([2-9]\d\d)([-. ]))([2-9]\d\d)([-. ])(\d{4})$")
_EXTENSION = re.compile(r"(?:,? ?(?:x|ext\.?|extension|poste|ramal|int\.|доб\.) ?)\d{1,6}(?!\w)", re.IGNORECASE)
_DATE = re.compile(r"(?:19|20)\d\d[-./ ]?(?:0[1-9]|1[0-2])[-./ ]?(?:0[1-9]|[12]\d|3[01])(?!\d)")
_DAY_FIRST = re.compile(r"(?:0?[1-9]|[12]\d|3[01])[-./](?:0?[1-9]|1[0-2])[-./](?:19|20)\d\d(?!\d)")
_YEARS = re.compile(r"(?:1[4-9]|20)\d\d ?[-/] ?(?:1[4-9]|20)\d\d$")
_THOUSANDS = re.compile(r"\d{1,2}(?:([ .])\d{3})(?:\1\d{3})*$")
_DECIMAL = re.compile(r"\d{1,3}\.\d{4,}$|\d+\.\d$")
MOST_DIGITS = 15  # of a telephone number, ITU-T E.164


def number(text: bytes, first: int, last: int, card: int) -> Span | None:
    """A card number, or a telephone number."""
    if card and _is_card(text, first, card):
        return first, card, "card"
    run = plain(text[first:last])
    digits = _NOT_A_DIGIT.sub("", run)
    if not 7 <= len(digits) <= MOST_DIGITS or len(set(digits)) < 3:
        return None
    ahead, behind = before(text, first), after(text, last)
    if not _is_phone(run, digits, ahead, behind):
        return None
    extension = _EXTENSION.match(behind)
    return first, last + len(extension.group().encode()) if extension else last, "phone"


def network(digits: str) -> str | None:
    """The network that issues card numbers of this beginning and length; None where none does.

    Example:
        >>> network("4111111111111111"), network("1111111111111117")
        ('Visa', None)
    """
    for name, (ranges, lengths) in NETWORKS.items():
        if len(digits) in lengths:
            for lowest, highest in ranges:
                if lowest <= int(digits[: len(str(lowest))]) <= highest:
                    return name
    return None


def _is_card(text: bytes, first: int, last: int) -> bool:
    """Whether a number of a card's form is one, by its network and its surroundings."""
    run = plain(text[first:last])
    digits = _NOT_A_DIGIT.sub("", run)
    if len(set(digits)) < 2 or network(digits) is None:
        return False
    ahead, behind = before(text, first), after(text, last)
    if _NOT_A_CARD_BEFORE.search(ahead) or re.match(r"\.\d|[A-Za-z_]", behind):
        return False
    paid = PAYING.search(ahead) is not None
    if ahead.endswith(_GLUED_BEFORE) and not paid:
        return False
    if len(digits) < 14 and not paid and (len(digits) < 13 or run == digits or _is_article(digits)):
        return False  # twelve digits and thirteen are article numbers, too
    if run == digits:
        return True
    separator = next(character for character in run if not character.isdigit())
    # one of many numbers in a row of them
    if plain(ahead[-1:].encode()) == separator and ahead[-2:-1].isdigit():
        return False
    return plain(behind[:1].encode()) != separator or not behind[1:2].isdigit() or _EXPIRY.match(behind) is not None


def _is_article(digits: str) -> bool:
    """The checksum of GTIN-13, the number below a bar code."""
    return sum(int(digit) * (1 + 2 * (place % 2)) for place, digit in enumerate(digits)) % 10 == 0


def _is_phone(run: str, digits: str, ahead: str, behind: str) -> bool:
    """International form, North American form, or any form beside a label."""
    if run.startswith("+"):
        glued = ahead[-1:].isascii() and ahead[-1:].isalnum()
        return len(digits) >= 8 and run[1] != " " and not glued and _is_international(digits)
    if run.count("(") != run.count(")") or "( " in run:
        return False
    if _DATE.match(run) or _DAY_FIRST.match(run) or _YEARS.match(run) or run.count(".") > 4:
        return False
    labelled = may_be_labelled(ahead)
    if labelled and STRONG_LABEL.search(ahead):
        return _DECIMAL.match(run) is None or _NORTH_AMERICAN.match(run) is not None
    grouped = len(run) > len(digits) and _THOUSANDS.match(run) is None and _DECIMAL.match(run) is None
    formed = grouped or (digits.startswith("0") and len(digits) >= 9)
    if formed and ((labelled and WEAK_LABEL.search(ahead)) or AFTER.match(behind)):
        return True
    if _NOT_A_PHONE_BEFORE.search(ahead[-_WORD_BEFORE:]):
        return False
    if run.startswith("00") and run[2:3] not in ("", "0"):
        return len(run) > len(digits) and _is_international(digits[2:], certain=True)
    match = _NORTH_AMERICAN.match(run)
    return match is not None and (match.group(1) is not None or match.group(3) == match.group(5) != " ")


@lru_cache(4096)
def _is_international(digits: str, *, certain: bool = False) -> bool:
    """Whether a number with its country code has a length of that country; if ``certain``, whether it is given out."""
    import phonenumbers

    try:
        parsed = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return False
    return bool(phonenumbers.is_valid_number(parsed) if certain else phonenumbers.is_possible_number(parsed))
