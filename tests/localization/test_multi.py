"""Joint fits of overlapping emitters against truth, bounds computed elsewhere and finite differences."""

import warnings

import numba
import numpy as np
import pytest
import torch

from stormcell.data.frame_stack import FrameStack
from stormcell.localization.flags import mask_of
from stormcell.localization.multi_fit import MOST_EMITTERS, make_work
from stormcell.localization.multi_psf import add_light, axis_scratch, core_patch, emitter_shape
from stormcell.localization.multi_scene import make_emitters, new_emitter, select_group
from stormcell.localization.multi_solve import factor, solve, variance_of
from stormcell.localization.pipeline import LocalizationSettings, localize_stack
from stormcell.physics.cameras import Camera
from stormcell.physics.gaussian import gaussian_images
from stormcell.physics.psf.model import make_psf
from stormcell.physics.psf.settings import DiffractionPSFSettings

PIXEL_NM, SIGMA, BACKGROUND_E = 100.0, 1.2, 20.0
CAMERA = Camera("cmos", 100.0, 0.5, 1.5)
EMCCD = Camera("emccd", 200.0, 5.0, 30.0, em_gain=200.0)
# emitters of these movies stay lit: a median over time would take them for background
MULTI = LocalizationSettings(method="multi", psf_sigma_px=SIGMA, background="spatial")
PSF = make_psf(DiffractionPSFSettings(), PIXEL_NM)


def gaussians(x, y, electrons, shape):
    """Expected electrons of emitters in one frame."""
    theta = np.column_stack([x, y, electrons, np.zeros(len(x)), np.full((len(x), 2), SIGMA)])
    return gaussian_images(theta, shape).sum(axis=0)


def diffracted(x, y, electrons, shape):
    tensors = (torch.as_tensor(np.asarray(v), dtype=torch.float64) for v in (x, y, electrons))
    return PSF.images(*tensors, shape).sum(dim=0).numpy()


def bounds_nm(draw, x, y, electrons, shape, camera=CAMERA):
    """Cramer-Rao bounds of the positions by finite differences, shape (n, 2), all else being free."""
    theta, step = np.array([x, y, electrons], float), (1e-3, 1e-3, 1.0)
    slopes = []
    for k in range(len(x)):
        for p in range(3):
            up, down = theta.copy(), theta.copy()
            up[p, k], down[p, k] = theta[p, k] + step[p], theta[p, k] - step[p]
            slopes.append(((draw(*up, shape) - draw(*down, shape)) / (2 * step[p])).ravel())
    slopes.append(np.ones(shape[0] * shape[1]))
    variance = (draw(*theta, shape) + BACKGROUND_E).ravel() * camera.excess_noise_factor
    variance += float(np.mean(camera.read_variance_e2(shape, (0, 0))))
    jacobian = np.array(slopes)
    inverse = np.linalg.inv((jacobian / variance) @ jacobian.T)
    return PIXEL_NM * np.sqrt(np.diag(inverse)[:-1].reshape(-1, 3)[:, :2])


def movie(draw, x, y, electrons, shape, n_frames, camera=CAMERA, seed=0):
    expected = np.broadcast_to(BACKGROUND_E + draw(x, y, electrons, shape), (n_frames, *shape))
    return FrameStack.from_array(camera.to_adu(expected, np.random.default_rng(seed)))


def localized(stack, camera=CAMERA, settings=MULTI, psf=None):
    return localize_stack(stack, camera, PIXEL_NM, settings, psf=psf).table


def errors_of(table, x, y):
    """Frames in which each of these emitters was found once: errors [nm], shape (frames, n, 2), and their rows."""
    errors, rows = [], []
    truth = np.column_stack([x, y]) * PIXEL_NM
    for t in range(table.n_frames):
        (own,) = np.nonzero(table["frame"] == t)
        found = table.positions_nm[own]
        if len(own) < len(truth):
            continue
        order = [int(np.argmin(np.linalg.norm(found - place, axis=1))) for place in truth]
        near = np.linalg.norm(found - truth[:, None], axis=2).min(axis=0) < 250
        if len(set(order)) == len(truth) == near.sum():
            errors.append(found[order] - truth)
            rows.append(own[order])
    return np.array(errors), np.array(rows)


