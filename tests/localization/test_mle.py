"""Maximum-likelihood fits against a general optimizer, and what must not change them."""

import numba
import numpy as np
import pytest
from scipy.optimize import minimize

from stormcell.errors import InputError
from stormcell.localization.fits import FitModel, fit_spots
from stormcell.localization.flags import FLAGS
from stormcell.localization.mle import maximize
from stormcell.localization.starts import load_pixels, set_bounds, start_values
from stormcell.physics.gaussian import CameraNoise, gaussian_images


def simulate(n, electrons=800.0, background=10.0, sigma=1.3, side=9, seed=0):
    rng = np.random.default_rng(seed)
    theta = np.zeros((n, 6))
    theta[:, :2] = side / 2 + rng.uniform(-0.5, 0.5, (n, 2))
    theta[:, 2:] = electrons, background, sigma, sigma
    return rng.poisson(gaussian_images(theta, (side, side))).astype(np.float32), theta


def highest_likelihood(roi, variance, start, n_free):
    """Find the maximum with scipy, from the negative log-likelihood alone."""

    def expand(free):
        theta = start.copy()
        theta[:n_free] = free
        if n_free == 5:
            theta[5] = theta[4]
        return theta

    def cost(free):
        expected = gaussian_images(expand(free), roi.shape)[0] + variance
        if expected.min() <= 0:
            return 1e12
        return float(np.sum(expected - (roi + variance) * np.log(expected)))

    found = minimize(
        cost,
        start[:n_free],
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 40_000, "maxfev": 40_000, "adaptive": True},
    )
    return expand(found.x), -found.fun


def our_maximum(roi, variance, n_free, sigma=1.3):
    side = roi.shape[0]
    plan = np.array([n_free, 1.0, sigma, sigma, 0.5, 2.0, 0.0, 0.0])
    pixels, bounds, theta = np.zeros((4, side, side)), np.zeros((2, 6)), np.zeros(6)
    scratch, small = np.zeros((13, 2 * side + 2)), np.zeros((30, 6))
    _, least = load_pixels(roi[None], np.full((1, side, side), variance, np.float32), 0, 1.0, pixels)
    start_values(pixels, np.nan, np.nan, plan, scratch, theta)
    set_bounds(theta, pixels, least, plan, bounds)
    iterations, converged = maximize(pixels, bounds, plan, scratch, small, theta)
    assert converged
    return theta, iterations


@pytest.mark.parametrize("n_free", [4, 5, 6])
@pytest.mark.parametrize("variance", [0.0, 3.0])
def test_the_maximum_is_that_of_a_general_optimizer(n_free, variance):
    rois, truth = simulate(4, seed=n_free)
    rois += np.random.default_rng(7).normal(0, np.sqrt(variance), rois.shape).astype(np.float32)
    for roi in rois:
        ours, iterations = our_maximum(roi, variance, n_free)
        reference, best = highest_likelihood(roi.astype(float), variance, truth[0], n_free)
        expected = gaussian_images(ours, roi.shape)[0] + variance
        reached = float(np.sum((roi + variance) * np.log(expected) - expected))
        assert reached >= best - 1e-4
        assert abs(ours[:2] - reference[:2]).max() < 1e-3
        assert ours[2] == pytest.approx(reference[2], rel=1e-3)
        assert iterations < 12


def test_log_likelihood_and_chi2_are_those_of_the_fit():
    rois, _ = simulate(200, electrons=3000.0)
    fits = fit_spots(rois, 1.3)
    expected = gaussian_images(fits.theta, (9, 9))
    reached = np.sum(rois * np.log(expected) - expected, axis=(1, 2))
    # the reported likelihood is the maximum; theta has its bias taken out
    assert (fits.log_likelihood >= reached - 1e-6).all()
    np.testing.assert_allclose(fits.log_likelihood, reached, atol=0.5)
    chi2 = np.sum((rois - expected) ** 2 / expected, axis=(1, 2)) / (81 - 5)
    np.testing.assert_allclose(fits.chi2, chi2, rtol=0.02)
    assert fits.chi2.mean() == pytest.approx(1.0, abs=0.05)
    residual = np.sqrt(np.sum((rois - expected) ** 2, axis=(1, 2)) / (81 - 5))
    np.testing.assert_allclose(fits.residual_std, residual, rtol=0.02)


def test_threads_and_order_change_nothing():
    rois, _ = simulate(700, electrons=200.0, seed=5)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    alone = fit_spots(rois, 1.3)
    numba.set_num_threads(threads)
    order = np.random.default_rng(0).permutation(len(rois))
    shuffled = fit_spots(rois[order], 1.3)
    for name in ("theta", "uncertainty", "crlb", "log_likelihood", "chi2", "iterations", "flags"):
        np.testing.assert_array_equal(getattr(alone, name)[order], getattr(shuffled, name))


