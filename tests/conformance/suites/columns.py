"""arrow-testing and parquet-testing, beside what pyarrow reads: every text column, row by row."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.conformance.apart import Apart, DiedError, HungError
from tests.conformance.cases import Case, Check, Rows, Settings, binary, no_check, same_text
from tests.conformance.clones import Clone
from tests.conformance.suites import suite

READ_SECONDS = 60
MAX_COLUMNS = 3
TEXTS = (".md", ".json", ".yaml", ".csv", ".txt", ".py")
Column = list[str | None]


@suite("arrow-testing", "apache/arrow-testing")
def arrow_testing(clone: Clone) -> Iterator[Case]:
    """Files of every version and of fuzzers; CSV of fuzzers; Avro, ORC and Flight as kinds that are not read."""
    with Apart(columns, READ_SECONDS) as independent:
        for path, data in clone.files("data/"):
            folder, _, rest = path.removeprefix("data/").partition("/")
            name = rest.replace("/", "-")
            if folder in ("arrow-ipc-file", "arrow-ipc-stream", "arrow-ipc-tensor-stream", "forward-compatibility"):
                if not name.endswith((*TEXTS, ".gz")):
                    yield from _by_column(folder, name, data, "arrow", independent)
            elif folder == "parquet" and not name.endswith(TEXTS):
                yield from _by_column(folder, name, data, "parquet", independent)
            elif folder == "csv":
                yield Case(folder, name, data, Settings("csv", (("text", "a"),)))
            else:
                text = name.endswith(TEXTS)
                yield Case(folder, name, data, Settings(), no_check if text else binary)


@suite("parquet-testing", "apache/parquet-testing")
def parquet_testing(clone: Clone) -> Iterator[Case]:
    """Every codec, encoding and damage that Parquet's implementers have met; encoded variants, which are no text."""
    with Apart(columns, READ_SECONDS) as independent:
        for path, data in clone.files("data/", "bad_data/", "shredded_variant/", "variant/"):
            folder, _, rest = path.partition("/")
            name = rest.replace("/", "-")
            if name.endswith((".parquet", ".parquet.encrypted")):
                yield from _by_column(folder, name, data, "parquet", independent)
            else:
                yield Case(f"{folder}-others", name, data, Settings(), no_check if name.endswith(TEXTS) else binary)


def _by_column(folder: str, name: str, data: bytes, kind: str, independent: Apart) -> Iterator[Case]:
    """The file once for each of its first columns of text, or once for its number of rows."""
    with TemporaryDirectory(prefix="tokenmill-conformance-") as place:
        path = Path(place) / "file"
        path.write_bytes(data)
        try:
            answer: dict[str, Any] | None = independent(str(path), kind)
        except (DiedError, HungError):
            answer = None
    if answer is None or not answer["columns"]:
        rows = answer["rows"] if answer else None
        yield Case(folder, name, data, Settings(kind), _rows_only(rows), "text", None)
        return
    for number, (column, texts) in enumerate(answer["columns"].items()):
        settings = Settings(kind, (("text", column),))
        yield Case(f"{folder}-{number}", name, data, settings, _texts(texts), column, len(texts))


def columns(path: str, kind: str) -> dict[str, Any] | None:
    """Rows and text columns by pyarrow; None where it cannot read the file."""
    try:
        table = pq.ParquetFile(path).read(use_threads=False) if kind == "parquet" else _arrow(path)
        table.validate(full=True)
        found = {
            name: table.column(number).to_pylist()
            for number, name in enumerate(table.schema.names)
            if _is_text(table.schema.field(number).type) and table.schema.names.count(name) == 1
        }
        json.dumps(found).encode()
    except Exception:  # noqa: BLE001  whatever it is that it cannot read
        return None
    return {"rows": table.num_rows, "columns": dict(list(found.items())[:MAX_COLUMNS])}


def _arrow(path: str) -> Any:
    with open(path, "rb") as opened:
        head = opened.read(6)
        opened.seek(0)
        if head == b"ARROW1":
            return pa.ipc.open_file(opened).read_all()
        return pa.ipc.open_stream(opened).read_all()


def _is_text(kind: Any) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain))


def _rows_only(number: int | None) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        if number is None:
            return
        if rows.total < number and not rows.quarantined:
            yield "SILENT", f"{number} rows by pyarrow, {rows.total} in the tables", number - rows.total
        elif rows.total < number:
            yield "COLLATERAL", f"{number} rows by pyarrow, {rows.total} in the tables ({rows.reasons()})", 0

    return check


def _texts(wanted: Column) -> Check:
    def check(rows: Rows) -> Iterator[tuple[str, str, int]]:
        yield from _rows_only(len(wanted))(rows)
        found = {row["offset"]: row["text"] for row in rows.documents}
        empty = {row["offset"] for row in rows.excluded if row["reason"] == "empty"}
        for number, text in enumerate(wanted):
            if text is None and number in found:
                yield "VALUE", f"row {number} has no text by pyarrow", 0
            elif text and number in found and not same_text(text, found[number]):
                yield "VALUE", f"row {number}: {found[number][:50]!r}, {text[:50]!r} by pyarrow", 0
            elif text and number not in found and number not in empty and not rows.quarantined:
                yield "VALUE", f"row {number} with a text is no document ({rows.reasons()})", 0

    return check