@pytest.mark.parametrize("camera", [CAMERA, EMCCD], ids=["scmos", "emccd"])
@pytest.mark.parametrize("kind", ["gaussian", "diffraction"])
def test_isolated_emitters_reach_the_bound(camera, kind):
    draw, psf = (gaussians, None) if kind == "gaussian" else (diffracted, PSF)
    # fields are not square: a swap of axes would lose all but one of them
    x, y, electrons = [10.3, 30.1, 51.8, 11.6, 31.5], [9.7, 11.2, 8.4, 25.1, 27.9], [1500.0] * 5
    table = localized(movie(draw, x, y, electrons, (36, 62), 60, camera), camera, psf=psf)
    errors, rows = errors_of(table, x, y)
    assert len(errors) > 55
    assert table.n_rows < len(x) * 60 + 12
    bound = bounds_nm(draw, x, y, electrons, (36, 62), camera)
    rmse = np.sqrt(np.square(errors).mean(axis=(0, 1)))
    assert np.all(rmse < 1.1 * bound.mean(axis=0))
    assert np.all(rmse > 0.85 * bound.mean(axis=0))
    assert np.median(table["crlb_x_nm"][rows]) == pytest.approx(bound[:, 0].mean(), rel=0.06)
    assert np.abs(errors.mean(axis=(0, 1))).max() < 1.5
    assert np.median(table["photons"][rows]) == pytest.approx(1500.0, rel=0.02)
    assert np.median(table["background_photons"][rows]) == pytest.approx(BACKGROUND_E, rel=0.04)
    assert np.mean(table["flags"][rows] == 0) > 0.95


@pytest.mark.parametrize("distance_sigmas", [2.0, 3.0])
@pytest.mark.parametrize("kind", ["gaussian", "diffraction"])
def test_two_emitters_are_told_apart_with_honest_bounds(distance_sigmas, kind):
    draw, psf = (gaussians, None) if kind == "gaussian" else (diffracted, PSF)
    dx, dy = distance_sigmas * SIGMA * np.cos(0.6), distance_sigmas * SIGMA * np.sin(0.6)
    x, y, electrons = [12.3, 12.3 + dx], [9.6, 9.6 + dy], [2500.0, 1800.0]
    table = localized(movie(draw, x, y, electrons, (20, 29), 120), psf=psf)
    errors, rows = errors_of(table, x, y)
    assert len(errors) > 0.95 * 120
    bound = bounds_nm(draw, x, y, electrons, (20, 29))
    crlb = np.stack([table["crlb_x_nm"][rows], table["crlb_y_nm"][rows]], axis=2)
    np.testing.assert_allclose(np.median(crlb, axis=0), bound, rtol=0.12)
    pull = np.sqrt(np.square(errors / crlb).mean(axis=(0, 1)))
    assert np.all((pull > 0.85) & (pull < 1.2))
    assert np.abs(errors.mean(axis=0)).max() < 4 * bound.max() / np.sqrt(120)


def test_ten_emitters_in_one_clump():
    rng = np.random.default_rng(3)
    # on a jittered grid of 2.5 sigma
    row, column = np.divmod(np.arange(12), 4)
    x, y = 12.0 + 3.0 * column + rng.uniform(-0.3, 0.3, 12), 11.0 + 3.0 * row + rng.uniform(-0.3, 0.3, 12)
    table = localized(movie(gaussians, x, y, np.full(12, 3000.0), (30, 34), 30))
    errors, rows = errors_of(table, x, y)
    assert len(errors) > 25
    crlb = np.stack([table["crlb_x_nm"][rows], table["crlb_y_nm"][rows]], axis=2)
    assert 0.8 < np.sqrt(np.square(errors / crlb).mean()) < 1.25


