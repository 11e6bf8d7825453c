"""``train.compile = "graphs"``: gradients stay where they are, and nothing else of a training changes.

A CUDA graph writes to the same memory at every replay, so a gradient that is the graph's own tensor would be
overwritten by the next micro-batch.  No GPU has replayed one here: docs/gpu.md says so.
"""

import pytest
import torch

from model.devices.world import World
from model.network.config import ModelConfig
from model.network.transformer import Transformer
from model.training.parallel import Objective
from model.training.passes import pass_over
from model.updates.optimizers import Optimizers
from pipeline.recipe.training_options import Train

WORLD = World(0, 1, torch.device("cpu"))
CONTEXT, SEQUENCES, STEPS = 16, 4, 3


def trained(compile_as: str) -> tuple[dict[str, torch.Tensor], list[set[int]]]:
    """Weights after some steps of two micro-batches, and where the gradients lay after each of them."""
    train = Train(micro_batch_sequences=2, optimizer="muon", compile=compile_as)
    torch.manual_seed(1)
    model = Transformer(ModelConfig("qwen3", 300, CONTEXT, layers=2, heads=4, width=64))
    optimizers = Optimizers(model, train)
    places = []
    for step in range(STEPS):
        tokens = torch.randint(300, (SEQUENCES, CONTEXT + 1), generator=torch.Generator().manual_seed(step))
        pass_over(Objective(model), model, (tokens[:, :-1], tokens[:, 1:].contiguous()), WORLD, train)
        places.append({parameter.grad.data_ptr() for parameter in model.parameters() if parameter.grad is not None})
        optimizers.step(1.0)
        optimizers.zero_grad()
    return dict(model.named_parameters()), places


def test_gradients_stay_in_one_place_and_the_weights_are_those_without_graphs() -> None:
    weights, places = trained("graphs")
    assert places == [places[0]] * STEPS
    assert len(places[0]) == len(weights)
    expected, _ = trained("off")
    for name, weight in weights.items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize("moving", [{"parallel": "fsdp"}, {"mask_documents": True}])
def test_what_moves_or_changes_shape_is_refused_with_the_way_out(moving: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f'"graphs" and {next(iter(moving))}.* give compile = "on" instead'):
        Train.model_validate({"compile": "graphs", **moving})
    Train.model_validate({"compile": "on", **moving})
