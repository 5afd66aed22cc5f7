"""Backgrounds of training samples: smooth structure and out-of-focus blobs, many fields at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KNOTS = 7
"""Random values along one side of the field; a cubic B-spline joins them."""

_BLOBS = 4


def draw_backgrounds(
    rng: np.random.Generator,
    mean_e: NDArray[np.float64],
    strength: NDArray[np.float64],
    has_blobs: NDArray[np.bool_],
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Draw a background for every sample.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    mean_e : ndarray
        Shape (B,), mean electrons per pixel of the smooth part.
    strength : ndarray
        Shape (B,), standard deviation of the logarithm of the smooth part over the field.
    has_blobs : ndarray
        Shape (B,), whether Gaussians of 3 to 10 px sigma and up to the mean's height are added.
    shape : tuple of int
        (rows, columns).

    Returns
    -------
    ndarray
        Shape (B, rows, columns), float32, above 0.
    """
    n_samples = len(mean_e)
    knots = rng.standard_normal((n_samples, _KNOTS, _KNOTS)).astype(np.float32)
    rows, columns = (_spline_basis(side) for side in shape)
    smooth = rows @ knots @ columns.T
    spread = smooth.std(axis=(1, 2), keepdims=True)
    level = np.exp(smooth / spread * strength[:, None, None].astype(np.float32))
    level /= level.mean(axis=(1, 2), keepdims=True)
    x, y = (rng.random((n_samples, _BLOBS)) * 1.4 - 0.2 for _ in range(2))
    sigma = rng.uniform(3, 10, (n_samples, _BLOBS))
    height = rng.random((n_samples, _BLOBS)) ** 2 * has_blobs[:, None]
    profile_y = _gaussian(y * shape[0], sigma, shape[0]) * height[:, :, None].astype(np.float32)
    level += profile_y.transpose(0, 2, 1) @ _gaussian(x * shape[1], sigma, shape[1])
    backgrounds: NDArray[np.float32] = level * mean_e[:, None, None].astype(np.float32)
    return backgrounds


def _gaussian(centre: NDArray[np.float64], sigma: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    offset = (np.arange(side) + 0.5 - centre[:, :, None]) / sigma[:, :, None]
    profile: NDArray[np.float32] = np.exp(-0.5 * offset**2).astype(np.float32)
    return profile


def _spline_basis(side: int) -> NDArray[np.float32]:
    """Cubic B-splines through the field, shape (side, knots)."""
    place = 1.0 + (np.arange(side) + 0.5) / side * (_KNOTS - 3)
    distance = np.abs(place[:, None] - np.arange(_KNOTS))
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.maximum(0.0, 2 - distance) ** 3 / 6
    basis: NDArray[np.float32] = np.where(distance < 1, inner, outer).astype(np.float32)
    return basis
