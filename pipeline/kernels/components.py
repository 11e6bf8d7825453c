"""Connected components of edges: union-find over pairs of nodes.

Shape letters: n nodes, E edges.
"""

import numba

from pipeline.kernels.verify import join, root
from pipeline.kernels.words import I64, I64_OUT


@numba.njit(numba.void(I64_OUT, I64, I64), cache=True, nogil=True)
def join_edges(parents, left, right):  # type: ignore[no-untyped-def]
    """Leaves in ``parents`` the smallest node of each node's component.

    Args:
        parents: Starts as ``arange``; changed, shape (n,).
        left: One node of each edge, shape (E,).
        right: The other one, shape (E,).
    """
    for edge in range(len(left)):
        join(parents, left[edge], right[edge])
    for node in range(len(parents)):
        parents[node] = root(parents, node)
