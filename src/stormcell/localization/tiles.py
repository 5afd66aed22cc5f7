"""Cutting frames into tiles, and working on tiles on all cores."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_CHUNKS_PER_THREAD = 8


def spans(side: int, tile_px: int, one_tile_px: int) -> list[tuple[int, int]]:
    """Cut a side into pieces of about the same length.

    Parameters
    ----------
    side : int
        Its length.
    tile_px : int
        Longest piece.
    one_tile_px : int
        A side up to this long stays whole.

    Returns
    -------
    list of tuple of int
        First and last (half-open) of each piece.
    """
    n = 1 if side <= one_tile_px else math.ceil(side / tile_px)
    edges = [side * k // n for k in range(n + 1)]
    return list(itertools.pairwise(edges))


def on_all_cores(n_tiles: int, work_on: Callable[[slice], None]) -> None:
    """Share tiles out among threads; what works on them must release Python's lock.

    Parameters
    ----------
    n_tiles : int
        How many there are.
    work_on : callable
        Called with slices of tiles, which together are all of them.
    """
    n_threads = int(numba.get_num_threads())
    size = max(1, math.ceil(n_tiles / (n_threads * _CHUNKS_PER_THREAD)))
    parts = [slice(start, start + size) for start in range(0, n_tiles, size)]
    if n_threads == 1 or len(parts) < 2:
        for part in parts:
            work_on(part)
    else:
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(work_on, parts))


def filled_rows(first: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Find the rows that tiles wrote into a table with more room than they needed.

    Parameters
    ----------
    first, counts : ndarray of int64
        Shape (K,): where each tile's room begins, and how many rows it wrote.

    Returns
    -------
    tuple of ndarray
        Index of each row, and the tile that wrote it.
    """
    tile = np.repeat(np.arange(len(counts)), counts)
    return first[tile] + np.arange(len(tile)) - np.repeat(np.cumsum(counts) - counts, counts), tile
