"""Token shards -> windows in a keyed order: the whole order is arithmetic, and its whole state is one integer.

From the i-th sequence of the order to its tokens, each step in arrays of many positions (``WindowOrder.places``):

1. position -> source and ordinal.  ``mixture`` deals the positions to the sources by their weights; the ordinal is how
   many sequences the source has given before.
2. ordinal -> window.  The shards of a source, in name order, are one stream of tokens (``streams``), which is cut into
   windows of ``context_length + 1`` tokens that overlap by one.  Each pass over them is a ``permutation`` of its own.
3. window -> address, a number of the token in the line of all streams.
4. address -> place: the record batch of the mapped shard, and the token in it.  There the window is read
   (``TokenStreams.read``); model/data/batches.py makes batches of it.

A window never crosses a source; the tokens left at its end are dropped and counted.  Each step has an inverse
(``positions_of``), so the steps that read a document are found without replaying one.

So any window can be read in any order, a resumed run goes on from the number of sequences consumed, and ranks, workers
and micro-batches only divide a global batch that is the same for all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.base.digests import digest
from pipeline.base.errors import UserError
from pipeline.order.mixture import Integers, Mixture, Quota
from pipeline.order.permutation import Permutation
from pipeline.order.streams import Place, Stream, TokenStreams
from pipeline.tokens.shards.token_shard import TokenShard

_BLOCK = 4096  # positions resolved together: one round of array arithmetic for many batches


class NoWindowError(UserError):
    """There are too few tokens for one window; ``tokens`` counts them."""

    def __init__(self, message: str, tokens: int) -> None:
        super().__init__(message)
        self.tokens = tokens


class WindowOrder:
    """Windows of tokens in a keyed order, over ``tokens/train`` or ``tokens/validation`` of one run or several.

    Args:
        folder: A folder of token shards, or several (of finished runs, encoded with the same tokenizer).
        context_length: Tokens T the model attends over; a window holds one more.
        seed: Key of the order.
        weights: Sequences that a source gives to an epoch, relative to its size; 1 where it is not named.
        max_epochs: Passes over a source after which it gives no more; no limit where it is not named.
        known: By folder and file name, shards that need not be opened to know their size; training opens them all.
        restored: Folder of documents that came back after a takedown, and the first epoch of each restoration.

    Raises:
        UserError: If there are no shards; NoWindowError if there is not one window.
        FormatError: If a shard is damaged, or two shards come from two tokenizers.
    """

    def __init__(
        self,
        folder: str | Path | Sequence[str | Path],
        context_length: int,
        seed: int,
        *,
        weights: Mapping[str, float] | None = None,
        max_epochs: Mapping[str, float] | None = None,
        known: Mapping[Path, Mapping[str, TokenShard]] | None = None,
        restored: tuple[Path, Mapping[int, int]] | None = None,
    ) -> None:
        if context_length < 1:
            raise UserError(f"context_length = {context_length}: expected at least 1")
        folders = [folder] if isinstance(folder, str | Path) else folder
        again: dict[str, Any] = {"weights": weights, "max_epochs": max_epochs, "known": known, "restored": restored}
        self._again = partial(type(self), folders, context_length, seed, **again)
        self.context_length, self.seed = context_length, seed
        self.data = TokenStreams([Path(item) for item in folders], known, restored)
        self.windows = [max(0, (stream.tokens - 1) // context_length) for stream in self.streams]
        self._window_starts = np.cumsum([0, *self.windows]).astype(np.int64)
        self._bases = np.array([stream.base for stream in self.streams], np.int64)
        self.mixture = self._make_mixture(weights or {}, max_epochs or {})
        self._block = lru_cache(maxsize=4)(self._places_of_block)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, as for the workers of a loader, by what it was opened with: they open the shards themselves."""
        return self._again, ()

    def __len__(self) -> int:
        """Windows of the first epoch; with all weights 1, every window once."""
        return self.mixture.epoch_length

    # -- facts

    @property
    def streams(self) -> list[Stream]:
        """The sources."""
        return self.data.streams

    @property
    def num_windows(self) -> int:
        """Distinct windows, whatever their weights."""
        return int(self._window_starts[-1])

    @property
    def vocabulary_size(self) -> int:
        """Entries of the vocabulary that the tokens come from."""
        return self.data.format.vocabulary_size

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides the order: shards, tokenizer, context length, seed, weights; no path in it."""
        quotas = [(quota.per_epoch, quota.total) for quota in self.mixture.quotas]
        text = f"{self.data.fingerprint} {self.context_length} {self.seed} {quotas}"
        return digest(text).hex()

    def budget(self, sequences: int) -> list[dict[str, Any]]:
        """What each source gives to the first ``sequences`` of the order: tokens, share, passes over its windows."""
        counts = self.mixture.counts(sequences)
        return [
            {
                "source": stream.name,
                "tokens_available": stream.tokens,
                "tokens": count * self.context_length,
                "share": count / sequences if sequences else 0.0,
                "epochs": count / windows if windows else 0.0,
                "dropped_tail_tokens": stream.tokens - (windows * self.context_length + 1 if windows else 0),
            }
            for stream, windows, count in zip(self.streams, self.windows, counts, strict=True)
        ]

    def _make_mixture(self, weights: Mapping[str, float], max_epochs: Mapping[str, float]) -> Mixture:
        if not self.num_windows:
            sizes = ", ".join(f"{stream.name} {stream.tokens:,}" for stream in self.streams)
            where = ", ".join(map(str, self.data.folders))
            raise NoWindowError(
                f"{where}: not one window of context_length + 1 = {self.context_length + 1:,} tokens; tokens by "
                f"source: {sizes or 'none'}",
                sum(stream.tokens for stream in self.streams),
            )
        quotas = []
        for stream, windows in zip(self.streams, self.windows, strict=True):
            full, source = stream.labels
            weight, cap = (given.get(full, given.get(source)) for given in (weights, max_epochs))
            quotas.append(_quota(windows, 1.0 if weight is None else weight, cap, stream.first_epoch))
        try:
            return Mixture(quotas)
        except ValueError as error:
            raise UserError(f"weights and max_epochs of the sources: {error}") from error

    # -- the order: position -> source and ordinal -> window -> address -> place

    def places(self, first: int, count: int) -> list[Place]:
        """Where ``count`` sequences of the order, from the ``first`` on, are read.

        Raises:
            IndexError: If every source's ``max_epochs`` is reached before the last.
        """
        if first < 0:
            raise IndexError(f"sequence {first}: the order starts at 0")
        found: list[Place] = []
        block, start = divmod(first, _BLOCK)
        while len(found) < count:
            found += self._block(block)[start : start + count - len(found)]
            block, start = block + 1, 0
        return found

    def _places_of_block(self, block: int) -> list[Place]:
        """Places of the ``_BLOCK`` positions of a block; fewer where the order ends."""
        first = block * _BLOCK
        end = first + _BLOCK
        if self.mixture.total is not None:
            end = max(min(end, self.mixture.total), first + 1)  # at least one: the mixture has the error
        streams, windows = self.locate(first, end - first)
        return self.data.places(self._bases[streams] + windows * self.context_length)

    def locate(self, first: int, count: int) -> tuple[Integers, Integers]:
        """Stream and window of ``count`` sequences of the order from the ``first`` on; int64 (count,) each.

        Raises:
            IndexError: If every source's ``max_epochs`` is reached before the last.
        """
        streams, ordinals = self.mixture.locate(np.arange(first, first + count, dtype=np.int64))
        windows = np.empty_like(ordinals)
        for stream in np.unique(streams).tolist():
            chosen = np.flatnonzero(streams == stream)
            windows[chosen] = self.windows_of(stream, ordinals[chosen])
        return streams, windows

    def windows_of(self, stream: int, ordinals: Integers) -> Integers:
        """The windows of a stream that its sequences number ``ordinals`` read; int64 (N,)."""
        epochs, inside = np.divmod(ordinals, self.windows[stream])
        windows = np.empty_like(inside)
        for epoch in np.unique(epochs).tolist():
            chosen = np.flatnonzero(epochs == epoch)
            windows[chosen] = self._permutation(stream, epoch)(inside[chosen])
        return windows

    def _permutation(self, stream: int, source_epoch: int) -> Permutation:
        return Permutation(self.windows[stream], f"{self.seed}/{self.streams[stream].key}/{source_epoch}")

    def places_in_order(self, first: int, count: int) -> list[Place]:
        """Where windows ``first`` to ``first + count`` in the order of the shards, not of the training, are read."""
        if first < 0 or first + count > self.num_windows:
            raise IndexError(f"windows {first} to {first + count} asked for, there are {self.num_windows:,}")
        numbers = np.arange(first, first + count, dtype=np.int64)
        streams = np.searchsorted(self._window_starts, numbers, side="right") - 1
        return self.data.places(self._bases[streams] + (numbers - self._window_starts[streams]) * self.context_length)

    # -- its inverse: tokens of a stream -> windows -> ordinals -> positions

    def positions_of(self, stream: int, start: int, end: int, limit: int) -> list[tuple[int, int]]:
        """Where, among the first ``limit`` sequences, tokens ``start`` to ``end`` of a stream are read; sorted.

        Returns:
            Pairs of the position in the order and the window of the stream.
        """
        found = []
        for ordinal, window in self._ordinals(stream, start, end, self.mixture.counts(limit)[stream]):
            position = self.mixture.position(stream, ordinal)
            if position is not None and position < limit:
                found.append((position, window))
        return sorted(found)

    def _ordinals(self, stream: int, start: int, end: int, used: int) -> Iterator[tuple[int, int]]:
        """Of a source's first ``used`` sequences, number and window of those that touch tokens ``start`` to ``end``."""
        first = max(0, -((self.context_length - start) // self.context_length))
        last = min((end - 1) // self.context_length + 1, self.windows[stream])
        touching = np.arange(first, last, dtype=np.int64)
        for source_epoch in range(-(-used // self.windows[stream]) if len(touching) else 0):
            inside = self._permutation(stream, source_epoch).inverse(touching)
            yield from zip((inside + source_epoch * self.windows[stream]).tolist(), touching.tolist(), strict=True)

    # -- reading

    def window(self, i: int) -> NDArray[Any]:
        """The i-th window of the order: ``context_length + 1`` token ids; i runs on through the epochs.

        Read-only and without a copy where the window lies in one record batch; of the shards' integer type.

        Raises:
            IndexError: If every source's ``max_epochs`` is reached before it.
        """
        return self.data.read(self.places(i, 1)[0], self.context_length + 1)

    def documents(self, step: int, sequences: int) -> list[str]:
        """Hex doc_ids in the global batch of ``step``, each once, in order of first appearance."""
        found: dict[bytes, None] = {}
        for place in self.places(step * sequences, sequences):
            found.update(dict.fromkeys(self.data.documents(place, self.context_length + 1)))
        return [doc_id.hex() for doc_id in found]

    def steps_of(self, doc_id: str, sequences: int, steps: int) -> list[int]:
        """The steps, of the first ``steps``, whose global batch holds a token of the document; sorted."""
        limit = steps * sequences
        found = {
            position // sequences
            for stream, start, end in self.data.find(bytes.fromhex(doc_id))
            for position, _ in self.positions_of(stream, start, end, limit)
        }
        return sorted(found)


def _quota(windows: int, weight: float, max_epochs: float | None, first_epoch: int) -> Quota:
    per_epoch = max(1, round(weight * windows)) if weight > 0 and windows else 0
    return Quota(per_epoch, None if max_epochs is None else int(max_epochs * windows), first_epoch)
