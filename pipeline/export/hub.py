"""What the head of a card may say: the Hugging Face hub refuses licences that it does not list, and odd languages.

The names: https://huggingface.co/docs/hub/repositories-licenses.
"""

import re
from collections.abc import Iterable

OTHER = "other"
_LISTED = frozenset(
    (
        *("apache-2.0", "mit", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd", "bsd-2-clause", "bsd-3-clause"),
        *("bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0"),
        *("cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0"),
        *("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
        *("cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0"),
        *("etalab-2.0", "eupl-1.1", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0"),
        *("isc", "lppl-1.3c", "ms-pl", "mpl-2.0", "odc-by", "odbl", "osl-3.0", "postgresql", "ofl-1.1", "ncsa"),
        *("unlicense", "zlib", "pddl", "lgpl-lr"),
    )
)
_OF_ANY_VERSION = ("gfdl", "odc-by", "odbl", "pddl")
_CHOICE = re.compile(r"-(?:only|or-later)$|\+$")  # of SPDX; the hub leaves them out
_LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_][A-Za-z]+)*")  # of ISO 639, with or without a script
_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")


def hub_licences(names: Iterable[str]) -> list[str]:
    """The hub's names of the licences in SPDX ids or expressions of them, each once; ``other`` for what it lacks.

    Example:
        >>> hub_licences(["CC-BY-SA-4.0", "PDDL-1.0 AND CC0-1.0", "GPL-3.0-or-later", "house rules", "public-domain"])
        ['cc-by-sa-4.0', 'pddl', 'cc0-1.0', 'gpl-3.0', 'other']
    """
    parts = (part for name in names for part in re.split(r"\s+(?:AND|OR)\s+|[()]", name, flags=re.IGNORECASE))
    found = dict.fromkeys(_hub_licence(part.strip().lower()) for part in parts if part.strip())
    return [name for name in found if name != OTHER] + [OTHER] * (OTHER in found)


def _hub_licence(name: str) -> str:
    name = _CHOICE.sub("", re.sub(r"[\s_]+", "-", name))
    family = next((family for family in _OF_ANY_VERSION if name.startswith(f"{family}-")), name)
    return family if family in _LISTED else OTHER


def hub_languages(names: Iterable[str]) -> list[str]:
    """The hub's codes of languages, each once; a label that is no code, such as a reader's own words, is left out.

    Example:
        >>> hub_languages(["en", "deu_Latn", "zh-Hant", "unknown", "deu_Latf", "English"])
        ['en', 'deu', 'zh']
    """
    return list(dict.fromkeys(found[1] for name in names if (found := _LANGUAGE.fullmatch(name))))


def size_category(documents: int) -> str:
    """The hub's word for a number of rows.

    Example:
        >>> [size_category(number) for number in (999, 1000, 2 * 10**9, 10**12)]
        ['n<1K', '1K<n<10K', '1B<n<10B', 'n>1T']
    """
    power = next((at for at in range(len(_SIZES)) if documents < 10 ** (at + 3)), len(_SIZES))
    if power == 0:
        return f"n<{_SIZES[0]}"
    return f"n>{_SIZES[-1]}" if power == len(_SIZES) else f"{_SIZES[power - 1]}<n<{_SIZES[power]}"
