"""A training step on tensors without values: it takes the kernels of a GPU, and never waits for the device.

On the device ``meta`` tensors have shapes and formats alone, so whatever would have to read one raises, as it would
make a GPU's host wait.  torch's own fused AdamW refuses such tensors; the updates of Muon are made.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from model.devices.world import World
from model.network import ops
from model.network.attention import document_layout
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.training.parallel import Objective
from model.training.passes import Figures, pass_over
from model.updates.muon import Muon
from model.updates.optimizers import split_parameters
from pipeline.recipe.training_options import Train

DEVICE = torch.device("meta")
WORLD = World(0, 1, DEVICE)
CONTEXT, SEQUENCES, DOCUMENT = 64, 4, 20


def batch(masked: bool) -> tuple[Tensor, ...]:
    inputs = torch.zeros(SEQUENCES, CONTEXT, dtype=torch.int64)
    if not masked:
        return inputs, inputs
    positions = torch.arange(CONTEXT).remainder(DOCUMENT).repeat(SEQUENCES, 1)
    return inputs, inputs, (positions == 0).cumsum(1).to(torch.int32), positions


@pytest.mark.parametrize("architecture", ["gpt2", "qwen3", "olmo2", "neox"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_step_reads_nothing_from_the_device(architecture: str, masked: bool) -> None:
    train = Train(micro_batch_sequences=2, mask_documents=masked, z_loss=1e-4)
    config = ModelConfig(architecture, 300, CONTEXT, layers=2, heads=4, width=64, tied_embeddings=False)
    model = Transformer(config).to(DEVICE)
    model.precision = torch.bfloat16
    figures = pass_over(Objective(model), model, batch(masked), WORLD, train)
    assert {figures.likelihood.device, figures.valid.device, figures.norm.device} == {DEVICE}
    assert all(parameter.grad is not None for parameter in model.parameters())
    named = dict(model.named_parameters())
    Muon([named[name] for name in split_parameters(model, "muon").muon]).step()


def test_the_figures_are_what_a_step_waits_for() -> None:
    figures = Figures(*(torch.zeros((), dtype=torch.float64, device=DEVICE) for _ in range(3)))
    with pytest.raises(NotImplementedError, match="meta"):
        figures.read(WORLD, (0, 0))
    counted = Figures(torch.tensor(6.0).double(), torch.tensor(3.0).double(), torch.tensor(0.5).double())
    assert counted.read(World(0, 1, torch.device("cpu")), (15, 1)) == (2.0, 0.5, [15.0, 1.0])


def test_edges_of_documents_are_counted_where_the_batch_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "has_document_attention", lambda device: True)
    _, _, documents, positions = batch(masked=True)
    layout = document_layout(documents, positions, DEVICE)
    assert layout.longest_document == DOCUMENT
    assert layout.document_edges is not None
    assert layout.document_edges.device == DEVICE
    assert len(layout.document_edges) == SEQUENCES * -(-CONTEXT // DOCUMENT) + 1


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch.compile's own tracer
@pytest.mark.parametrize("recompute", [False, "selective", True])
@pytest.mark.parametrize("architecture", ["gpt2", "qwen3", "olmo2", "neox"])
def test_a_block_is_one_graph(architecture: str, recompute: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "_on_cpu", lambda tensor: False)  # torch's own operations, as on a GPU
    model = Transformer(ModelConfig(architecture, 300, CONTEXT, layers=1, heads=4, width=64))
    torch._dynamo.reset()  # it counts how often it has compiled the same lines
    model.recompute(recompute)
    graphs: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    for block in model.blocks:
        block.compile(backend=count, fullgraph=True)
    model.hidden(torch.zeros(2, CONTEXT, dtype=torch.int64))
    assert len(graphs) == 1
