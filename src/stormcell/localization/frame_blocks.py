"""Blocks of frames in electrons, read ahead by one thread while the block before is worked on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.physics.cameras import Camera

    FrameArray = NDArray[np.float32]

BLOCK_BYTES = 48 * 2**20
"""Size of a block in electrons (float32); four blocks are alive at most."""


@dataclass(frozen=True)
class FrameBlock:
    """Consecutive frames in electrons.

    Attributes
    ----------
    start : int
        Index of the first frame within the stack.
    raw_e : ndarray of float32
        Shape (T, Y, X), electrons; NaN where a pixel is not a number.
    n_saturated, n_nan, n_negative : int
        Pixels at the upper limit of the camera, not finite, and below zero in raw units.
    saturated : ndarray of bool, optional
        Shape (T, Y, X); None without saturated pixels.
    """

    start: int
    raw_e: FrameArray
    n_saturated: int
    n_nan: int
    n_negative: int
    saturated: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.raw_e)

    @classmethod
    def none(cls, frame_shape: tuple[int, int]) -> FrameBlock:
        """Make a block without frames.

        Parameters
        ----------
        frame_shape : tuple of int
            (rows, columns).

        Returns
        -------
        FrameBlock
            Zero frames.
        """
        return cls(0, np.zeros((0, *frame_shape), np.float32), 0, 0, 0, None)

    def filled(self, level_e: float | FrameArray) -> FrameArray:
        """Replace pixels that are not a number.

        Parameters
        ----------
        level_e : float or ndarray
            Replacement, a number or a map (Y, X), in electrons.

        Returns
        -------
        ndarray of float32
            Shape (T, Y, X), finite.
        """
        if not self.n_nan:
            return self.raw_e
        return np.where(np.isfinite(self.raw_e), self.raw_e, np.float32(level_e))


def frames_per_block(frame_shape: tuple[int, int], wanted: int, fewest: int) -> int:
    """Choose the length of a block within the memory it may take.

    Parameters
    ----------
    frame_shape : tuple of int
        (rows, columns).
    wanted : int
        Frames wanted.
    fewest : int
        Frames needed whatever the memory.

    Returns
    -------
    int
        Frames in a block.
    """
    fitting = BLOCK_BYTES // (4 * frame_shape[0] * frame_shape[1])
    return max(min(wanted, fitting), min(fewest, wanted), 1)


def read_block(stack: FrameStack, camera: Camera, start: int, stop: int) -> FrameBlock:
    """Read frames and turn them into electrons.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    camera : Camera
        Its camera.
    start, stop : int
        Half-open range of frames within the stack.

    Returns
    -------
    FrameBlock
        The frames.
    """
    adu = stack.read(start, stop)
    electrons = np.ascontiguousarray(camera.electrons(adu, stack.origin_px), dtype=np.float32)
    n_nan = n_negative = 0
    if adu.dtype.kind == "f":
        finite = np.isfinite(adu)
        n_nan = int(adu.size - np.count_nonzero(finite))
        if n_nan:
            electrons[~finite] = np.nan
    if adu.dtype.kind in "if":
        n_negative = int(np.count_nonzero(adu < 0))
    saturated = None
    n_saturated = 0
    if adu.size and np.fmax.reduce(adu, axis=None) >= camera.saturation_adu:
        saturated = adu >= camera.saturation_adu
        n_saturated = int(np.count_nonzero(saturated))
    return FrameBlock(start, electrons, n_saturated, n_nan, n_negative, saturated)


def block_edges(n_frames: int, block_frames: int) -> list[int]:
    """Cut a movie into blocks of about the same length.

    Parameters
    ----------
    n_frames : int
        Frames of the movie.
    block_frames : int
        Frames wanted in a block.

    Returns
    -------
    list of int
        First frame of each block, and the number of frames.
    """
    n_blocks = max(1, round(n_frames / block_frames))
    return [n_frames * k // n_blocks for k in range(n_blocks + 1)]


def read_ahead(stack: FrameStack, camera: Camera, edges: list[int]) -> Iterator[FrameBlock]:
    """Go through a movie block by block; the next block is read while the caller works.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    camera : Camera
        Its camera.
    edges : list of int
        First frame of each block, and the end of the last (see `block_edges`).

    Yields
    ------
    FrameBlock
        In order.
    """
    n_blocks = len(edges) - 1
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read_block, stack, camera, edges[0], edges[1])
        for k in range(1, n_blocks + 1):
            block = coming.result()
            if k < n_blocks:
                coming = reader.submit(read_block, stack, camera, edges[k], edges[k + 1])
            yield block
