"""The files of xz, as they are and as members between two sound ones."""

import lzma
from collections.abc import Iterator

from tests.conformance.cases import Case, Check, Rows, Settings, binary, line, same_text
from tests.conformance.clones import Clone
from tests.conformance.suites import suite

OTHER_STREAMS = (".lz", ".lzma")


@suite("xz", "tukaani-project/xz")
def xz(clone: Clone) -> Iterator[Case]:
    """``good-``, ``bad-`` and ``unsupported-``, as Python's lzma reads them."""
    for path, data in clone.files("tests/files/"):
        name = path.rpartition("/")[2]
        if name.endswith(OTHER_STREAMS):
            yield Case("files", name, data, Settings("text"), binary)
        elif name.endswith(".xz"):
            yield Case("files", name, data, Settings("text"), _as_lzma(name, data))
            around = lzma.compress(line("first") + b"\n"), lzma.compress(line("last", 2) + b"\n")
            glued = "last" if name.startswith("good") and not (_read(data) or b"\n").endswith(b"\n") else ""
            yield Case("between", f"{name[:-3]}.jsonl.xz", around[0] + data + around[1], Settings(), _beside(glued))


def _read(data: bytes) -> bytes | None:
    try:
        return lzma.decompress(data)
    except (lzma.LZMAError, MemoryError):
        return None


def _as_lzma(name: str, data: bytes) -> Check:
    wanted = _read(data)

    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        text = "".join(row["text"] for row in rows.documents)
        if wanted is None and text and not name.startswith("good"):
            yield "LENIENT", f"Python's lzma refuses it; a document of {len(text):,} characters", 0
        if wanted and not rows.total:
            yield "SILENT", f"{len(wanted):,} bytes by lzma, no row", 1
        if not wanted:
            return
        try:
            decoded = wanted.decode("utf-8")
        except UnicodeDecodeError:
            yield from binary(rows)
            return
        if not rows.documents:
            yield "STRICT", f"{len(wanted):,} bytes by lzma ({rows.reasons()})", 0
        elif not same_text(text, decoded):
            yield "VALUE", f"{len(text):,} characters, {len(decoded):,} by lzma", 0

    return check


def _beside(glued: str) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        lost = sorted({"first", "last"} - rows.ids - {glued})
        if lost:
            yield "COLLATERAL", f"sound members beside it are lost: {', '.join(lost)} ({rows.reasons()})", 0

    return check
