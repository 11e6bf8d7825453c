import gc
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.plan.memory import kept_bytes, memory, memory_advice
from pipeline.bench.program import measured
from pipeline.recipe.training_options import Train
from tests.model.runs import make_run

SHAPES: dict[str, dict[str, Any]] = {
    "gpt2": {"architecture": "gpt2"},
    "qwen3": {"architecture": "qwen3", "key_value_heads": 2},
    "llama": {"architecture": "qwen3", "key_value_heads": 2, "qk_norm": False},
}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_kept_activations_are_those_that_autograd_holds(shape: str, precision: str) -> None:
    config = ModelConfig(vocabulary_size=512, context_length=64, layers=3, heads=4, width=128, **SHAPES[shape])
    model, kept = Transformer(config), {}
    model.precision = getattr(torch, precision)
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    alive = []  # a freed tensor's address would be used again

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    ids = torch.randint(0, 512, (8, 64))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model.loss(ids, ids).total
    planned = memory(config, Train(micro_batch_sequences=8, precision=precision), cpu=True)
    last_hidden = ids.numel() * config.width * (4 if precision == "float32" else 2)
    head = 4 * config.padded_vocabulary * config.width
    measured = sum(kept.values()) - last_hidden - head
    assert loss.requires_grad
    assert planned.activations + planned.casts == pytest.approx(measured, rel=0.02)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("recompute", ["selective", True])
def test_what_is_kept_to_be_made_again_from_is_what_is_alive(recompute: Any, shape: str, precision: str) -> None:
    train = Train(precision=precision, activation_checkpointing=recompute)
    configs = [
        ModelConfig(vocabulary_size=512, context_length=64, layers=n, heads=4, width=128, **SHAPES[shape])
        for n in (2, 4)
    ]
    few, more = (bytes_alive(config, train) for config in configs)
    assert (more - few) / 2 == 8 * 64 * kept_bytes(configs[0], train, cpu=True)


def bytes_alive(config: ModelConfig, train: Train) -> int:
    """Bytes of all tensors that a forward pass over (8, 64) tokens made and that something still holds."""
    model, made = Transformer(config), {}
    model.precision = getattr(torch, train.precision)
    model.recompute(train.activation_checkpointing)

    class Noting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for tensor in tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    held = StorageWeakRef(tensor.untyped_storage())
                    made[held.cdata] = (held, tensor.untyped_storage().nbytes())
            return result

    model.hidden(torch.randint(0, 512, (8, 64)))  # what is made once, and stays: the mask of attention
    with Noting():
        hidden = model.hidden(torch.randint(0, 512, (8, 64)))
    gc.collect()
    assert hidden.requires_grad
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    return sum(size for key, (held, size) in made.items() if key not in weights and not held.expired())


def test_sharding_divides_and_recomputing_lowers() -> None:
    config = ModelConfig(layers=8)
    whole = memory(config, Train(), processes=4)
    sharded = memory(config, Train(parallel="fsdp"), processes=4)
    assert sharded.weights == whole.weights // 4
    assert sharded.activations == whole.activations
    recomputed = memory(config, Train(activation_checkpointing=True))
    assert recomputed.activations < memory(config, Train()).activations / 3
    assert memory(config, Train(optimizer="muon")).optimizer < memory(config, Train()).optimizer


def test_advice_lowers_the_micro_batch_by_half() -> None:
    assert "train.micro_batch_sequences = 8 (now 16" in memory_advice(ModelConfig(), Train())


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gpt2, AdamW, bfloat16": (
        {"layers": 6, "heads": 6, "width": 384},
        {"precision": "bfloat16", "micro_batch_sequences": 8},
    ),
    "qwen3, Muon, bfloat16": (
        {"architecture": "qwen3", "layers": 6, "heads": 6, "width": 384},
        {"precision": "bfloat16", "optimizer": "muon", "micro_batch_sequences": 8},
    ),
    "gpt2, AdamW, float32, recomputed": (
        {"layers": 12, "heads": 8, "width": 512},
        {"precision": "float32", "activation_checkpointing": True, "micro_batch_sequences": 8},
    ),
    "qwen3, AdamW, float32, recomputed but for products": (
        {"architecture": "qwen3", "layers": 12, "heads": 8, "width": 512},
        {"precision": "float32", "activation_checkpointing": "selective", "micro_batch_sequences": 8},
    ),
}


def peak_bytes(folder: Path, model: dict[str, object], train: dict[str, object]) -> int:
    """Peak resident memory of a whole training process."""
    folder.mkdir()
    values = {**{f"model.{k}": v for k, v in model.items()}, **{f"train.{k}": v for k, v in train.items()}}
    overrides = tuple(f"{key}={str(value).lower()}" for key, value in values.items())
    run = make_run(folder, overrides=overrides)
    command = [sys.executable, "-m", "model.train", "--recipe", f"{run.root}/recipe.toml", "--root", run.root]
    with (folder / "log").open("w") as log:
        used = measured(command, stdout=log, stderr=log)
    assert used.exit_code == 0, (folder / "log").read_text()
    return used.peak_bytes


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_planned_memory_is_near_the_peak_of_a_training_process(case: str, tmp_path: Path) -> None:
    """What a process needs beyond one that trains a tiny model; the figures of docs/model.md are written (-s)."""
    model, train = CASES[case]
    train = {**train, "steps": 2, "global_batch_tokens": 4096, "checkpoint_every_steps": 2}
    empty = peak_bytes(tmp_path / "empty", {}, {"steps": 2})
    measured = peak_bytes(tmp_path / "whole", {"context_length": 256, **model}, train) - empty
    config = ModelConfig(vocabulary_size=300, context_length=256, **model)
    planned = memory(config, Train(**train), cpu=True)
    sys.stdout.write(f"\n{case}: planned {planned.total / 1e6:.0f} MB, measured {measured / 1e6:.0f} MB\n{planned}\n")
    assert measured == pytest.approx(planned.total, rel=0.25)
