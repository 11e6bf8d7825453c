"""Which source the i-th training sequence comes from: arithmetic, no table and no random draw.

In one epoch a source gives ``quota`` sequences: its number of windows times its weight.  The sources are the leaves of
a binary tree; at each node the sequences are dealt to its two sides as evenly as whole numbers allow (the rule that
draws a straight line on a pixel grid), so that every stretch of the order holds nearly the exact share of each source.
``locate`` and its inverse ``position`` cost one division per level of the tree.

A source may be capped: it stops after ``max_epochs`` passes over its windows, and the epochs after that are shorter.

Shape letters: N positions asked for, S sources.
Source of the line rule: Bresenham, IBM Systems Journal 4(1), 1965.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
MAX_SEQUENCES = 3_000_000_000  # an epoch's length squared must fit int64


@dataclass(frozen=True)
class Quota:
    """What a source gives: ``per_epoch`` sequences in each epoch, ``total`` in all (None: without end).

    It joins in ``first_epoch``; the order of the epochs before is as if there were no such source.
    """

    per_epoch: int
    total: int | None = None
    first_epoch: int = 0

    def used_before(self, epoch: int) -> int:
        """Sequences given before ``epoch`` (counted from 0)."""
        used = self.per_epoch * max(0, epoch - self.first_epoch)
        return used if self.total is None else min(used, self.total)


@dataclass(frozen=True)
class _Piece:
    """A run of equal epochs: from ``epoch`` on, ``quotas`` sequences of each source; ``start`` is its position.

    ``quotas`` ends with the last source that has joined.
    """

    epoch: int
    start: int
    quotas: tuple[int, ...]

    @property
    def length(self) -> int:
        return sum(self.quotas)


class Mixture:
    """The order of sources over all epochs.

    Args:
        quotas: One per source; those that join later stand behind the others.

    Raises:
        ValueError: If no source gives anything, or an epoch is longer than ``MAX_SEQUENCES``.

    Example:
        >>> mixture = Mixture([Quota(3), Quota(1)])
        >>> mixture.locate(np.arange(8))[0].tolist()
        [0, 0, 1, 0, 0, 0, 1, 0]
    """

    def __init__(self, quotas: Sequence[Quota]) -> None:
        self.quotas = tuple(quotas)
        if not any(quota.per_epoch for quota in quotas):
            raise ValueError("no source gives any sequence")
        joins = [quota.first_epoch for quota in quotas]
        if joins != sorted(joins):
            raise ValueError("a source that joins later stands before one that joins earlier")
        if sum(quota.per_epoch for quota in quotas) > MAX_SEQUENCES:
            raise ValueError(f"an epoch of more than {MAX_SEQUENCES:,} sequences")
        self._pieces = self._make_pieces()
        self._starts = np.array([piece.start for piece in self._pieces], np.int64)

    @property
    def epoch_length(self) -> int:
        """Sequences of the first epoch."""
        return self._pieces[0].length

    @property
    def total(self) -> int | None:
        """Sequences until every source has reached its cap; None where one has none."""
        last = self._pieces[-1]
        return None if last.length else last.start

    def _make_pieces(self) -> list[_Piece]:
        """The pieces: a new one where a source gives less than in the epoch before."""
        caps = [
            quota.first_epoch + quota.total // quota.per_epoch
            for quota in self.quotas
            if quota.total is not None and quota.per_epoch
        ]
        joins = {quota.first_epoch for quota in self.quotas}
        edges = sorted({0} | joins | {epoch + step for epoch in caps for step in (0, 1)})
        pieces: list[_Piece] = []
        for epoch in edges:
            joined = [quota for quota in self.quotas if quota.first_epoch <= epoch]
            gives = tuple(quota.used_before(epoch + 1) - quota.used_before(epoch) for quota in joined)
            before = pieces[-1] if pieces else None
            start = before.start + (epoch - before.epoch) * before.length if before else 0
            if before is None or gives != before.quotas:
                pieces.append(_Piece(epoch, start, gives))
        if pieces[0].length == 0:  # caps below one epoch's first sequence
            raise ValueError("every source's max_epochs is too small to give a single sequence")
        return pieces

    def _piece_of(self, position: int) -> _Piece:
        return self._pieces[int(np.searchsorted(self._starts, position, side="right")) - 1]

    def locate(self, positions: Integers) -> tuple[Integers, Integers]:
        """Source number of each position, and how many sequences of that source come before it in all.

        Args:
            positions: int64 (N,), from 0.

        Raises:
            IndexError: If a position lies beyond the caps of all sources.
        """
        sources, ordinals = np.empty_like(positions), np.empty_like(positions)
        numbers = np.searchsorted(self._starts, positions, side="right") - 1
        for number in np.unique(numbers):
            piece, chosen = self._pieces[number], np.flatnonzero(numbers == number)
            if piece.length == 0:
                raise IndexError(
                    f"sequence {int(positions[chosen[0]]):,} asked for, but max_epochs of the sources allow "
                    f"{piece.start:,}"
                )
            epochs, inside = np.divmod(positions[chosen] - piece.start, piece.length)
            found, ranks = _deal(inside, piece.quotas)
            joined = self.quotas[: len(piece.quotas)]
            used = np.array([quota.used_before(piece.epoch) for quota in joined], np.int64)
            gives = np.array(piece.quotas, np.int64)
            sources[chosen], ordinals[chosen] = found, used[found] + epochs * gives[found] + ranks
        return sources, ordinals

    def position(self, source: int, ordinal: int) -> int | None:
        """The position of a source's ``ordinal``-th sequence; None when the cap comes before it."""
        quota = self.quotas[source]
        if quota.per_epoch == 0 or (quota.total is not None and ordinal >= quota.total):
            return None
        epoch, rank = divmod(ordinal, quota.per_epoch)
        epoch += quota.first_epoch
        piece = next(p for p in reversed(self._pieces) if p.epoch <= epoch)
        return piece.start + (epoch - piece.epoch) * piece.length + _undeal(rank, source, piece.quotas)

    def counts(self, positions: int) -> list[int]:
        """Sequences of each source among the first ``positions``."""
        if self.total is not None:
            positions = min(positions, self.total)
        piece = self._piece_of(positions)
        if piece.length == 0:
            return [quota.used_before(piece.epoch) for quota in self.quotas]
        epochs, inside = divmod(positions - piece.start, piece.length)
        later = [0] * (len(self.quotas) - len(piece.quotas))
        dealt = [*_dealt(inside, piece.quotas), *later]
        return [
            quota.used_before(piece.epoch) + epochs * gives + part
            for quota, gives, part in zip(self.quotas, [*piece.quotas, *later], dealt, strict=True)
        ]

    def epoch_of(self, position: int) -> int:
        """The epoch (counted from 0) that a position lies in."""
        piece = self._piece_of(position)
        return piece.epoch + (position - piece.start) // piece.length if piece.length else piece.epoch

    def next_epoch(self, positions: int) -> tuple[int, int]:
        """The first epoch of which none of the first ``positions`` sequences is a part, and where it starts."""
        epoch = self.epoch_of(positions - 1) + 1 if positions else 0
        piece = next(piece for piece in reversed(self._pieces) if piece.epoch <= epoch)
        return epoch, piece.start + (epoch - piece.epoch) * piece.length


