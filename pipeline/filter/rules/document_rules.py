"""Rules over columns of the documents themselves: language, length, licence, opt-out, URL, personal data, bad words.

Each gives masks like the rules over signals; ``DOCUMENT_COLUMNS`` is what they read of documents/.
"""

import fnmatch
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clean.urls import UrlList
from pipeline.filter.rules.bad_words import COLUMN as BAD_WORDS
from pipeline.filter.rules.predicates import Failures, Mask, as_mask
from pipeline.recipe.filter_options import SHORT, Filter, LicenceRules

KEY = "filter.url"
DOCUMENT_COLUMNS = (
    *("language", "language_score", "licence", "opt_out", "url"),
    *("replaced_share", "extraction_score"),
    *("pii_email", "pii_ip", "pii_phone", "pii_iban", "pii_card", "pii_secret", "pii_national_id"),
)


def document_failures(documents: pa.Table, signals: pa.Table, options: Filter, blocked: UrlList | None) -> Failures:
    """What the recipe's rules over document columns say.

    Args:
        documents: Rows with ``DOCUMENT_COLUMNS``.
        signals: The signals of the same rows.
        options: The recipe's section.
        blocked: What ``url.blocklist`` names.
    """
    failures = Failures([], [], documents.num_rows)

    def add(reason: str, mask: Mask) -> None:
        failures.reasons.append(reason)
        failures.masks.append(mask)

    if options.languages:
        wanted = pc.is_in(documents["language"], value_set=pa.array(options.languages, pa.string()))
        add("language.languages", ~as_mask(wanted))
    unsure = _unsure(documents, options)
    is_short = signals["character_count"].to_numpy() < SHORT
    add("language.too_short", unsure & is_short)
    add("language.min_language_score", unsure & ~is_short)
    _length(signals, options, add)
    if options.max_replaced_share < 1:
        add("text.max_replaced_share", _broken(documents, options.max_replaced_share))
    if options.max_bad_words is not None:
        bad_words = pc.fill_null(signals[BAD_WORDS], 0).to_numpy()
        add("text.max_bad_words", bad_words > options.max_bad_words)
    if options.min_extraction_score > 0:
        add("text.min_extraction_score", _badly_extracted(documents, options.min_extraction_score))
    _licence(documents["licence"], options.licence, add)
    for signal in options.opt_out:
        add(f"opt_out.{signal}", _has_item(documents["opt_out"], signal))
    _url(documents["url"], options, blocked, add)
    for kind, most in options.max_pii.items():
        add(f"pii.max_{kind}", documents[f"pii_{kind}"].to_numpy() > most)
    return failures


def _unsure(documents: pa.Table, options: Filter) -> Mask:
    """Documents whose language is less sure than the recipe asks for, in general or for that language.

    A language without a score is the record's own word (``fields.language``), and sure.
    """
    least = np.full(documents.num_rows, options.min_language_score, np.float32)
    for language, score in options.min_language_scores.items():
        least[as_mask(pc.equal(documents["language"], language))] = score
    unsure: Mask = pc.fill_null(documents["language_score"], 0.0).to_numpy() < least
    stated = as_mask(pc.and_(pc.is_valid(documents["language"]), pc.is_null(documents["language_score"])))
    return unsure & ~stated


def _broken(documents: pa.Table, most: float) -> Mask:
    """Documents of which more is U+FFFD; none of a table that was written before that was counted."""
    if "replaced_share" not in documents.column_names:
        return np.zeros(documents.num_rows, bool)
    broken: Mask = pc.fill_null(documents["replaced_share"], 0.0).to_numpy() > np.float32(most)
    return broken


def _badly_extracted(documents: pa.Table, least: float) -> Mask:
    """Documents whose text is likely to be worse; none of those that another extractor has made."""
    if "extraction_score" not in documents.column_names:
        return np.zeros(documents.num_rows, bool)
    bad: Mask = pc.fill_null(documents["extraction_score"], 1.0).to_numpy() < np.float32(least)
    return bad


def _length(signals: pa.Table, options: Filter, add: Any) -> None:
    for unit, signal in (("characters", "character_count"), ("bytes", "byte_count")):
        values = signals[signal].to_numpy()
        low, high = getattr(options.length, f"min_{unit}"), getattr(options.length, f"max_{unit}")
        if low > 0:
            add(f"length.min_{unit}", values < low)
        if high < 2**31 - 1:
            add(f"length.max_{unit}", values > high)


def _licence(licences: pa.ChunkedArray, rules: LicenceRules, add: Any) -> None:
    """Each distinct licence is looked at once."""
    if not rules.allow and not rules.deny and rules.keep_unknown:
        return
    unknown = as_mask(pc.is_null(licences))
    distinct = [value for value in pc.unique(licences).to_pylist() if value is not None]

    def matching(patterns: list[str]) -> Mask:
        found = [v for v in distinct if any(fnmatch.fnmatchcase(v.lower(), p.lower()) for p in patterns)]
        return as_mask(pc.is_in(licences, value_set=pa.array(found, pa.string())))

    if rules.allow:
        add("licence.allow", ~matching(rules.allow) & ~unknown)
    if rules.deny:
        add("licence.deny", matching(rules.deny) & ~unknown)
    if not rules.keep_unknown:
        add("licence.unknown", unknown)


def _has_item(column: pa.ChunkedArray, item: str) -> Mask:
    """True where the comma-separated list of the column has the item."""
    return as_mask(pc.match_substring_regex(column, rf"(^|,)\s*{re.escape(item)}\s*(,|$)"))


def _url(urls: pa.ChunkedArray, options: Filter, blocked: UrlList | None, add: Any) -> None:
    lists = [] if blocked is None else [blocked]
    if options.url.deny_domains:
        lists.append(denied(options))
    if lists:
        add("url.domain", np.logical_or.reduce([entries.among(urls) for entries in lists]))
    if options.url.deny_words:
        words = "|".join(re.escape(word) for word in options.url.deny_words)
        pattern = rf"(^|[^\pL\pN])({words})($|[^\pL\pN])"
        add("url.word", as_mask(pc.match_substring_regex(urls, pattern, ignore_case=True)))


def denied(options: Filter) -> UrlList:
    """The entries of ``url.deny_domains``.

    Raises:
        UserError: If one can never match.
    """
    return UrlList(options.url.deny_domains, key=f"{KEY}.deny_domains", single=True)


def read_blocklist(path: str | None) -> UrlList | None:
    """The list of ``url.blocklist``, in any form of clean/url_entries.py; None without one.

    Raises:
        UserError: If it cannot be read, or no entry of it can match.
    """
    return UrlList([f"@{path}"], key=f"{KEY}.blocklist") if path else None


def list_notes(options: Filter) -> list[str]:
    """What of the lists can never match, in words.

    Raises:
        UserError: If a list cannot be read, or nothing of it can match.
    """
    lists = [read_blocklist(options.url.blocklist), denied(options) if options.url.deny_domains else None]
    return [note for entries in lists if entries is not None for note in entries.notes]
