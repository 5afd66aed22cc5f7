"""Every flag is raised where it should be, and only there."""

import numpy as np
import pytest

from stormcell.data.frame_stack import FrameStack
from stormcell.localization.fits import FitModel, fit_spots
from stormcell.localization.flags import FLAGS, mask_of, names_of
from stormcell.localization.pipeline import LocalizationSettings, localize_frames
from stormcell.physics.cameras import Camera
from stormcell.physics.gaussian import gaussian_images

CAMERA = Camera("ideal", 100.0, 1.0, bit_depth=12)
KNOWN = LocalizationSettings(psf_sigma_px=1.3, false_positives_per_frame=1e-4)


def movie(*spots, side=40, background=10.0, seed=0):
    """One frame with spots (x, y, electrons, sigma)."""
    frame = np.full((side, side), background)
    for x, y, electrons, sigma in spots:
        frame += gaussian_images([x, y, electrons, 0.0, sigma, sigma], (side, side))[0]
    return np.random.default_rng(seed).poisson(frame)[None] + 100.0


def flags_of(frames, camera=CAMERA, settings=KNOWN):
    return localize_frames(FrameStack.from_array(frames), camera, 100.0, settings)["flags"]


def has(flags, name):
    return flags & FLAGS[name].mask != 0


def test_registry():
    assert [flag.bit for flag in FLAGS.values()] == list(range(len(FLAGS)))
    assert all(name == flag.name and flag.meaning for name, flag in FLAGS.items())
    for name in FLAGS:
        assert names_of(mask_of([name])) == (name,)
    assert names_of(mask_of(["at_edge", "poor_fit"])) == ("at_edge", "poor_fit")
    assert names_of(0) == ()


def test_a_clean_spot_has_no_flag():
    assert flags_of(movie((20.3, 19.8, 1500.0, 1.3))).tolist() == [0]


def test_at_edge():
    flags = flags_of(movie((20.3, 19.8, 1500.0, 1.3), (2.2, 30.0, 1500.0, 1.3)))
    assert sorted(has(flags, "at_edge").tolist()) == [False, True]


def test_near_neighbour():
    flags = flags_of(movie((20.0, 20.0, 2500.0, 1.3), (23.8, 20.0, 2500.0, 1.3), (33.0, 33.0, 2500.0, 1.3)))
    assert sorted(has(flags, "near_neighbour").tolist()) == [False, True, True]


def test_saturated_pixel():
    frames = movie((20.0, 20.0, 1500.0, 1.3), (33.0, 33.0, 1500.0, 1.3))
    frames[0, 20, 20] = 4095
    flags = flags_of(frames)
    assert sorted(has(flags, "saturated_pixel").tolist()) == [False, True]


def test_nan_pixel():
    frames = movie((20.0, 20.0, 1500.0, 1.3), (33.0, 33.0, 1500.0, 1.3))
    frames[0, 22, 20] = np.nan
    flags = flags_of(frames)
    assert sorted(has(flags, "nan_pixel").tolist()) == [False, True]


def test_poor_fit():
    ring = movie()[0]
    y, x = np.mgrid[:40, :40] + 0.5
    ring += 60.0 * (np.abs(np.hypot(x - 20, y - 20) - 3) < 0.8) + 150.0 * (np.hypot(x - 20, y - 20) < 1)
    assert has(flags_of(ring[None]), "poor_fit").any()


def test_sigma_at_bound():
    assert has(flags_of(movie((20.0, 20.0, 9000.0, 3.6))), "sigma_at_bound").all()


def test_bounds_and_failures_of_single_fits():
    low = fit_spots(np.full((1, 7, 7), -20.0, np.float32), 1.3)
    assert has(low.flags, "background_at_bound").all()
    edge = np.zeros((1, 9, 9), np.float32) + 1.0
    edge[0, :, 8] = 400.0
    assert has(fit_spots(edge, 1.3, start_xy_px=[[4.5, 4.5]]).flags, "position_at_bound").all()
    few = np.full((1, 7, 7), np.nan, np.float32)
    few[0, 3, 2:5] = 10.0
    found = fit_spots(few, 1.3)
    assert has(found.flags, "not_converged").all()
    assert np.isnan(found.uncertainty).all()


def test_photons_low():
    rng = np.random.default_rng(0)
    rois = rng.poisson(50.0, (200, 7, 7)).astype(np.float32)
    flags = fit_spots(rois, 1.3, model=FitModel(fit_sigma="fixed")).flags
    assert has(flags, "photons_low").mean() > 0.8


@pytest.mark.parametrize("kind", ["uint16", "float64"])
def test_integer_and_float_frames_agree(kind):
    frames = movie((20.3, 19.8, 1500.0, 1.3), seed=3).astype(kind)
    assert flags_of(frames).tolist() == [0]
