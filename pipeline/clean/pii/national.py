"""National identity numbers, where a recipe asks for those of a country.

Their check digits are python-stdnum's.  A run of eleven digits passes one by chance once in ten to a hundred times, so
that the form alone is not enough: a number counts where it is written in its country's groups, or beside a label.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module

from pipeline.clean.pii.spans import Rule, Span, before, plain

# country -> module of stdnum, the printed form, words before it
_COUNTRIES: dict[str, tuple[str, str, str]] = {
    "br": ("stdnum.br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}", r"CPF"),
    "ch": ("stdnum.ch.ssn", r"756\.\d{4}\.\d{4}\.\d{2}", r"AHV|AVS|NAVS13|Sozialversicherungsnummer"),
    "cn": ("stdnum.cn.ric", r"[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])\d{6}", r"身份证(?:号码?)?|公民身份号码"),
    "de": ("stdnum.de.idnr", r"\d{2} \d{3} \d{3} \d{3}", r"Steuer-?ID(?:entifikationsnummer)?|IdNr\.?|Steuer-?IdNr\.?"),
    "fr": (
        "stdnum.fr.nir",
        r"[12] \d{2} (?:0[1-9]|1[0-2]) \d{2} \d{3} \d{3} \d{2}",
        r"NIR|sécurité sociale|INSEE",
    ),
    "in": ("stdnum.in_.aadhaar", r"[2-9]\d{3} \d{4} \d{4}", r"Aadhaar(?: (?:No|Number))?|UIDAI|आधार(?: संख्या)?"),
    "nl": ("stdnum.nl.bsn", r"\d{4}\.\d{2}\.\d{3}", r"BSN|burgerservicenummer|sofinummer"),
    "pl": ("stdnum.pl.pesel", r"(?!)", r"PESEL"),
    "se": ("stdnum.se.personnummer", r"\d{6}-\d{4}", r"personnummer|pers\.?nr\.?"),
    "za": ("stdnum.za.idnr", r"(?!)", r"ID(?: (?:No|Number))?|identity number"),
}
COUNTRIES = tuple(_COUNTRIES)


def national_rule(countries: tuple[str, ...]) -> Rule | None:
    """A rule that finds identity numbers of these countries; None where there are none."""
    if not countries:
        return None
    checks = [_check(country) for country in countries]

    def national_id(text: bytes, first: int, last: int, _card: int) -> Span | None:
        run = plain(text[first:last])
        ahead = before(text, first)
        return (first, last, "national_id") if any(check(run, ahead) for check in checks) else None

    return national_id


@cache
def _check(country: str) -> Callable[[str, str], bool]:
    module, form, label = _COUNTRIES[country]
    printed = re.compile(form)
    labelled = re.compile(rf"(?<![^\W_])(?:{label})\.?(?: (?:no|nr|number|n°)\.?)?\s*[:：.#]?\s*$", re.IGNORECASE)

    def is_one(run: str, ahead: str) -> bool:
        if not printed.fullmatch(run) and not labelled.search(ahead):
            return False
        return bool(import_module(module).is_valid(run))

    return is_one
