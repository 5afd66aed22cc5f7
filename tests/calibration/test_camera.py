"""The camera estimate on movies whose gain and offset are known."""

from collections.abc import Callable

import numpy as np
import pytest

from stormcell.calibration.camera import CameraEstimate, estimate_camera
from stormcell.data import FrameStack
from stormcell.physics.cameras import CameraSettings

Movie = Callable[..., np.ndarray]


def estimate(frames: np.ndarray, camera_type: str = "cmos", **known: float) -> CameraEstimate:
    settings = CameraSettings(camera_type=camera_type, **known) if known else None
    return estimate_camera(FrameStack.from_array(frames), camera_type, settings)


@pytest.mark.parametrize(
    ("emccd", "gain", "changes"),
    [
        (False, 0.5, {}),
        (False, 5.0, {"photons": 4000.0, "background": 60.0}),
        (True, 2.0, {"photons": 2000.0, "density_per_px": 0.015, "read_noise": 0.1}),
        (False, 0.5, {"mean_on_frames": 3.0}),
    ],
)
def test_gain_and_effective_offset_without_any_knowledge(
    movie: Movie, emccd: bool, gain: float, changes: dict[str, float]
) -> None:
    found = estimate(movie(emccd=emccd, gain=gain, **changes), "emccd" if emccd else "cmos")
    value, interval = found["gain_e_per_adu"].value, found["gain_e_per_adu"].interval
    assert value == pytest.approx(gain, rel=0.12)
    # the 90 % interval, widened by half: one draw in fifty may miss it
    low, high = np.log(interval)
    assert abs(np.log(gain) - (low + high) / 2) < 1.5 * (high - low) / 2
    noise, factor = changes.get("read_noise", 1.6), 2 if emccd else 1
    effective = 100 - noise**2 / gain / factor
    low, high = found["offset_adu"].interval
    assert abs(effective - (low + high) / 2) < 1.5 * (high - low) / 2
    assert found.settings().missing == ()
    assert found.settings().read_noise_e == 0


def test_the_other_camera_type_doubles_the_gain(movie: Movie) -> None:
    gains = [estimate(movie(), kind)["gain_e_per_adu"].value for kind in ("cmos", "emccd")]
    assert gains[1] / gains[0] == pytest.approx(2, rel=0.05)


def test_a_known_offset_makes_the_gain_precise(movie: Movie) -> None:
    found = estimate(movie(), offset_adu=100.0, read_noise_e=1.6)
    assert found["gain_e_per_adu"].value == pytest.approx(0.5, rel=0.02)
    assert found["offset_adu"].source == "given"
    assert found.settings().read_noise_e == 1.6


def test_a_known_gain_gives_the_effective_offset(movie: Movie) -> None:
    found = estimate(movie(), gain_e_per_adu=0.5)
    assert found["offset_adu"].value == pytest.approx(100 - 1.6**2 / 0.5, abs=1.5)


def test_em_gain_is_divided_out(movie: Movie) -> None:
    frames = movie(emccd=True, gain=0.1, read_noise=0.1)
    found = estimate(frames, "emccd", em_gain=100.0, offset_adu=100.0, read_noise_e=10.0)
    assert found["gain_e_per_adu"].value == pytest.approx(10.0, rel=0.03)


def test_an_inverted_gain_is_reported(movie: Movie) -> None:
    found = estimate(movie(), gain_e_per_adu=2.0, offset_adu=100.0)
    assert "ADU per electron" in " ".join(found.warnings)
    assert estimate(movie(), gain_e_per_adu=0.5, offset_adu=100.0).warnings == ()


def test_a_static_gradient_is_enough() -> None:
    rng = np.random.default_rng(0)
    frames = 100 + rng.poisson(np.linspace(20, 300, 64), (100, 64, 64)) / 0.7
    found = estimate(np.rint(frames).astype(np.uint16))
    assert found["gain_e_per_adu"].value == pytest.approx(0.7, rel=0.05)
    assert found["offset_adu"].value == pytest.approx(100, abs=6)


def test_constant_background_is_not_identifiable() -> None:
    frames = np.random.default_rng(0).poisson(50, (80, 48, 48)).astype(np.uint16)
    found = estimate(frames)
    assert found["gain_e_per_adu"].value is None
    assert "varies too little" in found["gain_e_per_adu"].detail
    assert not found.identifiable


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (np.full((50, 32, 32), 7, np.uint16), "all alike"),
        (np.zeros((2, 32, 32), np.uint16), "at least 4 frames"),
        (np.zeros((50, 4, 4), np.uint16), "at least 4 frames"),
    ],
)
def test_what_a_movie_cannot_tell_is_said(frames: np.ndarray, reason: str) -> None:
    found = estimate(frames)
    assert found["gain_e_per_adu"].value is None
    assert reason in found["gain_e_per_adu"].detail
    assert reason in " ".join(found.warnings)


def test_rounded_noise_is_not_identifiable(movie: Movie) -> None:
    frames = (movie(density_per_px=0.0005) // 64).astype(np.uint8)
    assert "lost in rounding" in estimate(frames)["gain_e_per_adu"].detail


def test_rescaled_values_are_noticed(movie: Movie) -> None:
    frames = np.rint(movie().astype(float) * 3.7).astype(np.uint16)
    found = estimate(frames)
    assert "rescaled" in " ".join(found.warnings)
    assert found["gain_e_per_adu"].value == pytest.approx(0.5 / 3.7, rel=0.12)


def test_nan_and_hot_pixels_do_not_upset_the_gain(movie: Movie) -> None:
    frames = movie().astype(float)
    frames[:, 10, 20] += np.random.default_rng(1).normal(0, 3000, len(frames))
    frames[3, 5, 5] = np.nan
    assert estimate(frames)["gain_e_per_adu"].value == pytest.approx(0.5, rel=0.12)


def test_real_dense_movie_with_known_gain(shared_data) -> None:
    tifffile = pytest.importorskip("tifffile")
    frames = tifffile.imread(shared_data / "deepstorm_training" / "stack.tif")
    found = estimate(frames, "emccd")
    low, high = found["gain_e_per_adu"].interval
    assert low < 1 / 2.06 < high
    assert found["gain_e_per_adu"].value == pytest.approx(1 / 2.06, rel=0.15)
