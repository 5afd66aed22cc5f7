"""Joint fits of listed emitters against truth, bounds by finite differences, and the fits that need no list."""

import numba
import numpy as np
import pytest
import torch

from stormcell.localization.detection import Spots
from stormcell.localization.multi import JointPlan, fit_frames
from stormcell.localization.seeded_fit import fit_seeds
from stormcell.localization.seeded_kernels import factorize, solve
from stormcell.localization.seeded_moves import SeededPlan
from stormcell.physics.gaussian import CameraNoise
from stormcell.physics.psf.model import make_psf
from stormcell.physics.psf.settings import DiffractionPSFSettings

PSF = make_psf(DiffractionPSFSettings(), 100.0)
PLAN = SeededPlan(20.0, 8.0, 0.0, 0.0, 3.0, 4, 8)
BACKGROUND_E, READ_VARIANCE_E2 = 20.0, 2.0


def drawn(x, y, electrons, shape):
    tensors = (torch.as_tensor(np.asarray(v), dtype=torch.float64) for v in (x, y, electrons))
    return PSF.images(*tensors, shape).sum(dim=0).numpy()


def recorded(x, y, electrons, shape=(40, 40), n_frames=1, seed=1):
    rng = np.random.default_rng(seed)
    expected = BACKGROUND_E + drawn(x, y, electrons, shape)
    noisy = rng.poisson(expected, (n_frames, *shape)) + rng.normal(0, READ_VARIANCE_E2**0.5, (n_frames, *shape))
    return noisy.astype(np.float32)


def fitted(frames, seeds, frame=None, plan=PLAN):
    frame = np.zeros(len(seeds), np.int64) if frame is None else frame
    variance = np.full(frames.shape[1:], READ_VARIANCE_E2, np.float32)
    return fit_seeds(frames, variance, frame, with_ratio(seeds, plan), PSF, plan)


def with_ratio(seeds, plan):
    seeds = np.asarray(seeds, float).reshape(-1, 4)
    return np.column_stack([seeds, np.full(len(seeds), plan.kept_ratio), np.zeros((len(seeds), 3))])


def seeds_of(x, y, electrons, n_frames=1, away=0.25, seed=2):
    """Seeds beside the truth, with the wrong light and background, in every frame."""
    rng = np.random.default_rng(seed)
    n = len(x) * n_frames
    frame = np.repeat(np.arange(n_frames), len(x))
    place = [np.tile(v, n_frames) + rng.uniform(-away, away, n) for v in (x, y)]
    return np.stack([*place, np.tile(electrons, n_frames) * 0.8, np.full(n, 25.0)], axis=1), frame


def bounds_px(x, y, electrons, shape):
    """Cramer-Rao bounds by finite differences, shape (n, 2), all lights and the background being free."""
    theta, step = np.array([x, y, electrons], float), (1e-3, 1e-3, 1.0)
    slopes = [np.ones(shape[0] * shape[1])]
    for k in range(len(x)):
        for p in range(3):
            up, down = theta.copy(), theta.copy()
            up[p, k], down[p, k] = theta[p, k] + step[p], theta[p, k] - step[p]
            slopes.insert(3 * k + p, ((drawn(*up, shape) - drawn(*down, shape)) / (2 * step[p])).ravel())
    jacobian = np.array(slopes)
    variance = (drawn(*theta, shape) + BACKGROUND_E).ravel() + READ_VARIANCE_E2
    return np.sqrt(np.diag(np.linalg.inv((jacobian / variance) @ jacobian.T))[:-1].reshape(-1, 3)[:, :2])


@pytest.mark.parametrize("apart_px", [2.6, 12.0])
def test_errors_reach_the_bound_and_are_told(apart_px):
    x, y, electrons = np.array([14.3, 14.3 + apart_px]), np.array([20.6, 20.1]), np.array([2500.0, 1500.0])
    seeds, frame = seeds_of(x, y, electrons, n_frames=400)
    found = fitted(recorded(x, y, electrons, n_frames=400), seeds, frame)
    # noise beside the bright ones makes a few more
    assert 800 <= len(found.frame) <= 808
    bound = bounds_px(x, y, electrons, (40, 40))
    for k in range(2):
        mine = np.hypot(found.x_px - x[k], found.y_px - y[k]) < 1.0
        for axis, (place, std, true) in enumerate(((found.x_px, found.std_x_px, x), (found.y_px, found.std_y_px, y))):
            error = place[mine] - true[k]
            assert np.sqrt(np.mean(error**2)) == pytest.approx(bound[k, axis], rel=0.12)
            assert np.median(std[mine]) == pytest.approx(bound[k, axis], rel=0.08)
            assert abs(error.mean()) < 4 * bound[k, axis] / 20
        assert np.median(found.electrons[mine]) == pytest.approx(electrons[k], rel=0.04)
    assert np.median(found.background_e) == pytest.approx(BACKGROUND_E, rel=0.03)


