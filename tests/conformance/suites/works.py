"""textract's files: what people write and send, each beside its text as textract's authors hold it to be."""

import re
from collections import Counter
from collections.abc import Iterator

from tests.conformance.cases import Case, Check, Rows, Settings, binary, no_check
from tests.conformance.clones import Clone
from tests.conformance.suites import suite

READ = ("docx", "odt", "epub", "eml", "pdf", "html", "txt")
NOT_READ = ("doc", "gif", "jpg", "mp3", "msg", "ods", "ogg", "png", "pptx", "ps", "rtf", "tiff", "wav", "xls", "xlsx")
STANDARD = ("quick", "brown", "fox", "lazy", "dog")
WANTED_SHARE = 0.9
_WORD = re.compile(r"\w+")


@suite("textract", "deanmalmgren/textract")
def textract(clone: Clone) -> Iterator[Case]:
    """Texts of Office, books, mail, PDF and pages; kinds that are not read must be told, and be no documents."""
    files = dict(clone.files("tests/"))
    for path, data in files.items():
        _, _, name = path.partition("/")
        kind, _, file = name.partition("/")
        if kind in READ and file.endswith(f".{kind}") and "-m=" not in file:
            text = files.get(f"{path.rpartition('.')[0]}.txt") if kind != "txt" else None
            yield Case(kind, file, data, Settings(), _text(text))
        elif kind in NOT_READ and file.endswith(f".{kind}"):
            yield Case(kind, file, data, Settings(), _told)
        elif kind == "no_ext" and "/" not in file:
            yield Case(kind, file, data, Settings(), no_check)


def _told(rows: Rows) -> Iterator[tuple[str, str, int]]:
    yield from binary(rows)
    if not rows.total:
        yield "SILENT", "not a row of any table", 1
    elif not any(row["reason"].startswith("unsupported: ") for row in rows.excluded):
        yield "VALUE", f"not told as a kind that is not read ({rows.reasons()})", 0


def _text(wanted: bytes | None) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        if not rows.total:
            yield "SILENT", "not a row of any table", 1
        elif not rows.documents:
            yield "STRICT", f"no document ({rows.reasons()})", 0
        found = Counter(_WORD.findall(" ".join(row["text"] for row in rows.documents).lower()))
        words = Counter(STANDARD if wanted is None else _WORD.findall(wanted.decode("utf-8", "replace").lower()))
        share = (words & found).total() / max(1, words.total())
        if rows.documents and wanted is not None and share < WANTED_SHARE:
            yield "VALUE", f"{share:.0%} of the {words.total():,} words that textract finds", 0

    return check
