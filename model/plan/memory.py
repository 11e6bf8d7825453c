"""Memory that training needs on a device, by part.  No torch.

Weights, gradients and optimizer state follow from the parameter counts.  What the backward pass keeps is counted
operation by operation from ``transformer``, ``cpu_ops`` and ``loss`` in model/network/; the CPU's figures equal what
autograd holds (tests/model/test_memory.py), and whole processes were measured (docs/model.md).

Letters: D width, A query heads' width, K key (or value) heads' width, F feed-forward width, V padded vocabulary.
"""

from dataclasses import asdict, dataclass

from model.network.config import LONGEST_EXPLICIT, LOSS_CHUNK_TOKENS, LOSS_CHUNK_TOKENS_CPU, ModelConfig
from model.plan.flops import parameter_counts
from pipeline.recipe.training_options import Train


@dataclass(frozen=True)
class Memory:
    """Bytes on one device, by part.

    Attributes:
        weights: float32.
        gradients: float32.
        optimizer: Two float32 values per parameter (AdamW) or one (Muon).
        activations: Kept by the blocks and the final norm for the backward pass of a micro-batch.
        backward: Temporary while one block goes backward.
        casts: bfloat16 copies of the matrices, kept for the backward pass.
        loss: A chunk of logits, the head's gradient, and the gradients of the last hidden states.
        update: What Muon works with.
        checkpoint: On a CPU, the copies that a checkpoint is written from; they last into the next step.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    backward: int
    casts: int
    loss: int
    update: int
    checkpoint: int

    @property
    def total(self) -> int:
        """The most that a process holds: a backward pass and a checkpoint's copies, on top of what stays.

        Muon's update is added: its batches of matrices are too large for the pieces that activations leave behind.
        """
        passing = self.activations + self.backward + self.casts + self.loss
        return self.weights + self.gradients + self.optimizer + passing + self.checkpoint + self.update


def memory(config: ModelConfig, train: Train, *, processes: int = 1, cpu: bool = False) -> Memory:
    """Bytes that training needs on each device.

    Args:
        config: The model.
        train: Micro-batch, optimizer, precision, sharding and activation checkpointing.
        processes: Devices that train together; ``fsdp`` divides weights, gradients and optimizer state among them.
        cpu: On a CPU.
    """
    counts = parameter_counts(config, padded=True)
    total, hidden = sum(counts.values()), counts["attention"] + counts["feed_forward"]
    muon = hidden if train.optimizer == "muon" else 0
    value = value_bytes(train)
    sequences = min(
        train.micro_batch_sequences, max(1, train.global_batch_tokens // config.context_length // processes)
    )
    tokens = sequences * config.context_length
    block = _block_bytes(config, value, cpu=cpu)
    again = train.activation_checkpointing
    kept = config.layers * kept_bytes(config, train, cpu=cpu) + (block if again else 0)  # one is made again at a time
    per_token = kept + 4 * config.width + 16
    share = processes if train.parallel == "fsdp" else 1
    optimizer = (8 * (total - muon) + 4 * muon) // share
    return Memory(
        weights=4 * total // share,
        gradients=4 * total // share,
        optimizer=optimizer,
        activations=tokens * per_token,
        backward=tokens * _backward_bytes(config, value, cpu=cpu),
        casts=0 if value == 4 else value * hidden // (config.layers if again else 1),
        loss=_loss_bytes(config, tokens, value, cpu=cpu),
        update=_update_bytes(muon, value, share, processes),
        checkpoint=4 * total // share + optimizer if cpu and train.checkpoint_every_steps else 0,
    )


def value_bytes(train: Train) -> int:
    """Bytes of a number in the matrix products."""
    return 4 if train.precision == "float32" else 2


def _update_bytes(muon: int, value: int, share: int, processes: int) -> int:
    """What Muon works with: updates and their casts here; a stack, an iteration and results of the matrices owned."""
    here = (4 + value % 4) * muon // share + (value * muon // share if processes > 1 else 0)
    return here + (1 + 3 + 1) * value * muon // processes


def kept_bytes(config: ModelConfig, train: Train, *, cpu: bool) -> int:
    """Bytes per token that one block keeps from its forward pass, as ``train.activation_checkpointing`` has it."""
    value = value_bytes(train)
    if not train.activation_checkpointing:
        return _block_bytes(config, value, cpu=cpu)
    given = 4 * config.width  # its input
    if train.activation_checkpointing == "selective":  # what model/network/recompute.py keeps
        width, heads, forward = config.width, config.attention_width, config.feed_forward_width
        gates = forward if config.layer_norm else 2 * forward
        given += value * (heads + 2 * config.key_value_width + width + gates + width)
        if not _keeps_scores(config, value, cpu=cpu):
            given += value * heads + 4 * config.heads
    return given


def _block_bytes(config: ModelConfig, value: int, *, cpu: bool) -> int:
    """Bytes per token that one block keeps for its backward pass."""
    width, heads, kv = config.width, config.attention_width, config.key_value_width
    norms = 2 * (4 * width + value * width + 8)  # the norm's input (or normal form), the product's input, statistics
    explicit = _keeps_scores(config, value, cpu=cpu)
    if explicit:  # model/network/cpu_ops.py: queries, keys, values, all scores
        attention = value * (heads + 2 * kv) + value * config.heads * config.context_length + value * heads
    else:  # torch's kernel: the same, its output and a statistic instead of the scores
        attention = value * (heads + 2 * kv) + value * heads + 4 * config.heads
    if config.layer_norm:
        return norms + attention + 2 * value * config.feed_forward_width
    if not explicit:
        attention += value * (heads + kv)  # turned queries and keys beside the stacked projections
    if config.qk_norm:
        attention += 4 * (heads + kv) + 4 * (config.heads + config.key_value_heads)
    return norms + attention + (3 if cpu else 4) * value * config.feed_forward_width


def _backward_bytes(config: ModelConfig, value: int, *, cpu: bool) -> int:
    """Temporary bytes per token while one block goes backward: the gradients of its widest operation."""
    feed_forward = 3 * value * config.feed_forward_width
    scores = 2 * value * config.heads * config.context_length
    explicit = _keeps_scores(config, value, cpu=cpu)
    return 2 * 4 * config.width + max(feed_forward, scores if explicit else 0)


def _keeps_scores(config: ModelConfig, value: int, *, cpu: bool) -> bool:
    """As ``ops.keeps_scores`` decides."""
    return cpu and value == 2 and config.context_length <= LONGEST_EXPLICIT


def _loss_bytes(config: ModelConfig, tokens: int, value: int, *, cpu: bool) -> int:
    rows = min(tokens, LOSS_CHUNK_TOKENS_CPU if cpu else LOSS_CHUNK_TOKENS)
    head = config.padded_vocabulary * config.width
    chunk = rows * config.padded_vocabulary * (4 + 4 + 2 * value)
    # the head's gradient and one product of it, its cast, and with tied weights the embedding's gradient beside it
    last = tokens * value * config.width
    return last + chunk + head * (4 + value + value % 4) + (4 * head if config.tied_embeddings else 0)


def memory_advice(config: ModelConfig, train: Train, processes: int = 1, *, cpu: bool = False) -> str:
    """What to lower when memory runs out, with the figures."""
    needed = memory(config, train, processes=processes, cpu=cpu)
    parts = ", ".join(f"{name} {value / 1e6:,.0f} MB" for name, value in asdict(needed).items() if value)
    half = max(1, train.micro_batch_sequences // 2)
    ways = [f"train.micro_batch_sequences = {half} (now {train.micro_batch_sequences}; the result is the same)"]
    stronger = {False: '"selective", or true', "selective": "true"}.get(train.activation_checkpointing)
    if stronger:
        ways.append(f"train.activation_checkpointing = {stronger}")
    if train.parallel != "fsdp" and processes > 1:
        ways.append('train.parallel = "fsdp"')
    return f"the plan needs {needed.total / 1e6:,.0f} MB per device ({parts}); lower it with {', or '.join(ways)}"
