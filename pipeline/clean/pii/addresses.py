"""E-mail and IP addresses."""

import ipaddress
import re
from functools import cache

from pipeline.clean.pii.spans import Span, after, before

_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff66-\uff9f"
# letters of scripts that put spaces between words: in the others a name would take the words before it in
_NAME = rf"(?:[^\W{_NO_SPACES}]|[._%+'\u2019!#*-])"
_NAME_REVERSED = re.compile(rf"{_NAME}{{1,64}}")
_QUOTED_REVERSED = re.compile(r"\"[^\"\n@]{1,64}\"")
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+([^\W\d_]{{2,24}}|xn--[a-z0-9-]{{2,59}})(?![A-Za-z0-9_-]|\.[A-Za-z0-9])", re.I)
_LITERAL = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]{2,45})\]")
_RESERVED = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost|local)$", re.IGNORECASE)
_DOMAIN_BYTES = 254

_VERSION_BEFORE = re.compile(
    r"(?:(?:\bv|\bver(?:sion(?:en|s)?|s)?\.?|releases?|rev(?:ision)?\.?|sections?|chapters?|sec\.|ch\.|§|\bfig\.?|figures?"
    r"|tables?|\bOID)|[/_=]|[A-Za-z]/)\s*$",
    re.IGNORECASE,
)
_ADDRESS_BEFORE = re.compile(
    r"(?:\bIP(?:v[46])?\b|\baddress(?:es)?\b|\bhosts?\b|\bservers?\b|\bclients?\b|\bping\b|\bgateway\b|\bproxy\b"
    r"|\bDNS\b|\bresolver\b|\bnameservers?\b|\bpeer\b|\brouter\b|//|\[|@"
    r"|\b(?:requests?|connections?|log(?:ged)?[ -]?ins?|packets?|traffic|came|access(?:es)?|attacks?"
    r"|quer(?:y|ies)|mails?|received|hits?|visits?)\b[^\n]{0,24}\b(?:from|by|to))[^\n]{0,14}$",
    re.IGNORECASE,
)
_LOGGED = re.compile(r"\s(?:-|\S+)\s(?:-|\S+)\s\[\d\d?/|:\d{2,5}\b(?![.:\d])|/(?:[89]|[12]\d|3[0-2])\b(?![/.\d])")
_YEAR = re.compile(rb"20\d\d::")
_SMALL_NUMBERS = re.compile(r"0*1?\d(?:\.0*1?\d){3}")  # four numbers below 20
_LARGE, _LARGEST = 32, 64  # what two numbers of four reach, and one, where nothing says that it is an address


def email(text: bytes, first: int, last: int, _card: int) -> Span | None:
    """An address whose top-level domain exists; whole, or none."""
    ahead = before(text, first)[::-1]
    local = (_QUOTED_REVERSED if ahead.startswith('"') else _NAME_REVERSED).match(ahead)
    if local is None:
        return None
    host = text[last : last + _DOMAIN_BYTES].decode("utf-8", "ignore")
    domain = _DOMAIN.match(host)
    name = local.group()[::-1].lstrip(".%+'\u2019!#*-")
    if not name or name.endswith(".") or ".." in name:
        return None
    start = first - len(name.encode())
    if text[max(0, start - 2) : start] == b"//":
        return None  # the user of a URL
    if domain is None:
        return _at_an_ip(host, start, last)
    if _top_level(domain.group(1)) not in _top_level_domains() or _RESERVED.search(domain.group()):
        return None
    return _not_a_remote(text, start, last + len(domain.group().encode()))


def _at_an_ip(host: str, start: int, last: int) -> Span | None:
    """``root@[93.184.216.34]``: a public address in the place of a domain."""
    literal = _LITERAL.match(host)
    if literal is None:
        return None
    try:
        public = ipaddress.ip_address(literal.group(1)).is_global
    except ValueError:
        return None
    return (start, last + literal.end(), "email") if public else None


def _top_level(label: str) -> str:
    """A top-level domain as the Public Suffix List has it."""
    if not label.lower().startswith("xn--"):
        return label.lower()
    try:
        return label.encode().decode("idna")
    except UnicodeError:
        return label.lower()


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


def ip(text: bytes, first: int, last: int, _card: int) -> Span | None:
    """A public address; four small numbers only where something says that they are one."""
    try:
        address = ipaddress.ip_address(text[first:last].decode())
    except ValueError:
        return None
    if not address.is_global or address.is_multicast:
        return None
    if address.version == 6:
        # outside what is handed out (2000::/3): C++ names look like it; and "Oct 25 2000::" is a date
        given_out = 0x20 <= address.packed[0] <= 0x3F and not _YEAR.fullmatch(text, first, last)
        return (first, last, "ip") if given_out else None
    return (first, last, "ip") if _is_stated(text, first, last, address.packed) else None


def _is_stated(text: bytes, first: int, last: int, packed: bytes) -> bool:
    """Whether four numbers are an address: by what stands around them, or by their size."""
    ahead, behind = before(text, first), after(text, last)
    if _ADDRESS_BEFORE.search(ahead):
        return not _VERSION_BEFORE.search(ahead) or ahead.endswith(("/", "="))
    large = max(packed) >= _LARGEST and sum(number >= _LARGE for number in packed) >= 2
    if _VERSION_BEFORE.search(ahead):
        return False
    if ahead.endswith(("-", "_")) or behind.startswith(("-", "_")):
        return large and ahead.endswith("-") == behind.startswith("-")  # host-81.169.145.77-dyn
    small = _SMALL_NUMBERS.fullmatch(text[first:last].decode()) is not None and not behind.startswith(" ")
    return large or (_LOGGED.match(behind) is not None and not small)