@pytest.mark.parametrize("kind", ["flat", "wave", "slope"])
def test_empty_frames_give_nothing(kind):
    rng = np.random.default_rng(1)
    columns = np.arange(70)
    structure = {"flat": np.ones(70), "wave": 1 + 0.3 * np.sin(columns / 25.0), "slope": 1 + 9 * columns / 70}[kind]
    n_frames, n_rows = 40, 0
    for level in (1.0, 25.0, 400.0):
        expected = np.broadcast_to(level * structure, (n_frames, 48, 70))
        n_rows += localized(FrameStack.from_array(CAMERA.to_adu(expected, rng))).n_rows
    # 0.001 per um^2 are 4 in these 4,032 um^2; the tenfold slope costs some more
    assert n_rows <= (10 if kind == "slope" else 6)


def test_no_frame_with_light_gives_a_whole_table():
    empty = localized(FrameStack.from_array(np.full((2, 48, 70), 100, np.uint16)))
    assert empty.n_rows == 0
    assert set(localized(movie(gaussians, [20.3], [21.2], [3000.0], (48, 70), 2)).names) == set(empty.names)


def test_hot_pixels_and_cosmic_rays_are_no_emitters():
    rng = np.random.default_rng(2)
    n_frames, shape = 10, (60, 80)
    expected = np.full((n_frames, *shape), BACKGROUND_E)
    rows, columns = np.arange(12) % 3 * 12 + 6, np.arange(12) // 3 * 12 + 9
    expected[:, rows, columns] += np.geomspace(150.0, 20_000.0, 12)
    for t in range(n_frames):
        # a track of 6 pixels, along an axis or a diagonal
        step = ((0, 1), (1, 0), (1, 1))[t % 3]
        place = rng.integers(45, 52, 2)
        for k in range(6):
            expected[t, place[0] + k * step[0], place[1] + k * step[1] + 15] += rng.uniform(300, 3000)
    # an emitter beside them all stays
    expected += gaussians([70.3], [12.6], [3000.0], shape)
    table = localized(FrameStack.from_array(CAMERA.to_adu(expected, rng)))
    own = np.hypot(table["x_nm"] / PIXEL_NM - 70.3, table["y_nm"] / PIXEL_NM - 12.6) < 1.5
    assert own.sum() == n_frames
    assert (~own).sum() <= 2


def test_beads_are_no_swarms():
    rng = np.random.default_rng(2)
    n_frames, shape = 10, (60, 80)
    # up to a thousand times as bright as emitters, one as wide as the PSF, the other 25 % wider
    wide = np.column_stack([[66.2, 25.7], [15.4, 42.3], [2e5, 2e5], [0, 0], [1.2, 1.5], [1.2, 1.5]])
    expected = np.broadcast_to(BACKGROUND_E + gaussian_images(wide, shape).sum(axis=0), (n_frames, *shape))
    table = localized(FrameStack.from_array(CAMERA.to_adu(expected, rng)))
    for k, (x, y, *_) in enumerate(wide):
        near = np.hypot(table["x_nm"] / PIXEL_NM - x, table["y_nm"] / PIXEL_NM - y) < 5.0
        assert near.sum() == n_frames
        assert np.all((table["flags"][near] & mask_of(["poor_fit"]) != 0) == (k == 1))


def test_the_limit_of_a_region():
    work = make_work(emitter_shape(SIGMA, 9))
    emitters = make_emitters(40)
    for k in range(40):
        new_emitter(emitters, k, 20.0 + 0.1 * k, 20.0, 100.0)
    emitters.n[0] = 40
    n = select_group(emitters, 20.0, 20.0, 9.0, MOST_EMITTERS, work)
    assert n == MOST_EMITTERS == 10
    np.testing.assert_array_equal(work.group[:n], np.arange(10))


def test_thirty_emitters_at_one_place_are_bounded_work():
    rng = np.random.default_rng(5)
    x, y = rng.uniform(10, 20, (2, 60))
    table = localized(movie(gaussians, x, y, np.full(60, 2000.0), (30, 31), 4))
    assert 4 * 10 < table.n_rows <= 4 * 60
    assert np.isfinite(table["x_nm"]).all()


