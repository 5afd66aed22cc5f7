"""How many frames an acquisition still needs, from the frames so far.

Two independent acquisitions of n frames give pictures that correlate with r(n) = n / (n + tau): signal that repeats
over signal and noise, where the noise of a sum of events falls with their number (Spearman 1910; Brown 1910). One
split of the frames so far into halves gives tau, and with it the n at which r reaches what is asked for. The
resolution follows R(n)^2 = a^2 + b^2 / n: a part that stays (the precision of positions) and one that falls with the
density of events.

References
----------
C. Spearman, "Correlation calculated from faulty data", British Journal of Psychology 3, 271 (1910).
W. Brown, "Some experimental results in the correlation of mental abilities", ibid. 296.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stormcell.data.localizations import Localizations

BLOCK_FRAMES = 50
"""Halves are alternating blocks of so many frames: a burst must not lie in both, or it would pass for agreement."""

_FEWEST_POINTS = 3


def split_halves(table: Localizations, block_frames: int = BLOCK_FRAMES) -> tuple[Localizations, Localizations]:
    """Split rows into two halves by alternating blocks of frames.

    Parameters
    ----------
    table : Localizations
        With `frame`.
    block_frames : int
        Frames in a block.

    Returns
    -------
    tuple of Localizations
        The halves.
    """
    is_second = (table["frame"] // block_frames) % 2 == 1
    return table.take(~is_second), table.take(is_second)


def frames_for_agreement(
    first: NDArray[np.floating], second: NDArray[np.floating], n_frames: int, wanted: float
) -> float:
    """Estimate how many frames make two independent pictures agree.

    Parameters
    ----------
    first, second : ndarray
        Pictures of the two halves, of equal shape.
    n_frames : int
        Frames in both halves together.
    wanted : float
        Correlation wanted between pictures of two whole acquisitions, 0 to 1.

    Returns
    -------
    float
        Frames in all; infinite where the halves do not agree at all.
    """
    a, b = np.ravel(first) - np.mean(first), np.ravel(second) - np.mean(second)
    norm = math.sqrt(float(a @ a) * float(b @ b))
    r = float(a @ b) / norm if norm > 0 else 0.0
    if r <= 0:
        return math.inf
    tau = 0.5 * n_frames * (1 - r) / r
    return tau * wanted / (1 - wanted)


def frames_for_resolution(n_frames: Sequence[int], resolution_nm: Sequence[float], excess: float) -> float:
    """Estimate how many frames bring the resolution near its limit.

    Parameters
    ----------
    n_frames : sequence of int
        Frames at each look.
    resolution_nm : sequence of float
        Resolution then; looks without one are left out.
    excess : float
        How far above the limit is near enough, for example 0.1.

    Returns
    -------
    float
        Frames in all; NaN with fewer than three looks, infinite where no limit shows yet.
    """
    n, squared = np.asarray(n_frames, float), np.asarray(resolution_nm, float) ** 2
    n, squared = n[np.isfinite(squared)], squared[np.isfinite(squared)]
    if len(n) < _FEWEST_POINTS:
        return math.nan
    falling, constant = np.polyfit(1 / n, squared, 1)
    if falling <= 0:
        return float(n[0])
    return math.inf if constant <= 0 else float(falling / (constant * ((1 + excess) ** 2 - 1)))
