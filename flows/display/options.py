"""Options that several commands share: how each is written, and what its help says, stands here once."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pipeline.base import storage
from pipeline.base.errors import UserError


def _local(kind: Any, tokens: Sequence[Any]) -> Path:
    return storage.local_path(tokens[0].value)


def _not_negative(kind: Any, value: int) -> None:
    if value < 0:
        raise ValueError("expected 0 or more")


_SWITCH = Parameter(negative=(), show_default=False)  # there or not: "default: False" says nothing more
Flag = Annotated[bool, _SWITCH]
Json = Annotated[Flag, Parameter(name="--json", help="Print exactly one JSON object on standard output.")]
Repeated = Annotated[list[str], Parameter(negative=())]
Several = Annotated[list[str], Parameter(negative=(), consume_multiple=True)]
Overrides = Annotated[list[str], Parameter(name="--set", negative=())]
LocalPath = Annotated[Path, Parameter(converter=_local)]  # a plain Path makes a folder "s3:" of s3://bucket
GivenFile = Annotated[str, Parameter(allow_leading_hyphen=True)]  # "-": standard input (flows/display/standard.py)
Output = Annotated[LocalPath, Parameter(name=["--output", "-o"])]
DryRun = Annotated[Flag, Parameter(name=["--dry-run", "-n"])]  # as make and rsync have it
Workers = Annotated[int, Parameter(name=["--workers", "-j"], validator=_not_negative)]
Checkpoint = Annotated[
    str | None,
    Parameter(
        name="--checkpoint", help="The checkpoint to use: a step, or its folder in the run; by default the last one."
    ),
]
Overwrite = Annotated[Flag, Parameter(help="Replace what the output holds.")]

# of deduplication
TextField = Annotated[str, Parameter(help="Field or column with the text.")]
Threshold = Annotated[float, Parameter(help="Exact Jaccard similarity from which a record is removed.")]
Ngram = Annotated[int, Parameter(help="Words in a shingle.")]
Bands = Annotated[int, Parameter(help="Bands of the signature.")]
Rows = Annotated[int, Parameter(help="Min-hash values in a band.")]
Seed = Annotated[int, Parameter(help="Seed of the permutations.")]
Memory = Annotated[str, Parameter(help="Memory of the join.")]
Processes = Annotated[Workers, Parameter(help="Worker processes; 0: one for each processor.")]


def refuse_overwriting(option: str, *places: Path, overwrite: bool) -> None:
    """What every command that writes an output asks before it does anything: is there something at ``places``?

    Args:
        option: How the output is named on the command line, such as ``--output``.
        places: Files or folders that would be written; a folder without entries and an empty file hold nothing.
        overwrite: ``--overwrite`` was given.

    Raises:
        UserError: If one holds something and ``overwrite`` is false; nothing has been touched then.
    """
    for place in places:
        if not overwrite and (what := _held_at(place)):
            raise UserError(f"{option} {place}: holds {what}; name another, or replace it with --overwrite")


@contextlib.contextmanager
def written(option: str, place: Path) -> Iterator[None]:
    """Around the writing of an output: what the disk says against it becomes a sentence with the option's name."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)).parent != place.parent:
            raise  # of something else
        raise UserError(f"{option} {place}: cannot be written: {error.strerror or error}; name another") from error


def _held_at(place: Path) -> str:
    """What stands at a place, in words; empty where nothing does."""
    try:
        if place.is_dir():
            names = sorted(path.name for path in place.iterdir())
            return f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        size = place.stat().st_size
    except FileNotFoundError:
        return ""
    except OSError as error:  # below a file, or not readable: the command itself says what is wrong with it
        return "" if isinstance(error, NotADirectoryError) else f"what cannot be looked at ({error.strerror})"
    return f"a file of {size:,} bytes" if size else ""
