"""Tokens there are -> vocabulary, model and training that suit them and this machine.

A model is compute-optimal at about 20 tokens a weight (Hoffmann et al., arXiv:2203.15556), and up to four passes over
the same data are worth nearly as much as new data (Muennighoff et al., arXiv:2305.16264).  Where the text is short, and
not the time, the model is larger than that: five tokens a weight in four passes.  Without a GPU the training is cut to
what ends in some ten minutes, so that the first run is a whole one.
"""

import math
from dataclasses import dataclass

from pipeline.recipe import depth

PASSES = 4
FEWEST_TOKENS_A_WEIGHT = 5  # where tokens are what is short, a larger model learns more of them
FEWEST_STEPS = 1000  # as many tokens in 240 steps of 16 sequences left 2.72 bits per byte, in 960 of 4 2.51
GPU_DEPTH = 12  # a first model on one GPU: 85 million weights in the blocks
CPU_DEPTHS = (2, 3, 4)
CPU_SECONDS = 600
CPU_FLOPS = 7.5e10  # of a core in float32, by `make demo` on two cores, at 6 FLOP for each weight and token
FEWEST_TOKENS = 300_000  # below, nothing that is worth a look can be trained from scratch
VOCABULARIES = ((10_000_000, 4096), (50_000_000, 8192), (300_000_000, 16384))
LARGE_VOCABULARY = 32768
VALIDATION_TOKENS = 200_000
LEAST_HELD_OUT, MOST_HELD_OUT = 0.01, 0.1  # of the tokens
CONTEXTS = ((10_000_000, 256), (200_000_000, 512))
LONG_CONTEXT = 1024


@dataclass(frozen=True)
class Sizes:
    """Keys of the sections tokenize, model and train; ``weights`` counts the embedding once, ``seconds`` is a guess."""

    vocabulary_size: int
    validation_share: float
    depth: int
    context_length: int
    steps: int
    global_batch_tokens: int
    weights: int
    seconds: float | None


def sizes(tokens: int, cores: int, gpu: bool, *, one_document: bool = False) -> Sizes:
    """What suits a corpus.

    Args:
        tokens: Tokens to train on, estimated.
        cores: Processors that may be used.
        gpu: Whether a GPU is there.
        one_document: Whether all of it is one document, so that none can be held out.
    """
    vocabulary = vocabulary_for(tokens)
    context = next((length for most, length in CONTEXTS if tokens < most), LONG_CONTEXT)
    deepest = [d for d in range(1, GPU_DEPTH + 1) if FEWEST_TOKENS_A_WEIGHT * _blocks(d) <= PASSES * tokens]
    chosen = max(deepest, default=1)
    if not gpu:
        chosen = min(chosen, _cpu_depth(vocabulary, cores))
    weights = _blocks(chosen) + vocabulary * depth.HEAD_WIDTH * chosen
    trained = max(1, min(depth.TOKENS_PER_WEIGHT * _blocks(chosen), PASSES * tokens))
    seconds = None
    if not gpu:
        trained = min(trained, int(CPU_SECONDS * CPU_FLOPS * cores / (6 * weights)))
        seconds = 6.0 * weights * trained / (CPU_FLOPS * cores)
    batch = context * min(depth.batch_sequences(6.0 * weights * trained, context), _most_sequences(trained, context))
    share = 0.0 if one_document else min(MOST_HELD_OUT, max(LEAST_HELD_OUT, VALIDATION_TOKENS / max(1, tokens)))
    steps = max(20, math.ceil(trained / batch))
    return Sizes(vocabulary, round(share, 3), chosen, context, steps, batch, weights, seconds)


def vocabulary_for(tokens: int) -> int:
    """How many entries suit so many tokens."""
    return next((size for most, size in VOCABULARIES if tokens < most), LARGE_VOCABULARY)


def _most_sequences(trained: int, context: int) -> int:
    """Sequences of a step that leave enough steps: a power of two."""
    return 1 << max(0, int(math.log2(max(1, trained / context / FEWEST_STEPS))))


def _blocks(d: int) -> int:
    shape = depth.shape(d)
    return 12 * shape["layers"] * shape["width"] ** 2


def _cpu_depth(vocabulary: int, cores: int) -> int:
    """The deepest model that sees at least half of its tokens in the time that a first training may take."""
    flops = CPU_SECONDS * CPU_FLOPS * cores
    for d in reversed(CPU_DEPTHS):
        weights = _blocks(d) + vocabulary * depth.HEAD_WIDTH * d
        if 6.0 * weights * depth.TOKENS_PER_WEIGHT * _blocks(d) / 2 <= flops:
            return d
    return CPU_DEPTHS[0]
