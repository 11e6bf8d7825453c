"""Windows -> training batches: tensors of one rank's part of a global batch, with or without document boundaries.

The order is pipeline/order/windows.py's; here each window is copied once, into the batch.

Shape letters: B sequences of a rank's batch, T = context_length.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.network.loss import NOT_SCORED
from pipeline.base.closable import Closable
from pipeline.order.streams import Place
from pipeline.order.windows import WindowOrder


class MaskedBatch(NamedTuple):
    """A batch whose attention stays within documents; all (B, T)."""

    inputs: torch.Tensor  # int64
    targets: torch.Tensor  # int64; NOT_SCORED where the target is the first token of another document
    documents: torch.Tensor  # int32: number of the document within the row, from 0
    positions: torch.Tensor  # int64: position within the document's part of the row, from 0


class TokenDataset(WindowOrder):
    """The windows of ``tokens/train`` or ``tokens/validation``, of one run or several, as batches of tensors.

    Takes the arguments of ``WindowOrder``.

    Example::

        dataset = TokenDataset(Path("runs/demo/tokens/train"), context_length=256, seed=1)
        inputs, targets = dataset.batch(step=0, sequences=16)   # int64 (16, 256) each
    """

    def __getitem__(self, position: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of a window of the first epoch, int64 (T,): what ``torch.utils.data.DataLoader`` asks for.

        Raises:
            IndexError: If the epoch has no such window.
        """
        if not -len(self) <= position < len(self):
            raise IndexError(f"window {position:,}: the epoch has {len(self):,}")
        inputs, targets = self.sequences(position % len(self), 1)
        return inputs[0], targets[0]

    def batch(self, step: int, sequences: int, rank: int = 0, world_size: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of one rank in step ``step`` (counted from 0); int64 (sequences / world_size, T).

        Rank r reads the r-th of ``world_size`` equal parts, in order, of the step's ``sequences`` windows.

        Raises:
            ValueError: If ``sequences`` is not a multiple of ``world_size``.
        """
        return self.sequences(*_part(step, sequences, rank, world_size))

    def sequences(self, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of ``count`` windows of the order from the ``first`` on; int64 (count, T)."""
        return _tensors(*self._gather(self.places(first, count)))

    def masked_batch(self, step: int, sequences: int, rank: int = 0, world_size: int = 1) -> MaskedBatch:
        """As ``batch``, with what confines attention to documents; a document's first token is not scored."""
        return self._masked(self.places(*_part(step, sequences, rank, world_size)))

    # -- the order on disk: validation

    def in_order(self, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of windows ``first`` to ``first + count`` in the order of the shards; int64 (count, T).

        For evaluation: all ``num_windows`` of them score each token of a window once, whatever the weights and seed.
        """
        return _tensors(*self._gather(self.places_in_order(first, count)))

    def masked_in_order(self, first: int, count: int) -> MaskedBatch:
        """As ``in_order``, with what confines attention to documents."""
        return self._masked(self.places_in_order(first, count))

    # -- from places to batches

    def _gather(self, places: list[Place]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        shape = (len(places), self.context_length)
        inputs, targets = np.empty(shape, np.int64), np.empty(shape, np.int64)
        for row, place in enumerate(places):
            window = self.data.read(place, self.context_length + 1)
            inputs[row] = window[:-1]
            targets[row] = window[1:]
            if self.data.has_withdrawn:
                for first, end in self.data.withdrawn(place, self.context_length + 1):
                    targets[row, max(first - 1, 0) : end - 1] = NOT_SCORED  # target t is token t + 1
        if places and max(int(inputs.max()), int(targets.max())) >= self.vocabulary_size:
            self._refuse_damage(places)
        return inputs, targets

    def _refuse_damage(self, places: list[Place]) -> None:
        for place in places:
            if int(self.data.read(place, self.context_length + 1).max()) >= self.vocabulary_size:
                raise self.data.damage(place)

    def _masked(self, places: list[Place]) -> MaskedBatch:
        inputs, targets = self._gather(places)
        documents = np.zeros(inputs.shape, np.int32)
        positions = np.empty(inputs.shape, np.int64)
        for row, place in enumerate(places):
            starts = self.data.document_starts(place, self.context_length + 1)
            targets[row, starts - 1] = NOT_SCORED
            inside = starts[starts < self.context_length]
            documents[row, inside] = 1
            edges = np.concatenate([[0], inside, [self.context_length]])
            positions[row] = np.arange(self.context_length) - np.repeat(edges[:-1], np.diff(edges))
        numbers = np.cumsum(documents, axis=1, dtype=np.int32)
        return MaskedBatch(*_tensors(inputs, targets), *_tensors(numbers, positions))


class BatchReader(Closable):
    """Reads the next batch in the background while the present one is trained on: one batch ahead, never more.

    Iterating yields ``(step, batch)`` from ``first_step`` on, without end; closing it stops the thread.

    Args:
        read: ``step -> batch``, such as ``lambda step: dataset.batch(step, 16)``.
        first_step: Step of the first batch.
        steps: How many batches; None: without end.

    Example::

        with BatchReader(lambda step: dataset.batch(step, 16), first_step=3) as reader:
            for step, (inputs, targets) in reader: ...
    """

    def __init__(self, read: Callable[[int], Any], *, first_step: int = 0, steps: int | None = None) -> None:
        self._read, self._step = read, first_step
        self._end = None if steps is None else first_step + steps
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch-reader")
        self._next = self._ask()

    def _ask(self) -> Future[Any] | None:
        if self._end is not None and self._step >= self._end:
            return None
        return self._thread.submit(self._read, self._step)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        while self._next is not None:
            step, batch = self._step, self._next.result()
            self._step += 1
            self._next = self._ask()
            yield step, batch

    def close(self) -> None:
        """Ends the thread; a batch that was read ahead is thrown away."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def _part(step: int, sequences: int, rank: int, world_size: int) -> tuple[int, int]:
    """First position and number of sequences of a rank's part of a step's global batch."""
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} of world_size {world_size}")
    if sequences % world_size:
        raise ValueError(f"{sequences} sequences cannot be divided among {world_size} ranks: make it a multiple")
    share = sequences // world_size
    return step * sequences + rank * share, share


def _tensors(first: NDArray[Any], second: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(first), torch.from_numpy(second)
