"""Errors that a user meets, and the exit code of each (docs/cli.md lists the codes); and those of the system in words.

The system's own words ("No space left on device") name neither file nor remedy: ``in_a_sentence`` does.
"""

import contextlib
import errno
import json
from collections.abc import Iterator
from typing import Any


class TokenmillError(Exception):
    """Base of every error whose message is written for the user: printed without a traceback.

    ``exit_code`` is the exit code of the command that ends with it; ``told`` is true where another process of the same
    training says it.
    """

    exit_code = 1
    told = False


class RunError(TokenmillError):
    """The run failed: a shard that cannot be made, a full disk, a damaged output."""

    exit_code = 1


class UnansweredError(RunError):
    """A disk or an object store did not tell what was asked: nothing is known of it, least of all that it is absent."""


class PassingError(UnansweredError):
    """Reading or writing failed in a way that may pass (network, object store): worth another try."""


class RefusedError(UnansweredError):
    """A store refused a request (credentials, permissions, no such bucket): another try alone does not help."""


class NoBucketError(RefusedError):
    """A URL names a bucket that its store does not have."""


class UserError(TokenmillError, ValueError):
    """The command was given something it cannot use: usage, recipe, or input."""

    exit_code = 2


class GateError(TokenmillError):
    """A gate was exceeded: too many quarantined records, or records that do not add up."""

    exit_code = 3


class FormatError(RunError):
    """A table on disk is not what its reader expects: another table, another major version, or damage."""


DETAIL_CHARACTERS = 500
# what is no fault of the record that was worked on: said to the user, the file system's, or not installed
NO_RECORD_S_FAULT = (TokenmillError, OSError, ImportError)


def in_words(error: BaseException) -> str:
    """An exception's type and message, as a table can hold them.

    Example:
        >>> in_words(KeyError("a")), in_words(EOFError())
        ("KeyError: 'a'", 'EOFError')
        >>> in_words(RecursionError("maximum recursion depth exceeded"))
        'nested too deeply to be read'
    """
    if isinstance(error, RecursionError):  # of a library, whose own words are of Python
        return "nested too deeply to be read"
    message = f"{type(error).__name__}: {error}".removesuffix(": ")[:DETAIL_CHARACTERS]
    return message.encode("utf-8", "backslashreplace").decode("utf-8")


