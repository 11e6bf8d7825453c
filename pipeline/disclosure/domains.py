"""Which web domains a summary must name: the largest ones, by the size of what was taken from each."""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from pipeline.base.words import largest_first

SHARE, SME_SHARE, SME_MOST = 0.10, 0.05, 1_000  # of the template: the top 10 %, for SMEs the top 5 % or 1,000


@cache
def _extract() -> Any:
    import tldextract

    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # the list that it ships; never fetched


def registrable(host: str) -> str:
    """The domain under a public suffix that a host belongs to; the host itself where it has none.

    Example:
        >>> registrable("news.bbc.co.uk"), registrable("www.example.com"), registrable("10.0.0.1")
        ('bbc.co.uk', 'example.com', '10.0.0.1')
    """
    found = _extract()(host)
    return f"{found.domain}.{found.suffix}" if found.domain and found.suffix else host


def must_be_named(tokens: Mapping[str, int], *, sme: bool) -> list[str]:
    """The domains to name, the largest first; equal ones by name.

    Args:
        tokens: Size of what was taken from each.
        sme: The provider is a small or medium-sized enterprise: fewer domains.

    Example:
        >>> must_be_named({"a.org": 5, "b.org": 9, "c.org": 1}, sme=False)
        ['b.org']
    """
    count = math.ceil(len(tokens) * (SME_SHARE if sme else SHARE))
    return [name for name, _ in largest_first(tokens)][: min(count, SME_MOST) if sme else count]
