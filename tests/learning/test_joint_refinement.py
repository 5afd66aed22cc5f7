"""Joint fits of what the dense network listed: places, certainty, and what is left to the network."""

import numpy as np
import pytest
import torch

from stormcell.learning.dense_inference import ComponentList
from stormcell.learning.joint_refinement import JointRefinement
from stormcell.learning.psf_fitting import FittedPSF
from stormcell.physics.psf.model import make_psf
from stormcell.physics.psf.settings import DiffractionPSFSettings

PSF = make_psf(DiffractionPSFSettings(), 100.0)
BACKGROUND, VARIANCE = 20.0, 1.5
SHAPE = (48, 48)


def drawn(x, y, electrons):
    tensors = (torch.as_tensor(np.asarray(v, float)) for v in (x, y, electrons))
    return PSF.images(*tensors, SHAPE).sum(dim=0).numpy()


@pytest.fixture(scope="module")
def refinement():
    one = torch.ones(1, dtype=torch.float64)
    image = PSF.images(10.5 * one, 10.5 * one, one, (21, 21))[0]
    return JointRefinement(
        FittedPSF(torch.zeros(4), 1.0, (image / image.sum()).float()), np.full(SHAPE, VARIANCE, np.float32)
    )


def listed(rows, frame=None):
    """Rows of (probability, x, y, electrons)."""
    made = np.empty((len(rows), 9), np.float32)
    for k, (probability, x, y, electrons) in enumerate(rows):
        level = 2 * np.sqrt(BACKGROUND + VARIANCE + 0.375)
        made[k] = [probability, x, y, 0.2, 0.2, np.log(electrons), np.log(0.2), level, 0.0]
    return ComponentList(np.zeros(len(rows), np.int64) if frame is None else np.asarray(frame), made)


def frames_with(x, y, electrons, seed=3):
    rng = np.random.default_rng(seed)
    noisy = rng.poisson(BACKGROUND + drawn(x, y, electrons)) + rng.normal(0, VARIANCE**0.5, SHAPE)
    return noisy[None].astype(np.float32)


def test_emitters_are_placed_and_faint_rows_stay_behind_them(refinement):
    x, y, electrons = [12.3, 14.9, 33.0], [20.2, 21.0, 30.6], [2500.0, 2000.0, 3000.0]
    rows = [(0.9, 12.7, 20.0, 2000), (0.8, 14.6, 21.3, 2200), (0.95, 33.2, 30.4, 2500), (0.1, 5.0, 5.0, 100)]
    found = refinement.refine(listed(rows), frames_with(x, y, electrons))
    assert len(found.rows) == 4
    order = np.argsort(found.rows[:3, 1])
    np.testing.assert_allclose(found.rows[:3, 1][order], x, atol=0.2)
    np.testing.assert_allclose(np.exp(found.rows[:3, 5])[order], electrons, rtol=0.15)
    np.testing.assert_array_equal(found.rows[3], listed(rows).rows[3])
    background = (found.rows[:3, 7] / 2) ** 2 - 0.375 - VARIANCE
    np.testing.assert_allclose(background, BACKGROUND, rtol=0.15)
    # the lone one is as sure as its bound says, the pair less
    lone, pair = found.rows[:3, 3][order][2], found.rows[:3, 3][order][:2]
    assert 0.02 < lone < 0.08 < pair.min()


def test_the_likelihood_speaks_beside_sure_emitters_alone(refinement):
    frames = frames_with([12.0, 14.6, 36.0], [20.0, 20.4, 36.0], [3000.0, 900.0, 400.0])
    beside = refinement.refine(listed([(0.95, 12.0, 20.0, 2500), (0.35, 14.4, 20.3, 800)]), frames)
    assert beside.rows[:, 0].min() > 0.5
    alone = refinement.refine(listed([(0.35, 36.0, 36.1, 400)]), frames)
    np.testing.assert_allclose(alone.rows[:, 0], 0.35, rtol=1e-5)


@pytest.mark.parametrize(("depth_nm", "shares_psf"), [(0.0, True), (500.0, False)])
def test_emitters_at_many_heights_are_noticed(refinement, depth_nm, shares_psf):
    rng = np.random.default_rng(8)
    deep = make_psf(DiffractionPSFSettings(), 100.0, z_range_nm=600.0, z_step_nm=100.0)
    x, y = (axis.ravel() + rng.uniform(-2, 2, 16) for axis in np.meshgrid(*[np.linspace(6, 42, 4)] * 2))
    frames, rows, frame = [], [], []
    for t in range(12):
        arrays = (x, y, np.full(16, 3000.0), rng.uniform(-depth_nm, depth_nm, 16))
        tensors = [torch.as_tensor(values) for values in arrays]
        expected = BACKGROUND + deep.images(*tensors[:3], SHAPE, z_nm=tensors[3]).sum(dim=0).numpy()
        frames.append(rng.poisson(expected) + rng.normal(0, VARIANCE**0.5, SHAPE))
        rows += [(0.9, a, b, 3000.0) for a, b in zip(x, y, strict=True)]
        frame += [t] * 16
    misfit = refinement.misfit(listed(rows, frame), np.stack(frames).astype(np.float32))
    assert (misfit < 0.002) == shares_psf
    assert misfit > -0.01


def test_wide_psfs_are_fitted_within_their_patch():
    axis = torch.arange(21) - 10.0
    image = torch.exp(-(axis[:, None] ** 2 + axis**2) / (2 * 3.5**2))
    wide = JointRefinement(FittedPSF(torch.zeros(4), 1.0, image / image.sum()), np.full(SHAPE, VARIANCE, np.float32))
    y, x = np.mgrid[0:48, 0:48] + 0.5
    spot = np.exp(-((x - 24.3) ** 2 + (y - 23.6) ** 2) / (2 * 3.5**2))
    frame = np.random.default_rng(4).poisson(BACKGROUND + 9000 * spot / spot.sum())[None].astype(np.float32)
    found = wide.refine(listed([(0.9, 24.0, 24.0, 8000)]), frame)
    np.testing.assert_allclose(found.rows[0, 1:3], (24.3, 23.6), atol=0.3)


def test_rows_where_an_emitter_was_fitted_are_not_kept_beside_it(refinement):
    frames = frames_with([12.0], [20.0], [3000.0])
    found = refinement.refine(
        listed([(0.95, 12.2, 20.0, 2500), (0.1, 12.3, 20.2, 300), (0.1, 30.0, 30.0, 300)]), frames
    )
    assert len(found.rows) == 2
    np.testing.assert_allclose(found.rows[1, 1:3], 30.0)


def test_emitters_at_the_rim_stay(refinement):
    found = refinement.refine(
        listed([(0.9, 0.2, 20.0, 2500), (0.9, -0.4, 35.0, 2500)]),
        frames_with([0.3, -0.3], [20.2, 35.1], [3000.0, 4000.0]),
    )
    np.testing.assert_allclose(found.rows[:, 2], (20.2, 35.1), atol=0.4)


def test_nothing_listed_gives_nothing(refinement):
    none = ComponentList.none()
    assert len(refinement.refine(none, frames_with([20.0], [20.0], [2000.0])).rows) == 0
