"""A file of tensors in the format of safetensors, written and read by rows: no process has to hold a whole model.

Several processes may write one file.  One of them lays it out, and each writes the rows that it holds.  The bytes are
those of safetensors' own ``save_file``, however many have written them.
"""

import errno
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from model.devices.shards import local, own_rows

FLOAT_BYTES = 4  # weights and the optimizer's states are float32
_NAME, _ALIGNMENT = "F32", 8
_OS_ERROR = re.compile(r"os error (\d+)|\((\d+)\)\s*$")  # how safetensors, and torch, pass on what the system said


@dataclass(frozen=True)
class Rows:
    """What one process holds of a tensor.

    Attributes:
        shape: Of the whole tensor.
        first: The first of its rows here.
        values: Those rows; float32.
    """

    shape: tuple[int, ...]
    first: int
    values: Tensor

    @classmethod
    def of(cls, tensor: Tensor) -> "Rows":
        """Of a whole tensor, or of one that is sharded by rows; on whatever device it is."""
        return cls(tuple(tensor.shape), own_rows(tensor)[0] if tensor.ndim else 0, local(tensor.detach()))

    def copied(self) -> "Rows":
        """A copy in this machine's memory, which the next update does not change."""
        return Rows(self.shape, self.first, self.values.to("cpu", copy=True).contiguous())

    @property
    def offset(self) -> int:
        """Bytes of the tensor before these rows."""
        return FLOAT_BYTES * self.first * (self.values.numel() // len(self.values) if self.values.numel() else 0)


@dataclass(frozen=True)
class Layout:
    """Where each tensor of a file lies.

    Attributes:
        header: The first bytes of the file.
        offsets: Where each tensor begins, in bytes from the start of the file.
        size: Bytes of the whole file.
    """

    header: bytes
    offsets: Mapping[str, int]
    size: int


def laid_out(shapes: Mapping[str, Sequence[int]]) -> Layout:
    """The layout of a file of float32 tensors: by name, as ``save_file`` orders them."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begins, end = {}, 0
    for name in sorted(shapes):
        begins[name] = end
        end += FLOAT_BYTES * torch.Size(shapes[name]).numel()
        entries[name] = {"dtype": _NAME, "shape": list(shapes[name]), "data_offsets": [begins[name], end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    header = len(text).to_bytes(8, "little") + text
    return Layout(header, {name: len(header) + at for name, at in begins.items()}, len(header) + end)


def begin_file(path: Path, layout: Layout) -> None:
    """Makes a file of its final size that has no tensor's bytes yet.

    Raises:
        OSError: If the system refuses.
    """
    with path.open("wb") as file:
        file.write(layout.header)
        file.truncate(layout.size)


def write_rows(path: Path, layout: Layout, tensors: Mapping[str, Rows]) -> None:
    """Writes what this process holds of a file's tensors, and flushes the file.

    Raises:
        OSError: If the system refuses.
    """
    with path.open("r+b") as file:
        for name, rows in tensors.items():
            if rows.values.numel():
                file.seek(layout.offsets[name] + rows.offset)
                file.write(memoryview(cast(Any, rows.values.numpy())).cast("B"))
        file.flush()
        os.fsync(file.fileno())


class TensorFile:
    """The tensors of a file, read when they are asked for.

    Args:
        path: The file.

    Raises:
        OSError: If the system refuses, with the file.
        SafetensorError: If it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            file: Any = safe_open(path, framework="pt")
            self._file, self.names = file, frozenset[str](file.keys())
        except (FileNotFoundError, SafetensorError, RuntimeError) as error:
            raise refusal(error, path) from error

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor; None if there is none of that name."""
        return tuple(self._file.get_slice(name).get_shape()) if name in self.names else None

    def fill(self, name: str, tensor: Tensor) -> None:
        """Reads into ``tensor``, of the same shape, what this process holds of it."""
        first, end = own_rows(tensor)
        local(tensor.detach()).copy_(self._file.get_slice(name)[first:end])


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All the tensors of a file.

    Raises:
        OSError: If the system refuses, with the file.
        SafetensorError: If it is damaged.
    """
    try:
        return cast(dict[str, Tensor], load_file(path))
    except (FileNotFoundError, SafetensorError, RuntimeError) as error:  # RuntimeError: of torch, which maps the file
        raise refusal(error, path) from error


def refusal(error: Exception, path: Path) -> OSError:
    """What the system said when a file of tensors was read; what is no word of the system is raised again."""
    if isinstance(error, FileNotFoundError):  # so safetensors calls whatever the system refuses
        path.open("rb").close()
        return OSError(errno.EIO, os.strerror(errno.EIO), str(path))  # a moment ago
    return of_the_system(error, str(path))


def of_the_system(error: Exception, path: str | None = None) -> OSError:
    """What the system said to the library of the weights, with the file; any other of its errors is raised again."""
    number = _OS_ERROR.search(str(error))
    if number is None:
        raise error
    found = int(number[1] or number[2])
    return OSError(found, os.strerror(found), path)
