"""The background of a movie: a level, smooth structure, out-of-focus light, and its change over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from stormcell.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOBS_PER_UM2 = 0.02


class BackgroundSettings(Settings):
    """Light that comes from no single emitter."""

    photons: float = Field(20.0, ge=0, le=1e5)
    """Mean background photons per camera pixel and frame."""
    structure: float = Field(0.0, ge=0, le=2)
    """Strength of smooth structure: standard deviation of its logarithm over the field."""
    structure_size_um: float = Field(2.0, gt=0.2, le=100)
    """Width of the smooth structure, um."""
    out_of_focus: float = Field(0.0, ge=0, le=1)
    """Share of the background that is the structure itself seen far out of focus."""
    blobs: float = Field(0.0, ge=0, le=5)
    """Mean height of out-of-focus blobs relative to the level."""
    photons_per_density: float = Field(0.0, ge=0, le=1000)
    """Further photons per pixel for each emitter per um2 and frame: imager strands in DNA-PAINT."""
    decay_frames: float | None = Field(None, gt=1)
    """Frames over which the background falls to 1/e of its excess over a third; none keeps it constant."""


def draw_background(
    settings: BackgroundSettings,
    shape: tuple[int, int],
    camera_pixel_size_nm: float,
    structure_image: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw the background of a field.

    Parameters
    ----------
    settings : BackgroundSettings
        Level and structure; `photons_per_density` and `decay_frames` are left to the caller.
    shape : tuple of int
        (rows, columns).
    camera_pixel_size_nm : float
        Camera pixel.
    structure_image : ndarray
        Shape (rows, columns), fluorophores per pixel, for the out-of-focus share.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray
        Shape (rows, columns), expected photons per pixel and frame; its mean is `settings.photons`.
    """
    from scipy import ndimage

    width_px = settings.structure_size_um * 1000 / camera_pixel_size_nm / 2
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), width_px, mode="wrap")
    spread = float(smooth.std())
    level = np.exp(settings.structure * smooth / spread) if spread > 0 else np.ones(shape)
    if settings.blobs > 0:
        level = level + _blobs(settings, shape, camera_pixel_size_nm, rng)
    level = level / level.mean()
    if settings.out_of_focus > 0 and structure_image.sum() > 0:
        far = ndimage.gaussian_filter(structure_image, 700 / camera_pixel_size_nm, mode="nearest")
        level = (1 - settings.out_of_focus) * level + settings.out_of_focus * far / far.mean()
    background: NDArray[np.float32] = (settings.photons * level).astype(np.float32)
    return background


def _blobs(
    settings: BackgroundSettings, shape: tuple[int, int], camera_pixel_size_nm: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    area_um2 = shape[0] * shape[1] * (camera_pixel_size_nm / 1000) ** 2
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    total = np.zeros(shape)
    for _ in range(max(1, rng.poisson(_BLOBS_PER_UM2 * area_um2))):
        y, x = rng.random(2) * shape
        sigma_px = rng.uniform(300, 1200) / camera_pixel_size_nm
        height = rng.exponential(settings.blobs)
        total += height * np.exp(-((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2) / (2 * sigma_px**2))
    return total


def decay_factor(settings: BackgroundSettings, frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tell how much of the first frame's background is left.

    Parameters
    ----------
    settings : BackgroundSettings
        With or without decay.
    frames : ndarray
        Frame indices.

    Returns
    -------
    ndarray
        Factors, 1 at the first frame, never below 1/3.
    """
    if settings.decay_frames is None:
        return np.ones(len(frames))
    factors: NDArray[np.float64] = 1 / 3 + 2 / 3 * np.exp(-frames / settings.decay_frames)
    return factors
