"""What blinks: a movie without what stands still or changes slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.calibration.frame_sample import FrameSample

    Array = NDArray[Any]

_SHORTEST_SLOPE = 8
_FEWEST_RUNS = 6
_MONOTONIC = 0.7


@dataclass(frozen=True)
class Fluctuations:
    """A movie about each pixel's own mean and slow trend.

    Parameters
    ----------
    values : ndarray
        Shape (n_tiles, T, h, w), ADU, scaled so that the variance of independent frames is kept.
    n_lost : int
        Degrees of freedom in time that were removed from every pixel.
    is_bleaching : bool
        Whether the brightness changes over the movie by more than it fluctuates.
    memory_frames : int
        Frames that each removed mean was taken over.
    """

    values: NDArray[np.float32]
    n_lost: int
    is_bleaching: bool
    memory_frames: int

    @property
    def scale(self) -> float:
        """Factor by which the remainders were enlarged to keep their variance."""
        n_frames = self.values.shape[1]
        return float(np.sqrt(n_frames / (n_frames - self.n_lost)))

    @property
    def third_order(self) -> float:
        """Factor that turns mean products of three of the enlarged remainders into unbiased third cumulants."""
        share = self.n_lost / self.values.shape[1]
        return float((1 - share) ** 1.5 / ((1 - share) * (1 - 2 * share)))


def temporal_fluctuations(sample: FrameSample) -> Fluctuations:
    """Remove from every pixel its mean and its share of the movie's slow trend.

    A movie that bleaches loses mean and slope of every run of frames instead: places bleach at different speeds.

    Parameters
    ----------
    sample : FrameSample
        Tiles of the movie.

    Returns
    -------
    Fluctuations
        What is left.
    """
    means = np.array([float(sample.frames_of(run).mean()) for run in range(sample.n_blocks)])
    rest = sample.tiles.copy()
    bleaching = _is_bleaching(sample, means)
    if bleaching:
        runs = [np.searchsorted(sample.block, (run, run + 1)) for run in range(sample.n_blocks)]
        n_lost = sum(_remove(rest[:, first:last], _line(last - first)) for first, last in runs)
        memory = sample.n_frames // sample.n_blocks
    else:
        trend = means[sample.block] - means[sample.block].mean()
        n_lost = _remove(
            rest, [np.ones(sample.n_frames), *([trend] if sample.n_blocks >= 4 and np.any(trend) else [])]
        )
        memory = sample.n_frames
    found = Fluctuations(rest, n_lost, bleaching, memory)
    rest *= np.float32(found.scale)
    return found


def _is_bleaching(sample: FrameSample, means: Array) -> bool:
    """Whether the mean rises or falls all along, by more than a pixel flickers from frame to frame."""
    if sample.n_blocks < _FEWEST_RUNS:
        return False
    flicker = float(np.median(np.abs(np.diff(sample.tiles[:, :, ::3, ::3], axis=1))))
    order = np.sign(means[:, None] - means)[np.triu_indices(means.size, 1)]
    return bool(abs(float(order.mean())) > _MONOTONIC and np.ptp(means) > max(flicker, 1e-6))


def _line(n_frames: int) -> list[Array]:
    level = np.ones(n_frames)
    return [level, np.linspace(-1, 1, n_frames)] if n_frames >= _SHORTEST_SLOPE else [level]


def _remove(frames: NDArray[np.float32], basis: list[Array]) -> int:
    """Project orthogonal courses in time out of every pixel, in place; returns how many."""
    for course in basis:
        vector = (course / np.linalg.norm(course)).astype(np.float32)
        share = np.tensordot(frames, vector, axes=(1, 0))
        frames -= vector[:, None, None] * share[:, None]
    return len(basis)
