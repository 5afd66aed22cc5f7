"""Pairs of points closer than a given distance in the same frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange

from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_CELLS = 1 << 15
_MOST_PAIRS = 200_000_000


@dataclass(frozen=True)
class Points:
    """Positions in frames.

    Parameters
    ----------
    frame : ndarray
        int64, shape (N,).
    xyz_nm : ndarray
        float64, shape (N, 3), finite; z is 0 where depth plays no part.
    """

    frame: NDArray[np.int64]
    xyz_nm: NDArray[np.float64]


@dataclass(frozen=True)
class ClosePairs:
    """Possible partners of each point of a first set in a second one, as a sparse matrix.

    Rows and columns are sorted by frame. Row i of the matrix is point `order_a[i]`; its partners are the points
    `order_b[column[start[i]:start[i + 1]]]`, at the squared distance `cost`. Frame f holds the rows
    `frame_start[f]:frame_start[f + 1]`.
    """

    order_a: NDArray[np.int64]
    order_b: NDArray[np.int64]
    frame_start: NDArray[np.int64]
    start: NDArray[np.int64]
    column: NDArray[np.int64]
    cost: NDArray[np.float64]


def find_close_pairs(a: Points, b: Points, lateral_nm: float, axial_nm: float) -> ClosePairs:
    """List all pairs in the same frame within a lateral and an axial distance.

    Parameters
    ----------
    a, b : Points
        The two sets.
    lateral_nm, axial_nm : float
        Largest distances, inclusive, > 0.

    Returns
    -------
    ClosePairs
        Squared distances, lateral and axial together, in nm^2.

    Raises
    ------
    InputError
        There are more pairs than fit into memory.
    """
    cells = _Cells.around(a, b, lateral_nm)
    key_a, key_b = cells.keys(a), cells.keys(b)
    order_a, order_b = np.argsort(key_a, kind="stable"), np.argsort(key_b, kind="stable")
    key_a, key_b = key_a[order_a], key_b[order_b]
    at_a, at_b = a.xyz_nm[order_a], b.xyz_nm[order_b]
    n_columns, n_rows = cells.shape[1], cells.shape[0]
    reach = (lateral_nm**2, axial_nm)
    n_partners = _count_partners(key_a, key_b, at_a, at_b, (n_rows, n_columns), reach)
    start = np.zeros(len(key_a) + 1, np.int64)
    np.cumsum(n_partners, out=start[1:])
    if start[-1] > _MOST_PAIRS:
        msg = (
            f"expected at most {_MOST_PAIRS} pairs within {lateral_nm:g} nm in the same frame, got {start[-1]}; "
            "choose a smaller tolerance, or check that the frame column is right"
        )
        raise InputError(msg)
    column, cost = _fill_partners(key_a, key_b, at_a, at_b, (n_rows, n_columns), reach, start)
    frame_start = np.searchsorted(key_a, np.arange(cells.n_frames + 1) * n_rows * n_columns)
    return ClosePairs(order_a, order_b, frame_start, start, column, cost)


def count_close(a: Points, b: Points, lateral_nm: float) -> NDArray[np.int64]:
    """Count the points of b within a lateral distance of each point of a, in the same frame.

    Parameters
    ----------
    a, b : Points
        The two sets.
    lateral_nm : float
        Largest distance, inclusive, > 0.

    Returns
    -------
    ndarray
        int64, shape (N,), in the order of a.
    """
    cells = _Cells.around(a, b, lateral_nm)
    key_a, key_b = cells.keys(a), cells.keys(b)
    order_b = np.argsort(key_b, kind="stable")
    reach = (lateral_nm**2, np.inf)
    counts: NDArray[np.int64] = _count_partners(
        key_a, key_b[order_b], a.xyz_nm, b.xyz_nm[order_b], cells.shape, reach
    )
    return counts


@dataclass(frozen=True)
class _Cells:
    """Square cells as wide as the reach, numbered frame by frame, row by row."""

    frames: NDArray[np.int64]
    corner: NDArray[np.float64]
    size_nm: float
    shape: tuple[int, int]

    @classmethod
    def around(cls, a: Points, b: Points, size_nm: float) -> _Cells:
        frames = np.unique(np.concatenate([a.frame, b.frame]))
        corners = [points.xyz_nm[:, :2] for points in (a, b) if len(points.frame)]
        if not corners:
            return cls(frames, np.zeros(2), size_nm, (1, 1))
        corner = np.min([positions.min(axis=0) for positions in corners], axis=0)
        extent = np.max([positions.max(axis=0) for positions in corners], axis=0) - corner
        # beyond the last cell everything is kept in it: that costs time, never a pair
        n_x, n_y = (int(min(side // size_nm + 1, _MOST_CELLS)) for side in extent)
        return cls(frames, corner, size_nm, (n_y, n_x))

    @property
    def n_frames(self) -> int:
        return len(self.frames)

    def keys(self, points: Points) -> NDArray[np.int64]:
        frame = np.searchsorted(self.frames, points.frame)
        at = np.floor((points.xyz_nm[:, :2] - self.corner) / self.size_nm)
        x = np.clip(at[:, 0], 0, self.shape[1] - 1).astype(np.int64)
        y = np.clip(at[:, 1], 0, self.shape[0] - 1).astype(np.int64)
        keys: NDArray[np.int64] = (frame * self.shape[0] + y) * self.shape[1] + x
        return keys


@njit(cache=True, nogil=True)
def _cell_ranges(key: int, key_b: NDArray[Any], shape: tuple[int, int], ranges: NDArray[Any]) -> int:
    """Write the stretches of b that lie in the 3 x 3 cells round one cell; one stretch for each row of cells."""
    n_y, n_x = shape
    x, y = key % n_x, key // n_x % n_y
    n = 0
    for dy in range(-1, 2):
        if 0 <= y + dy < n_y:
            line = key - x + dy * n_x
            ranges[n, 0] = np.searchsorted(key_b, line + max(x - 1, 0))
            ranges[n, 1] = np.searchsorted(key_b, line + min(x + 1, n_x - 1) + 1)
            n += 1
    return n


@njit(cache=True, nogil=True)
def _squared_distance(a: NDArray[Any], i: int, b: NDArray[Any], j: int, reach: tuple[float, float]) -> float:
    """Squared distance of a pair; -1 where it is out of reach."""
    lateral = (a[i, 0] - b[j, 0]) ** 2 + (a[i, 1] - b[j, 1]) ** 2
    axial = abs(a[i, 2] - b[j, 2])
    return lateral + axial**2 if lateral <= reach[0] and axial <= reach[1] else -1.0


@njit(cache=True, parallel=True, nogil=True)
def _count_partners(
    key_a: NDArray[Any], key_b: NDArray[Any], at_a: NDArray[Any], at_b: NDArray[Any], shape: Any, reach: Any
) -> NDArray[np.int64]:
    counts = np.zeros(len(key_a), np.int64)
    for i in prange(len(key_a)):
        ranges = np.empty((3, 2), np.int64)
        for k in range(_cell_ranges(key_a[i], key_b, shape, ranges)):
            for j in range(ranges[k, 0], ranges[k, 1]):
                counts[i] += int(_squared_distance(at_a, i, at_b, j, reach) >= 0)
    return counts


@njit(cache=True, parallel=True, nogil=True)
def _fill_partners(
    key_a: NDArray[Any],
    key_b: NDArray[Any],
    at_a: NDArray[Any],
    at_b: NDArray[Any],
    shape: Any,
    reach: Any,
    start: NDArray[Any],
) -> Any:
    column, cost = np.empty(start[-1], np.int64), np.empty(start[-1])
    for i in prange(len(key_a)):
        ranges = np.empty((3, 2), np.int64)
        at = start[i]
        for k in range(_cell_ranges(key_a[i], key_b, shape, ranges)):
            for j in range(ranges[k, 0], ranges[k, 1]):
                distance = _squared_distance(at_a, i, at_b, j, reach)
                if distance >= 0:
                    column[at], cost[at] = j, distance
                    at += 1
    return column, cost
