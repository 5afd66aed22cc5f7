"""What never blinks: beads and edges neither spoil the measured noise nor the PSF, nor end up in the table."""

import numpy as np
import pytest
from scipy import ndimage

from stormcell.data import FrameStack
from stormcell.learning.measured_noise import measure_noise
from stormcell.learning.still_light import Pending, StillLight, gaussian_square_share
from stormcell.physics.cameras import Camera

SCMOS = Camera("cmos", offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.5)
SIDE = 64


def recorded(expected_e, n_frames=32, seed=1, camera=SCMOS):
    rng = np.random.default_rng(seed)
    frames = camera.to_adu(np.broadcast_to(expected_e, (n_frames, *expected_e.shape)), rng)
    return FrameStack.from_array(np.clip(frames, 0, 65535).astype(np.uint16))


def bead(electrons, sigma=1.3):
    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    spot = np.exp(-((x - 32.3) ** 2 + (y - 32.3) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return 25 + electrons * spot


@pytest.mark.parametrize("electrons", [2e4, 1e5])
def test_a_bright_bead_does_not_change_the_noise_that_is_believed(electrons):
    assert measure_noise(recorded(bead(electrons)), SCMOS).is_as_promised


@pytest.mark.parametrize("electrons", [2e4, 1e5])
def test_a_wrong_gain_is_noticed_beside_a_bead(electrons):
    told = Camera("cmos", offset_adu=100.0, gain_e_per_adu=1.5, read_noise_e=1.5)
    found = measure_noise(recorded(bead(electrons)), told)
    assert not found.is_as_promised
    assert found.scale == pytest.approx(3.0, rel=0.2)


def test_hot_pixels_do_not_change_it_either():
    expected = np.full((SIDE, SIDE), 25.0)
    rng = np.random.default_rng(2)
    stack = recorded(expected).read().astype(np.int64)
    stack[:, rng.integers(4, 60, 12), rng.integers(4, 60, 12)] += 20_000
    assert measure_noise(FrameStack.from_array(stack.astype(np.uint16)), SCMOS).is_as_promised


def judged(frames, x, y, electrons):
    """Share of the rows that stay; every frame lists the same number."""
    still = StillLight(np.full(frames.shape[1:], 2.25, np.float32), gaussian_square_share(1.3))
    rows = Pending({"row": np.arange(x.size)}, x.ravel(), y.ravel(), electrons.ravel())
    kept = [part["row"] for part in (*still.add(frames, rows), *still.finish())]
    return sum(len(part) for part in kept) / x.size


def test_faint_rows_along_an_edge_are_left_out_though_none_is_bright_enough_to_be_missed():
    rng = np.random.default_rng(4)
    edge = ndimage.gaussian_filter1d(np.where(np.arange(SIDE) < 32, 10.0, 400.0), 1.5)
    frames = rng.poisson(np.broadcast_to(edge, (20, SIDE, SIDE))).astype(np.float32)
    shape = (20, 80)
    assert judged(frames, rng.normal(33, 0.5, shape), rng.uniform(0, SIDE, shape), np.full(shape, 250.0)) < 0.25


def test_rows_of_a_dense_filament_stay():
    rng = np.random.default_rng(5)
    n_frames, per_frame, electrons = 20, 60, 600.0
    x, y = rng.normal(33, 0.2, (n_frames, per_frame)), rng.uniform(4, SIDE - 4, (n_frames, per_frame))
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    light = np.full((n_frames, SIDE, SIDE), 30.0)
    for frame, x_here, y_here in zip(light, x, y, strict=True):
        for x0, y0 in zip(x_here, y_here, strict=True):
            spot = np.exp(-((columns - x0) ** 2 + (rows - y0) ** 2) / (2 * 1.3**2)) / (2 * np.pi * 1.3**2)
            frame += electrons * spot
    frames = rng.poisson(light).astype(np.float32)
    assert judged(frames, x, y, np.full(x.shape, electrons)) > 0.98
