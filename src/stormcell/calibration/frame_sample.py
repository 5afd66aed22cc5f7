"""A bounded sample of a movie: a few tiles over the field, a few runs of frames over the movie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field
from scipy import ndimage

from stormcell.errors import InputError
from stormcell.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.physics.cameras import Camera

_WHOLE_SIDE = 96
_TILE_SIDE = 64
_SMALLEST_SIDE = 8


class SampleSettings(Settings):
    """How much of a movie is looked at."""

    max_pixels: Annotated[int, Field(ge=10_000, le=2_000_000_000)] = 12_000_000
    """Largest number of pixel values that are read into memory."""

    max_frames: Annotated[int, Field(ge=4, le=1_000_000)] = 2_000
    """Largest number of frames that are looked at."""

    n_blocks: Annotated[int, Field(ge=4, le=100)] = 12
    """Runs of consecutive frames, spread over the movie; the scatter between them gives the intervals."""

    max_tiles: Annotated[int, Field(ge=1, le=64)] = 16
    """Largest number of tiles of 64 x 64 px, spread over the field."""


@dataclass(frozen=True)
class FrameSample:
    """Tiles of a movie.

    Parameters
    ----------
    tiles : ndarray
        Shape (n_tiles, T, h, w), grey values.
    block : ndarray
        Shape (T,), index of the run that each frame belongs to; a run is consecutive in the movie.
    n_hot_pixels : int
        Pixels replaced by their neighbours because they flicker far more than those.
    """

    tiles: NDArray[np.float32]
    block: NDArray[np.int64]
    n_hot_pixels: int = 0

    @property
    def n_frames(self) -> int:
        """Frames in each tile."""
        return int(self.tiles.shape[1])

    @property
    def n_blocks(self) -> int:
        """Runs of consecutive frames."""
        return int(self.block[-1]) + 1

    def frames_of(self, block: int) -> NDArray[np.float32]:
        """Cut one run out.

        Parameters
        ----------
        block : int
            Index of the run.

        Returns
        -------
        ndarray
            Shape (n_tiles, t, h, w), a view.
        """
        first, last = np.searchsorted(self.block, (block, block + 1))
        return self.tiles[:, first:last]


def sample_frames(
    stack: FrameStack,
    settings: SampleSettings | None = None,
    camera: Camera | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FrameSample:
    """Read tiles and runs of a movie that represent the whole of it.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    settings : SampleSettings, optional
        How much to read.
    camera : Camera, optional
        With per-pixel maps: the pixels are brought to the mean gain and offset of the maps.
    progress : callable, optional
        Called as progress(runs done, runs).

    Returns
    -------
    FrameSample
        At most `settings.max_pixels` values.

    Raises
    ------
    InputError
        The frames are smaller than 8 x 8 px, or there are fewer than 4.
    """
    settings = settings or SampleSettings()
    height, width = stack.frame_shape
    if min(height, width) < _SMALLEST_SIDE or stack.n_frames < 4:
        msg = (
            f"expected at least 4 frames of at least {_SMALLEST_SIDE} x {_SMALLEST_SIDE} px to estimate from, "
            f"got {stack.n_frames} of {height} x {width}; give the quantities yourself"
        )
        raise InputError(msg)
    per_axis = int(math.sqrt(settings.max_tiles))
    rows, h = _placed(height, per_axis)
    columns, w = _placed(width, per_axis)
    area = len(rows) * len(columns) * h * w
    n_wanted = max(4, min(stack.n_frames, settings.max_frames, settings.max_pixels // area))
    n_blocks = max(1, min(settings.n_blocks, n_wanted // 4))
    starts, length = _runs(stack.n_frames, n_wanted, n_blocks)
    tiles = np.empty((len(rows) * len(columns), length * n_blocks, h, w), np.float32)
    for run, start in enumerate(starts):
        frames = _flattened(stack.read(start, start + length), stack, camera)
        cut = (frames[:, y : y + h, x : x + w] for y in rows for x in columns)
        for tile, pixels in enumerate(cut):
            tiles[tile, run * length : (run + 1) * length] = pixels
        if progress is not None:
            progress(run + 1, n_blocks)
    _fill_missing(tiles)
    n_hot = _repair_hot_pixels(tiles)
    return FrameSample(tiles, np.repeat(np.arange(n_blocks), length), n_hot)


def _placed(side: int, most: int) -> tuple[list[int], int]:
    """Choose starts and side of the tiles along one axis."""
    if side <= _WHOLE_SIDE or most == 1:
        length = min(side, _WHOLE_SIDE)
        return [(side - length) // 2], length
    count = min(most, side // _TILE_SIDE)
    return [round(start) for start in np.linspace(0, side - _TILE_SIDE, count)], _TILE_SIDE


def _runs(n_frames: int, n_wanted: int, n_blocks: int) -> tuple[list[int], int]:
    """Choose starts and length of runs of consecutive frames spread evenly over the movie."""
    length = n_wanted // n_blocks
    return [int(start) for start in np.linspace(0, n_frames - length, n_blocks)], length


def _flattened(frames: NDArray[Any], stack: FrameStack, camera: Camera | None) -> NDArray[np.float32]:
    """Convert to the grey values that one mean gain and offset would give."""
    if camera is None or (np.ndim(camera.offset_adu) == 0 and np.ndim(camera.gain_e_per_adu) == 0):
        return frames.astype(np.float32)
    electrons = camera.electrons(frames, stack.origin_px)
    gain = float(np.mean(camera.gain_e_per_adu)) / camera.em_gain
    grey: NDArray[np.float32] = electrons / np.float32(gain) + np.float32(np.mean(camera.offset_adu))
    return grey


def _fill_missing(tiles: NDArray[np.float32]) -> None:
    """Replace NaN and infinite pixels by the mean of their tile."""
    bad = ~np.isfinite(tiles)
    if bad.any():
        tiles[bad] = np.float32(np.mean(tiles[~bad])) if not bad.all() else np.float32(0)


def _repair_hot_pixels(tiles: NDArray[np.float32]) -> int:
    """Replace single pixels that flicker far more than all their neighbours; a spot raises its neighbours too."""
    variance = tiles.var(axis=1)
    ring = np.ones((1, 3, 3), bool)
    ring[0, 1, 1] = False
    around = ndimage.maximum_filter(variance, footprint=ring, mode="reflect")
    hot = variance > 6.0 * around + 1e-6
    for tile, row, column in np.argwhere(hot):
        rows = slice(max(0, row - 1), row + 2)
        columns = slice(max(0, column - 1), column + 2)
        patch = tiles[tile, :, rows, columns].reshape(tiles.shape[1], -1)
        n = patch.shape[1] - 1
        # the mean of the neighbours, with the noise of one pixel left out: a few pixels in a tile do not matter
        tiles[tile, :, row, column] = (patch.sum(axis=1) - tiles[tile, :, row, column]) / n
    return int(hot.sum())
