"""The output folder of an export: every file appears whole, an interrupted export goes on, a finished one is named.

While it is made, ``.export/`` says what was asked and has one record for each finished file; at the end ``export.json``
lists all files, and ``.export/`` goes.  The same request gives the same bytes, in one go or in many.
"""

import contextlib
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.base import storage
from pipeline.base.console import say
from pipeline.base.errors import RunError, UserError, parse_json
from pipeline.base.locks import file_lock
from pipeline.base.pool import InProcess, Pool
from pipeline.base.words import counted, megabytes
from pipeline.export import card
from pipeline.export.documents import Documents
from pipeline.export.formats import json_lines, text_bytes, write_file
from pipeline.export.request import DATA, Planned, Request, state_of
from pipeline.run.manifest import canonical_json

UNFINISHED = ".export/"
ASKED = f"{UNFINISHED}request.json"
LOCK = f"{UNFINISHED}.lock"
SUMMARY = "export.json"
_OURS = (DATA.rstrip("/"), UNFINISHED.rstrip("/"), SUMMARY, *card.NAMES, storage.SCRATCH)


def write(
    request: Request, output: str, workers: int, *, overwrite: bool = False, note: Callable[[str], None] = say
) -> dict[str, Any]:
    """Writes the documents of a run into a folder, or goes on where an interrupted export stopped.

    Args:
        request: What was asked for.
        output: A folder or an fsspec URL.
        workers: Processes.
        overwrite: The folder may hold an earlier export, which goes.
        note: Told before anything is written what will be needed on disk.

    Returns:
        ``documents``, ``files``, ``bytes``, ``text_bytes`` and ``resumed_files``.

    Raises:
        UserError: If the folder holds anything else, or an earlier export and not ``overwrite``.
        RunError: If the disk is too small, or the run was changed meanwhile.
    """
    with _held(output):
        files = request.plan()
        asked = request.digest(files)
        before = state_of(request.run)
        finished = _prepare(output, asked, files, overwrite=overwrite)
        missing = [file for file in files if file.path not in finished]
        _check_room(request, output, missing, note)
        with InProcess() if min(workers, len(missing)) <= 1 else Pool(min(workers, len(missing))) as pool:
            calls = [((request, output, file), file.path) for file in missing]
            for path, record in pool.run(write_one, calls):
                finished[path] = record
        if state_of(request.run) != before:
            raise RunError(
                f"{request.run.root}: was changed while its documents were written; run the same command with "
                "--overwrite once nothing works on it"
            )
        records = [finished[file.path] for file in files]
        _finish(request, output, asked, records)
    return {
        "documents": sum(record["documents"] for record in records),
        "files": len(records),
        "bytes": sum(record["bytes"] for record in records),
        "text_bytes": sum(record["text_bytes"] for record in records),
        "resumed_files": len(files) - len(missing),
    }


def stream(request: Request) -> Iterator[bytes]:
    """The documents as JSON lines, in the order of the files that an export would have."""
    documents = Documents(request.run, request.chosen, request.select)
    for file in request.plan():
        for part in file.parts:
            for batch in documents.read(part):
                yield b"".join(json_lines(batch))


