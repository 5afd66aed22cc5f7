"""What keeps the dense network honest where the world is not as promised: noise, bad pixels, still light."""

from dataclasses import replace

import numpy as np
import pytest

from stormcell.data import FrameStack
from stormcell.learning.bad_pixels import find_hot_pixels, repair_pixels
from stormcell.learning.dense_calibration import calibrate, is_crowded, weigh_faint
from stormcell.learning.measured_noise import measure_noise
from stormcell.learning.still_light import Pending, StillLight, gaussian_square_share
from stormcell.physics.cameras import Camera
from stormcell.physics.gaussian import gaussian_images

CAMERA = Camera("cmos", offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.5)


def spot(x, y, electrons, sigma):
    return gaussian_images((x, y, electrons, 0.0, sigma, sigma), (13, 13))[0]


def spots(n_frames, side, per_frame, electrons, seed, background=20.0):
    rng = np.random.default_rng(seed)
    expected = np.full((n_frames, side, side), background)
    for frame in expected:
        for x, y in rng.uniform(0, side, (per_frame, 2)):
            column, row = int(x), int(y)
            if 6 <= column < side - 6 and 6 <= row < side - 6:
                window = spot(x - column + 6, y - row + 6, electrons, 1.1)
                frame[row - 6 : row + 7, column - 6 : column + 7] += window
    return expected


@pytest.fixture(scope="module")
def blinking():
    rng = np.random.default_rng(4)
    return FrameStack.from_array(CAMERA.to_adu(spots(40, 48, 8, 1500.0, 3), rng))


@pytest.mark.parametrize(("factor", "as_promised"), [(1.0, True), (2.0, False), (0.5, False)])
def test_a_wrong_gain_shows_in_the_noise(blinking, factor, as_promised):
    noise = measure_noise(blinking, replace(CAMERA, gain_e_per_adu=0.5 * factor))
    assert noise.is_as_promised == as_promised
    assert noise.scale == pytest.approx(factor, rel=0.12)
    assert bool(noise.sentence) != as_promised


def test_read_noise_that_was_left_out_is_found_in_the_dark():
    rng = np.random.default_rng(5)
    loud = replace(CAMERA, read_noise_e=6.0)
    stack = FrameStack.from_array(loud.to_adu(spots(60, 48, 4, 1500.0, 6, background=2.0), rng))
    noise = measure_noise(stack, replace(CAMERA, read_noise_e=0.0))
    assert noise.scale == pytest.approx(1.0, abs=0.35)
    assert np.sqrt(noise.read_variance_e2.mean()) == pytest.approx(6.0, rel=0.15)


def test_hot_pixels_do_not_change_the_measured_noise():
    rng = np.random.default_rng(6)
    frames = CAMERA.to_adu(spots(40, 48, 8, 1500.0, 3), rng).astype(float)
    frames[:, [5, 20, 33], [7, 30, 12]] += 40_000
    assert measure_noise(FrameStack.from_array(frames.astype(np.uint16)), CAMERA).is_as_promised


def test_a_saturated_track_in_one_frame_does_not_change_the_measured_noise(blinking):
    struck = blinking.read(0, blinking.n_frames).copy()
    struck[20, 20, 20:25] = 65_535
    assert measure_noise(FrameStack.from_array(struck), CAMERA).is_as_promised


def test_one_frame_leaves_the_camera_as_promised(blinking):
    assert measure_noise(blinking.frames(0, 1), CAMERA).is_as_promised


def test_single_pixels_are_replaced_and_the_sharpest_spot_is_not():
    rng = np.random.default_rng(7)
    frames = rng.poisson(20, (3, 20, 20)).astype(np.float32)
    frames[0, 3:16, 3:16] += spot(6.5, 6.5, 3000.0, 0.6).astype(np.float32)
    frames[1, 5, 9] += 500
    before = frames.copy()
    assert repair_pixels(frames, np.full((20, 20), 2.0, np.float32), np.zeros((20, 20), bool)) == 1
    np.testing.assert_array_equal(frames[0], before[0])
    assert frames[1, 5, 9] == pytest.approx(20, abs=6)


def test_faint_hot_pixels_are_found_in_the_mean():
    frames = np.random.default_rng(8).poisson(20, (60, 20, 20)).astype(np.float32)
    frames[:, 11, 4] += 20  # 4 sigma of one frame
    found = find_hot_pixels(frames, np.zeros((20, 20), np.float32))
    assert np.argwhere(found).tolist() == [[11, 4]]


def judged(frames, x, y, electrons, frame):
    still = StillLight(np.full(frames.shape[1:], 2.0, np.float32), gaussian_square_share(1.1))
    rows = Pending({"frame": np.array(frame)}, np.array(x, float), np.array(y, float), np.array(electrons, float))
    still.add(frames.astype(np.float32), rows)
    return still.finish() if frames.shape[0] < 64 else None, still


def test_rows_on_an_edge_are_left_out_and_blinking_ones_stay():
    rng = np.random.default_rng(9)
    frames = np.full((48, 40, 40), 20.0)
    frames[:, :, :20] = 200.0  # an edge that stands still
    frames[10, 24:37, 24:37] += spot(6.5, 6.5, 800.0, 1.1)
    noisy = rng.poisson(frames)
    edge = list(range(0, 48, 2))
    (columns,), still = judged(
        noisy, [20.0] * len(edge) + [30.5], [20.0] * len(edge) + [30.5], [900.0] * len(edge) + [800.0], [*edge, 10]
    )
    assert columns["frame"].tolist() == [10]
    assert still.n_rejected == len(edge)


def test_too_few_frames_decide_nothing():
    (columns,), still = judged(np.full((8, 20, 20), 20.0), [10.0], [10.0], [900.0], [3])
    assert columns["frame"].tolist() == [3]
    assert still.n_rejected == 0


def test_calibration_tells_isolated_rows_from_crowded_ones():
    columns = {
        "frame": np.array([0, 0, 0, 1]),
        "x_nm": np.array([1000.0, 1200.0, 3000.0, 1000.0]),
        "y_nm": np.array([1000.0, 1000.0, 1000.0, 1000.0]),
        "photons": np.full(4, 100.0),
        **{f"uncertainty_{name}": np.full(4, 10.0) for name in ("x_nm", "y_nm", "photons")},
    }
    assert is_crowded(columns, 100.0).tolist() == [True, True, False, False]
    calibrate(columns, {"sigma_crowded": 1.5, "sigma_isolated": 1.1, "photons": 1.2}, 100.0)
    assert columns["uncertainty_x_nm"] == pytest.approx([15, 15, 11, 11])
    assert columns["photons"] == pytest.approx(np.full(4, 120.0))


def test_faint_rows_need_more_evidence_than_bright_ones():
    rows = np.zeros((2, 9), np.float32)
    rows[:, 5] = np.log([150.0, 5000.0])
    rows[:, 7] = 2 * np.sqrt(25.375)
    columns = {"probability": np.array([0.6, 0.6])}
    weigh_faint(rows, columns, 1.1, np.full((4, 4), 2.0, np.float32))
    assert columns["probability"][0] < 0.4
    assert columns["probability"][1] == pytest.approx(0.6)
