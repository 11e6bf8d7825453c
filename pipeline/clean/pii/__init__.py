"""Personal data and secrets: found with precision first, counted, and replaced by typed placeholders.

A kernel (pipeline/kernels/pii_scan.py) names the places where something may begin; each kind here has a rule that
decides, with a checksum where there is one.  A thing that only looks like personal data (a version, a date, a hash, an
ISBN, an address of a documentation range) stays untouched: docs/clean.md lists what is taken for what.

``addresses``  e-mail and IP addresses
``numbers``    payment cards, telephone numbers, and what stands around a number
``accounts``   IBANs
``keys``       API keys, tokens, private keys
``national``   national identity numbers, where the recipe asks for them
"""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from pipeline.base.arrow import text_buffers
from pipeline.clean.pii import accounts, addresses, keys, numbers
from pipeline.clean.pii.national import national_rule
from pipeline.clean.pii.spans import Rule, Span
from pipeline.kernels import pii_scan

__all__ = ["KINDS", "PLACEHOLDERS", "Span", "find", "replace"]

KINDS = ("email", "ip", "phone", "iban", "card", "secret", "national_id")
PLACEHOLDERS = {
    "email": b"<EMAIL_ADDRESS>",
    "ip": b"<IP_ADDRESS>",
    "phone": b"<PHONE_NUMBER>",
    "iban": b"<IBAN_CODE>",
    "card": b"<CREDIT_CARD>",
    "secret": b"<SECRET>",
    "national_id": b"<NATIONAL_ID>",
}
_RULES: dict[int, Rule] = {
    pii_scan.AT: addresses.email,
    pii_scan.IPV4: addresses.ip,
    pii_scan.IPV6: addresses.ip,
    pii_scan.NUMBER: numbers.number,
    pii_scan.IBAN: accounts.iban,
    pii_scan.SECRET: keys.secret,
}


def find(texts: pa.Array | Sequence[str], national: Iterable[str] = ()) -> dict[int, tuple[bytes, list[Span]]]:
    """Personal data of the texts that have any.

    Args:
        texts: What is looked through.
        national: Countries whose identity numbers are looked for, besides.

    Returns:
        Number of the text -> its UTF-8 bytes and its spans, in order and without overlap.
    """
    offsets, data = text_buffers(texts)
    rows = pii_scan.anchors(data, offsets).tolist() if len(data) else []
    rules = {**_RULES, pii_scan.NUMBER: _first_of(national_rule(tuple(national)), numbers.number)}
    found: dict[int, tuple[bytes, list[Span]]] = {}
    current, text = -1, b""
    for number, kind, first, last, card in rows:
        if number != current:
            current, text = number, data[offsets[number] : offsets[number + 1]].tobytes()
        seen = found.get(number)
        if seen is not None and first < seen[1][-1][1]:
            continue  # within what was found last
        span = rules[kind](text, first, last, card)
        if span is None:
            continue
        spans = found.setdefault(number, (text, []))[1]
        if not spans or span[0] >= spans[-1][1]:
            spans.append(span)
    return found


def _first_of(one: Rule | None, other: Rule) -> Rule:
    """A rule that asks the other where the one finds nothing."""
    if one is None:
        return other

    def either(text: bytes, first: int, last: int, card: int) -> Span | None:
        return one(text, first, last, card) or other(text, first, last, card)

    return either


def replace(text: bytes, spans: list[Span]) -> str:
    """The text with a placeholder for each span."""
    view, pieces = memoryview(text), list[bytes | memoryview]()
    at = 0
    for first, last, kind in spans:
        pieces += (view[at:first], PLACEHOLDERS[kind])
        at = last
    return b"".join((*pieces, view[at:])).decode()
