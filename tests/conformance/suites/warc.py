"""Files and strings of the test suites of WARC readers, beside how many records warcio and fastwarc find."""

import contextlib
import io
import re
from collections.abc import Iterator

from fastwarc.warc import ArchiveIterator as FastIterator
from fastwarc.warc import WarcRecordType
from warcio.archiveiterator import ArchiveIterator  # type: ignore[import-untyped]

from tests.conformance.cases import Case, Check, Rows, Settings, binary
from tests.conformance.clones import Clone
from tests.conformance.suites import suite

_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
FOLDERS = ("test/data/", "tests/data/", "test-resources/", "primers/", "specifications/")


@suite(
    "WARC readers",
    *("webrecorder/warcio", "chatnoir-eu/chatnoir-resiliparse", "iipc/jwarc", "iipc/warc-specifications"),
    "nlnwa/gowarc",
)
def warc_readers(*clones: Clone) -> Iterator[Case]:
    """Their sample files; and the records that jwarc's and gowarc's tests hold as strings."""
    for clone in clones:
        for path, data in clone.files():
            name = path.rpartition("/")[2]
            if path.startswith(FOLDERS) and re.search(r"\.w?arc(\.|$)", name) and not name.endswith(".cdx"):
                yield Case(clone.folder.name, name, data, Settings(), _check(name, data), None)
            elif name.endswith(("_test.go", "Test.java")):
                for number, record in enumerate(_strings(data.decode("utf-8", "replace"))):
                    case = f"{name.partition('.')[0]}-{number}.warc"
                    yield Case(f"{clone.folder.name}-strings", case, record, Settings(), _check(case, record))


def _strings(source: str) -> Iterator[bytes]:
    """WARC records in string literals that follow each other, as Go and Java write long ones."""
    pieces: list[str] = []
    for row in [*source.splitlines(), ""]:
        found = _LITERAL.findall(row)
        if found and (pieces or "WARC/" in row):
            pieces += found
            if row.rstrip().endswith(("+", "+ //")):
                continue
        if pieces:
            text = "".join(pieces).encode("latin-1", "backslashreplace").decode("unicode_escape", "replace")
            pieces = []
            if text.startswith("WARC/"):
                yield text.encode("latin-1", "replace")


def _check(name: str, data: bytes) -> Check:
    if re.search(r"\.arc(\.|$)", name) or name.endswith(".lz4"):
        return binary
    counts = [count for count in (_by_warcio(data), _by_fastwarc(data)) if count is not None]

    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        best = min(counts, default=0)
        detail = f"{' and '.join(map(str, counts))} records by other readers, {rows.total} rows ({rows.reasons()})"
        if data.strip() and not rows.total:
            yield "SILENT", "not a row of any table", 1
        elif rows.total < best:
            yield ("COLLATERAL", detail, 0) if rows.quarantined else ("SILENT", detail, best - rows.total)
        elif counts and rows.total > max(counts) and not rows.quarantined:
            yield "VALUE", detail, 0

    return check


def _by_warcio(data: bytes) -> int | None:
    count = 0
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # what it says of damage
            for record in ArchiveIterator(io.BytesIO(data)):
                record.content_stream().read()
                count += 1
    except Exception:  # noqa: BLE001  whatever it is that it cannot read
        return None
    return count


def _by_fastwarc(data: bytes) -> int | None:
    try:
        return sum(1 for _ in FastIterator(io.BytesIO(data), record_types=WarcRecordType.any_type))
    except Exception:  # noqa: BLE001  likewise
        return None
