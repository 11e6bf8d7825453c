"""Deviations that are meant, each with its reason; what stands here does not fail the command."""

import re
from dataclasses import dataclass

from tests.conformance.cases import Finding


@dataclass(frozen=True)
class Meant:
    """Findings that one reason explains.

    Args:
        suite: The suite.
        kind: Their kind.
        places: A regular expression of the files' places, or of the finding's words.
        reason: For the page.
    """

    suite: str
    kind: str
    places: str
    reason: str

    def explains(self, suite: str, finding: Finding) -> bool:
        """Whether a finding is one of these."""
        return (suite, finding.kind) == (self.suite, self.kind) and bool(
            re.search(self.places, f"{finding.case}: {finding.detail}")
        )


NAN = "NaN and Infinity are no damage (docs/inputs.md, Values): the record is kept, its metadata has null"
STRAY = "a bracket too many: the record in front of it is sound and kept, the bracket is a row of the quarantine"
DIGITS = "a number that is JSON, and beyond 64 bits or a double's range: whole ones keep their digits, others are null"
SHORT = "a handful of bytes, nearly all of them letters: nothing tells them from a short text"
UNCLOSED = "an item that does not close its bracket, in a list that is not on lines: where it ends cannot be told"
JSON = ("JSONTestSuite", "simdjson-data")
POLLOCK = {
    r"polluted_files/file_header_multirow": "a header of several rows: the first one names the columns",
    r"polluted_files/file_header_only": "a header without rows: what names no document's fields is not shown",
    r"polluted_files/file_multitable": "several tables in one file, of which Pollock wants one: all are read",
    r"polluted_files/file_(field_delimiter|quotation_char|escape_char)": "a mark that no program writes is stated "
    "(csv.delimiter, csv.quote, csv.escape), and not told from the lines",
    r"polluted_files/(file_no_header|row_less_sep_row0|row_extra_quote0|row_more_sep_row0)": "the header itself is "
    "missing or damaged: the columns have other names than Pollock's, and csv.columns states them",
    r"survey_sample/": "files as offices publish them: notes above the table, headers of several rows or of blanks, "
    "columns of one name; what is no row is told, and `csv` in the recipe states the rest",
}
MEANT = (
    *(Meant(suite, "LENIENT", r"NaN|infinity", NAN) for suite in JSON),
    *(Meant(suite, "LENIENT", r"followed_by_closing_object|fail53", STRAY) for suite in JSON),
    Meant("simdjson-data", "LENIENT", r"fail41_toolarge|fail60|fail73", DIGITS),
    *(Meant("Pollock", "VALUE", places, reason) for places, reason in POLLOCK.items()),
    Meant("arrow-testing", "BINARY", r"^flight/", "keys and certificates in their text form (PEM), and a script"),
    Meant("parquet-testing", "BINARY", r"variant", SHORT),
    Meant(
        "naughty strings",
        "STRICT",
        r"texts/(93|508)\.txt",
        "a file of its own of which a tenth or more are control characters is taken for a binary one",
    ),
    Meant(
        "unicode_lipsum",
        "VALUE",
        r"surrogates\.utf32\.txt",
        "random code points in UTF-32 without a mark, most of them not assigned: nothing tells them from numbers",
    ),
    Meant(
        "unicode_lipsum",
        "VALUE",
        r"esperanto\.latin1\.txt",
        "82 kB of Esperanto with 89 letters of foreign names in Latin-1: the detector takes it for windows-1250",
    ),
    Meant(
        "unicode_lipsum",
        "STRICT",
        r"surrogates\.utf32\.txt",
        "random code points in UTF-32 without a mark, most of them not assigned: nothing tells them from numbers",
    ),
    Meant(
        "html5lib-tests",
        "VALUE",
        r"tests1-05[123]\.html",
        "a declaration beyond the 4,096 bytes that are looked through (browsers: 1,024), or written by a script; "
        "browsers meet it only while they parse",
    ),
    Meant(
        "html5lib-tests",
        "VALUE",
        r"tests2-004\.html",
        "its unclosed declaration is closed by the words that are put behind it here, and so counts",
    ),
    Meant("textract", "VALUE", r"^html/tables\.html", "a page's main content alone; textract prints all of the page"),
    Meant("textract", "STRICT", r"^pdf/ocr_text\.pdf", "scanned pages have no text layer, and none is made of them"),
    Meant(
        "llhttp",
        "VALUE",
        r"content-length \(lenient\)",
        "more body than the response's Content-Length says: all that the WARC record holds is kept",
    ),
)


def reason_of(suite: str, finding: Finding) -> str | None:
    """Why a finding is as it should be; None where it should not be."""
    return next((meant.reason for meant in MEANT if meant.explains(suite, finding)), None)
