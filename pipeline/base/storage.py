"""Where a run's files live: a local folder or any fsspec URL.  The one module that knows the difference.

Readers ask for a local path (``open_local``: the file itself, or a cached copy of an object); writers make a finished
local file and ``publish`` it in one step: fsync + rename on POSIX, one PUT elsewhere.  A name is therefore either
absent or complete.

Absent, refused and unreachable are three answers.  Only "not found" is taken for absent (stores.py); on a disk
ENOENT, and ENOTDIR, for nothing can stand below a file.  Every other answer of a disk stays the ``OSError`` that it is.
"""

import contextlib
import errno
import functools
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from pipeline.base import stores
from pipeline.base.digests import digest
from pipeline.base.errors import naming, while_writing

SCRATCH = ".scratch"  # inside a local root: the same file system, so that a rename publishes
TEMPORARY_NAMES = 10  # that a user's folder in the temporary one may have


def is_local(url: str) -> bool:
    """True for a plain path or a ``file://`` URL."""
    return "://" not in url or url.startswith("file://")


def local_path(url: str) -> Path:
    """The path of a local URL.

    Raises:
        ValueError: If the URL is not local.
    """
    if not is_local(url):
        raise ValueError(f"expected a local path, got the URL {url}")
    return Path(url.removeprefix("file://"))


@contextlib.contextmanager
def read_whole(path: str | Path) -> Iterator[str]:
    """Another name of a file within the block, of which all bytes were read: for libraries that take what they get.

    Raises:
        OSError: With the path, if the system refuses one of them.
    """
    if not hasattr(os, "memfd_create"):  # Linux has it
        yield os.fspath(path)
        return
    with os.fdopen(os.memfd_create("tokenmill"), "wb") as memory:
        with naming(os.fspath(path)), open(path, "rb") as file:
            shutil.copyfileobj(file, memory)
            memory.flush()
        yield f"/proc/self/fd/{memory.fileno()}"


def absolute(url: str) -> str:
    """A plain path from the root of the file system; a URL as it is.

    Raises:
        FileNotFoundError: If the path is relative, and the working directory was removed.
    """
    try:
        return url if "://" in url else str(Path(url).absolute())
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, "the working directory was removed; give a path from /", url) from error


def join(root: str, *parts: str) -> str:
    """Joins URL parts with ``/``."""
    return "/".join([root.rstrip("/"), *(part.strip("/") for part in parts)])


def local_status(path: Path) -> os.stat_result | None:
    """What ``stat`` says of a path; None where nothing is.  ``Path.exists`` says False to ELOOP too.

    Raises:
        OSError: If it cannot be told: no permission, a failing disk, a loop of symbolic links.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def stands(path: Path) -> bool:
    """Whether anything is at a path, a symbolic link to nothing too; ``os.path.lexists`` says False to every error."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_folder(url: str) -> bool:
    """True when a folder stands at ``url``; in an object store, when something lies below it and no object at it."""
    if is_local(url):
        status = local_status(local_path(url))
        return status is not None and stat.S_ISDIR(status.st_mode)
    found = stores.info(url)
    return found is not None and found["type"] == "directory"


def exists(url: str) -> bool:
    """True when a file stands at ``url``."""
    if is_local(url):
        status = local_status(local_path(url))
        return status is not None and stat.S_ISREG(status.st_mode)
    found = stores.info(url)
    return found is not None and found["type"] == "file"


def size(url: str) -> int | None:
    """Bytes of the file at ``url``, or None when there is none."""
    if is_local(url):
        status = local_status(local_path(url))
        return None if status is None else status.st_size
    found = stores.info(url)
    return None if found is None or found["type"] != "file" else int(found["size"])


def read_bytes(url: str) -> bytes:
    """The whole file.

    Raises:
        FileNotFoundError: If nothing stands at ``url``.
    """
    if is_local(url):
        with naming(url):
            return local_path(url).read_bytes()
    return stores.read(url)


def read_if_there(url: str) -> bytes | None:
    """The whole file, or None where nothing stands at ``url``; one request."""
    try:
        return read_bytes(url)
    except (FileNotFoundError, NotADirectoryError):
        return None


def cache_folder() -> Path:
    """The folder of this user's caches (kernels, copies of objects); always local, and one that can be written."""
    wanted = wanted_cache_folder()
    return Path(wanted) if _can_be_written(wanted) else temporary_folder("cache")


def wanted_cache_folder() -> str:
    """Where the environment has this user's caches; of a user without a home, a path that nothing stands for."""
    return os.environ.get("TOKENMILL_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tokenmill"
    )


@functools.cache  # asked for each object that is read
def _can_be_written(folder: str) -> bool:
    """Whether a folder takes files, or the folder that it would be made in; one below ``~`` is of nobody's home."""
    if folder.startswith("~"):
        return False
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder) or "."
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def temporary_folder(name: str) -> Path:
    """A folder in the temporary one that only this user can read and write, the same for all of his processes.

    The name is one that anybody can foresee.  Where another user has taken it, the next one is tried.

    Raises:
        FileExistsError: If others have taken all of them.
    """
    for number in range(TEMPORARY_NAMES):
        folder = Path(tempfile.gettempdir(), f"tokenmill-{os.geteuid()}" + (f"-{number}" if number else ""))
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            if found.st_mode & 0o077:
                folder.chmod(0o700)
            (folder / name).mkdir(exist_ok=True)
            return folder / name
    raise FileExistsError(f"{folder} and the names before it are taken by other users; set TMPDIR to a folder of yours")


def copies_of(url: str) -> Path:
    """The folder of this machine's copies of an object, one per version."""
    return cache_folder() / "objects" / digest(url).hex()