def out_of_memory(path: str) -> RunError:
    """What is said where the memory of the machine did not suffice for a file."""
    return RunError(
        f"{path}: memory ran out while it was read; give it more memory or fewer workers, or lower "
        "clean.max_record_bytes, then run again"
    )


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_FILE_S_FAULT = (*FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the process, or the disk that it writes to
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_AGAIN = "then run the same command again to go on"
_WHAT = {
    errno.ENOSPC: (
        "no space left on the disk",
        f"make room (`tokenmill status RUN --disk` says where), {_AGAIN}",
    ),
    errno.EDQUOT: ("the disk quota of this user is used up", f"make room or have it raised, {_AGAIN}"),
    errno.EFBIG: ("a file may not be larger here", f"raise the limit (`ulimit -f`), {_AGAIN}"),
    errno.EACCES: ("no permission", "give this user access, or name another folder"),
    errno.EPERM: ("not permitted", "give this user access, or name another folder"),
    errno.EROFS: ("the file system is read-only", "name a folder that can be written"),
    errno.EINTR: ("interrupted by a signal", _AGAIN.removeprefix("then ")),
    errno.EIO: ("the disk reports an error", f"look into the system's log (`dmesg`), {_AGAIN}"),
    errno.ESTALE: ("the network file system has lost the file", _AGAIN.removeprefix("then ")),
    errno.EMFILE: ("too many files are open", f"raise the limit (`ulimit -n`), {_AGAIN}"),
    errno.ENFILE: ("too many files are open on this machine", _AGAIN.removeprefix("then ")),
    errno.ENOENT: ("not found", "of a file of a run, `tokenmill verify RUN` says what makes it again"),
    errno.ENOTDIR: ("a part of the path is no folder", "give a path that is there"),
    errno.EISDIR: ("a folder, where a file was expected", "name a file"),
    errno.ENAMETOOLONG: ("the name is too long for the file system", "choose a shorter one"),
    errno.ELOOP: ("symbolic links that lead in a circle", "remove one of them"),
}


def is_the_systems(error: BaseException) -> bool:
    """Whether the system refused to read, of whose bytes then nothing is known; damage may be an ``OSError`` too.

    Arrow says of damaged bytes an ``OSError`` without a number, and a seek to where they point is EINVAL.

    Example:
        >>> [is_the_systems(error) for error in (OSError(errno.EIO, "x"), OSError("Invalid IPC"), ValueError())]
        [True, False, False]
    """
    return isinstance(error, OSError) and error.errno not in (None, 0, errno.EINVAL)


def raise_the_systems(error: BaseException) -> None:
    """Raises what the system refused (``is_the_systems``): for handlers that take any other error for damage."""
    if is_the_systems(error):
        raise error


def in_brief(error: OSError) -> str:
    """What went wrong, without the file and without what to do.

    Example:
        >>> in_brief(OSError(errno.EDQUOT, "Disk quota exceeded"))
        'the disk quota of this user is used up'
    """
    return _WHAT[error.errno][0] if error.errno in _WHAT else error.strerror or str(error)


def in_a_sentence(error: OSError, where: str = "", needed_bytes: int = 0) -> str:
    """What went wrong with which file, and what to do.

    Args:
        error: What the system said.
        where: The file or folder that was worked on, where the error names none.
        needed_bytes: At least so many had to be written, where it is known.

    Example:
        >>> in_a_sentence(OSError(errno.EROFS, "Read-only file system", "/a/b"))
        '/a/b: the file system is read-only; name a folder that can be written'
        >>> in_a_sentence(OSError(errno.EDQUOT, "x"), "/run", 10).split(": ")[1].split(";")[0]
        'the disk quota of this user is used up, at least 10 bytes are needed'
    """
    named = error.filename2 or error.filename
    place = named.decode(errors="replace") if isinstance(named, bytes) else str(named or where)
    if error.errno not in _WHAT:
        return f"{place}: {in_brief(error)}" if place else f"{type(error).__name__}: {error}"
    what, cure = _WHAT[error.errno]
    if error.errno in FULL and not needed_bytes:
        needed_bytes = getattr(error, "needed_bytes", 0)
    needed = f", at least {needed_bytes:,} bytes are needed" if error.errno in FULL and needed_bytes else ""
    return f"{place}: {what}{needed}; {cure}" if place else f"{what}{needed}; {cure}"


@contextlib.contextmanager
def naming(place: str) -> Iterator[None]:
    """What the system refuses within the block has a place at least where it names no file, as of a write."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None or isinstance(error, TokenmillError):
            raise
        made = OSError(error.errno, error.strerror or str(error), place)
        made.needed_bytes = getattr(error, "needed_bytes", 0)  # type: ignore[attr-defined]
        raise made from error


def while_writing(error: OSError, path: str, needed_bytes: int) -> OSError:
    """The error of a write, which names neither file nor bytes, with both."""
    made = OSError(error.errno, error.strerror or str(error), path)
    made.needed_bytes = needed_bytes  # type: ignore[attr-defined]
    return made


@contextlib.contextmanager
def naming_size(path: str, needed_bytes: int) -> Iterator[None]:
    """An error of a write within the block names the file, and the bytes that were to be written."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or isinstance(error, TokenmillError):
            raise
        raise while_writing(error, path, needed_bytes) from error


def parse_json(data: bytes | str) -> Any:
    """JSON of a file that others may have written or damaged; any other use of ``json.loads`` is refused by the linter.

    Raises:
        ValueError: If it is none, and where it is nested deeper than Python reads.
    """
    try:
        return json.loads(data)  # noqa: TID251  the one place
    except RecursionError as error:
        raise ValueError("nested deeper than JSON is read here") from error
