"""How dense a movie is, part by part: blocks of frames times tiles of the field.

The whole movie gives density, light and width of its emitters (`estimate_acquisition`); how a part compares with the
whole follows from the variance that its blinking adds to the noise, which is proportional to the number of emitters.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.calibration.acquisition import estimate_acquisition
from stormcell.calibration.frame_sample import SampleSettings
from stormcell.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stormcell.data.frame_stack import FrameStack
    from stormcell.physics.cameras import Camera

_Place = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
_SAMPLE = SampleSettings(max_pixels=2_000_000, n_blocks=4, max_tiles=9)
_TILE_PX = 256
_FRAMES_PER_BLOCK = 100
_MOST_BLOCKS = 20
_FRAMES_READ = 40


@dataclass(frozen=True)
class Part:
    """A run of frames in a rectangle of the field, counted within the movie.

    Parameters
    ----------
    frames, rows, columns : tuple of int
        Half-open ranges.
    density_per_um2 : float
        Emitters that are on in a frame.
    """

    frames: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    density_per_um2: float


@dataclass(frozen=True)
class LocalDensity:
    """Density of a movie, part by part.

    Parameters
    ----------
    parts : tuple of Part
        They cover the movie.
    density_per_um2, psf_sigma_px, electrons : float
        Of the whole movie; emitters in a frame, width of the best-fit Gaussian, mean light of an emitter.
    """

    parts: tuple[Part, ...]
    density_per_um2: float
    psf_sigma_px: float
    electrons: float


def measure_local_density(stack: FrameStack, camera: Camera, camera_pixel_size_nm: float) -> LocalDensity | None:
    """Measure how dense the parts of a movie are.

    Parameters
    ----------
    stack : FrameStack
        The movie.
    camera : Camera
        Its camera.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.

    Returns
    -------
    LocalDensity or None
        None where the movie does not tell: too few frames, or nothing that blinks.
    """
    try:
        found = estimate_acquisition(stack, camera, camera_pixel_size_nm, _SAMPLE)
    except InputError:
        return None
    density, sigma, photons = (found[name].value for name in ("density_per_um2", "psf_sigma_px", "photons_mean"))
    if not (isinstance(density, float) and isinstance(sigma, float)):
        return None
    electrons = photons * camera.qe if isinstance(photons, float) else math.nan
    places = [
        (frames, rows, columns)
        for frames in _spans(stack.n_frames, min(_MOST_BLOCKS, max(1, stack.n_frames // _FRAMES_PER_BLOCK)))
        for rows in _spans(stack.frame_shape[0], max(1, round(stack.frame_shape[0] / _TILE_PX)))
        for columns in _spans(stack.frame_shape[1], max(1, round(stack.frame_shape[1] / _TILE_PX)))
    ]
    blinking = _blinking(stack, camera, places)
    mean = float(np.mean(blinking))
    share = blinking / mean if mean > 0 else np.ones(len(places))
    parts = tuple(Part(*place, density * float(part)) for place, part in zip(places, share, strict=True))
    return LocalDensity(parts, density, sigma, electrons)


def _blinking(
    stack: FrameStack, camera: Camera, places: Sequence[tuple[tuple[int, int], ...]]
) -> NDArray[np.float64]:
    """Variance in time beyond the noise, mean over each part, electrons squared."""
    found: list[float] = []
    variance: NDArray[Any] = np.zeros(stack.frame_shape)
    last: tuple[int, int] | None = None
    read_variance = camera.read_variance_e2(stack.frame_shape, stack.origin_px) + camera.quantization_variance_e2
    for frames, rows, columns in places:
        if frames != last:
            length = min(_FRAMES_READ, frames[1] - frames[0])
            first = (frames[0] + frames[1] - length) // 2
            electrons = camera.electrons(stack.read(first, first + length), stack.origin_px)
            noise = camera.excess_noise_factor * electrons.mean(axis=0) + read_variance
            variance = electrons.var(axis=0, ddof=1) - noise if length > 1 else np.zeros(stack.frame_shape)
            last = frames
        found.append(float(np.nanmean(variance[slice(*rows), slice(*columns)])))
    above: NDArray[np.float64] = np.maximum(np.array(found), 0.0)
    return above


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, length, count + 1).astype(int)
    return [(int(a), int(b)) for a, b in itertools.pairwise(edges)]
