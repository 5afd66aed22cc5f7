"""Conditions read from movies whose truth is known; the movies come from the simulator in conftest.py."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stormcell.calibration.acquisition import AcquisitionEstimate, estimate_acquisition
from stormcell.calibration.acquisition_settings import AcquisitionSettings
from stormcell.data import FrameStack
from stormcell.errors import InputError, SettingsError
from stormcell.physics.cameras import CameraSettings

Movie = Callable[..., np.ndarray]
CAMERA = CameraSettings(camera_type="cmos", offset_adu=100.0, read_noise_e=1.6)
IDEAL = CameraSettings(camera_type="ideal", offset_adu=100.0)


def estimate(frames: np.ndarray, camera: CameraSettings | None = CAMERA, size: float = 100.0) -> AcquisitionEstimate:
    return estimate_acquisition(FrameStack.from_array(frames), camera, size)


def relative(found: AcquisitionEstimate, name: str, truth: float) -> float:
    value = found[name].value
    assert isinstance(value, float)
    return value / truth - 1


def covers(found: AcquisitionEstimate, name: str, truth: float) -> bool:
    """Whether the 90 % interval, widened by half, holds the truth: one draw in seventy may miss it."""
    low, high = found[name].interval or (np.nan, np.nan)
    middle, half = (low + high) / 2, (high - low) / 2
    return abs(truth - middle) <= 1.5 * half


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"density_per_px": 0.025, "sigma_px": 1.4, "photons": 2000.0},
        {"log_spread": 0.6, "background": 60.0, "gain": 2.0},
    ],
)
def test_photons_background_density_and_gain_with_offset_and_read_noise(
    movie: Movie, changes: dict[str, float]
) -> None:
    truth = {"sigma_px": 1.1, "photons": 1000.0, "background": 20.0, "density_per_px": 0.008, "gain": 0.5} | changes
    found = estimate(movie(**changes))
    assert abs(relative(found, "psf_sigma_px", truth["sigma_px"])) < 0.03
    assert abs(relative(found, "photons_mean", truth["photons"])) < 0.12
    assert abs(relative(found, "background_photons", truth["background"])) < 0.06
    # 100 nm pixels: 100 to the square micrometre
    assert abs(relative(found, "density_per_um2", 100 * truth["density_per_px"])) < 0.15
    assert abs(relative(found, "gain_e_per_adu", truth["gain"])) < 0.03
    for name, value in (
        ("psf_sigma_px", truth["sigma_px"]),
        ("photons_mean", truth["photons"]),
        ("background_photons", truth["background"]),
        ("density_per_um2", 100 * truth["density_per_px"]),
        ("gain_e_per_adu", truth["gain"]),
    ):
        assert covers(found, name, value), name
    assert found["offset_adu"].source == "given"
    assert found["tail_fraction"].value == pytest.approx(0, abs=0.04)
    assert found["psf_ellipticity"].value < 0.03


def test_without_the_offset_the_background_is_effective(movie: Movie) -> None:
    found = estimate(movie(read_noise=4.0), CameraSettings(camera_type="cmos"))
    background = found["background_photons"]
    assert background.detail.startswith("effective")
    assert covers(found, "background_photons", 20 + 4.0**2)
    assert "cannot tell" in found["offset_adu"].detail


def test_on_time_of_emitters_that_stay(movie: Movie) -> None:
    found = estimate(movie(mean_on_frames=2.5, density_per_px=0.01))
    assert found["on_time_frames"].value == pytest.approx(2.5, rel=0.2)
    assert covers(found, "on_time_frames", 2.5)
    alone = estimate(movie())
    assert alone["on_time_frames"].value is None
    assert "other emitters" in alone["on_time_frames"].detail


def test_an_elliptical_spot_is_seen_with_its_direction(movie: Movie) -> None:
    # every second row and column left out of a larger movie would alias: stretch by summing pairs of columns instead
    frames = movie(sigma_px=1.5, shape=(64, 96), density_per_px=0.006, read_noise=0.0).astype(np.int64) - 100
    squeezed = (frames[:, :, ::2] + frames[:, :, 1::2] + 100).astype(np.uint16)
    found = estimate(squeezed, IDEAL)
    # 1.5 px along y, 0.75 px along x
    assert found["psf_ellipticity"].value == pytest.approx(1 / 3, abs=0.06)
    assert abs(np.sin(found["psf_angle_rad"].value)) == pytest.approx(1, abs=0.05)


def test_without_spots_little_is_said() -> None:
    found = estimate(np.random.default_rng(0).poisson(50, (80, 48, 48)).astype(np.uint16) + 100, IDEAL)
    for name in ("psf_sigma_nm", "photons_mean", "density_per_um2"):
        assert found[name].value is None
        assert "no blinking spots" in found[name].detail
    assert found["background_photons"].value == pytest.approx(50, rel=0.05)


def test_settings_carry_values_intervals_and_reasons(movie: Movie) -> None:
    found = estimate(movie())
    settings = found.settings({"version": "1"})
    assert settings.photons_mean == found["photons_mean"].value
    assert settings.intervals["density_per_um2"] == found["density_per_um2"].interval
    assert settings.on_time_frames is None
    assert "other emitters" in settings.notes["on_time_frames"]
    assert settings.camera is not None
    assert settings.camera.missing == ()
    again = AcquisitionSettings.create(**settings.model_dump(mode="json"))
    assert again == settings


def test_the_result_is_reproducible(movie: Movie) -> None:
    first, second = (estimate(movie()).quantities for _ in range(2))
    assert first == second


def test_an_unknown_camera_is_said(movie: Movie) -> None:
    assert "camera type is not known" in " ".join(estimate(movie(), None).warnings)


@pytest.mark.parametrize(
    ("frames", "size", "reason"),
    [
        (np.full((50, 32, 32), 107, np.uint16), 100.0, "all alike"),
        (np.zeros((2, 32, 32), np.uint16), 100.0, "at least 4 frames"),
        (np.zeros((50, 4, 4), np.uint16), 100.0, "8 x 8 px"),
        (np.zeros((50, 32, 32), np.uint16), 0.1, "pixel_size_nm"),
    ],
)
def test_impossible_movies_are_refused(frames: np.ndarray, size: float, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        estimate(frames, CAMERA, size)


def test_an_offset_above_the_grey_values_is_refused(movie: Movie) -> None:
    with pytest.raises(SettingsError, match="offset_adu: expected below the movie's mean grey value"):
        estimate(movie(), CAMERA.replace(offset_adu=5000.0))


def test_what_no_acquisition_has_is_left_out(movie: Movie) -> None:
    found = estimate(movie())
    strange = replace(
        found, quantities=tuple(replace(q, value=1e9) if q.name == "photons_sd" else q for q in found.quantities)
    )
    settings = strange.settings()
    assert settings.photons_sd is None
    assert "no acquisition has" in settings.notes["photons_sd"]
    assert settings.photons_mean == found["photons_mean"].value


def test_deepstorm_training_frames(shared_data: Any) -> None:
    """Truth by regression on the true positions: 2.06 ADU per photon, background 15 to 17, 2000 to 2500 photons."""
    tifffile = pytest.importorskip("tifffile")
    frames = tifffile.imread(shared_data / "deepstorm_training" / "stack.tif")
    found = estimate(frames, CameraSettings(camera_type="emccd", offset_adu=100.0, read_noise_e=0.0))
    assert 1.06 <= found["psf_sigma_px"].value <= 1.15
    assert abs(relative(found, "density_per_um2", 6.05)) < 0.2
    assert abs(relative(found, "photons_mean", 2250)) < 0.25
    assert abs(relative(found, "gain_e_per_adu", 1 / 2.06)) < 0.1
