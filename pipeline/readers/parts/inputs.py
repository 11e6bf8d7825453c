"""A source's paths -> the files below its root, in an order that does not depend on the file system.

A path is a file, a glob, a folder, or an fsspec URL of one of these.  The source's root is the deepest folder that all
of its paths share, read off the paths alone; every file is named by its path below that root, so that no manifest or
table holds a machine's folder.

A symbolic link that a folder holds is followed within the source's folder.  One that leads out of it was named by
nobody: it is an entry that says so, unless ``follow_links`` asks for it.  One to what is an input anyway, by its own
name, is passed over, as one that leads back is.  The links of a Hugging Face cache (``../../blobs/…``) are followed.
The files that the library datasets keeps beside its own data are no input, and told.
"""

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.base import storage, stores
from pipeline.base.errors import NoBucketError, UserError
from pipeline.base.words import listed
from pipeline.readers.parts.saved_datasets import library_files
from pipeline.recipe.globs import Selection, pattern

GLOB_CHARACTERS = frozenset("*?[")
BROKEN_LINK, OUTSIDE_LINK = "broken_link", "outside_link"  # reasons of what is not read
_CACHED = re.compile(r"(?:\.\./)+blobs/[0-9a-f]{40,64}")
MOST_GLOBS = 5  # told of those that name nothing
LOCK = "~$"  # before the name of a document that an office program has open


@dataclass(frozen=True)
class InputFile:
    """One file of a source.

    ``path`` is relative to the source's root and always valid Unicode; ``url`` opens it; ``version`` is what tells
    cheaply whether it changed (modification time or ETag); ``error`` says why it, or a folder, cannot be read;
    ``excluded`` is the reason why it is not wanted.
    """

    path: str
    url: str
    size: int
    version: str = ""
    error: str | None = None
    excluded: str | None = None
    is_dataset: bool = False  # read by a datatrove reader that finds its own files


@dataclass(frozen=True)
class SourceInputs:
    """The files of one source, sorted by path in byte order.

    ``unwanted`` counts those that the recipe leaves out; ``naming_nothing`` are its globs that name none at all.
    """

    name: str
    root: str
    files: tuple[InputFile, ...]
    unwanted: int = 0
    naming_nothing: tuple[str, ...] = ()

    def globs_in_vain(self, run: str) -> str:
        """The globs that name nothing, in words; but for one of the run's own folder, which may not be there yet."""
        below = run.removeprefix(f"{self.root.rstrip('/')}/")
        globs = [glob for glob in self.naming_nothing if below == run or not pattern(glob).match(below)]
        if not globs:
            return ""
        named = "name nothing" if len(globs) > 1 else "names nothing"
        return f"of include and exclude, {listed([repr(glob) for glob in globs], MOST_GLOBS)} {named} that is there"


def odd_names(root: str, files: Iterable[InputFile]) -> dict[str, str]:
    """True names of those local files whose path had to be made valid Unicode, hex of their bytes."""
    names = ((file, file.url.removeprefix(root).lstrip("/")) for file in files if storage.is_local(file.url))
    return {file.path: os.fsencode(name).hex() for file, name in names if name != file.path}


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


def list_inputs(
    name: str, paths: Sequence[str], selection: Selection | None = None, *, follow_links: bool = False
) -> SourceInputs:
    """Lists a source's files.

    Files whose name, or whose folder's name, begins with a dot are left out of folders and globs.  A folder that cannot
    be read is an entry with ``error``.

    Args:
        name: The source's name; empty where the files are of no recipe yet.
        paths: Files, globs, folders, or fsspec URLs of these.
        selection: Which of the files found are wanted.
        follow_links: Follow symbolic links out of the source's folder.

    Raises:
        UserError: With every path that names no file at all, or where no file that was found is wanted.
        RunError: If an object store refuses to list or is not reached.
    """
    try:
        root = source_root(paths)
        place = _Root(root, None if follow_links else os.path.realpath(root))
        files = _files(name, paths, place)
    except NoBucketError as error:
        raise UserError(f"{_of(name)}no file at {', '.join(paths)}: {error}") from error
    wanted = tuple(file for file in files if selection is None or selection.wants(file.path))
    if not wanted:
        raise UserError(f"{_of(name)}include and exclude leave none of the {len(files):,} files at the paths")
    in_vain = () if selection is None else selection.naming_nothing(file.path for file in files)
    return SourceInputs(name, root, tuple(_once(wanted, place)), len(files) - len(wanted), in_vain)


def _of(name: str) -> str:
    """How an error begins that is of a source."""
    return f"source {name}: " if name else ""


@dataclass(frozen=True)
class _Root:
    """The source's root as the paths name it, and the folder that its links may not leave; None where they may."""

    path: str
    inside: str | None
    followed: set[str] = field(default_factory=set)  # links below it, those to folders with a slash at their end

    def relative(self, name: str) -> str:
        """A file's path below the root, always valid Unicode."""
        relative = name[len(self.path) :].lstrip("/") if name.startswith(self.path) else name
        # a file name that is not UTF-8 reaches Python as lone surrogates, which no table can hold
        return os.fsencode(relative).decode("utf-8", "backslashreplace") or os.path.basename(name)

    def link_out(self, name: str) -> str | None:
        """Why a link that a folder holds is not followed; None for what is no such link."""
        if not os.path.islink(name):
            return None
        try:
            if storage.local_status(Path(name)) is None:
                return BROKEN_LINK
        except OSError:  # what it leads to cannot be looked at: an error of the file
            return None
        if self.inside is None or _CACHED.fullmatch(os.readlink(name)):
            return None
        real = os.path.realpath(name)
        return None if os.path.commonpath([real, self.inside]) == self.inside else OUTSIDE_LINK


