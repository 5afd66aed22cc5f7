"""Localization of whole movies against their truth."""

import warnings

import numba
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from stormcell.data.frame_stack import FrameStack
from stormcell.errors import SettingsError
from stormcell.localization.frame_blocks import block_edges, frames_per_block, read_ahead
from stormcell.localization.pipeline import LocalizationSettings, localize_frames, localize_stack
from stormcell.physics.cameras import Camera
from stormcell.physics.gaussian import gaussian_images

PIXEL_NM = 100.0
CAMERA = Camera("cmos", 100.0, 0.5, 1.2)


def simulate(n_frames=60, shape=(50, 70), n=6, sigma=1.3, electrons=2000.0, background=12.0, seed=0, camera=CAMERA):
    """Return frames in ADU and truth columns frame, x px, y px, electrons."""
    rng = np.random.default_rng(seed)
    expected, truth = np.empty((n_frames, *shape)), []
    for t in range(n_frames):
        theta = np.zeros((n, 6))
        theta[:, 0], theta[:, 1] = rng.uniform(4, shape[1] - 4, n), rng.uniform(4, shape[0] - 4, n)
        theta[:, 2], theta[:, 4:] = electrons * rng.uniform(0.7, 1.3, n), sigma
        expected[t] = background + gaussian_images(theta, shape).sum(axis=0)
        truth.append(np.column_stack([np.full(n, t), theta[:, :3]]))
    return camera.to_adu(expected, rng), np.concatenate(truth)


def match(table, truth, tolerance_px=2.0):
    """Return row indices of table and truth of optimally matched pairs."""
    rows, columns = [], []
    for t in np.unique(truth[:, 0]):
        (a,), (b,) = np.nonzero(table["frame"] == t), np.nonzero(truth[:, 0] == t)
        distance = np.linalg.norm(table.positions_nm[a][:, None] / PIXEL_NM - truth[b, 1:3][None], axis=2)
        i, j = linear_sum_assignment(np.where(distance < tolerance_px, distance, 1e6))
        near = distance[i, j] < tolerance_px
        rows.extend(a[i[near]])
        columns.extend(b[j[near]])
    return np.array(rows), np.array(columns)


@pytest.fixture(scope="module")
def scene():
    return simulate()


@pytest.mark.parametrize("method", ["mle", "lsq"])
@pytest.mark.parametrize("fit_sigma", ["free", "fixed", "elliptical"])
def test_a_sparse_movie(scene, method, fit_sigma):
    frames, truth = scene
    settings = LocalizationSettings(method=method, fit_sigma=fit_sigma)
    result = localize_stack(FrameStack.from_array(frames), CAMERA, PIXEL_NM, settings)
    table = result.table
    a, b = match(table, truth)
    assert len(a) / len(truth) > 0.93
    assert len(a) / table.n_rows > 0.95
    # an axis swapped or half a pixel lost would show here
    error = table.positions_nm[a] - truth[b, 1:3] * PIXEL_NM
    assert np.abs(np.median(error, axis=0)).max() < 1.5
    clean = table["flags"][a] == 0
    pull = error[clean, 0] / table["uncertainty_x_nm"][a][clean]
    assert 0.85 < np.percentile(np.abs(pull), 68.3) < 1.2
    assert np.median(table["photons"][a] / truth[b, 3]) == pytest.approx(1.0, abs=0.02)
    assert np.median(table["background_photons"]) == pytest.approx(12.0, rel=0.05)
    assert result.psf_sigma_source == "estimated"
    assert result.psf_sigma_px == pytest.approx(1.3, rel=0.03)
    assert np.median(table["psf_sigma_nm"]) == pytest.approx(130.0, rel=0.03)
    assert result.background == "temporal"
    assert result.background_mean_e == pytest.approx(12.0, rel=0.15)


def test_rows_are_ordered_and_columns_complete(scene):
    table = localize_frames(FrameStack.from_array(scene[0]), CAMERA, PIXEL_NM)
    order = np.lexsort((table["x_nm"], table["y_nm"], table["frame"]))
    np.testing.assert_array_equal(order, np.arange(table.n_rows))
    assert table.n_frames == 60
    assert table.grid.shape == (50, 70)
    needed = {"crlb_x_nm", "crlb_photons", "log_likelihood", "chi2", "iterations", "flags", "detection_snr"}
    assert needed <= set(table.names)
    empty = localize_frames(FrameStack.from_array(np.full((2, 50, 70), 100, np.uint16)), CAMERA, PIXEL_NM)
    assert empty.n_rows == 0
    assert empty.names == table.names


