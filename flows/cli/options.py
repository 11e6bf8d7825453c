"""Options that several commands share: how each is written, and what its help says, stands here once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pipeline.base import storage

INDEX_HELP = "An on-disk index of earlier documents that names the one a new document duplicates."


def _local(kind: Any, tokens: Sequence[Any]) -> Path:
    return storage.local_path(tokens[0].value)


Json = Annotated[bool, Parameter(name="--json", negative=(), help="print exactly one JSON object on standard output")]
Flag = Annotated[bool, Parameter(negative=())]
Repeated = Annotated[list[str], Parameter(negative=())]
Several = Annotated[list[str], Parameter(negative=(), consume_multiple=True)]
Overrides = Annotated[list[str], Parameter(name="--set", negative=())]
LocalPath = Annotated[Path, Parameter(converter=_local)]  # a plain Path makes a folder "s3:" of s3://bucket
