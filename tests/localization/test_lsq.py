"""Least-squares fits against scipy and Mortensen's formula."""

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from stormcell.localization.fits import FitModel, fit_spots
from stormcell.physics.gaussian import CameraNoise, gaussian_images


def simulate(n, electrons, background, sigma, side, seed=0):
    rng = np.random.default_rng(seed)
    theta = np.zeros((n, 6))
    theta[:, :2] = side / 2 + rng.uniform(-0.5, 0.5, (n, 2))
    theta[:, 2:] = electrons, background, sigma, sigma
    return rng.poisson(gaussian_images(theta, (side, side))).astype(np.float32), theta


@pytest.mark.parametrize(("fit_sigma", "n_free"), [("fixed", 4), ("free", 5), ("elliptical", 6)])
@pytest.mark.parametrize("complete", [True, False])
def test_the_minimum_is_that_of_scipy(fit_sigma, n_free, complete):
    rois, truth = simulate(5, 900.0, 20.0, 1.3, 9, seed=n_free)
    if not complete:
        rois[:, 1, 2:4] = np.nan
    fits = fit_spots(rois, 1.3, model=FitModel("lsq", fit_sigma))
    for roi, start, ours in zip(rois, truth, fits.theta, strict=True):

        def residual(free, roi=roi, start=start):
            theta = start.copy()
            theta[:n_free] = free
            if n_free == 5:
                theta[5] = theta[4]
            return np.nan_to_num((roi - gaussian_images(theta, roi.shape)[0]).ravel())

        best = least_squares(residual, start[:n_free], xtol=1e-12, ftol=1e-12, x_scale=np.abs(start[:n_free])).x
        assert abs(ours[:2] - best[:2]).max() < 2e-3
        assert ours[2] == pytest.approx(best[2], rel=3e-3)


def test_uncertainty_is_mortensens_for_a_fixed_width():
    electrons, background, sigma = 2000.0, 15.0, 1.5
    rois, _ = simulate(400, electrons, background, sigma, 15)
    fits = fit_spots(rois, sigma, model=FitModel("lsq", "fixed"))
    widened = sigma**2 + 1 / 12
    mortensen = math.sqrt(widened / electrons * (16 / 9 + 8 * math.pi * widened * background / electrons))
    assert np.median(fits.uncertainty[:, 0]) == pytest.approx(mortensen, rel=0.03)


def test_stated_uncertainty_is_the_spread():
    rois, truth = simulate(4000, 800.0, 20.0, 1.3, 9)
    noise = CameraNoise(np.float32(2.0))
    rois += np.random.default_rng(3).normal(0, math.sqrt(2), rois.shape).astype(np.float32)
    fits = fit_spots(rois, 1.3, noise=noise, model=FitModel("lsq"))
    error = fits.theta - truth
    for axis in (0, 1):
        assert np.median(fits.uncertainty[:, axis]) == pytest.approx(error[:, axis].std(), rel=0.05)
        assert abs(error[:, axis].mean()) < 0.01
    # less precise than the bound, which is reported beside it
    assert np.median(fits.uncertainty[:, 0] / fits.crlb[:, 0]) > 1.03
