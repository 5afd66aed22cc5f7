"""Stage drift of a simulated movie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.simulation.settings import MotionSettings


def stage_motion(settings: MotionSettings, n_frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the position of the sample in each frame.

    Parameters
    ----------
    settings : MotionSettings
        How far it moves.
    n_frames : int
        Frames in the movie.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray
        Shape (n_frames, 2), x and y in nm relative to the first frame.
    """
    time = np.linspace(0, 1, n_frames)
    motion = np.zeros((n_frames, 2), np.float32)
    if settings.drift_nm > 0:
        angle = rng.uniform(0, 2 * math.pi)
        way = time + 0.1 * np.sin(2 * math.pi * time)
        motion += settings.drift_nm * np.outer(way, [math.cos(angle), math.sin(angle)]).astype(np.float32)
    if settings.wander_nm > 0:
        for order in range(1, 5):
            phase = rng.uniform(0, 2 * math.pi, 2)
            wave = np.sin(math.pi * order * time[:, None] + phase) / order
            motion += (settings.wander_nm * wave).astype(np.float32)
    return motion - motion[:1]