def write_one(request: Request, output: str, file: Planned) -> dict[str, Any]:
    """Writes and publishes one file, then its record: what it holds, and documents by source, licence and language."""
    documents = Documents(request.run, request.chosen, request.select)
    partial = storage.scratch(output)
    count = text = 0
    kinds: Counter[tuple[str, str, str]] = Counter()
    try:
        batches = (batch for part in file.parts for batch in documents.read(part))
        for batch in write_file(partial, request.format, request.chosen.schema, batches):
            count += batch.num_rows
            text += text_bytes(batch)
            kinds.update(card.kinds_of(batch))
        with open(partial, "rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        size = partial.stat().st_size
        storage.publish(partial, storage.join(output, file.path))
    finally:
        partial.unlink(missing_ok=True)
    record = {
        "path": file.path,
        "documents": count,
        "bytes": size,
        "text_bytes": text,
        "sha256": digest,
        "kinds": [[*key, number] for key, number in sorted(kinds.items())],
    }
    storage.publish_bytes(canonical_json(record).encode(), _record(output, file.path), output)
    return record


def _record(output: str, path: str) -> str:
    return storage.join(output, f"{UNFINISHED}{Path(path).stem}.json")


@contextlib.contextmanager
def _held(output: str) -> Iterator[None]:
    """The output folder for this process alone, where it is a local one."""
    if not storage.is_local(output):
        yield
        return
    folder = storage.local_path(output)
    if storage.stands(folder) and not folder.is_dir():
        raise UserError(f"--output {output}: expected a folder, and a file is there; name another")
    if folder.is_dir() and (others := sorted({path.name for path in folder.iterdir()} - set(_OURS))):
        raise UserError(f"--output {output}: holds {', '.join(others[:3])}, which is no export; name another folder")
    try:
        with storage.made_for_something(folder), file_lock(folder / LOCK):
            try:
                yield
            finally:
                _leave_nothing_begun(folder)
    except BlockingIOError as error:
        raise UserError(f"--output {output}: another process writes there: {error}") from error


def _leave_nothing_begun(folder: Path) -> None:
    """What is half-written goes; where no file is finished, so does all that only an unfinished export has."""
    shutil.rmtree(folder / storage.SCRATCH, ignore_errors=True)
    records = {path.name for path in (folder / UNFINISHED).glob("*.json")} - {Path(ASKED).name}
    if not records:
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)


def _prepare(output: str, asked: str, files: Sequence[Planned], *, overwrite: bool) -> dict[str, dict[str, Any]]:
    """Makes the folder ready; returns the records of files that an interrupted export of the same request left."""
    held = storage.list_files(output, hidden=True)
    earlier = storage.read_if_there(storage.join(output, ASKED))
    same = (_parsed(earlier) or {}).get("request") == asked and SUMMARY not in held
    standing = [name for name in held if not name.startswith((UNFINISHED, storage.SCRATCH))]
    if standing and not same:
        if not overwrite:
            what = "an interrupted export of another request" if earlier else ", ".join(standing[:3])
            raise UserError(f"--output {output}: holds {what}; name another folder, or replace it with --overwrite")
        for name in sorted(standing, key=lambda name: name != SUMMARY):
            storage.delete(storage.join(output, name))
    if not same:
        for name in held:
            if name.startswith(UNFINISHED) and name != LOCK:
                storage.delete(storage.join(output, name))
        storage.publish_bytes(canonical_json({"request": asked}).encode(), storage.join(output, ASKED), output)
        return {}
    return {file.path: found for file in files if (found := _sound_record(output, file.path)) is not None}


def _sound_record(output: str, path: str) -> dict[str, Any] | None:
    data = storage.read_if_there(_record(output, path))
    found = _parsed(data)
    if found is None or storage.size(storage.join(output, path)) != found.get("bytes"):
        return None
    return found


def _parsed(data: bytes | None) -> dict[str, Any] | None:
    """A record of ours; None where it is missing or damaged: its file is then written again."""
    try:
        found = parse_json(data) if data else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _check_room(request: Request, output: str, missing: list[Planned], note: Callable[[str], None]) -> None:
    needed = request.expected_bytes(missing)
    words = f"{output}: {counted(len(missing), 'file')} to write, about {megabytes(needed)}"
    if not storage.is_local(output):
        note(words)
        return
    free = shutil.disk_usage(storage.local_path(output)).free
    note(f"{words}; {megabytes(free)} are free there")
    if needed > free:
        raise RunError(
            f"--output {output}: about {needed:,} bytes are needed, {free:,} are free there; make room, or name a "
            "folder on another disk"
        )


def _finish(request: Request, output: str, asked: str, records: list[dict[str, Any]]) -> None:
    """Writes what describes the data, then the list of files; what only an unfinished export has goes."""
    for name, data in card.pages(request, records).items():
        storage.publish_bytes(data, storage.join(output, name), output)
    files = [{key: value for key, value in record.items() if key != "kinds"} for record in records]
    summary = {"request": asked, "format": request.format, "select": request.select, "files": files}
    storage.publish_bytes(canonical_json(summary).encode(), storage.join(output, SUMMARY), output)
    for name in storage.list_files(storage.join(output, UNFINISHED)):
        if f"{UNFINISHED}{name}" != LOCK:
            storage.delete(storage.join(output, UNFINISHED, name))
