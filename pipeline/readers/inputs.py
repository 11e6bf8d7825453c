"""A source's paths -> the files below its root, in an order that does not depend on the file system.

A path is a file, a glob, a folder, or an fsspec URL of one of these.  The source's root is the deepest folder that all
of its paths share, read off the paths alone; every file is named by its path below that root, so that no manifest or
table holds a machine's folder.
"""

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.base import storage, stores
from pipeline.base.errors import NoBucketError, UserError

GLOB_CHARACTERS = frozenset("*?[")


@dataclass(frozen=True)
class InputFile:
    """One file of a source.

    ``path`` is relative to the source's root and always valid Unicode; ``url`` opens it; ``version`` is what tells
    cheaply whether it changed (modification time or ETag); ``error`` says why it, or a folder, cannot be read.
    """

    path: str
    url: str
    size: int
    version: str = ""
    error: str | None = None
    is_dataset: bool = False  # read by a datatrove reader that finds its own files


@dataclass(frozen=True)
class SourceInputs:
    """The files of one source, sorted by path in byte order."""

    name: str
    root: str
    files: tuple[InputFile, ...]


def source_root(paths: Sequence[str]) -> str:
    """The deepest folder shared by all paths; a glob counts up to its first pattern part.

    Raises:
        UserError: If they share none.
    """
    schemes = {path.partition("://")[0] if "://" in path else "file" for path in paths}
    if len(schemes) > 1:
        raise UserError(f"one source must lie on one file system, found {sorted(schemes)}: make it two sources")
    folders = [_folder(path) for path in paths]
    shared: list[str] = []
    for parts in zip(*(folder.split("/") for folder in folders), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    if len(shared) < 3 and schemes != {"file"}:  # "s3:", "", bucket
        raise UserError(f"paths share no folder: {list(paths)}: make them two sources")
    return "/".join(shared) or "/"


def _folder(path: str) -> str:
    plain = path.removeprefix("file://")
    parts = plain.split("/")
    for number, part in enumerate(parts):
        if GLOB_CHARACTERS & set(part):
            return "/".join(parts[:number])
    return plain.rstrip("/") if storage.is_folder(plain) else "/".join(parts[:-1])


def list_inputs(name: str, paths: Sequence[str]) -> SourceInputs:
    """Lists a source's files.

    Files whose name, or whose folder's name, begins with a dot are left out of folders and globs.  A folder that cannot
    be read is an entry with ``error``.

    Raises:
        UserError: With every path that names no file at all.
        RunError: If an object store refuses to list or is not reached.
    """
    try:
        root = source_root(paths)
        return SourceInputs(name, root, _files(name, paths, root))
    except NoBucketError as error:
        raise UserError(f"source {name}: no file at {', '.join(paths)}: {error}") from error


def _files(name: str, paths: Sequence[str], root: str) -> tuple[InputFile, ...]:
    found: dict[str, InputFile] = {}
    missing = []
    for path in paths:
        before = len(found)
        known = False
        for file in _expand(path, root):
            known = known or file.url in found
            found.setdefault(file.url, file)
        if len(found) == before and not known:
            missing.append(path)
    if missing:
        raise UserError(f"source {name}: no file at {', '.join(missing)}")
    return tuple(sorted(found.values(), key=lambda file: file.path.encode()))


def _expand(path: str, root: str) -> Iterator[InputFile]:
    plain = path.removeprefix("file://")
    if not storage.is_local(path):
        yield from _expand_remote(path, root)
    elif GLOB_CHARACTERS & set(plain) and not os.path.exists(plain):
        walked = None
        for name in sorted(glob.glob(plain, recursive=True)):
            if walked is not None and name.startswith(walked):
                continue
            if os.path.isdir(name):
                walked = f"{name.rstrip('/')}/"
                yield from _walk(name, root)
            else:
                yield _local_file(name, root)
    elif os.path.isdir(plain):
        yield from _walk(plain, root)
    elif os.path.lexists(plain):
        yield _local_file(plain, root)


def _walk(folder: str, root: str) -> Iterator[InputFile]:
    errors: list[OSError] = []
    entered = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, onerror=errors.append, followlinks=True):
        folders[:] = [name for name in sorted(folders) if not name.startswith(".") and _enter(place, name, entered)]
        for name in names:
            if not name.startswith("."):
                yield _local_file(os.path.join(place, name), root)
    for error in errors:
        where = str(error.filename)
        yield InputFile(_relative(where, root), where, 0, error=f"folder cannot be read: {error.strerror}")


def _enter(place: str, name: str, entered: set[str]) -> bool:
    """False where a symbolic link leads back to a folder that is walked already."""
    path = os.path.join(place, name)
    if not os.path.islink(path):
        return True
    real = os.path.realpath(path)
    if real in entered or any(os.path.commonpath([real, known]) == real for known in entered):
        return False
    entered.add(real)
    return True


def _local_file(name: str, root: str) -> InputFile:
    try:
        status = os.stat(name)
    except OSError as error:
        return InputFile(_relative(name, root), name, 0, error=f"file cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        return InputFile(_relative(name, root), name, 0, error="not a regular file: a pipe, socket or device")
    return InputFile(_relative(name, root), name, status.st_size, str(status.st_mtime_ns))


def _relative(name: str, root: str) -> str:
    relative = name[len(root) :].lstrip("/") if name.startswith(root) else name
    # a file name that is not UTF-8 reaches Python as lone surrogates, which no table can hold
    return os.fsencode(relative).decode("utf-8", "backslashreplace") or os.path.basename(name)


def _expand_remote(url: str, root: str) -> Iterator[InputFile]:
    filesystem, path = stores.filesystem_of(url)
    place = stores.filesystem_of(root)[1].rstrip("/") + "/"
    if GLOB_CHARACTERS & set(path):
        found = stores.matching(url)
    else:
        said = stores.info(url)
        found = {path: said} if said and said["type"] == "file" else stores.files(url) if said else {}
    for name, info in sorted(found.items()):
        relative = name.removeprefix(place)
        if info.get("type") != "file" or any(part.startswith(".") for part in relative.split("/")):
            continue
        version = str(info.get("ETag") or info.get("LastModified") or info.get("mtime") or "")
        yield InputFile(relative, filesystem.unstrip_protocol(name), int(info["size"]), version)