def _once(files: Sequence[InputFile], root: _Root) -> Iterator[InputFile]:
    """The files without those that a link leads to, and that are among them by their own name or by another link."""
    folders = tuple(link for link in root.followed if link.endswith("/"))
    linked = {file.url for file in files if file.url in root.followed or (folders and file.url.startswith(folders))}
    place = os.path.realpath(root.path).rstrip("/") if linked else ""
    seen = {f"{place}/{file.url[len(root.path) :].lstrip('/')}" for file in files if linked and file.url not in linked}
    for file in files:
        if file.url in linked and file.error is None:
            real = os.path.realpath(file.url)
            if real in seen:
                continue
            seen.add(real)
        yield file


def _files(name: str, paths: Sequence[str], root: _Root) -> tuple[InputFile, ...]:
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
        raise UserError(f"{_of(name)}no file at {', '.join(missing)}")
    files = sorted(found.values(), key=lambda file: (file.path.encode(), os.fsencode(file.url)))
    return tuple(_without_library_files(list(_apart(files))))


def _without_library_files(files: Sequence[InputFile]) -> Iterator[InputFile]:
    reasons = library_files(file.path for file in files if file.error is None and file.excluded is None)
    for file in files:
        yield replace(file, excluded=reasons[file.path]) if file.path in reasons else file


def _apart(files: Sequence[InputFile]) -> Iterator[InputFile]:
    """The files, each with a path of its own: a name that is not UTF-8 may look like another one."""
    taken: set[str] = set()
    for file in files:
        path = file.path
        while path in taken:
            path += "~"
        taken.add(path)
        yield file if path == file.path else replace(file, path=path)


def _expand(path: str, root: _Root) -> Iterator[InputFile]:
    plain = path.removeprefix("file://")
    if not storage.is_local(path):
        yield from _expand_remote(path, root.path)
    elif GLOB_CHARACTERS & set(plain) and storage.local_status(Path(plain)) is None:
        yield from _expand_glob(plain, root)
    elif storage.is_folder(plain):
        yield from _walk(plain, root)
    elif storage.stands(Path(plain)):
        yield _local_file(plain, root)


def _expand_glob(pattern: str, root: _Root) -> Iterator[InputFile]:
    seen: tuple[str, ...] = ()  # folders that are walked, or not entered: what is below them was found already
    for name in sorted(glob.glob(pattern, recursive=True)):
        if name.startswith(seen):
            continue
        if os.path.isdir(name):
            seen += (f"{name.rstrip('/')}/",)
        if os.path.isdir(name) and root.link_out(name.rstrip("/")) is None:
            yield from _walk(name, root)
        elif not os.path.basename(name).startswith(LOCK):  # glob leaves names with a dot out by itself
            yield _found_file(name.rstrip("/"), root)
    yield from _unreadable_folders(pattern, root)


def _unreadable_folders(pattern: str, root: _Root) -> Iterator[InputFile]:
    """Folders that ``glob`` would have looked into, and left out without a word."""
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if GLOB_CHARACTERS & set(part))
    for end in range(first, len(parts)):
        for folder in sorted(glob.glob("/".join(parts[:end]) or "/", recursive=True)):
            try:
                os.scandir(folder).close()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                why = f"folder cannot be read: {error.strerror}"
                yield InputFile(root.relative(folder), folder, 0, error=why)


def _walk(folder: str, root: _Root) -> Iterator[InputFile]:
    errors: list[OSError] = []
    entered = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, onerror=errors.append, followlinks=True):
        links = [name for name in folders if not _is_hidden(name) and root.link_out(os.path.join(place, name))]
        folders[:] = [
            name
            for name in sorted(folders)
            if not _is_hidden(name) and name not in links and _enter(place, name, entered, root)
        ]
        for name in (*names, *links):
            if not _is_hidden(name):
                yield _found_file(os.path.join(place, name), root)
    for error in errors:
        where = str(error.filename)
        yield InputFile(root.relative(where), where, 0, error=f"folder cannot be read: {error.strerror}")


def _is_hidden(name: str) -> bool:
    """A name with a dot before it, or a lock of an office program, which stands beside a document that is open."""
    return name.startswith((".", LOCK))


def _enter(place: str, name: str, entered: set[str], root: _Root) -> bool:
    """False where a symbolic link leads back to a folder that is walked already."""
    path = os.path.join(place, name)
    if not os.path.islink(path):
        return True
    real = os.path.realpath(path)
    if real in entered or any(os.path.commonpath([real, known]) == real for known in entered):
        return False
    entered.add(real)
    root.followed.add(f"{path}/")
    return True


def _found_file(name: str, root: _Root) -> InputFile:
    """A file that nobody named, but a folder holds or a glob finds."""
    reason = root.link_out(name)
    if reason is not None:
        return InputFile(root.relative(name), name, 0, excluded=reason)
    if os.path.islink(name) and not _CACHED.fullmatch(os.readlink(name)):
        root.followed.add(name)
    return _local_file(name, root)


def _local_file(name: str, root: _Root) -> InputFile:
    try:
        status = os.stat(name)
    except OSError as error:
        return InputFile(root.relative(name), name, 0, error=f"file cannot be read: {error.strerror}")
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
        return InputFile(root.relative(name), name, 0, error="not a regular file: a pipe, socket or device")
    return InputFile(root.relative(name), name, status.st_size, str(status.st_mtime_ns))


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
        if info.get("type") != "file" or any(map(_is_hidden, relative.split("/"))):
            continue
        version = str(info.get("ETag") or info.get("LastModified") or info.get("mtime") or "")
        yield InputFile(relative, filesystem.unstrip_protocol(name), int(info["size"]), version)
