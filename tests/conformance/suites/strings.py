"""The big list of naughty strings, and unicode_lipsum: the same text in eight encodings."""

import csv
import io
import json
import re
from collections.abc import Iterator

from tests.conformance.cases import Case, Check, Rows, Settings, same_text
from tests.conformance.clones import Clone
from tests.conformance.suites import suite

BEFORE = "Somebody wrote on the wall: "
CODECS = {"8": "utf-8", "16": "utf-16-le", "16be": "utf-16-be", "32": "utf-32-le", "32be": "utf-32-be"}
MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
BAD_SEQUENCES = {"overlong": b"\xc0\xaf", "surrogates": b"\xed\xa0\xbd\xed\xb8\x80", "lone": b"\xed\xa0\x80"}
BAD_SEQUENCES |= {"beyond": b"\xf4\x90\x80\x80", "five": b"\xf8\x88\x80\x80\x80", "cut": b"\xe2\x82", "stray": b"\x80"}
SOUND = "Dvě věty psané v češtině. 二つの文。 Две строки."


@suite("naughty strings", "minimaxir/big-list-of-naughty-strings")
def naughty(clone: Clone) -> Iterator[Case]:
    """Each as a value of JSON, escaped and raw, as a field of CSV, and as a text file."""
    strings: list[str] = json.loads(dict(clone.files("blns.json"))["blns.json"])
    rows = [{"id": str(number), "text": BEFORE + string, "s": string} for number, string in enumerate(strings)]
    for name, ascii_only in (("escaped", True), ("raw", False)):
        data = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows).encode()
        yield Case("lines", f"{name}.jsonl", data, Settings(), _all_strings(strings), "text", len(strings))
    table = io.StringIO()
    writer = csv.DictWriter(table, ["id", "text", "s"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    yield Case("table", "strings.csv", table.getvalue().encode(), Settings(), _all_strings(strings), "text", len(rows))
    for row in rows:
        yield Case("texts", f"{row['id']}.txt", row["text"].encode(), Settings(), _text(row["text"]))


def _all_strings(strings: list[str]) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        if rows.total < len(strings):
            yield "SILENT", f"{len(strings)} strings, {rows.total} rows", len(strings) - rows.total
        documents = {row["id"]: row for row in rows.documents}
        for number, string in enumerate(strings):
            row = documents.get(str(number))
            if row is None:
                yield "VALUE", f"no document for {string[:60]!r} ({rows.reasons()})", 0
            elif not same_text(row["text"], BEFORE + string):
                yield "VALUE", f"{string[:60]!r} became {row['text'][len(BEFORE) :][:60]!r}", 0
            elif json.loads(row["metadata"])["s"] != string:
                yield "VALUE", f"in metadata: {string[:60]!r} became {json.loads(row['metadata'])['s'][:60]!r}", 0

    return check


def _text(wanted: str) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        if not rows.total:
            yield "SILENT", "not a row of any table", 1
        elif not rows.documents:
            yield "STRICT", f"no document ({rows.reasons()})", 0
        elif not same_text(rows.documents[0]["text"], wanted):
            yield "VALUE", f"{wanted[:40]!r} became {rows.documents[0]['text'][:40]!r}", 0

    return check


@suite("unicode_lipsum", "lemire/unicode_lipsum")
def lipsum(clone: Clone) -> Iterator[Case]:
    """A text in an encoding that nothing declares is the same text; and one bad sequence between sound words."""
    for path, data in clone.files():
        name = path.replace("/", "-")
        if path.endswith(".txt"):
            yield Case("texts", name, data, Settings(), _decoded(name, data))
        elif path.endswith(".html"):
            yield Case("pages", name, data)
    lines = [json.dumps({"id": name, "text": SOUND}, ensure_ascii=False).encode() for name in ("first", "last")]
    for kind, sequence in BAD_SEQUENCES.items():
        bad = b'{"id": "bad", "text": "words %s words"}' % sequence
        yield Case("bad", f"{kind}.jsonl", b"\n".join((lines[0], bad, lines[1])), Settings(), _one_bad)
        yield Case("bad", f"{kind}.txt", SOUND.encode() + sequence + SOUND.encode(), Settings(), _still_readable)


def _decoded(name: str, data: bytes) -> Check:
    codec = _codec(name, data)
    try:
        wanted = data.decode(codec)
    except UnicodeDecodeError:
        return _any_row  # mislabelled, or damaged on purpose
    return _text(wanted)


def _codec(name: str, data: bytes) -> str:
    marked = next((codec for mark, codec in MARKS if data.startswith(mark)), None)
    if marked:
        return marked
    if "latin1.txt" in name:
        return "latin-1"
    named = re.search(r"utf(?:latin)?(8|16be|16|32be|32)\.txt$", name)
    return CODECS[named.group(1)] if named else "utf-8"


def _any_row(rows: Rows) -> Iterator[tuple[str, str, int]]:
    if not rows.total:
        yield "SILENT", "not a row of any table", 1


def _one_bad(rows: Rows) -> Iterator[tuple[str, str, int]]:
    if rows.total < 3:
        yield "SILENT", f"3 lines, {rows.total} rows", 3 - rows.total
    if rows.ids != {"first", "last"} or [row["reason"] for row in rows.quarantined] != ["not_utf8"]:
        yield "VALUE", f"documents {sorted(map(str, rows.ids))} ({rows.reasons()})", 0


def _still_readable(rows: Rows) -> Iterator[tuple[str, str, int]]:
    if not rows.documents or rows.documents[0]["text"].count("češtině. 二つの文。 Две строки") != 2:
        yield "VALUE", f"{rows.documents[0]['text'][:60] if rows.documents else rows.reasons()!r}", 0