def _forget_copies(url: str, but: str = "") -> None:
    """Removes this machine's copies of an object, but not of one version; whoever has one mapped keeps it."""
    folder = copies_of(url)
    for version in folder.iterdir() if folder.is_dir() else ():
        if version.name != but:
            remove_tree(version)


def remove_tree(folder: Path) -> None:
    """Removes a folder with all that is in it; one that another process removes at the same time is fine.

    Raises:
        OSError: If something stays: it may hold what was taken down.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        if local_status(folder) is not None:
            remove_tree(folder)


def open_local(url: str) -> Path:
    """A local path that holds the bytes of ``url``: the file itself, or a cached copy of the object.

    A copy is named by the object's URL and version (size and ETag or modification time), so a rewritten object is
    copied again.

    Raises:
        FileNotFoundError: If nothing stands at ``url``.
    """
    if is_local(url):
        return local_path(url)
    filesystem, path = stores.filesystem_of(url)
    info = stores.info(url)
    if info is None or info["type"] != "file":
        raise FileNotFoundError(errno.ENOENT, "no such object", url)
    version = str(info.get("ETag") or info.get("LastModified") or info.get("mtime") or "")
    key = digest(f"{info['size']}\0{version}").hex()
    copy = copies_of(url) / key / path.rsplit("/", 1)[-1]
    if local_status(copy) is None:
        # an earlier version may hold what was taken down since; another process may be copying this one
        _forget_copies(url, but=key)
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = copy.with_name(f".{copy.name}.{uuid.uuid4().hex}")
        with stores.asking("reading", url):
            filesystem.get_file(path, str(partial))
        os.replace(partial, copy)
    return copy


def open_if_there(url: str) -> Path | None:
    """As ``open_local``, or None where no file stands at ``url``."""
    if is_local(url):
        return local_path(url) if exists(url) else None
    try:
        return open_local(url)
    except FileNotFoundError as error:
        if error.filename != url:  # this machine's copy went while it was made
            raise
        return None


def open_folder(url: str, suffix: str, *, as_path: str) -> Path:
    """A local folder with the files of ``url`` that end so: itself, or one that ends with ``as_path``, of links."""
    if is_local(url):
        return local_path(url)
    folder = scratch(url) / as_path
    folder.mkdir(parents=True)
    for name in list_files(url, suffix):
        (folder / name).symlink_to(open_local(join(url, name)))
    return folder


def list_files(url: str, suffix: str = "", *, hidden: bool = False) -> list[str]:
    """Names of the files below the folder ``url``, relative to it, sorted; empty when there is no folder.

    What is half-written is only named with ``hidden``.
    """
    if is_local(url):
        names = list(_files_below(local_path(url), but="" if hidden else SCRATCH))
    else:
        folder = stores.filesystem_of(url)[1].rstrip("/") + "/"
        names = [path.removeprefix(folder) for path in stores.files(url) if path.startswith(folder)]
    return sorted(name for name in names if name.endswith(suffix) and (hidden or not name.startswith(SCRATCH)))


def _files_below(folder: Path, prefix: str = "", but: str = "") -> Iterator[str]:
    """``Path.rglob`` leaves out folders that it may not read."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name != but:
                yield from _files_below(Path(entry.path), f"{prefix}{entry.name}/")
        elif entry.is_file():
            yield f"{prefix}{entry.name}"


def delete(url: str) -> None:
    """Removes the file at ``url``; a missing one is fine."""
    if is_local(url):
        local_path(url).unlink(missing_ok=True)
        return
    _forget_copies(url)
    if not exists(url):
        return
    filesystem, path = stores.filesystem_of(url)
    with contextlib.suppress(FileNotFoundError), stores.asking("deleting", url):
        filesystem.rm_file(path)


def scratch(root: str) -> Path:
    """A new, unused local path to write to before ``publish`` moves it below ``root``.  Its folder exists."""
    folder = _scratch_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / uuid.uuid4().hex


def _scratch_folder(root: str) -> Path:
    return local_path(root) / SCRATCH if is_local(root) else temporary_folder("scratch") / digest(root).hex()


def clear_scratch(root: str) -> None:
    """Removes what a killed process left half-written.  Call it only while holding the run's lock."""
    shutil.rmtree(_scratch_folder(root), ignore_errors=True)


def fsync_path(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # it names no file
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to: it takes its place when the block ends well, and goes when it does not."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        publish(partial, str(path))
    finally:
        partial.unlink(missing_ok=True)


def publish(finished: Path, url: str, *, lasting: bool = True) -> None:
    """Makes the finished local file appear at ``url`` in one step, and removes it from where it was written.

    ``lasting``: the disk has it when this returns, so that no power cut takes it back.
    """
    if is_local(url):
        target = local_path(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        if lasting:
            fsync_path(finished)
        os.replace(finished, target)
        if lasting:
            fsync_path(target.parent)
        return
    filesystem, path = stores.filesystem_of(url)
    with stores.asking("writing", url):
        filesystem.put_file(str(finished), path)
    _forget_copies(url)
    finished.unlink()


def publish_bytes(data: bytes, url: str, root: str | None = None, *, lasting: bool = True) -> None:
    """Publishes ``data`` at ``url``; ``root`` (default: the file's folder) is where the scratch file lies meanwhile."""
    partial = scratch(root or url.rsplit("/", 1)[0])
    try:
        partial.write_bytes(data)
    except OSError as error:  # of a write, it names no file
        partial.unlink(missing_ok=True)
        raise while_writing(error, url, len(data)) from error
    publish(partial, url, lasting=lasting)


@contextlib.contextmanager
def made_for_something(folder: Path) -> Iterator[None]:
    """Around the making of a local folder: it, and those above it, go again where nothing came to lie in them."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    finally:
        for place in made:
            if not place.is_dir() or any(place.iterdir()):
                break
            place.rmdir()
