"""The integrated Gaussian against quadrature, finite differences and closed forms."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from stormcell.errors import InputError
from stormcell.physics.gaussian import (
    PARAMETERS,
    CameraNoise,
    axis_profiles,
    crlb_gaussian,
    fast_erf,
    fast_exp,
    fast_log,
    gaussian_derivatives,
    gaussian_images,
)

THETA = np.array([3.2, 4.7, 850.0, 6.5, 1.1, 1.6])


def test_fast_functions_agree_with_the_library():
    for x in np.linspace(-690.0, 0.0, 3001):
        assert fast_exp(x) == pytest.approx(math.exp(x), rel=2e-11)
    assert fast_exp(-1e6) < 1e-300
    for x in np.linspace(-8.0, 8.0, 3001):
        assert fast_erf(x, math.exp(-x * x)) == pytest.approx(math.erf(x), abs=2e-11)
    for x in np.geomspace(1e-300, 1e300, 3001):
        assert fast_log(x) == pytest.approx(math.log(x), rel=1e-10, abs=1e-10)


def test_pixel_values_are_integrals_of_the_gaussian():
    image = gaussian_images(THETA, (9, 8))[0]
    x, y, electrons, background, sigma_x, sigma_y = THETA

    def share(place, centre, sigma):
        density = lambda t: math.exp(-0.5 * ((t - centre) / sigma) ** 2) / (math.sqrt(2 * math.pi) * sigma)  # noqa: E731
        return quad(density, place, place + 1)[0]

    for row, column in ((0, 0), (4, 3), (8, 7), (2, 5)):
        expected = background + electrons * share(column, x, sigma_x) * share(row, y, sigma_y)
        assert image[row, column] == pytest.approx(expected, rel=1e-10)


def test_all_light_is_kept():
    assert gaussian_images([30.3, 31.1, 500.0, 0.0, 1.5, 2.0], (60, 60)).sum() == pytest.approx(500.0, rel=1e-12)


@pytest.mark.parametrize("index", range(len(PARAMETERS)), ids=PARAMETERS)
def test_derivatives_agree_with_finite_differences(index):
    step = np.zeros(6)
    step[index] = 1e-5 * max(1.0, abs(THETA[index]))
    above, below = gaussian_images(np.stack([THETA + step, THETA - step]), (9, 8))
    found = gaussian_derivatives(THETA, (9, 8))[0, index]
    np.testing.assert_allclose(found, (above - below) / (2 * step[index]), atol=1e-6)


def test_compiled_profiles_agree_with_the_reference():
    along_x, along_y, scratch = np.zeros((3, 8)), np.zeros((3, 9)), np.zeros((3, 19))
    axis_profiles(THETA, 8, 9, scratch, along_x, along_y)
    image = THETA[3] + THETA[2] * np.outer(along_y[0], along_x[0])
    np.testing.assert_allclose(image, gaussian_images(THETA, (9, 8))[0], rtol=0, atol=1e-7)
    derivatives = gaussian_derivatives(THETA, (9, 8))[0]
    np.testing.assert_allclose(THETA[2] * np.outer(along_y[0], along_x[1]), derivatives[0], atol=1e-7)
    np.testing.assert_allclose(THETA[2] * np.outer(along_y[2], along_x[0]), derivatives[5], atol=1e-7)


def test_bound_without_background_and_with_small_pixels_is_sigma_over_root_n():
    bound = crlb_gaussian(400.0, 0.0, 8.0, fit_sigma="fixed", roi_px=121)
    # the pixel adds a twelfth of its area to the variance of the spot
    assert bound[0, 0] == pytest.approx(math.sqrt((64 + 1 / 12) / 400), rel=1e-3)
    assert bound[0, 2] == pytest.approx(math.sqrt(400), rel=0.02)


def test_bound_follows_from_simulated_scores():
    """The variance of the score is the information: checked with random Poisson images, not with the formula."""
    rng = np.random.default_rng(3)
    theta = np.array([3.6, 3.4, 300.0, 5.0, 1.2, 1.2])
    expected = gaussian_images(theta, (7, 7))[0]
    derivatives = gaussian_derivatives(theta, (7, 7))[0]
    derivatives = np.concatenate([derivatives[:4], derivatives[4:5] + derivatives[5:6]])
    counts = rng.poisson(expected, (40_000, 7, 7))
    scores = np.einsum("nkl,akl->na", counts / expected - 1.0, derivatives)
    bound = crlb_gaussian(300.0, 5.0, 1.2, roi_px=7, position_px=theta[:2])[0]
    simulated = np.sqrt(np.diag(np.linalg.inv(np.cov(scores.T))))
    np.testing.assert_allclose(bound[:5], simulated, rtol=0.02)
    assert bound[5] == bound[4]


def test_camera_noise_in_the_bound():
    plain = crlb_gaussian(500.0, 10.0, 1.3)
    doubled = crlb_gaussian(500.0, 10.0, 1.3, noise=CameraNoise(0.0, 2.0))
    np.testing.assert_allclose(doubled, math.sqrt(2) * plain)
    # read noise of variance v acts like v more background electrons on everything but the emitter's own model
    read = crlb_gaussian(500.0, 10.0, 1.3, noise=CameraNoise(4.0))
    np.testing.assert_allclose(read, crlb_gaussian(500.0, 14.0, 1.3), rtol=1e-12)


def test_what_is_not_fitted_has_no_bound():
    assert np.isnan(crlb_gaussian(500.0, 10.0, 1.3, fit_sigma="fixed")[0, 4:]).all()
    shapes = crlb_gaussian([100.0, 1000.0], 5.0, np.array([[1.0, 1.5], [1.0, 1.5]]), fit_sigma="elliptical")
    assert shapes.shape == (2, 6)
    assert np.isfinite(shapes).all()
    assert (shapes[0] > shapes[1])[[0, 1, 4, 5]].all()


def test_impossible_values_are_refused():
    with pytest.raises(InputError, match="expected photons above 0"):
        crlb_gaussian(0.0, 1.0, 1.0)