def test_photon_bias_of_a_free_width_is_taken_out():
    """Without correction these fits are 3 % too bright."""
    rois, _ = simulate(6000, electrons=700.0, background=200.0)
    fits = fit_spots(rois, 1.3, model=FitModel(sigma_prior=0.0))
    standard_error = fits.theta[:, 2].std() / np.sqrt(len(rois)) / 700
    assert abs(fits.theta[:, 2].mean() / 700 - 1) < 0.006 + 2 * standard_error
    assert abs(np.mean(fits.theta[:, 4]) / 1.3 - 1) < 0.01


def test_prior_decides_faint_spots_only():
    faint, _ = simulate(1500, electrons=150.0, background=20.0)
    bright, _ = simulate(1500, electrons=20_000.0, background=20.0)
    spread = {
        (name, prior): fit_spots(rois, 1.3, model=FitModel(sigma_prior=prior)).theta[:, 4].std()
        for name, rois in (("faint", faint), ("bright", bright))
        for prior in (0.0, 0.1)
    }
    assert spread["faint", 0.1] < 0.6 * spread["faint", 0.0]
    assert spread["bright", 0.1] == pytest.approx(spread["bright", 0.0], rel=0.02)


def test_a_noisy_pixel_counts_less():
    """Huang's likelihood: a hot pixel of known variance must not pull the fit."""
    rois, truth = simulate(1500)
    variance = np.zeros((9, 9), np.float32)
    variance[2, 6] = 2500.0
    rois[:, 2, 6] += np.random.default_rng(2).normal(0, 50, len(rois)).astype(np.float32)
    error = {
        name: np.std((fit_spots(rois, 1.3, noise=noise).theta - truth)[:, 0])
        for name, noise in (("known", CameraNoise(variance)), ("unknown", CameraNoise()))
    }
    assert error["known"] < 0.8 * error["unknown"]


def test_pixels_that_are_not_numbers_are_left_out():
    rois, truth = simulate(300, electrons=3000.0)
    rois[:, 0, :] = np.nan
    rois[:, 4, 7] = np.inf
    fits = fit_spots(rois, 1.3)
    assert np.abs(fits.theta[:, 0] - truth[:, 0]).max() < 0.2
    whole = fit_spots(simulate(300, electrons=3000.0)[0], 1.3)
    assert (fits.crlb[:, 1] > whole.crlb[:, 1]).mean() > 0.8


def test_known_light_of_a_neighbour_is_accounted_for():
    rois, truth = simulate(800, electrons=1500.0)
    light = gaussian_images([7.6, 2.0, 1500.0, 0.0, 1.3, 1.3], (9, 9)).astype(np.float32)
    both = rois + np.random.default_rng(1).poisson(np.broadcast_to(light, rois.shape)).astype(np.float32)
    ignored = fit_spots(both, 1.3).theta - truth
    known = fit_spots(both, 1.3, light_e=light).theta - truth
    assert abs(ignored[:, 0].mean()) > 0.2
    assert abs(known[:, 0].mean()) < 0.01
    assert abs(known[:, 2].mean()) < 20


def test_elliptical_spots():
    rng = np.random.default_rng(4)
    theta = np.tile([4.6, 4.3, 5000.0, 10.0, 1.0, 1.7], (300, 1))
    rois = rng.poisson(gaussian_images(theta, (9, 9)))
    fits = fit_spots(rois, 1.3, model=FitModel(fit_sigma="elliptical"))
    np.testing.assert_allclose(fits.theta.mean(axis=0), theta[0], rtol=0.01)
    pull = (fits.theta - theta) / fits.uncertainty
    np.testing.assert_allclose(pull.std(axis=0), 1.0, atol=0.13)


def test_fixed_sigma_is_held():
    rois, _ = simulate(50)
    fits = fit_spots(rois, (1.2, 1.4), model=FitModel(fit_sigma="fixed"))
    assert (fits.theta[:, 4] == 1.2).all()
    assert (fits.theta[:, 5] == 1.4).all()
    assert np.isnan(fits.uncertainty[:, 4:]).all()


@pytest.mark.parametrize("value", [0.0, 7.0, -300.0, 1e7, np.nan])
@pytest.mark.parametrize("method", ["mle", "lsq"])
def test_regions_without_a_spot_give_flags_not_crashes(value, method):
    fits = fit_spots(np.full((3, 7, 7), value, np.float32), 1.3, model=FitModel(method))
    assert len(fits) == 3
    doubtful = FLAGS["not_converged"].mask | FLAGS["photons_low"].mask | FLAGS["background_at_bound"].mask
    doubtful |= FLAGS["sigma_at_bound"].mask | FLAGS["position_at_bound"].mask
    assert (fits.flags & doubtful != 0).all()


def test_no_regions_and_wrong_regions():
    assert len(fit_spots(np.zeros((0, 7, 7)), 1.3)) == 0
    with pytest.raises(InputError, match=r"expected regions of shape \(N, rows, columns\)"):
        fit_spots(np.zeros((7, 7)), 1.3)
    with pytest.raises(InputError, match="sigma above 0"):
        fit_spots(np.zeros((1, 7, 7)), 0.0)
