"""What an object store answers: absent, refused and unreachable are three answers.

Only "not found" is taken for absent.  Everything else that a store says, or does not say, is a ``RefusedError`` or a
``PassingError`` that names the object.  fsspec's own ``exists`` and ``isfile`` say False to every error, and its
``find`` and ``glob`` leave out what they could not list: nothing here asks them.
"""

import contextlib
import errno
import inspect
import io
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from pipeline.base.errors import NoBucketError, PassingError, RefusedError, RunError, TokenmillError, UserError

# whose errors are those of a store: clients of stores, and what they send requests with
STORE_LIBRARIES = (
    *("botocore", "aiobotocore", "aiohttp", "gcsfs", "adlfs", "azure", "google", "fsspec", "s3fs"),
    *("huggingface_hub", "httpx", "requests", "urllib3", "paramiko"),
)
NOT_FOUND = (404, 410)  # of HTTP
OF_THIS_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)  # its disk, its descriptors


@contextlib.contextmanager
def asking(doing: str, url: str) -> Iterator[None]:
    """Turns what an object store answers to a request into an error that names it; "not found" stays what it is.

    Args:
        doing: What the request is for, such as "reading".
        url: The object, or the folder of objects.

    Raises:
        FileNotFoundError: If the store says that there is nothing.
        RefusedError: If it refuses, or has no such bucket.
        PassingError: If it failed in another way, or was not reached.
    """
    try:
        yield
    except TokenmillError:
        raise
    except Exception as error:
        if not _of_the_store(error):
            raise
        if isinstance(error, FileNotFoundError) and all(map(_is_not_found, _causes(error))):
            raise FileNotFoundError(errno.ENOENT, "no such object", url) from error
        raise _store_error(error, doing, url) from error


def _of_the_store(error: BaseException) -> bool:
    """False for a mistake of ours, and for errors of the local file to which an object is copied."""
    if isinstance(error, OSError):
        return error.errno not in OF_THIS_MACHINE and error.filename is None
    return type(error).__module__.split(".")[0] in STORE_LIBRARIES


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and what led to it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _is_not_found(cause: BaseException) -> bool:
    """Whether what led to a FileNotFoundError is an answer: some clients make it of every failure."""
    if _names_bucket(cause):
        return False
    answer = getattr(cause, "response", None)
    if isinstance(answer, dict):  # of botocore
        return True
    status = getattr(cause, "status", None) or getattr(cause, "status_code", None)
    return status in NOT_FOUND or isinstance(cause, FileNotFoundError) or not _of_the_store(cause)


def _names_bucket(cause: BaseException) -> bool:
    """Whether a store says that not the object but its bucket is missing."""
    answer = getattr(cause, "response", None)
    code = answer.get("Error", {}).get("Code") if isinstance(answer, dict) else getattr(cause, "error_code", None)
    return code in ("NoSuchBucket", "ContainerNotFound")


def _store_error(error: Exception, doing: str, url: str) -> RunError:
    causes = list(_causes(error))
    said = next((text for cause in causes if (text := _said(cause, url))), type(error).__name__)
    made: type[RunError] = RefusedError
    if any(map(_names_bucket, causes)):
        made, advice = NoBucketError, "make the bucket, or correct the URL"
    elif any(map(_refuses, causes)):
        advice = "check the credentials and what they allow, then run the same command again"
    elif isinstance(error, OSError) and error.errno in (errno.EINVAL, errno.EREMCHG):
        advice = "check its region, address and credentials, then run the same command again"
    else:
        made, advice = PassingError, "run the same command again when it answers"
    return made(f"the object store failed: {said} (while {doing} {url}); {advice}")


def _refuses(cause: BaseException) -> bool:
    name = type(cause).__name__
    return (
        isinstance(cause, PermissionError)
        or getattr(cause, "status", None) in (401, 403)
        or any(word in name for word in ("Credential", "Token", "Unauthorized"))
    )


def _said(cause: BaseException, url: str) -> str:
    """What an error says in one line; nothing where it only repeats the address."""
    text = " ".join(str(getattr(cause, "strerror", None) or cause).split())
    return "" if text == url else text.rstrip(".")[:500]


