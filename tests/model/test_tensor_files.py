"""What the system refuses to the libraries that read weights is told with the file and its number."""

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from model.checkpoints import tensor_file
from model.checkpoints.tensor_file import Rows, TensorFile, begin_file, laid_out, load_tensors, write_rows


def test_refusal_of_the_system_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.symlink_to(path.name)
    with pytest.raises(OSError, match=r"model\.safetensors") as raised:
        load_tensors(path)
    assert raised.value.errno == errno.ELOOP


def test_refusal_to_map_the_file_is_told_as_the_other_one(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "model.safetensors"

    def refused(_path: Path) -> Any:  # torch opens the file once more, to map it
        raise RuntimeError(f"unable to open file <{path}> in read-only mode: Permission denied (13)")

    monkeypatch.setattr(tensor_file, "load_file", refused)
    with pytest.raises(PermissionError, match=r"model\.safetensors"):
        load_tensors(path)


def test_damage_stays_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(3)}, path)
    assert load_tensors(path)["a"].tolist() == [1.0, 1.0, 1.0]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(SafetensorError):
        load_tensors(path)


SHAPES = {"b.weight": (5, 3), "a": (7,), "c.one": (1, 2), "none": (0, 4)}


def test_rows_of_several_writers_are_the_bytes_of_one_library(tmp_path: Path) -> None:
    tensors = {name: torch.randn(shape) for name, shape in SHAPES.items()}
    save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
    layout = laid_out(SHAPES)
    begin_file(tmp_path / "ours", layout)
    for first, end in ((4, 7), (0, 2), (2, 4)):
        rows = {name: Rows(SHAPES[name], min(first, len(t)), t[first:end].contiguous()) for name, t in tensors.items()}
        write_rows(tmp_path / "ours", layout, rows)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_file_says_what_it_holds_and_fills_a_tensor(tmp_path: Path) -> None:
    save_file({"a": torch.arange(6.0).view(3, 2)}, tmp_path / "file")
    file, found = TensorFile(tmp_path / "file"), torch.zeros(3, 2)
    assert (file.names, file.shape("a"), file.shape("b")) == ({"a"}, (3, 2), None)
    file.fill("a", found)
    assert found.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
