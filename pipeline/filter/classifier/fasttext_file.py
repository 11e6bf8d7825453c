"""Checks a fastText model file before the library loads it: the library reads a truncated one without complaint."""

import struct
from pathlib import Path

from pipeline.base.errors import UserError, naming

MAGIC, VERSION = 793_712_314, 12


def check_model_file(path: Path) -> list[str]:
    """The labels of a fastText model file.

    Raises:
        UserError: If it is another kind of file, a quantized one, or its size is not what its header says.
    """
    with naming(str(path)):
        data = path.read_bytes()
    try:
        labels, size = _expected(data)
    except (struct.error, ValueError) as error:
        raise UserError(f"{path}: not a fastText model, or a truncated one ({error}); train it again") from error
    if size != len(data):
        raise UserError(f"{path}: truncated or damaged: {len(data):,} bytes, its header says {size:,}; train it again")
    return labels


def check_label(path: Path, label: str) -> list[str]:
    """The labels of a fastText model file, which has this one.

    Raises:
        UserError: Also where ``check_model_file`` refuses the file.
    """
    labels = check_model_file(path)
    if label not in labels:
        raise UserError(f"{path}: has no label {label!r}; it has {', '.join(labels)}")
    return labels


def _expected(data: bytes) -> tuple[list[str], int]:
    """Labels, and the size that a file with this header has."""
    magic, version = struct.unpack_from("<ii", data, 0)
    if magic != MAGIC or not 11 <= version <= VERSION:
        raise ValueError("its first bytes are not fastText's")
    at = 8 + 12 * 4 + 8  # twelve settings and a double
    entries, _, _, _, pruned = struct.unpack_from("<iiiqq", data, at)
    at += 28
    labels = []
    for _ in range(entries):
        end = data.index(b"\0", at)
        if data[end + 9] == 1:
            labels.append(data[at:end].decode("utf-8", "replace"))
        at = end + 10
    at += 8 * max(0, pruned)
    for _ in range(2):  # input and output matrix, each behind a flag that says whether it is quantized
        if data[at]:
            raise ValueError("it is quantized; use the unquantized .bin")
        rows, columns = struct.unpack_from("<qq", data, at + 1)
        at += 17 + 4 * rows * columns
        if at > len(data):
            break
    return labels, at