def test_threads_and_repeats_change_nothing(scene):
    stack = FrameStack.from_array(scene[0])
    first = localize_frames(stack, CAMERA, PIXEL_NM)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    second = localize_frames(stack, CAMERA, PIXEL_NM)
    numba.set_num_threads(threads)
    assert first == second


def test_a_part_of_a_movie_keeps_its_place(scene):
    frames, _ = scene
    stack = FrameStack.from_array(frames)
    settings = LocalizationSettings(psf_sigma_px=1.3)
    whole = localize_frames(stack, CAMERA, PIXEL_NM, settings)
    part = localize_frames(stack.frames(20, 50).crop((10, 48), (20, 66)), CAMERA, PIXEL_NM, settings)
    inside = (whole["frame"] >= 20) & (whole["frame"] < 50)
    inside &= (whole["x_nm"] > 2600) & (whole["x_nm"] < 6000) & (whole["y_nm"] > 1600) & (whole["y_nm"] < 4200)
    near = 0
    for t, x, y in zip(*(whole[name][inside] for name in ("frame", "x_nm", "y_nm")), strict=True):
        same = part["frame"] == t
        near += bool(np.any(np.hypot(part["x_nm"][same] - x, part["y_nm"][same] - y) < 1.0))
    assert near / inside.sum() > 0.95
    assert part["frame"].min() >= 20


def test_maps_of_a_cropped_movie_are_cropped(scene):
    rng = np.random.default_rng(1)
    offset = rng.uniform(80, 400, (50, 70)).astype(np.float32)
    camera = Camera("cmos", offset, np.float32(0.5), 1.2)
    frames, truth = simulate(camera=camera)
    stack = FrameStack.from_array(frames).crop((5, 45), (7, 67))
    table = localize_frames(stack, camera, PIXEL_NM)
    a, _ = match(table, truth)
    assert len(a) / table.n_rows > 0.95
    assert np.median(table["background_photons"]) == pytest.approx(12.0, rel=0.08)