def _deal(positions: Integers, quotas: Sequence[int]) -> tuple[Integers, Integers]:
    """Source of each position of an epoch, and its rank among that source's sequences of the epoch."""
    if len(quotas) == 1:
        return np.zeros_like(positions), positions
    middle = len(quotas) // 2
    total, left_total = sum(quotas), sum(quotas[:middle])
    if left_total == 0 or left_total == total:
        side = quotas[middle:] if left_total == 0 else quotas[:middle]
        sources, ranks = _deal(positions, side)
        return sources + (middle if left_total == 0 else 0), ranks
    before = _left_before(positions, left_total, total)
    is_left = _left_before(positions + 1, left_total, total) > before
    sources, ranks = np.empty_like(positions), np.empty_like(positions)
    sources[is_left], ranks[is_left] = _deal(before[is_left], quotas[:middle])
    right_sources, ranks[~is_left] = _deal((positions - before)[~is_left], quotas[middle:])
    sources[~is_left] = right_sources + middle
    return sources, ranks


def _left_before(positions: Integers, left_total: int, total: int) -> Integers:
    """How many of the first ``positions`` sequences go to the left side: the rounded share."""
    return (positions * left_total + total // 2) // total


def _undeal(rank: int, source: int, quotas: Sequence[int]) -> int:
    """The inverse of ``_deal`` for one sequence."""
    if len(quotas) == 1:
        return rank
    middle = len(quotas) // 2
    total, left_total = sum(quotas), sum(quotas[:middle])
    half = total // 2
    if source < middle:
        inner = _undeal(rank, source, quotas[:middle])
        if left_total == total:
            return inner
        # the smallest p with left_before(p + 1) = inner + 1: a division rounded up, less one
        return -((half - (inner + 1) * total) // left_total) - 1
    inner = _undeal(rank, source - middle, quotas[middle:])
    # the smallest p with p + 1 - left_before(p + 1) = inner + 1
    return inner if left_total == 0 else (inner * total + half) // (total - left_total)


def _dealt(positions: int, quotas: Sequence[int]) -> list[int]:
    """Sequences of each source among the first ``positions`` of an epoch."""
    if len(quotas) == 1:
        return [positions]
    middle = len(quotas) // 2
    total, left_total = sum(quotas), sum(quotas[:middle])
    left = (positions * left_total + total // 2) // total if total else 0
    return _dealt(left, quotas[:middle]) + _dealt(positions - left, quotas[middle:])
