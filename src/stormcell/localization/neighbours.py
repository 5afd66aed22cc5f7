"""Spots whose light reaches into each other's fit regions.

A first fit of such a spot leaves out the pixels that lie nearer to another one; then the light of the neighbours, as
fitted, is added to what the fit expects in the whole region, and the fit is repeated. The repeats climb the joint
likelihood of the group, one spot at a time. Groups too dense to be told apart in the first place are another method's
job.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

from stormcell.physics.gaussian import axis_profiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.localization.detection import Spots

    FloatArray = NDArray[np.float64]
    FrameArray = NDArray[np.float32]
    IndexArray = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """For each spot, the others of its frame within reach.

    Attributes
    ----------
    first : ndarray of int64
        Shape (N + 1,): the neighbours of spot i are `index[first[i]:first[i + 1]]`.
    index : ndarray of int64
        Indices of spots.
    """

    first: IndexArray
    index: IndexArray

    @classmethod
    def of(cls, spots: Spots, reach_px: float) -> Neighbours:
        """Find neighbours.

        Parameters
        ----------
        spots : Spots
            N spots, ordered by frame and row.
        reach_px : float
            Largest distance along either axis.

        Returns
        -------
        Neighbours
            Of every spot.
        """
        place = spot_places(spots)
        counts = np.zeros(len(spots) + 1, np.int64)
        _count(spots.frame, place, reach_px, counts)
        first = np.cumsum(counts)
        index = np.empty(first[-1], np.int64)
        _list(spots.frame, place, reach_px, first, index)
        return cls(first, index)

    @property
    def crowded(self) -> NDArray[np.bool_]:
        """Shape (N,): which spots have a neighbour."""
        return np.diff(self.first) > 0

    def any_of(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Say which spots have a chosen one among their neighbours.

        Parameters
        ----------
        chosen : ndarray of bool
            Shape (N,).

        Returns
        -------
        ndarray of bool
            Shape (N,).
        """
        found = np.zeros(len(chosen), dtype=bool)
        found[np.repeat(np.arange(len(chosen)), np.diff(self.first))[chosen[self.index]]] = True
        return found

    def within(self, place: FloatArray, distance_px: float) -> NDArray[np.bool_]:
        """Say which spots have a neighbour within a distance.

        Parameters
        ----------
        place : ndarray
            Shape (N, 2), x and y of the spots in pixels.
        distance_px : float
            The distance.

        Returns
        -------
        ndarray of bool
            Shape (N,).
        """
        own = np.repeat(np.arange(len(place)), np.diff(self.first))
        near = np.square(place[own] - place[self.index]).sum(axis=1) < distance_px**2
        found = np.zeros(len(place), dtype=bool)
        found[own[near]] = True
        return found


def spot_places(spots: Spots) -> FloatArray:
    """Give positions of spots.

    Parameters
    ----------
    spots : Spots
        N spots.

    Returns
    -------
    ndarray
        Shape (N, 2), x and y in pixels from the outer corner of the frame.
    """
    pixel = np.stack([spots.column, spots.row], axis=1) + 0.5
    places: FloatArray = np.add(pixel, spots.offset_xy_px, dtype=np.float64)
    return places


@njit(cache=True, nogil=True)
def _count(frame: IndexArray, place: FloatArray, reach: float, counts: IndexArray) -> None:
    for i in range(len(frame)):
        k = i + 1
        # sub-pixel offsets may disturb the order of rows by one pixel
        while k < len(frame) and frame[k] == frame[i] and place[k, 1] - place[i, 1] <= reach + 2.0:
            if abs(place[k, 0] - place[i, 0]) <= reach and abs(place[k, 1] - place[i, 1]) <= reach:
                counts[i + 1] += 1
                counts[k + 1] += 1
            k += 1


