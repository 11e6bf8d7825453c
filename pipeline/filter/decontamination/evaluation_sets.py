"""Evaluation sets on disk: JSONL, JSON, Parquet, text, or folders and lm-eval task files that name such files."""

import gzip
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from pipeline.base import storage
from pipeline.base.errors import UserError

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".txt")
TASK_SUFFIXES = (".yaml", ".yml")
USUAL_FIELDS = (
    *("question", "text", "prompt", "query", "problem", "sentence", "passage", "context", "premise", "input", "inputs"),
    *("canonical_solution", "ctx", "goal", "story"),
)


def data_files(path: str) -> dict[str, Path]:
    """The data files of an evaluation set by name, in order: the file itself, or those below a folder."""
    local = storage.open_if_there(path)
    if local is None and storage.is_folder(path):
        local = storage.local_path(path)
        found = [name for name in storage.list_files(path) if name.endswith((*SUFFIXES, *TASK_SUFFIXES))]
        return {name: local / name for name in sorted(found, key=lambda name: Path(name).parts)}
    if local is None:
        return {}
    if local.name.endswith(TASK_SUFFIXES):
        named = _task(local)[0]
        return {local.name: local, **{p.name: p for p in named}}
    return {local.name: local}


def read_items(
    name: str, files: dict[str, Path], fields: Sequence[str], id_field: str | None
) -> Iterator[tuple[str, list[str]]]:
    """Items of an evaluation set: id, and the texts of their fields.

    Raises:
        UserError: If a file cannot be read as what its name says, or an item lacks a field that was named.
    """
    wanted = list(fields)
    for path in files.values():
        if path.name.endswith(TASK_SUFFIXES) and not wanted:
            wanted = _task(path)[1]
    for file, path in files.items():
        if path.name.endswith(TASK_SUFFIXES):
            continue
        for number, record in enumerate(_records(name, path)):
            where = f"evaluation set {name}: {file}, item {number}"
            item = str(record[id_field]) if id_field and id_field in record else f"{file}:{number}"
            if id_field and id_field not in record:
                raise UserError(f"{where} has no field {id_field!r}; it has {', '.join(record)}")
            yield item, _texts(record, wanted, where)


def _texts(record: dict[str, Any], fields: Sequence[str], where: str) -> list[str]:
    missing = [field for field in fields if field not in record]
    if missing:
        raise UserError(f"{where} has no field {missing[0]!r}; it has {', '.join(record)}")
    strings = {key: value for key, value in record.items() if isinstance(value, str)}
    chosen = list(fields) or [field for field in USUAL_FIELDS if field in strings]
    if not chosen:
        if len(strings) != 1:
            raise UserError(f"{where} has none of the usual fields; name its fields with text, of {', '.join(record)}")
        chosen = list(strings)
    return [text for field in chosen for text in _strings(record[field])]


def _strings(value: Any) -> Iterator[str]:
    """The strings in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _records(name: str, path: Path) -> Iterator[dict[str, Any]]:
    if path.name.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            yield from pq.read_table(path).to_pylist()
        except pa.ArrowInvalid as error:
            raise UserError(f"evaluation set {name}: {path.name} is not a Parquet file: {error}") from error
        return
    raw = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    if path.name.endswith(".txt"):
        yield from ({"text": line} for line in raw.decode("utf-8", "replace").splitlines() if line.strip())
        return
    whole = path.name.endswith(".json")
    for number, line in enumerate([raw] if whole else raw.splitlines()):
        if not line.strip():
            continue
        try:
            loaded = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise UserError(f"evaluation set {name}: {path.name}, line {number + 1} is not JSON: {error}") from error
        for record in loaded if isinstance(loaded, list) else [loaded]:
            yield record if isinstance(record, dict) else {"text": str(record)}


def _task(path: Path) -> tuple[list[Path], list[str]]:
    """Data files and fields that an lm-eval task file names."""
    from yaml import SafeLoader, load  # type: ignore[import-untyped]

    loader: Any = type("TaskLoader", (SafeLoader,), {})  # lm-eval's own tags (!function) are read as plain values
    loader.add_multi_constructor("!", lambda _loader, _suffix, node: str(node.value))
    task = load(path.read_text("utf-8"), Loader=loader) or {}
    named = (task.get("dataset_kwargs") or {}).get("data_files") or []
    files = [path.parent / text for text in _strings(named)]
    absent = [file for file in files if not file.is_file()]
    if absent or not files:
        missing = absent[0] if absent else "dataset_kwargs.data_files"
        raise UserError(
            f"{path}: the lm-eval task names no data on this disk ({missing}); give the data files themselves"
        )
    templates = f"{task.get('doc_to_text', '')} {task.get('doc_to_target', '')}"
    return files, list(dict.fromkeys(re.findall(r"{{\s*(\w+)", templates)))