def test_emccd_uncertainty_is_honest():
    camera = Camera("emccd", 200.0, 10.0, 30.0, em_gain=200.0, qe=0.9)
    frames, truth = simulate(n_frames=120, camera=camera, seed=5)
    table = localize_frames(FrameStack.from_array(frames), camera, PIXEL_NM)
    a, b = match(table, truth)
    clean = table["flags"][a] == 0
    pull = (table["x_nm"][a] - truth[b, 1] * PIXEL_NM)[clean] / table["uncertainty_x_nm"][a][clean]
    assert 0.85 < np.percentile(np.abs(pull), 68.3) < 1.15
    assert np.median(table["photons"][a] * 0.9 / truth[b, 3]) == pytest.approx(1.0, abs=0.03)
    ideal = localize_frames(FrameStack.from_array(frames), Camera("cmos", 200.0, 10.0 / 200.0, 0.15), PIXEL_NM)
    c, _ = match(ideal, truth)
    ratio = np.median(table["uncertainty_x_nm"][a]) / np.median(ideal["uncertainty_x_nm"][c])
    assert ratio == pytest.approx(np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (30, 1, 1), (1, 2, 2), (2, 3, 3), (25, 4, 4), (5, 5, 5), (30, 1, 64), (1, 40, 40)]
)
@pytest.mark.parametrize("kind", ["noise", "constant", "zero", "nan", "negative", "saturated"])
def test_odd_frames_never_crash(shape, kind):
    frames = np.random.default_rng(0).poisson(20, shape) + 100.0
    if kind == "constant":
        frames[:] = 105
    elif kind == "zero":
        frames[:] = 0
    elif kind == "nan":
        frames[::2] = np.nan
    elif kind == "negative":
        frames -= 500
    elif kind == "saturated":
        frames[..., ::2] = 65535
    if kind in ("constant", "zero", "saturated"):
        frames = frames.astype(np.uint16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = localize_stack(FrameStack.from_array(frames), CAMERA, PIXEL_NM)
    assert len(result.table.names) == 20
    assert result.n_nan_pixels == np.isnan(frames).sum()
    assert result.n_negative_pixels == (frames < 0).sum()
    assert result.n_saturated_pixels == (frames == 65535).sum()
    if kind in ("constant", "zero"):
        assert result.table.n_rows == 0


def test_a_dense_movie_uses_the_spatial_background():
    frames, _ = simulate(n_frames=30, n=120, shape=(40, 40))
    result = localize_stack(FrameStack.from_array(frames), CAMERA, PIXEL_NM)
    assert result.background == "spatial"
    few, _ = simulate(n_frames=15)
    assert localize_stack(FrameStack.from_array(few), CAMERA, PIXEL_NM).background == "spatial"


def test_a_fading_background_is_followed():
    """Structure that bleaches over the movie must not be detected at either end."""
    rng = np.random.default_rng(2)
    grid = gaussian_images([[x, y, 1500.0, 0.0, 1.4, 1.4] for x in (10, 25, 40) for y in (10, 25, 40)], (50, 50)).sum(
        0
    )
    fade = np.exp(-np.arange(600) / 300)
    frames = CAMERA.to_adu(10 + fade[:, None, None] * grid, rng)
    settings = LocalizationSettings(psf_sigma_px=1.3, block_frames=60, background="temporal")
    found = localize_frames(FrameStack.from_array(frames), CAMERA, PIXEL_NM, settings)
    assert found.n_rows < 0.05 * 9 * 600


def test_neighbours_are_fitted_with_each_other_in_mind():
    rng = np.random.default_rng(3)
    pair = [[20.0, 20.5, 2500.0, 0.0, 1.3, 1.3], [23.9, 20.5, 2500.0, 0.0, 1.3, 1.3]]
    expected = 10 + gaussian_images(pair, (40, 40)).sum(axis=0)
    frames = CAMERA.to_adu(np.broadcast_to(expected, (80, 40, 40)), rng)
    settings = LocalizationSettings(background="spatial", psf_sigma_px=1.3, false_positives_per_frame=1e-4)
    table = localize_frames(FrameStack.from_array(frames), CAMERA, PIXEL_NM, settings)
    assert table.n_rows == pytest.approx(160, abs=3)
    left = table["x_nm"] < 2200
    assert table["x_nm"][left].mean() == pytest.approx(2000.0, abs=2.0)
    assert table["x_nm"][~left].mean() == pytest.approx(2390.0, abs=2.0)
    assert table["photons"].mean() == pytest.approx(2500.0, rel=0.02)
    assert table["x_nm"][left].std() < 1.3 * np.median(table["uncertainty_x_nm"])


def test_progress_and_blocks(scene):
    stack = FrameStack.from_array(scene[0])
    told = []
    settings = LocalizationSettings(block_frames=25)
    localize_frames(stack, CAMERA, PIXEL_NM, settings, lambda done, total: told.append((done, total)))
    assert told == [(30, 60), (60, 60)]
    blocks = list(read_ahead(stack, CAMERA, block_edges(stack.n_frames, 25)))
    assert [(b.start, len(b)) for b in blocks] == [(0, 30), (30, 30)]
    np.testing.assert_allclose(blocks[1].raw_e, CAMERA.electrons(scene[0][30:]))
    assert frames_per_block((2048, 2048), 200, 24) == 24
    assert frames_per_block((64, 64), 200, 24) == 200


def test_a_read_that_fails_is_raised(scene):
    def load(start, stop):
        if stop > 40:
            raise OSError("the disk is gone")
        return scene[0][start:stop]

    stack = FrameStack(load, scene[0].shape, scene[0].dtype)
    with pytest.raises(OSError, match="the disk is gone"):
        localize_frames(stack, CAMERA, PIXEL_NM, LocalizationSettings(psf_sigma_px=1.3, block_frames=20))


def test_a_given_width_is_used_and_an_unknown_one_is_assumed(scene):
    stack = FrameStack.from_array(scene[0])
    result = localize_stack(stack, CAMERA, PIXEL_NM, LocalizationSettings(psf_sigma_px=1.5))
    assert (result.psf_sigma_px, result.psf_sigma_source) == (1.5, "given")
    nothing = np.random.default_rng(0).poisson(10, (5, 30, 30)).astype(np.uint16)
    assert localize_stack(FrameStack.from_array(nothing), CAMERA, PIXEL_NM).psf_sigma_source == "assumed"


@pytest.mark.parametrize("sigma", [0.9, 2.0])
def test_the_width_is_found(sigma):
    frames, _ = simulate(n_frames=30, shape=(60, 60), n=4, sigma=sigma, electrons=4000.0, seed=7)
    result = localize_stack(FrameStack.from_array(frames), CAMERA, PIXEL_NM)
    assert result.psf_sigma_px == pytest.approx(sigma, rel=0.04)


def test_impossible_settings_are_refused():
    with pytest.raises(SettingsError, match="expected an odd number of pixels, got 8; use 9"):
        LocalizationSettings.create(roi_size_px=8)
