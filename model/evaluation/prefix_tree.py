"""Texts that begin alike, scored with each beginning read once: choices after a context, sentences of a minimal pair.

The texts, sorted, make a prefix tree.  A row of a batch is a part of that tree: a token stands at the position that it
has in its text, and attends to its ancestors alone, so it gets the hidden state that it would have in that text alone.
BLiMP's 134,000 sentences need 0.78 million tokens this way, instead of 1.32 million (docs/model.md).

Shape letters: R rows of a batch, T nodes of a row, E scored edges (a node and a token after it).
Parity: tests/model/test_scoring.py compares with each text on its own.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.network.attention import Layout
from model.network.loss import each_token_loss
from model.network.transformer import Transformer

BATCH_TOKENS = 4096
ROW_NODES = 256


class Text(NamedTuple):
    """Token ids, two or more, and how many of the last ones are scored."""

    tokens: list[int]
    scored: int


class _Row:
    """A part of the tree: nodes in an order in which parents come first; node 0 is the first token."""

    def __init__(self, first: int) -> None:
        self.tokens, self.parents, self.depths = [first], [-1], [0]
        self.edges: list[tuple[int, int, int]] = []  # (text, node, token after it): what is scored
        self._path = [0]  # nodes of the text added last

    def added_nodes(self, text: Text) -> int:
        """Nodes that this text would add; its last token is only predicted."""
        return len(text.tokens) - 1 - self._shared(text)

    def _shared(self, text: Text) -> int:
        shared = 0
        for node, token in zip(self._path, text.tokens[:-1], strict=False):
            if self.tokens[node] != token:
                break
            shared += 1
        return shared

    def add(self, number: int, text: Text) -> None:
        """Adds a text that begins with the row's first token."""
        self._path = self._path[: max(1, self._shared(text))]  # a text of one token shares it, though nothing follows
        for token in text.tokens[len(self._path) : -1]:
            self.tokens.append(token)
            self.parents.append(self._path[-1])
            self.depths.append(len(self._path))
            self._path.append(len(self.tokens) - 1)
        first = len(text.tokens) - text.scored
        self.edges += [(number, self._path[at - 1], text.tokens[at]) for at in range(first, len(text.tokens))]

    def mask(self, length: int) -> Tensor:
        """(T, T), True where a node sees another: itself and its ancestors; padding sees itself."""
        mask_TT = torch.eye(length, dtype=torch.bool)
        for node, parent in enumerate(self.parents[1:], 1):
            mask_TT[node] |= mask_TT[parent]
        return mask_TT


def log_likelihoods(model: Transformer, texts: Sequence[Text]) -> list[float]:
    """Sum over each text's scored tokens of ln P(token | the tokens before it).

    Args:
        model: In evaluation mode; on the CPU.
        texts: None longer than the model's context and one token.
    """
    sums_N = torch.zeros(len(texts), dtype=torch.float64)
    for rows in _batches(_rows(texts, model.config.context_length)):
        _score(model, rows, sums_N)
    return [-value for value in sums_N.tolist()]


def _rows(texts: Sequence[Text], context_length: int) -> Iterator[_Row]:
    """The tree of all texts, cut into rows of about ``ROW_NODES``."""
    limit = min(context_length, ROW_NODES)
    row: _Row | None = None
    for number in sorted(range(len(texts)), key=lambda n: texts[n].tokens):
        text = texts[number]
        full = row is not None and len(row.tokens) + row.added_nodes(text) > limit
        if row is None or full or row.tokens[0] != text.tokens[0]:
            if row is not None:
                yield row
            row = _Row(text.tokens[0])
        row.add(number, text)
    if row is not None:
        yield row


def _batches(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    batch: list[_Row] = []
    longest = 0
    for row in rows:
        longest = max(longest, len(row.tokens))
        if batch and (len(batch) + 1) * longest > BATCH_TOKENS:
            yield batch
            batch, longest = [], len(row.tokens)
        batch.append(row)
    if batch:
        yield batch


@torch.no_grad()
def _score(model: Transformer, rows: Sequence[_Row], sums_N: Tensor) -> None:
    length = max(len(row.tokens) for row in rows)
    inputs_RT, positions_RT = (torch.zeros(len(rows), length, dtype=torch.int64) for _ in range(2))
    for number, row in enumerate(rows):
        inputs_RT[number, : len(row.tokens)] = torch.tensor(row.tokens)
        positions_RT[number, : len(row.tokens)] = torch.tensor(row.depths)
    layout = Layout(positions_RT, mask=torch.stack([row.mask(length) for row in rows]))
    edges = [(text, r * length + node, token) for r, row in enumerate(rows) for text, node, token in row.edges]
    if not edges:
        return
    texts_E, nodes_E, tokens_E = torch.tensor(edges).unbind(1)
    hidden_ED = model.hidden(inputs_RT, layout).flatten(0, 1)[nodes_E]
    losses_E = each_token_loss(hidden_ED, model.head_weight, tokens_E, model.config.vocabulary_size)
    sums_N.index_add_(0, texts_E, losses_E.double())
