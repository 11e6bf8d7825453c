"""Processes that share a model write, read and draw the rows that they hold: nobody has the whole of it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor

from model.checkpoints import writer
from model.checkpoints.tensor_file import Rows, TensorFile
from model.checkpoints.writer import write_checkpoint
from model.devices.world import World
from model.network.config import ModelConfig
from model.network.transformer import Transformer, load_weights
from model.training.parallel import shared
from pipeline.base.errors import RunError
from pipeline.recipe.training_options import Train
from tests.model.gloo import in_processes

SIZE = 3  # divides neither the rows of most matrices nor those of the gains
CONFIG = ModelConfig("qwen3", 100, 16, layers=2, heads=2, width=20)
TRAIN = Train(parallel="fsdp", seed=7)
FILE = "model.safetensors"


def sharded_model() -> Transformer:
    model = Transformer.without_weights(CONFIG)
    shared(model, World(dist.get_rank(), SIZE, torch.device("cpu")), TRAIN)
    return model


def rows_of(model: Transformer) -> dict[str, Rows]:
    return {name: Rows.of(value).copied() for name, value in model.state_dict().items()}


def gathered(_self: DTensor, **_: object) -> Any:
    raise AssertionError("the whole of a tensor was asked for")


def writes(folder: Path, group: dist.ProcessGroup) -> None:
    model = sharded_model()
    assert max(rows.values.numel() for rows in rows_of(model).values()) <= 20 * -(-128 // SIZE)
    write_checkpoint(str(folder), 1, {FILE: rows_of(model)}, {}, {}, group)


def reads(folder: Path, group: dist.ProcessGroup) -> None:
    model = sharded_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    load_weights(model, TensorFile(folder / "given"), "given")
    write_checkpoint(str(folder), 1, {FILE: rows_of(model)}, {}, {}, group)


def fails(folder: Path, group: dist.ProcessGroup) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if dist.get_rank() == 1:
        writer.write_rows = full  # type: ignore[attr-defined]
    try:
        write_checkpoint(str(folder), 1, {FILE: rows_of(sharded_model())}, {}, {}, group)
    except RunError as error:
        (folder / f"said-{dist.get_rank()}").write_text(str(error))


def one_process(work: Callable[[Path, dist.ProcessGroup], None], folder: Path) -> None:
    DTensor.full_tensor = gathered  # type: ignore[method-assign]
    group = dist.new_group(backend="gloo")
    work(folder, group)
    dist.barrier(group)


def test_model_that_was_drawn_and_written_in_shards_is_that_of_one_process(tmp_path: Path) -> None:
    in_processes(SIZE, one_process, writes, tmp_path)
    found, expected = load_file(tmp_path / "checkpoints/step-0000001" / FILE), Transformer(CONFIG, 7).state_dict()
    assert found.keys() == expected.keys()
    assert [name for name, value in expected.items() if not torch.equal(found[name], value)] == []


def test_sharded_model_reads_the_weights_of_one_process(tmp_path: Path) -> None:
    save_file(Transformer(CONFIG, 3).state_dict(), tmp_path / "given", metadata={"format": "pt"})
    in_processes(SIZE, one_process, reads, tmp_path)
    assert (tmp_path / "checkpoints/step-0000001" / FILE).read_bytes() == (tmp_path / "given").read_bytes()


def test_disk_that_is_full_for_one_of_them_is_told_by_the_leading_one(tmp_path: Path) -> None:
    in_processes(SIZE, one_process, fails, tmp_path)
    assert [path.name for path in tmp_path.glob("said-*")] == ["said-0"]
    assert "no space left on the disk" in (tmp_path / "said-0").read_text()
    assert list(tmp_path.glob(".scratch/*")) == list(tmp_path.glob("checkpoints/*")) == []
