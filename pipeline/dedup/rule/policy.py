"""The order in which records are visited, from the survivor policy: who of two duplicates stays.

A policy is a list of criteria, each with a rank for every record, 0 the best: preferred sources, preferred licences,
then ``first``, ``longest`` or a column, highest first.  What ties in all of them goes by input order.
"""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.errors import UserError
from pipeline.dedup.rule.join import Ints

FIRST, LONGEST = "first", "longest"
SOURCE, LICENCE, EARLIER = "source", "licence", "earlier"


@dataclass(frozen=True)
class Criterion:
    """One comparison of two records: the lower rank stays.

    Attributes:
        name: What the evidence calls it: ``source``, ``licence``, ``longest`` or the column's name.
        ranks: Shape (N,).
    """

    name: str
    ranks: Ints


class PolicyColumns(Protocol):
    """Where the columns of N records come from that a policy may look at."""

    def sources(self) -> pa.ChunkedArray | pa.Array:
        """What ``prefer_sources`` is matched with."""

    def licences(self) -> pa.ChunkedArray | pa.Array:
        """What ``prefer_licences`` is matched with."""

    def lengths(self) -> Ints:
        """Characters of the texts, shape (N,)."""

    def values(self, name: str) -> Sequence[pa.Array]:
        """The column that ``keep`` names, in pieces."""


def survivor_policy(
    keep: str, prefer_sources: Sequence[str], prefer_licences: Sequence[str], columns: PolicyColumns
) -> list[Criterion]:
    """The criteria, the one that decides first in front.

    Args:
        keep: ``first``, ``longest`` or the name of a column, highest first.
        prefer_sources: Patterns, the best first.
        prefer_licences: Patterns, the best first.
        columns: The records.

    Raises:
        UserError: If the column that ``keep`` names has no order.
    """
    last = [by_column(keep, columns.values(keep))] if keep not in (FIRST, LONGEST) else []
    if keep == LONGEST:
        last = [by_length(columns.lengths())]
    found = [by_pattern(SOURCE, columns.sources(), prefer_sources)] if prefer_sources else []
    found += [by_pattern(LICENCE, columns.licences(), prefer_licences)] if prefer_licences else []
    return found + last


def by_pattern(name: str, column: pa.ChunkedArray | pa.Array, patterns: Sequence[str]) -> Criterion:
    """Ranks values by the first pattern that they match, in either letter case; others, and null, come last.

    Args:
        name: Of the criterion.
        column: Strings.
        patterns: With ``*`` and ``?``, the best first.
    """
    encoded = pc.dictionary_encode(column.cast(pa.large_string()))
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks() if encoded.num_chunks != 1 else encoded.chunk(0)
    folded = [pattern.casefold() for pattern in patterns]
    rank_of = [
        next(
            (rank for rank, pattern in enumerate(folded) if fnmatch.fnmatchcase(value.casefold(), pattern)), len(folded)
        )
        for value in encoded.dictionary.to_pylist()
    ]
    codes = encoded.indices.fill_null(len(rank_of)).to_numpy()
    return Criterion(name, np.array([*rank_of, len(folded)], np.int64)[codes])


def by_length(lengths: Ints) -> Criterion:
    """The longest text first.

    Args:
        lengths: Characters, shape (N,).
    """
    return Criterion(LONGEST, -lengths)


def by_column(name: str, values: Sequence[pa.Array]) -> Criterion:
    """The highest value first; null (and not-a-number) last.

    Args:
        name: Of the column.
        values: The column in pieces.

    Raises:
        UserError: If the column mixes numbers and text, or holds what has no order.
    """
    column = _one_column(name, values)
    if column is None:
        return Criterion(name, _exact_ranks(values))
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    try:
        ranks = pc.rank(column, sort_keys="descending", tiebreaker="dense")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f"keep = {name}: values of type {column.type} have no order") from error
    return Criterion(name, ranks.to_numpy().astype(np.int64))


def visiting_order(criteria: Sequence[Criterion], count: int) -> Ints:
    """Record numbers in priority order, shape (N,).

    Args:
        criteria: The first one decides first; ties of all go by record number.
        count: N.
    """
    if not criteria:
        return np.arange(count)
    order: Ints = np.lexsort([criterion.ranks for criterion in reversed(criteria)])
    return order


def decided_by(criteria: Sequence[Criterion], removed: Ints, keepers: Ints, count: int) -> pa.DictionaryArray:
    """For each removed record, what put its keeper before it: a criterion, ``first`` (input order) or ``earlier``.

    Args:
        criteria: As given to ``visiting_order``.
        removed: Record numbers, shape (R,).
        keepers: The records kept in their place, shape (R,); one of ``count`` or more is an earlier document.
        count: N.
    """
    codes = np.full(len(removed), len(criteria), np.int8)
    earlier = keepers >= count
    mine = np.where(earlier, removed, keepers)
    for number in range(len(criteria) - 1, -1, -1):
        ranks = criteria[number].ranks
        codes[ranks[removed] != ranks[mine]] = number
    codes[earlier] = len(criteria) + 1
    return pa.DictionaryArray.from_arrays(codes, [*(criterion.name for criterion in criteria), FIRST, EARLIER])


def _one_column(name: str, values: Sequence[pa.Array]) -> pa.ChunkedArray | None:
    """The pieces as one column; None where no type of Arrow's holds all of their numbers exactly."""
    types = {str(piece.type): piece.type for piece in values if not pa.types.is_null(piece.type)}
    kinds = {_kind(kind) for kind in types.values()}
    if len(kinds) > 1:
        raise UserError(f"keep = {name}: the field holds {' and '.join(sorted(kinds))}, which have no common order")
    if any(pa.types.is_decimal(kind) for kind in types.values()):
        return None
    if not types:
        target = pa.float64()
    elif len(types) == 1:
        (target,) = types.values()
    else:
        target = pa.float64() if kinds == {"numbers"} else pa.large_string()
    try:
        return pa.chunked_array([piece.cast(target) for piece in values], target)
    except pa.ArrowInvalid:  # whole numbers that no double holds, beside others that are none
        return None


def _exact_ranks(values: Sequence[pa.Array]) -> Ints:
    """Ranks of numbers of several types, each compared with all its digits; the highest first, null last."""
    numbers = [number for piece in values for number in piece.to_pylist()]
    known = sorted({number for number in numbers if number is not None and number == number}, reverse=True)
    rank_of = {number: rank for rank, number in enumerate(known)}
    return np.array([rank_of.get(number, len(known)) for number in numbers], np.int64)


def _kind(kind: pa.DataType) -> str:
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    if any(check(kind) for check in numbers):
        return "numbers"
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)