def test_threads_and_tiles_change_nothing():
    rng = np.random.default_rng(7)
    x, y = rng.uniform(5, 195, 150), rng.uniform(5, 75, 150)
    frames = CAMERA.to_adu(BACKGROUND_E + gaussians(x, y, np.full(150, 2000.0), (80, 200))[None], rng)
    wide = localized(FrameStack.from_array(frames))
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    assert localized(FrameStack.from_array(frames)) == wide
    numba.set_num_threads(threads)
    # the left part alone fits into one tile: away from its rim the rows are those of the whole frame in two tiles
    narrow = localized(FrameStack.from_array(np.ascontiguousarray(frames[:, :, :150])))
    here, there = ((t["x_nm"] > 2000) & (t["x_nm"] < 13000) for t in (wide, narrow))
    assert abs(int(here.sum()) - int(there.sum())) <= 1
    apart = np.linalg.norm(wide.positions_nm[here][:, None] - narrow.positions_nm[there][None], axis=2).min(axis=1)
    assert np.mean(apart < 1.0) > 0.95


@pytest.mark.parametrize("kind", ["gaussian", "diffraction"])
def test_the_light_of_an_emitter_and_its_slopes(kind):
    table = None if kind == "gaussian" else PSF.bank.table[0].numpy()
    sigma = SIGMA if kind == "gaussian" else PSF.sigma_px
    draw = gaussians if kind == "gaussian" else diffracted
    shape, (x, y) = emitter_shape(sigma, 9, table), (4.83, 4.21)
    axis, patch = axis_scratch(shape), np.zeros((3, 9, 9))
    core_patch(shape, x, y, axis, patch)
    np.testing.assert_allclose(patch[0], draw([x], [y], [1.0], (9, 9)), atol=2e-7)
    for plane, (dx, dy) in ((1, (1e-3, 0.0)), (2, (0.0, 1e-3))):
        up, down = draw([x + dx], [y + dy], [1.0], (9, 9)), draw([x - dx], [y - dy], [1.0], (9, 9))
        np.testing.assert_allclose(patch[plane], (up - down) / 2e-3, atol=5e-5)
    image = np.zeros((14, 19))
    add_light(shape, 16.4, 3.3, 500.0, axis, image)
    np.testing.assert_allclose(image, draw([16.4], [3.3], [500.0], (14, 19)), atol=2e-4)


def test_small_systems():
    rng = np.random.default_rng(4)
    root = rng.normal(size=(7, 9))
    matrix, right = root @ root.T, rng.normal(size=7)
    lower, scale, out, pinned = np.zeros((7, 7)), np.zeros(7), np.zeros(7), np.zeros(7)
    assert factor(matrix, 7, 0.0, pinned, scale, lower)
    solve(lower, scale, 7, right, out)
    np.testing.assert_allclose(out, np.linalg.solve(matrix, right), rtol=1e-9)
    variances = [variance_of(k, lower, scale, 7, np.zeros(7)) for k in range(7)]
    np.testing.assert_allclose(variances, np.diag(np.linalg.inv(matrix)), rtol=1e-9)
    pinned[2] = 1.0
    assert factor(matrix, 7, 0.0, pinned, scale, lower)
    solve(lower, scale, 7, right, out)
    rest = np.delete(np.arange(7), 2)
    np.testing.assert_allclose(out[rest], np.linalg.solve(matrix[np.ix_(rest, rest)], right[rest]), rtol=1e-9)
    assert out[2] == 0.0
    assert not factor(-matrix, 7, 0.0, np.zeros(7), scale, lower)


def test_pixels_that_are_not_numbers():
    x, y = [12.3, 30.0], [9.6, 12.0]
    frames = movie(gaussians, x, y, [2500.0, 2500.0], (24, 40), 10).read().astype(np.float32)
    frames[:, 10, 12] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = localized(FrameStack.from_array(frames))
    touched = table["flags"] & mask_of(["nan_pixel"]) != 0
    assert touched.sum() == 10
    assert table.n_rows == 20
    assert np.abs(table["x_nm"][touched] - 1230.0).max() < 60.0
