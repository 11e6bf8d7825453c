"""JSONTestSuite and simdjson's files: each as a file, in a line between two sound ones, and as an item of a list."""

import json
from collections.abc import Iterator
from typing import Any

from tests.conformance.cases import TEXT, Case, Check, Rows, Settings, exactly, line
from tests.conformance.clones import Clone
from tests.conformance.law import FRAMING
from tests.conformance.suites import suite

FIRST, LAST = line("first"), line("last", 2)
RAW, LINES = Settings("json"), Settings("jsonl")
MAX_WRAPPED = 1 << 20


@suite("JSONTestSuite", "nst/JSONTestSuite")
def json_test_suite(clone: Clone) -> Iterator[Case]:
    """``y_``: must be accepted; ``n_``: must be refused; ``i_``: either."""
    for path, data in clone.files("test_parsing/", "test_transform/"):
        if path.endswith(".json"):
            folder, _, name = path.partition("/")
            yield from _wrapped(folder, name, data, name[0] if folder == "test_parsing" else "i")


@suite("simdjson-data", "simdjson/simdjson-data")
def simdjson(clone: Clone) -> Iterator[Case]:
    """Its checker's files as JSONTestSuite's; its examples as they are."""
    for path, data in clone.files("jsonchecker/", "jsonexamples/"):
        folder, _, rest = path.partition("/")
        name = rest.replace("/", "-")
        if not name.endswith((".json", ".ndjson")):
            continue
        if folder == "jsonchecker" and "/" not in rest:
            verdict = "y" if name.startswith("pass") else "n" if name.startswith("fail") and "EXCL" not in name else "i"
            yield from _wrapped(folder, name, data, verdict)
        elif rest.startswith("minefield/"):
            yield from _wrapped("minefield", name, data, name.partition("-")[2][0])
        elif rest.startswith("adversarial/"):
            yield Case("adversarial", name, data, RAW, _at_least_one(data), "text")
            yield Case("adversarial-lines", name, data, LINES, _at_least_one(data))
        else:
            records = _records(data)
            yield Case(folder, name, data, Settings(), exactly(records), None, records)


def value_of(data: bytes) -> tuple[Any] | None:
    """The value of a text that RFC 8259 allows, in a tuple; None for others."""

    def refuse(name: str) -> Any:
        raise ValueError(name)

    try:
        return (json.loads(data.decode("utf-8"), parse_constant=refuse),)
    except (ValueError, RecursionError):
        return None


def _records(data: bytes) -> int:
    found = value_of(data)
    if found is None:
        return sum(bool(one.strip()) for one in data.split(b"\n"))
    return len(found[0]) if isinstance(found[0], list) else 1


def _at_least_one(data: bytes) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        if data.strip(FRAMING) and not rows.total:
            yield "SILENT", "not a row of any table", 1

    return check


def _wrapped(group: str, name: str, data: bytes, verdict: str) -> Iterator[Case]:
    found = value_of(data) if verdict != "n" else None
    yield Case(f"{group}-raw", name, data, RAW, exactly(_records(data)) if found else _at_least_one(data))
    if len(data) > MAX_WRAPPED:
        return
    inner = b'{"id": "case", "text": "%s", "v": %s}' % (TEXT.format(0).encode(), data.removeprefix(b"\xef\xbb\xbf"))
    if b"\n" not in data:
        lines = b"\n".join((FIRST, inner, LAST, b""))
        check = _between(inner, verdict)
        yield Case(f"{group}-lines", f"{name.removesuffix('.json')}.jsonl", lines, LINES, check, "text")
    yield Case(f"{group}-items", name, b"[%s,\n%s,\n%s]" % (FIRST, inner, LAST), RAW, _between(inner, verdict))


def _between(inner: bytes, verdict: str) -> Check:
    """What must come of a record between two sound ones."""
    found = value_of(inner)

    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        document = next((row for row in rows.documents if row["id"] == "case"), None)
        if document is None and not rows.quarantined:
            yield "SILENT", "the record is in no table", 1
        lost = sorted({"first", "last"} - rows.ids)
        if lost and not (found is None and b"\n" in inner):
            yield "COLLATERAL", f"sound records beside it are lost: {', '.join(lost)} ({rows.reasons()})", 0
        if found is not None and verdict != "n":
            yield from _value(document, found[0]["v"], rows)
        elif document is not None and verdict == "n":
            yield "LENIENT", f"taken, though no JSON: metadata {str(document['metadata'])[:60]}", 0
        if document is not None and document["metadata"] and value_of(document["metadata"].encode()) is None:
            yield "VALUE", f"its metadata is no JSON: {document['metadata'][:60]}", 0

    return check


def _value(document: dict[str, Any] | None, wanted: Any, rows: Rows) -> Iterator[tuple[str, str, int]]:
    if document is None:
        yield "STRICT", f"valid, and no document ({rows.reasons()})", 0
        return
    got = json.loads(document["metadata"] or "{}").get("v")
    if not _same(got, _mended(wanted)):
        yield "VALUE", f"{repr(wanted)[:60]} became {repr(got)[:60]}", 0


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of the same types; keys in any order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _mended(value: Any) -> Any:
    """A value as documents hold it: lone surrogates as U+FFFD, numbers beyond a double's range as null."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(one) for key, one in value.items()}
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