def filesystem_of(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it.

    Raises:
        UserError: If its scheme is unknown, or the package for it is not installed.
    """
    import fsspec

    try:
        # other processes publish at the same time: a remembered listing would hide what they made
        filesystem, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise UserError(f"{url}: {error}") from error
    return filesystem, path


def info(url: str) -> dict[str, Any] | None:
    """What a store says of a URL (``type``: "file" or "directory"; ``size``, ``ETag``); None where nothing is."""
    filesystem, path = filesystem_of(url)
    try:
        with asking("looking for", url):
            return dict(filesystem.info(path))
    except FileNotFoundError:
        return None


def files(url: str) -> dict[str, Any]:
    """Name in the file system -> what the store says of it, for each file below a folder."""
    filesystem, folder = filesystem_of(url)
    return _files(filesystem, folder, url)


def _files(filesystem: Any, folder: str, url: str) -> dict[str, Any]:
    try:
        with asking("listing", url):
            return dict(filesystem.find(folder, detail=True) if _finds(type(filesystem)) else _walk(filesystem, folder))
    except FileNotFoundError:
        return {}


def _finds(kind: Any) -> bool:
    """Whether a file system has a ``find`` of its own: fsspec's leaves out folders that it cannot list."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    if issubclass(kind, AsyncFileSystem):
        return kind._find is not AsyncFileSystem._find
    return bool(kind.find is not AbstractFileSystem.find)


def _walk(filesystem: Any, folder: str) -> Iterator[tuple[str, Any]]:
    for said in filesystem.ls(folder, detail=True):
        name = said["name"].rstrip("/")
        if said["type"] == "directory" and name != folder.rstrip("/"):
            with contextlib.suppress(FileNotFoundError):  # removed since
                yield from _walk(filesystem, name)
        else:
            yield name, said


def matching(url: str) -> dict[str, Any]:
    """As ``files``, for what a glob fits: the files, and all that lies below the folders."""
    filesystem, pattern = filesystem_of(url)
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if any(sign in part for sign in "*?["))
    folders = ["/".join(parts[:first])]
    if any("**" in part for part in parts):
        return _matching_anywhere(_files(filesystem, folders[0], url), pattern)
    found: dict[str, Any] = {}
    for depth, part in enumerate(parts[first:], start=first + 1):
        fitting = {name: said for folder in folders for name, said in _entries(filesystem, folder, part, url).items()}
        folders = [name for name, said in fitting.items() if said["type"] == "directory"]
        if depth == len(parts):
            found = {name: said for name, said in fitting.items() if said["type"] != "directory"}
    for folder in folders:
        found |= _files(filesystem, folder, url)
    return found


def _entries(filesystem: Any, folder: str, pattern: str, url: str) -> dict[str, Any]:
    """What lies in a folder, and whose name a pattern fits."""
    try:
        with asking("listing", url):
            listed = filesystem.ls(folder, detail=True)
    except FileNotFoundError:
        return {}
    named = {said["name"].rstrip("/"): said for said in listed}
    return {name: said for name, said in named.items() if fnmatchcase(name.rpartition("/")[2], pattern)}


def _matching_anywhere(found: dict[str, Any], pattern: str) -> dict[str, Any]:
    """The files that a pattern with ``**`` fits, themselves or a folder that they lie in."""
    from fsspec.utils import glob_translate

    fits = re.compile(glob_translate(pattern)).match

    def inside(name: str) -> bool:
        return any(fits(name[:end]) for end in range(1, len(name) + 1) if end == len(name) or name[end] == "/")

    return {name: said for name, said in found.items() if inside(name)}


def read(url: str) -> bytes:
    """The whole object.

    Raises:
        FileNotFoundError: If there is none.
    """
    filesystem, path = filesystem_of(url)
    with asking("reading", url):
        return bytes(filesystem.cat_file(path, **_one_request(type(filesystem))))


def _one_request(kind: Any) -> dict[str, int]:
    """What makes ``cat_file`` one request: s3fs otherwise asks for the size first."""
    has = "max_concurrency" in inspect.signature(getattr(kind, "_cat_file", kind.cat_file)).parameters
    return {"max_concurrency": 1} if has else {}


class RangedObject(io.RawIOBase):
    """An object, read in ranges: a request for each read, and one for its end, where a footer stands.

    Args:
        url: The object.

    Raises:
        FileNotFoundError: If there is none.
    """

    TAIL_BYTES = 1 << 16

    def __init__(self, url: str) -> None:
        said = info(url)
        if said is None or said["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, "no such object", url)
        self._url, self._size, self._at = url, int(said["size"]), 0
        self._filesystem, self._path = filesystem_of(url)
        self._tail_start = max(0, self._size - self.TAIL_BYTES)
        self._tail = self._bytes(self._tail_start, self._size)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The offset of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Sets the offset of the next read."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The next bytes, all that is left where ``size`` is negative."""
        start = self._at
        self._at = self._size if size < 0 else min(start + size, self._size)
        if start >= self._tail_start:
            return self._tail[start - self._tail_start : self._at - self._tail_start]
        return self._bytes(start, self._at)

    def _bytes(self, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        with asking("reading", self._url):
            found = bytes(self._filesystem.cat_file(self._path, start=start, end=end))
        if len(found) != end - start:
            raise PassingError(
                f"the object store failed: {len(found):,} of {end - start:,} bytes came (while reading {self._url}); "
                "run the same command again"
            )
        return found
