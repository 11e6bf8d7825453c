"""Whether a training suits the text there is: a model much larger than the data, or data read dozens of times over.

Up to four passes over the same text are worth nearly as much as new text, and from some sixteen on more of them hardly
help (Muennighoff et al., arXiv:2305.16264); a model is compute-optimal at some 20 tokens a weight (Hoffmann et al.,
arXiv:2203.15556).  No torch.
"""

from collections.abc import Iterator

from model.network.config import ModelConfig
from model.plan.flops import parameter_counts
from pipeline.recipe.training_options import Train

MOST_PASSES = 16
GOOD_PASSES = 4
FEWEST_TOKENS_A_WEIGHT = 0.1


def warnings(config: ModelConfig, train: Train, tokens: int, *, goes_on: bool) -> Iterator[str]:
    """What does not suit, a sentence each, with what would; none where it fits.

    Args:
        config: The model.
        train: Steps and batch.
        tokens: Tokens to train on.
        goes_on: Whether the model goes on from a checkpoint, which has learnt from other text.
    """
    read = train.steps * train.global_batch_tokens
    if read > MOST_PASSES * tokens:
        steps = max(1, GOOD_PASSES * tokens // train.global_batch_tokens)
        yield (
            f"warning: train.steps = {train.steps:,} read the {tokens:,} tokens there are {read / max(1, tokens):,.0f} "
            f"times over, and the model will know them by heart; {steps:,} steps are {GOOD_PASSES} passes"
        )
    weights = sum(parameter_counts(config).values())
    if not goes_on and tokens < FEWEST_TOKENS_A_WEIGHT * weights:
        yield (
            f"warning: a model of {weights:,} weights for {tokens:,} tokens: some 20 tokens a weight are what it could "
            "learn from; take a smaller one, such as model.depth = 2, or go on from an open model with model.init"
        )
