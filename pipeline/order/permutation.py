"""A keyed permutation of 0 .. n-1 that needs no table, and its inverse.

A Feistel network on pairs (left, right) of numbers below ``side = ceil(sqrt(n))`` permutes ``side * side`` values; a
value that lands at n or above is sent through again until it lands below ("cycle walking"), which keeps it a
permutation.  ``side * side - n`` is at most ``2 * sqrt(n)``, so that hardly any value walks.
Source: Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002.
"""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

ROUNDS = 8  # four suffice for large n; small n (a few windows) needs more to look shuffled
_MULTIPLY_1, _MULTIPLY_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # splitmix64's finaliser
_SHIFT_30, _SHIFT_27, _SHIFT_31, _SHIFT_1 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(1)


@lru_cache(maxsize=256)
def round_keys(key: str) -> tuple[np.uint64, ...]:
    """One 64-bit key per round, from any text."""
    digest = hashlib.blake2b(key.encode(), digest_size=8 * ROUNDS).digest()
    return tuple(np.frombuffer(digest, "<u8"))


def _mix(values: NDArray[np.uint64], key: np.uint64) -> NDArray[np.uint64]:
    values = values ^ key
    values = (values ^ (values >> _SHIFT_30)) * _MULTIPLY_1
    values = (values ^ (values >> _SHIFT_27)) * _MULTIPLY_2
    return (values ^ (values >> _SHIFT_31)) >> _SHIFT_1  # 63 bits: adding a half below 2**32 cannot wrap


class Permutation:
    """The permutation of ``range(size)`` that belongs to ``key``.

    Example:
        >>> permutation = Permutation(5, "seed 1")
        >>> sorted(permutation(np.arange(5)).tolist())
        [0, 1, 2, 3, 4]
        >>> permutation.inverse(permutation(np.arange(5))).tolist()
        [0, 1, 2, 3, 4]
    """

    def __init__(self, size: int, key: str) -> None:
        if size < 1:
            raise ValueError(f"a permutation needs at least one item, got {size}")
        side = max(int(np.sqrt(size)), 1)
        while side * side < size:
            side += 1
        self.size, self._side, self._keys = size, np.uint64(side), round_keys(key)

    def __call__(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each of ``values`` (int64, below ``size``) goes."""
        return self._walk(values, forward=True)

    def inverse(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which values go to ``values``."""
        return self._walk(values, forward=False)

    def _walk(self, values: NDArray[np.int64], *, forward: bool) -> NDArray[np.int64]:
        rounds = self._encrypt if forward else self._decrypt
        result = rounds(np.asarray(values, np.int64).astype(np.uint64))
        outside = np.flatnonzero(result >= self.size)
        while len(outside):
            walked = rounds(result[outside])
            result[outside] = walked
            outside = outside[walked >= self.size]
        return result.astype(np.int64)

    def _encrypt(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = values // self._side, values % self._side
        for key in self._keys:
            left, right = right, (left + _mix(right, key)) % self._side
        return left * self._side + right

    def _decrypt(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = values // self._side, values % self._side
        for key in reversed(self._keys):
            # both terms are below ``side``, so the difference plus ``side`` cannot wrap
            left, right = (right + self._side - _mix(left, key) % self._side) % self._side, left
        return left * self._side + right
