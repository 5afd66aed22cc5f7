"""The best pairing of a sparse cost matrix in which every row may also stay alone.

Shortest augmenting paths: rows enter one after the other; each looks for the cheapest way to be paired, or to let a
row (itself or one it displaces) stay alone. As a path never costs more than staying alone, the search stays in the
neighbourhood and is quick however large the frame, yet exact.

References
----------
Jonker and Volgenant, Computing 38, 325 (1987), DOI 10.1007/BF02278710.
Differs from the paper: sparse, with a heap (Dijkstra), and with the choice to stay alone at a fixed cost.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import get_num_threads, njit, prange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.metrics.neighbours import ClosePairs


def assign(pairs: ClosePairs, cost_alone: float) -> NDArray[np.int64]:
    """Choose pairs so that their costs, and `cost_alone` for every row without a partner, sum to the least.

    Parameters
    ----------
    pairs : ClosePairs
        Possible pairs and their costs, >= 0.
    cost_alone : float
        Cost of a row without a partner; where it equals the cost of a pair, the pair is formed.

    Returns
    -------
    ndarray
        int64, shape (rows,): the column of each row's partner, -1 for none.
    """
    state = (
        np.full(len(pairs.order_a), -1, np.int64),
        np.full(len(pairs.order_b), -1, np.int64),
        np.zeros(len(pairs.order_a)),
        np.zeros(len(pairs.order_b)),
        np.full(len(pairs.order_b), np.inf),
        np.full(len(pairs.order_b), -1, np.int64),
        np.zeros(len(pairs.order_b), np.bool_),
    )
    _assign_frames(pairs.frame_start, (pairs.start, pairs.column, pairs.cost), cost_alone, state, get_num_threads())
    return state[0]


@njit(cache=True, parallel=True, nogil=True)
def _assign_frames(frame_start: NDArray[Any], graph: Any, cost_alone: float, state: Any, n_parts: int) -> None:
    n_frames = len(frame_start) - 1
    for part in prange(n_parts):
        for frame in range(part, n_frames, n_parts):
            _assign_rows(frame_start[frame], frame_start[frame + 1], graph, cost_alone, state)


@njit(cache=True, nogil=True)
def _assign_rows(first: int, last: int, graph: Any, cost_alone: float, state: Any) -> None:
    partner_of_row, partner_of_column, row_price, column_price, path_cost, reached_from, done = state
    start, column, cost = graph
    heap = [(0.0, np.int64(0))]
    touched = [np.int64(0)]
    for new_row in range(first, last):
        heap.clear()
        touched.clear()
        row, length = new_row, 0.0
        alone_row, alone_length = new_row, np.inf
        while True:
            if length + cost_alone - row_price[row] < alone_length:
                alone_row, alone_length = row, length + cost_alone - row_price[row]
            for k in range(start[row], start[row + 1]):
                j = column[k]
                longer = length + cost[k] - row_price[row] - column_price[j]
                if not done[j] and longer < path_cost[j]:
                    path_cost[j], reached_from[j] = longer, row
                    heapq.heappush(heap, (longer, j))
                    touched.append(j)
            end = _nearest(heap, path_cost, done)
            if end < 0 or path_cost[end] > alone_length:
                length, end = alone_length, -1
                break
            length = path_cost[end]
            done[end] = True
            if partner_of_column[end] < 0:
                break
            row = partner_of_column[end]
        row_price[new_row] += length
        for j in touched:
            if done[j]:
                if partner_of_column[j] >= 0:
                    row_price[partner_of_column[j]] += length - path_cost[j]
                column_price[j] -= length - path_cost[j]
            path_cost[j], done[j] = np.inf, False
        if end < 0 and alone_row != new_row:
            end = partner_of_row[alone_row]
            partner_of_row[alone_row] = -1
        _swap_along(end, new_row, partner_of_row, partner_of_column, reached_from)


@njit(cache=True, nogil=True)
def _nearest(heap: Any, path_cost: NDArray[Any], done: NDArray[Any]) -> int:
    while len(heap) > 0:
        length, j = heapq.heappop(heap)
        if not done[j] and length == path_cost[j]:
            return j  # type: ignore[no-any-return]
    return -1


@njit(cache=True, nogil=True)
def _swap_along(
    end: int,
    new_row: int,
    partner_of_row: NDArray[Any],
    partner_of_column: NDArray[Any],
    reached_from: NDArray[Any],
) -> None:
    """Pair the rows along the path that ends at a column; a path without an end leaves the new row alone."""
    while end >= 0:
        row = reached_from[end]
        following = partner_of_row[row]
        partner_of_row[row], partner_of_column[end] = end, row
        if row == new_row:
            return
        end = following
