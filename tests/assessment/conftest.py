"""Scenes with exact truth, shared by the tests of this folder."""

import numpy as np
import pytest
from scipy.special import erf

from stormcell.data import PixelGrid, SRImage


def filaments(n=10, field_nm=4000.0, seed=0, step_nm=20.0):
    """Points along gently curved lines, in nm, also beyond the field."""
    rng = np.random.default_rng(seed)
    t = np.arange(-1.5 * field_nm, 1.5 * field_nm, step_nm)
    points = []
    for _ in range(n):
        angle, start = rng.uniform(0, np.pi), rng.uniform(0, field_nm, 2)
        bend = rng.normal(0, 0.15) * field_nm * np.sin(t / field_nm * 2 + rng.uniform(0, 6))
        direction, normal = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        points.append(start + t[:, None] * direction + bend[:, None] * normal)
    return np.concatenate(points)


def integrate(points_nm, pixel_nm, shape, sigma_nm, weights=None):
    """Mean over each pixel of a sum of Gaussians, exact: points (N, 2) as x, y; sigma as one number or (y, x)."""
    sigma_y, sigma_x = np.broadcast_to(sigma_nm, 2)
    weights = np.ones(len(points_nm)) if weights is None else weights
    near = ((points_nm > -800) & (points_nm < np.array(shape)[::-1] * pixel_nm + 800)).all(axis=1)

    def profile(side, centre, sigma):
        edge = (np.arange(side + 1) * pixel_nm).astype(np.float32)
        return np.diff(0.5 * erf((edge[:, None] - centre.astype(np.float32)) / (sigma * np.sqrt(2))), axis=0)

    rows = profile(shape[0], points_nm[near, 1], sigma_y) * weights[near]
    columns = profile(shape[1], points_nm[near, 0], sigma_x)
    return rows @ columns.T / pixel_nm**2


def pair(
    *,
    sr_pixel_nm=20.0,
    wide_pixel_nm=100.0,
    wide_shape=(40, 40),
    rsf_nm=130.0,
    shift_nm=(0.0, 0.0),
    peak_photons=None,
    seed=0,
):
    """SR image and wide-field image tied by alpha = 5 and beta = 30.

    The SR image is the structure blurred by 20 nm; the wide-field is alpha * (SR blurred by rsf_nm) + beta, mean over
    its pixels. shift_nm (y, x) displaces the SR image.
    """
    extent = np.array(wide_shape) * wide_pixel_nm
    points = filaments(field_nm=extent.max(), seed=seed)
    sr_shape = tuple(round(side / sr_pixel_nm) for side in extent)
    sr = integrate(points + np.array(shift_nm)[::-1], sr_pixel_nm, sr_shape, 20.0) * 4000
    total = np.sqrt(np.broadcast_to(rsf_nm, 2) ** 2 + 20.0**2)
    wide = 5.0 * integrate(points, wide_pixel_nm, wide_shape, total) * 4000 + 30.0
    if peak_photons is not None:
        scale = peak_photons / wide.max()
        wide = np.random.default_rng(seed + 1).poisson(wide * scale) / scale
    return (
        SRImage(sr.astype(np.float32), PixelGrid(sr_pixel_nm, sr_shape)),
        SRImage(wide.astype(np.float32), PixelGrid(wide_pixel_nm, wide_shape), "photons"),
    )


@pytest.fixture(scope="session")
def make_pair():
    return pair


@pytest.fixture(scope="session")
def make_image():
    return integrate


@pytest.fixture(scope="session")
def make_filaments():
    return filaments
