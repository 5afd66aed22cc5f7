"""The wide-field image of densify: simulated through optics and camera, brought exactly onto the network's grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

DARK_PERCENTILE, BRIGHT_PERCENTILE = 1.0, 99.5
"""Levels of an image that become 0 and 1."""
_NORMAL_SPAN = 4.9
"""Standard deviations of a normal distribution between these percentiles."""


def overlap_shares(edges_nm: NDArray[np.floating], source_edges_nm: NDArray[np.floating]) -> NDArray[np.float64]:
    """Work out which share of each pixel lies in each source pixel, along one axis.

    Parameters
    ----------
    edges_nm : ndarray
        Shape (N + 1,), edges of the pixels wanted, rising.
    source_edges_nm : ndarray
        Shape (M + 1,), edges of the source pixels, rising.

    Returns
    -------
    ndarray
        Shape (N, M); a row sums to the share of the pixel that the source covers.
    """
    low = np.maximum(edges_nm[:-1, None], source_edges_nm[None, :-1])
    high = np.minimum(edges_nm[1:, None], source_edges_nm[None, 1:])
    return np.asarray(np.clip(high - low, 0, None) / np.diff(edges_nm)[:, None], np.float64)


def resample_by_edges(
    image: NDArray[np.float32],
    pixel_size_nm: float,
    origin_nm: tuple[float, float],
    sr_pixel_size_nm: float,
    sr_shape: tuple[int, int],
    sr_origin_nm: tuple[float, float] = (0.0, 0.0),
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bring a wide-field image onto a super-resolution grid; edges, not centres, define the fields.

    Parameters
    ----------
    image : ndarray
        Shape (Y, X), mean per source pixel (an intensity, not a count).
    pixel_size_nm : float
        Its pixel.
    origin_nm : tuple of float
        (y, x) of its outer corner.
    sr_pixel_size_nm, sr_shape, sr_origin_nm : float, tuple
        The grid wanted.

    Returns
    -------
    tuple of ndarray
        Mean intensity of each pixel over the part of it that the image covers (0 where it covers nothing), and that
        share, both of shape `sr_shape`, float32.
    """
    matrices = []
    for axis in (0, 1):
        edges = sr_origin_nm[axis] + sr_pixel_size_nm * np.arange(sr_shape[axis] + 1)
        source = origin_nm[axis] + pixel_size_nm * np.arange(image.shape[axis] + 1)
        matrices.append(overlap_shares(edges, source).astype(np.float32))
    rows, columns = matrices
    covered = np.outer(rows.sum(axis=1), columns.sum(axis=1)).astype(np.float32)
    total = rows @ np.asarray(image, np.float32) @ columns.T
    return np.where(covered > 1e-6, total / np.maximum(covered, 1e-6), 0).astype(np.float32), covered


def normalise_widefield(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put the dark level of a whole wide-field image at 0 and its bright places at 1.

    Parameters
    ----------
    image : ndarray
        Shape (Y, X), on its own pixels; pixels that are not a number do not count.

    Returns
    -------
    ndarray
        The same shape, float32; all 0 where the image is constant or empty.
    """
    finite = image[np.isfinite(image)]
    if finite.size == 0:
        return np.zeros(image.shape, np.float32)
    low, high = np.percentile(finite, [DARK_PERCENTILE, BRIGHT_PERCENTILE])
    if high <= low:
        return np.zeros(image.shape, np.float32)
    return np.where(np.isfinite(image), (image - low) / (high - low), 0).astype(np.float32)


def simulate_widefield(
    emitters: NDArray[np.float32],
    margin_px: int,
    levels: tuple[float, float],
    sr_pixel_size_nm: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Image emitters through a wide-field microscope onto a camera, and bring the image onto the grid.

    Parameters
    ----------
    emitters : ndarray
        Shape (S + 2 M, S + 2 M), emitters per super-resolution pixel of the crop and a margin of M pixels round it.
    margin_px : int
        M.
    levels : tuple of float
        Dark and bright level of the whole field, emitters per um2.
    sr_pixel_size_nm : float
        Pixel of the crop.
    rng : numpy.random.Generator
        Source of randomness: camera pixel and its phase, blur, misalignment, photons, illumination.

    Returns
    -------
    ndarray
        Shape (S, S), normalised by the levels, float32.
    """
    side_px = emitters.shape[0] - 2 * margin_px
    side_nm = side_px * sr_pixel_size_nm
    pixel_nm = rng.uniform(65, 160)
    sr_edges = sr_pixel_size_nm * np.arange(side_px + 1)
    centres = sr_pixel_size_nm * (np.arange(emitters.shape[0]) - margin_px + 0.5)
    cameras, shift_nm = [], rng.normal(0, 15, 2)
    for _ in range(2):
        first = -pixel_nm * rng.random()
        cameras.append(first + pixel_nm * np.arange(int(np.ceil((side_nm - first) / pixel_nm)) + 1))
    sigma, halo = rng.uniform(95, 150), rng.uniform(0, 0.15)
    image = np.zeros((len(cameras[0]) - 1, len(cameras[1]) - 1))
    for width, share in ((sigma, 1 - halo), (2.5 * sigma, halo)):
        rows, columns = (
            np.diff(ndtr((edges[:, None] - centres[None] - shift) / width), axis=0)
            for edges, shift in zip(cameras, shift_nm, strict=True)
        )
        image += share * (rows @ emitters @ columns.T)
    low, high = levels
    relative = (image / (pixel_nm / 1000) ** 2 - low) / (high - low)
    slope = rng.uniform(-0.3, 0.3, 2) / side_nm
    places = [0.5 * (edges[1:] + edges[:-1]) - side_nm / 2 for edges in cameras]
    light = 1 + slope[0] * places[0][:, None] + slope[1] * places[1][None]
    photons = np.exp(rng.uniform(np.log(60), np.log(6000)))
    background = np.exp(rng.uniform(np.log(5), np.log(300)))
    # the level that was called dark still gives light; it cancels when the level is subtracted
    dark = low / (high - low)
    noisy = rng.poisson(np.clip(photons * (relative + dark) * light, 0, None) + background) - background
    noisy = noisy + rng.normal(0, 2, noisy.shape) - photons * dark
    gain, offset = np.exp(rng.normal(0, 0.2)), rng.normal(0, 0.03)
    # an image is normalised by its own percentiles, which noise moves apart: an even haze fills the whole range
    noise = np.sqrt(photons * (0.5 + dark) + background + 4) / photons
    span = np.sqrt(1 + (_NORMAL_SPAN * noise) ** 2)
    camera_image = (gain * (0.5 + (noisy / photons - 0.5) / span) + offset).astype(np.float32)
    return np.asarray(
        overlap_shares(sr_edges, cameras[0]).astype(np.float32)
        @ camera_image
        @ overlap_shares(sr_edges, cameras[1]).astype(np.float32).T
    )
