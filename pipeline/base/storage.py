"""Where a run's files live: a local folder or any fsspec URL.  The one module that knows the difference.

Readers ask for a local path (``open_local``: the file itself, or a cached copy of an object); writers make a finished
local file and ``publish`` it in one step: fsync + rename on POSIX, one PUT elsewhere.  A name is therefore either
absent or complete.
"""

import functools
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pipeline.base.digests import digest
from pipeline.base.errors import PassingError

STORE_LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "adlfs", "azure", "google")
P = ParamSpec("P")
T = TypeVar("T")
SCRATCH = ".scratch"  # inside a local root: the same file system, so that a rename publishes


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


def absolute(url: str) -> str:
    """A plain path from the root of the file system; a URL as it is."""
    return url if "://" in url else str(Path(url).absolute())


def join(root: str, *parts: str) -> str:
    """Joins URL parts with ``/``."""
    return "/".join([root.rstrip("/"), *(part.strip("/") for part in parts)])


def in_words(function: Callable[P, T]) -> Callable[P, T]:
    """Turns the errors of a store's own client library, which are no ``OSError``, into a ``PassingError``."""

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return function(*arguments, **named)
        except Exception as error:
            if type(error).__module__.split(".")[0] in STORE_LIBRARIES:
                raise PassingError(f"the object store failed: {error}") from error
            raise

    return call


def _remote(url: str) -> tuple[Any, str]:
    import fsspec

    # other processes publish at the same time: a remembered listing would hide what they made
    filesystem, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return filesystem, path


@in_words
def exists(url: str) -> bool:
    """True when a file stands at ``url``."""
    if is_local(url):
        return local_path(url).is_file()
    filesystem, path = _remote(url)
    return bool(filesystem.isfile(path))


@in_words
def size(url: str) -> int | None:
    """Bytes of the file at ``url``, or None when there is none."""
    if is_local(url):
        try:
            return local_path(url).stat().st_size
        except FileNotFoundError:
            return None
    filesystem, path = _remote(url)
    return int(filesystem.size(path)) if filesystem.isfile(path) else None


@in_words
def read_bytes(url: str) -> bytes:
    """The whole file."""
    if is_local(url):
        return local_path(url).read_bytes()
    filesystem, path = _remote(url)
    return bytes(filesystem.cat_file(path))


def cache_folder() -> Path:
    """The folder of this user's caches (kernels, copies of objects); always local."""
    base = os.environ.get("TOKENMILL_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tokenmill"
    )
    return Path(base)


def copies_of(url: str) -> Path:
    """The folder of this machine's copies of an object, one per version."""
    return cache_folder() / "objects" / digest(url).hex()


def _forget_copies(url: str, but: str = "") -> None:
    """Removes this machine's copies of an object, but not of one version; whoever has one mapped keeps it."""
    folder = copies_of(url)
    for version in folder.iterdir() if folder.is_dir() else ():
        if version.name != but:
            shutil.rmtree(version, ignore_errors=True)


@in_words
def open_local(url: str) -> Path:
    """A local path that holds the bytes of ``url``: the file itself, or a cached copy of the object.

    A copy is named by the object's URL and version (size and ETag or modification time), so a rewritten object is
    copied again.

    Raises:
        FileNotFoundError: If nothing stands at ``url``.
    """
    if is_local(url):
        return local_path(url)
    filesystem, path = _remote(url)
    info = filesystem.info(path)
    version = str(info.get("ETag") or info.get("LastModified") or info.get("mtime") or "")
    key = digest(f"{info['size']}\0{version}").hex()
    copy = copies_of(url) / key / path.rsplit("/", 1)[-1]
    if not copy.exists():
        # an earlier version may hold what was taken down since; another process may be copying this one
        _forget_copies(url, but=key)
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = copy.with_name(f".{copy.name}.{uuid.uuid4().hex}")
        filesystem.get_file(path, str(partial))
        os.replace(partial, copy)
    return copy


@in_words
def list_files(url: str, suffix: str = "") -> list[str]:
    """Names of the files below the folder ``url``, relative to it, sorted; empty when the folder is missing."""
    if is_local(url):
        root = local_path(url)
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    else:
        filesystem, folder = _remote(url)
        names = [path[len(folder.rstrip("/")) + 1 :] for path in filesystem.find(folder)]
    return sorted(name for name in names if name.endswith(suffix) and not name.startswith(SCRATCH))


@in_words
def delete(url: str) -> None:
    """Removes the file at ``url``; a missing one is fine."""
    if is_local(url):
        local_path(url).unlink(missing_ok=True)
        return
    filesystem, path = _remote(url)
    _forget_copies(url)
    if filesystem.isfile(path):
        filesystem.rm_file(path)


def scratch(root: str) -> Path:
    """A new, unused local path to write to before ``publish`` moves it below ``root``.  Its folder exists."""
    folder = local_path(root) / SCRATCH if is_local(root) else Path(tempfile.gettempdir()) / "tokenmill-scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / uuid.uuid4().hex


def clear_scratch(root: str) -> None:
    """Removes what a killed process left half-written.  Call it only while holding the run's lock."""
    if is_local(root):
        shutil.rmtree(local_path(root) / SCRATCH, ignore_errors=True)


def fsync_path(path: Path) -> None:
    """Flushes a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@in_words
def publish(finished: Path, url: str) -> None:
    """Makes the finished local file appear at ``url`` in one step, and removes it from where it was written."""
    if is_local(url):
        target = local_path(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        fsync_path(finished)
        os.replace(finished, target)
        fsync_path(target.parent)
        return
    filesystem, path = _remote(url)
    filesystem.put_file(str(finished), path)
    _forget_copies(url)
    finished.unlink()


def publish_bytes(data: bytes, url: str, root: str | None = None) -> None:
    """Publishes ``data`` at ``url``; ``root`` (default: the file's folder) is where the scratch file lies meanwhile."""
    partial = scratch(root or url.rsplit("/", 1)[0])
    partial.write_bytes(data)
    publish(partial, url)
