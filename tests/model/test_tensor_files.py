"""What the system refuses to the libraries that read weights is told with the file and its number."""

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from model.checkpoints import checkpoint
from model.checkpoints.checkpoint import load_tensors


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

    monkeypatch.setattr(checkpoint, "load_file", refused)
    with pytest.raises(PermissionError, match=r"model\.safetensors"):
        load_tensors(path)


def test_damage_stays_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(3)}, path)
    assert load_tensors(path)["a"].tolist() == [1.0, 1.0, 1.0]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(SafetensorError):
        load_tensors(path)