def test_seed_without_light_goes_and_light_without_seed_comes():
    x, y, electrons = np.array([12.4, 15.2, 28.0]), np.array([13.0, 14.1, 30.0]), np.full(3, 2500.0)
    seeds = [(x[0], y[0], 2000.0, 20.0), (x[2], y[2], 2000.0, 20.0), (20.0, 22.0, 300.0, 20.0)]
    found = fitted(recorded(x, y, electrons), seeds)
    order = np.argsort(found.x_px)
    np.testing.assert_allclose(found.x_px[order], x, atol=0.25)
    # of the pair the seed may have become either
    np.testing.assert_array_equal(np.sort(found.seed), [-1, 0, 1])
    assert found.gain.min() > PLAN.added_ratio


def test_nothing_is_added_far_from_every_seed():
    x, y, electrons = np.array([8.0, 32.0]), np.array([8.0, 32.0]), np.full(2, 3000.0)
    found = fitted(recorded(x, y, electrons), [(8.2, 8.1, 2500.0, 20.0)])
    assert len(found.frame) == 1
    assert found.x_px[0] == pytest.approx(8.0, abs=0.2)


def test_same_optimum_as_the_fits_without_a_list():
    rng = np.random.default_rng(5)
    x, y = np.array([10.2, 12.9, 27.5, 20.0]), np.array([11.0, 12.2, 28.8, 9.4])
    electrons = rng.uniform(1500, 3000, 4)
    frames = recorded(x, y, electrons, n_frames=20)
    seeds, frame = seeds_of(x, y, electrons, n_frames=20)
    mine = fitted(frames, seeds, frame)
    column, row = np.floor(seeds[:, 0]).astype(int), np.floor(seeds[:, 1]).astype(int)
    spots = Spots(frame, row, column, np.zeros((len(frame), 2), np.float32), np.full(len(frame), 20.0, np.float32))
    noise = CameraNoise(np.full((40, 40), READ_VARIANCE_E2, np.float32), 1.0)
    other = fit_frames(frames, spots, JointPlan.of(PSF.sigma_px, 9, noise, PSF))
    assert len(mine.frame) == len(other.frame) == 80
    assert np.sqrt(np.mean((mine.x_px - other.fits.theta[:, 0]) ** 2)) < 0.4 * np.median(mine.std_x_px)
    np.testing.assert_allclose(np.median(mine.std_x_px), np.median(other.fits.crlb[:, 0]), rtol=0.1)


def test_tiles_and_threads_change_nothing():
    rng = np.random.default_rng(6)
    x, y, electrons = rng.uniform(5, 115, 60), rng.uniform(5, 115, 60), rng.uniform(1500, 4000, 60)
    frames = recorded(x, y, electrons, shape=(120, 120))
    seeds, frame = seeds_of(x, y, electrons)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = fitted(frames, seeds, frame)
    finally:
        numba.set_num_threads(before)
    many = fitted(frames, seeds, frame)
    np.testing.assert_array_equal(one.x_px, many.x_px)
    # every emitter once, those at the seam of the 60 px tiles too
    distance = np.hypot(one.x_px[:, None] - x, one.y_px[:, None] - y)
    clear = np.array([np.sort(np.hypot(x - a, y - b))[1] > 4 for a, b in zip(x, y, strict=True)])
    np.testing.assert_array_equal((distance < 0.5).sum(axis=0)[clear], 1)
    assert len(one.frame) <= 62


def test_frames_without_seeds_stay_empty():
    frames = recorded([20.0], [20.0], [3000.0], n_frames=3)
    assert len(fitted(frames, np.zeros((0, 4)), np.zeros(0, np.int64)).frame) == 0
    found = fitted(frames, [(20.0, 20.0, 2500.0, 20.0)], np.array([2]))
    np.testing.assert_array_equal(found.frame, [2])


def test_factor_within_its_envelope_solves_the_whole_system():
    rng = np.random.default_rng(7)
    slopes = rng.normal(size=(12, 40))
    for p in range(12):  # the first eight share pixels with their neighbours only
        slopes[p, : 3 * p if p < 11 else 0] = 0
        slopes[p, 3 * p + 8 if p < 11 else 40 :] = 0
    matrix = slopes @ slopes.T
    lower, first, values = np.full((12, 12), np.nan), np.zeros(12, np.int64), rng.normal(size=12)
    expected = np.linalg.solve(matrix * (1 + 0.1 * np.eye(12)), values)
    factorize(np.tril(matrix), 0.1, lower, first)
    solve(lower, first, values)
    np.testing.assert_allclose(values, expected, rtol=1e-9)
    assert first[9] > 4
    assert first[11] == 0
