"""Cut the structure in an image into short pieces along its own lines, to be judged one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from scipy import ndimage
from skimage.morphology import skeletonize

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Pieces:
    """Pieces of structure.

    Parameters
    ----------
    labels : ndarray
        Shape (Y, X): 0 where there is no structure, else 1 to `n`.
    n : int
        Number of pieces.
    """

    labels: NDArray[np.int32]
    n: int


def cut_structure(pixels: NDArray[np.float32], threshold: float, piece_px: float) -> Pieces:
    """Cut structure into pieces.

    Parameters
    ----------
    pixels : ndarray
        Shape (Y, X).
    threshold : float
        Pixels above this are structure.
    piece_px : float
        Length of a piece along its line, in pixels.

    Returns
    -------
    Pieces
        Lines are cut where they meet and then into equal pieces of about that length; every other pixel of structure
        belongs to the nearest one.
    """
    structure = pixels > threshold
    if not structure.any():
        return Pieces(np.zeros(pixels.shape, dtype=np.int32), 0)
    skeleton = skeletonize(structure)
    # A compact spot can lose its skeleton altogether: its brightest pixel stands for it.
    parts, n_parts = ndimage.label(structure, _EIGHT)
    bare = np.setdiff1d(np.arange(1, n_parts + 1), np.unique(parts[skeleton]))
    for row, column in ndimage.maximum_position(pixels, parts, bare) if len(bare) else ():
        skeleton[row, column] = True
    neighbours = ndimage.convolve(skeleton.astype(np.uint8), _EIGHT.astype(np.uint8), mode="constant") - 1
    lines = skeleton & (neighbours <= 2)
    if not lines.any():
        lines = skeleton
    along = np.zeros(pixels.shape, dtype=np.int32)
    n = int(_walk(np.pad(lines, 1), np.pad(along, 1), float(piece_px), along))
    nearest: Any = ndimage.distance_transform_edt(along == 0, return_distances=False, return_indices=True)
    labels = np.where(structure, along[nearest[0], nearest[1]], 0).astype(np.int32)
    return Pieces(labels, n)


@njit(cache=True, nogil=True)
def _walk(lines: Any, seen: Any, piece_px: float, along: Any) -> int:
    """Follow each line from an end and number its pieces into `along`; both first arrays have a rim of one."""
    rows, columns = lines.shape
    path = np.empty((lines.size, 2), np.int64)
    n = 0
    # Lines with an end first, closed ones after.
    for closed in range(2):
        for i in range(1, rows - 1):
            for j in range(1, columns - 1):
                if not lines[i, j] or seen[i, j]:
                    continue
                if closed == 0 and _free_neighbours(lines, seen, i, j) > 1:
                    continue
                count = _follow(lines, seen, path, i, j)
                length = 1.0
                for step in range(1, count):
                    length += np.hypot(path[step, 0] - path[step - 1, 0], path[step, 1] - path[step - 1, 1])
                n_pieces = max(int(length / piece_px + 0.5), 1)
                done = 0.5
                for step in range(count):
                    if step:
                        done += np.hypot(path[step, 0] - path[step - 1, 0], path[step, 1] - path[step - 1, 1])
                    piece = min(int(done / length * n_pieces), n_pieces - 1)
                    along[path[step, 0] - 1, path[step, 1] - 1] = n + piece + 1
                n += n_pieces
    return n


@njit(cache=True, nogil=True)
def _free_neighbours(lines: Any, seen: Any, i: int, j: int) -> int:
    count = 0
    for y in range(i - 1, i + 2):
        for x in range(j - 1, j + 2):
            if (y != i or x != j) and lines[y, x] and not seen[y, x]:
                count += 1
    return count


@njit(cache=True, nogil=True)
def _follow(lines: Any, seen: Any, path: Any, i: int, j: int) -> int:
    count = 0
    going = True
    while going:
        seen[i, j] = 1
        path[count, 0], path[count, 1] = i, j
        count += 1
        going = False
        # Straight neighbours before diagonal ones, or corners would be cut off.
        for diagonal in range(2):
            for y in range(i - 1, i + 2):
                for x in range(j - 1, j + 2):
                    is_diagonal = y != i and x != j
                    if not going and is_diagonal == (diagonal == 1) and lines[y, x] and not seen[y, x]:
                        next_i, next_j = y, x
                        going = True
        if going:
            i, j = next_i, next_j
    return count
