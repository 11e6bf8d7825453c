"""What one training step sends between the processes, computed.  No torch.

Of a collective over P processes each receives, with the usual rings: (P - 1) / P of the whole for a gather or a
reduce-scatter, twice that for an all-reduce; gloo's reduce-scatter receives as much as an all-reduce.  The measured
counterpart is tests/model/test_traffic.py.
"""

from dataclasses import dataclass

from model.network.config import ModelConfig
from model.plan.flops import parameter_counts
from model.plan.memory import value_bytes
from pipeline.recipe.training_options import Train


@dataclass(frozen=True)
class Traffic:
    """Bytes that each process receives in one step, by what they are.

    Attributes:
        gradients: Summed over the processes, in float32.
        weights: Gathered for forward and backward passes (fsdp), those of blocks in the precision of the products.
        updates: Muon's matrices to their owners and back (fsdp), or what the owners made of them (ddp).
    """

    gradients: int
    weights: int
    updates: int

    @property
    def total(self) -> int:
        """Of all."""
        return self.gradients + self.weights + self.updates


def step_traffic(config: ModelConfig, train: Train, processes: int) -> Traffic:
    """Bytes per step and process.

    Args:
        config: The model.
        train: Batch sizes, optimizer, precision and sharding.
        processes: Processes that train together.
    """
    counts = parameter_counts(config, padded=True)
    total, hidden = sum(counts.values()), counts["attention"] + counts["feed_forward"]
    value = value_bytes(train)
    others = (processes - 1) / processes
    muon = hidden if train.optimizer == "muon" else 0
    if train.parallel != "fsdp":
        return Traffic(round(2 * others * 4 * total), 0, round(others * value * muon))
    sequences = train.global_batch_tokens // config.context_length // processes
    passes = -(-sequences // train.micro_batch_sequences)
    outside = sum(counts[name] for name in ("token_embedding", "position_embedding", "head")) + config.width
    # a block's weights are gathered for the forward and again for the backward pass; the others, in float32, once
    gathered = passes * (2 * value * (total - outside) + 4 * outside)
    return Traffic(round(others * 4 * total), round(others * gathered), round(2 * others / processes * value * muon))
