"""Text from a model: greedy or sampled, with the key-value cache or without, token for token the same.

When the context is full the window moves on by half a context and is read anew: learned positions allow nothing else,
and with rotary positions it keeps the cache's answer equal to the one without it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.network.attention import KeyValueCache
from model.network.transformer import Transformer
from pipeline.base.errors import RunError, UserError


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 is greedy.
        top_k: Only the k likeliest tokens; 0: all.
        top_p: Only the likeliest tokens that together reach this probability.
        seed: Of the draws.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.temperature >= 0.0 or self.top_k < 0 or not 0.0 < self.top_p <= 1.0:
            raise UserError(f"{self}: expected temperature >= 0, top_k >= 0 and 0 < top_p <= 1")
        if not -(2**63) <= self.seed < 2**63:
            raise UserError(f"{self}: expected a seed of 64 bits, -2^63 to 2^63 - 1")


def next_token(logits_V: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """Chooses a token by its logits.

    Raises:
        RunError: If they are not finite.
    """
    if not bool(logits_V.isfinite().all()):
        raise RunError("the model's weights give values that are not finite, so no text can be drawn from it")
    if sampling.temperature == 0.0:
        return int(logits_V.argmax())
    # taken from the largest one, so that the smallest temperature overflows to minus infinity at most
    scaled_V = ((logits_V - logits_V.max()).double() / sampling.temperature).float()
    if sampling.top_k:
        smallest = scaled_V.topk(min(sampling.top_k, len(scaled_V))).values[-1]
        scaled_V = scaled_V.masked_fill(scaled_V < smallest, float("-inf"))
    probabilities_V = scaled_V.softmax(-1)
    if sampling.top_p < 1.0:
        sorted_V, order_V = probabilities_V.sort(descending=True, stable=True)
        before_V = sorted_V.cumsum(-1) - sorted_V
        probabilities_V[order_V[before_V >= sampling.top_p]] = 0.0
    return int(torch.multinomial(probabilities_V, 1, generator=generator))


@torch.no_grad()
def generate(
    model: Transformer,
    prompt: Sequence[int],
    *,
    max_new_tokens: int,
    sampling: Sampling | None = None,
    end_of_text: int | None = None,
    use_cache: bool = True,
) -> Iterator[int]:
    """Yields new tokens after ``prompt`` until ``max_new_tokens`` or, when given, the end-of-text token.

    Args:
        model: In evaluation mode.
        prompt: At least one token id.
        max_new_tokens: Most tokens to yield.
        sampling: How to choose; greedy when left out.
        end_of_text: Stops the text; it is not yielded.
        use_cache: False computes every position anew for each token.

    Raises:
        UserError: If the prompt is empty or holds an id outside the vocabulary, or ``max_new_tokens`` is negative.
    """
    sampling = sampling or Sampling(temperature=0.0)
    if max_new_tokens < 0:
        raise UserError(f"tokens = {max_new_tokens}: expected a number of tokens to write, 0 or more")
    if not prompt or not all(0 <= token < model.config.vocabulary_size for token in prompt):
        raise UserError("the prompt must be one token or more, each within the model's vocabulary")
    generator = torch.Generator().manual_seed(sampling.seed)
    context = model.config.context_length
    tokens = list(prompt)
    start = max(0, len(tokens) - context)
    cache = KeyValueCache()
    for _ in range(max_new_tokens):
        if len(tokens) - start > context:
            start, cache = len(tokens) - context // 2, KeyValueCache()
            start = min(start, len(tokens) - 1)
        known = cache.length if use_cache else 0
        inputs = torch.tensor([tokens[start + known :]], device=model.token_embedding.device)
        logits = model(inputs, cache=cache if use_cache else None)
        chosen = next_token(logits[0, -1].cpu(), sampling, generator)
        if chosen == end_of_text:
            return
        tokens.append(chosen)
        yield chosen