@njit(cache=True, nogil=True)
def _list(frame: IndexArray, place: FloatArray, reach: float, first: IndexArray, index: IndexArray) -> None:
    filled = first[:-1].copy()
    for i in range(len(frame)):
        k = i + 1
        while k < len(frame) and frame[k] == frame[i] and place[k, 1] - place[i, 1] <= reach + 2.0:
            if abs(place[k, 0] - place[i, 0]) <= reach and abs(place[k, 1] - place[i, 1]) <= reach:
                index[filled[i]] = k
                index[filled[k]] = i
                filled[i] += 1
                filled[k] += 1
            k += 1


@njit(cache=True, nogil=True, parallel=True)
def _mask(rois: FrameArray, place: FloatArray, corner: IndexArray, first: IndexArray, index: IndexArray) -> None:
    for i in prange(len(rois)):
        for k in range(first[i], first[i + 1]):
            # nearer to the neighbour: beyond the line halfway between the two
            dx, dy = place[index[k], 0] - place[i, 0], place[index[k], 1] - place[i, 1]
            half = 0.5 * (dx * dx + dy * dy)
            for a in range(rois.shape[1]):
                along_y = (corner[i, 1] + a + 0.5 - place[i, 1]) * dy
                for b in range(rois.shape[2]):
                    if along_y + (corner[i, 0] + b + 0.5 - place[i, 0]) * dx > half:
                        rois[i, a, b] = np.nan


def without_nearer_neighbours(
    rois: FrameArray, place: FloatArray, corner: IndexArray, neighbours: Neighbours
) -> FrameArray:
    """Leave out the pixels of each region that lie nearer to another spot.

    Parameters
    ----------
    rois : ndarray of float32
        Shape (N, rows, columns).
    place : ndarray
        Shape (N, 2), x and y of the spots in pixels of the frame.
    corner : ndarray of int64
        Shape (N, 2), x and y of each region's outer corner.
    neighbours : Neighbours
        Of the N spots.

    Returns
    -------
    ndarray of float32
        Shape (N, rows, columns), NaN where a pixel is left out.
    """
    masked = rois.copy()
    _mask(masked, place, corner, neighbours.first, neighbours.index)
    return masked


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _light(
    rows: IndexArray, theta: FloatArray, corner: IndexArray, first: IndexArray, index: IndexArray, light: FrameArray
) -> None:
    n_rows, side_y, side_x = light.shape
    for task in prange((n_rows + 63) // 64):
        scratch, along_x, along_y = np.zeros((3, side_x + side_y + 2)), np.zeros((3, side_x)), np.zeros((3, side_y))
        moved = np.zeros(6)
        for m in range(64 * task, min(64 * (task + 1), n_rows)):
            i = rows[m]
            light[m] = 0.0
            for k in range(first[i], first[i + 1]):
                other = index[k]
                for p in range(6):
                    moved[p] = theta[other, p]
                moved[0] += corner[other, 0] - corner[i, 0]
                moved[1] += corner[other, 1] - corner[i, 1]
                axis_profiles(moved, side_x, side_y, scratch, along_x, along_y)
                for a in range(side_y):
                    for b in range(side_x):
                        light[m, a, b] += moved[2] * along_y[0, a] * along_x[0, b]


def neighbour_light(
    rows: IndexArray, theta: FloatArray, corner: IndexArray, neighbours: Neighbours, roi_size_px: int
) -> FrameArray:
    """Compute the light that the neighbours of some spots shed on their regions.

    Parameters
    ----------
    rows : ndarray of int64
        Shape (M,), which spots.
    theta : ndarray
        Shape (N, 6), fits of all spots, positions within their own regions.
    corner : ndarray of int64
        Shape (N, 2), x and y of each region's outer corner.
    neighbours : Neighbours
        Of the N spots.
    roi_size_px : int
        Side of the regions.

    Returns
    -------
    ndarray of float32
        Shape (M, side, side), electrons.
    """
    light = np.zeros((len(rows), roi_size_px, roi_size_px), np.float32)
    _light(rows, theta, corner, neighbours.first, neighbours.index, light)
    return light
