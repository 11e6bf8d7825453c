"""Options that several commands share: how each is written, and what its help says, stands here once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from pipeline.base import storage


def _local(kind: Any, tokens: Sequence[Any]) -> Path:
    return storage.local_path(tokens[0].value)


Json = Annotated[bool, Parameter(name="--json", negative=(), help="print exactly one JSON object on standard output")]
Flag = Annotated[bool, Parameter(negative=())]
Repeated = Annotated[list[str], Parameter(negative=())]
Several = Annotated[list[str], Parameter(negative=(), consume_multiple=True)]
Overrides = Annotated[list[str], Parameter(name="--set", negative=())]
LocalPath = Annotated[Path, Parameter(converter=_local)]  # a plain Path makes a folder "s3:" of s3://bucket

# of deduplication
TextField = Annotated[str, Parameter(help="Field or column with the text.")]
Threshold = Annotated[float, Parameter(help="Exact Jaccard similarity from which a record is removed.")]
Ngram = Annotated[int, Parameter(help="Words in a shingle.")]
Bands = Annotated[int, Parameter(help="Bands of the signature.")]
Rows = Annotated[int, Parameter(help="Min-hash values in a band.")]
Seed = Annotated[int, Parameter(help="Seed of the permutations.")]
Memory = Annotated[str, Parameter(help="Memory of the join.")]
Processes = Annotated[int, Parameter(help="Worker processes; 0: one for each processor.")]
