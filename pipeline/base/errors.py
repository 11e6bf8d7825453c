"""Errors that a user meets, and the exit code of each (docs/cli.md lists the codes)."""


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


def in_words(error: Exception) -> str:
    """An exception's type and message, as a table can hold them."""
    message = f"{type(error).__name__}: {error}"[:DETAIL_CHARACTERS]
    return message.encode("utf-8", "backslashreplace").decode("utf-8")


def out_of_memory(path: str) -> RunError:
    """What is said where the memory of the machine did not suffice for a file."""
    return RunError(
        f"{path}: memory ran out while it was read; give it more memory or fewer workers, or lower "
        "clean.max_record_bytes, then run again"
    )
