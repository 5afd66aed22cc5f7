"""The camera against its analytic mean and variance, in every combination of type, bit depth and light level."""

import numpy as np
import pytest

from stormcell.errors import InputError, MissingQuantityError, SettingsError
from stormcell.physics.camera_presets import PRESETS, camera_preset
from stormcell.physics.cameras import Camera, CameraSettings, check_gain_direction

CAMERAS = {
    "ideal": Camera("ideal", 100.0, 1.0),
    "cmos": Camera("cmos", 100.0, 0.5, 1.6),
    "cmos coarse": Camera("cmos", 100.0, 2.2, 4.0),
    "emccd": Camera("emccd", 200.0, 12.0, 60.0, em_gain=300.0),
    "emccd gain folded in": Camera("emccd", 100.0, 0.5, 1.0),
}


def expected_moments(camera: Camera, electrons: float) -> tuple[float, float]:
    """Mean and variance in ADU, written out anew: shot * F^2 * em^2 / g^2 + read^2 / g^2 + 1 / 12."""
    factor = {"ideal": 1, "cmos": 1, "emccd": 2}[camera.camera_type]
    mean = camera.offset_adu + electrons * camera.em_gain / camera.gain_e_per_adu
    shot = factor * electrons * camera.em_gain**2 + camera.read_noise_e**2
    rounding = 0 if camera.camera_type == "ideal" and camera.gain_e_per_adu == 1 else 1 / 12
    return mean, shot / camera.gain_e_per_adu**2 + rounding


@pytest.mark.parametrize("bit_depth", [12, 14, 16, 20, None])
@pytest.mark.parametrize("electrons", [3.0, 20.0, 60.0])
@pytest.mark.parametrize("name", CAMERAS)
def test_to_adu_has_the_exact_mean_and_variance(name: str, electrons: float, bit_depth: int | None) -> None:
    base = CAMERAS[name]
    camera = Camera(
        base.camera_type, base.offset_adu, base.gain_e_per_adu, base.read_noise_e, base.em_gain, 0.8, bit_depth
    )
    mean, variance = expected_moments(camera, electrons)
    assert mean + 8 * np.sqrt(variance) < camera.saturation_adu
    n = 60_000
    adu = camera.to_adu(np.full((6, 100, 100), electrons), np.random.default_rng(1))
    assert adu.dtype == (np.uint32 if bit_depth == 20 else np.uint16)
    assert adu.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / n))
    # the scatter of a sample variance, from the sample's own fourth moment
    deviation = (adu - mean) ** 2
    assert adu.var() == pytest.approx(variance, abs=4 * deviation.std() / np.sqrt(n))
    back = camera.electrons(adu)
    assert back.dtype == np.float32
    scale = camera.gain_e_per_adu / camera.em_gain
    assert back.mean(dtype=np.float64) == pytest.approx(electrons, abs=4 * scale * np.sqrt(variance / n) + 1e-4)
    total = camera.excess_noise_factor * electrons + camera.read_variance_e2((1, 1))[0, 0]
    rounding = camera.quantization_variance_e2 if variance > 1 / 12 and name != "ideal" else 0
    spread = 4 * deviation.std() / np.sqrt(n) * scale**2
    assert back.var(dtype=np.float64) == pytest.approx(total + rounding, abs=spread + 1e-4)


def test_emccd_output_is_poisson_mixed_gamma() -> None:
    """Third central moment of the compound: E[n] * em^3 * (k^3 + 3 k^2 + 2 k) at k = 1 gives 6 n em^3."""
    camera = Camera("emccd", 0.0, 0.01, 0.0, em_gain=1.0, bit_depth=32)
    electrons = camera.electrons(camera.to_adu(np.full((10, 200, 200), 4.0), np.random.default_rng(3))).ravel()
    third = (electrons - electrons.mean(dtype=np.float64)) ** 3
    assert third.mean() == pytest.approx(6 * 4.0, abs=4 * third.std() / np.sqrt(third.size))
    assert np.mean(electrons == 0) == pytest.approx(np.exp(-4.0), abs=0.002)


@pytest.mark.parametrize("bit_depth", [8, 11, 16, 18])
def test_light_beyond_the_bit_depth_saturates(bit_depth: int) -> None:
    camera = Camera("cmos", 100.0, 0.1, 1.0, bit_depth=bit_depth)
    adu = camera.to_adu(np.full((2, 4, 4), 1e6), np.random.default_rng(0))
    assert camera.saturation_adu == 2**bit_depth - 1
    assert (adu == camera.saturation_adu).all()
    dark = Camera("cmos", 0.0, 0.1, 5.0, bit_depth=bit_depth).to_adu(np.zeros((50, 50)), np.random.default_rng(0))
    assert dark.min() == 0


def test_maps_are_cut_where_the_recorded_region_lies() -> None:
    rng = np.random.default_rng(5)
    offset, gain, noise = rng.uniform(90, 110, (30, 40)), rng.uniform(0.4, 0.6, (30, 40)), rng.uniform(1, 3, (30, 40))
    camera = Camera("cmos", offset, gain, noise, map_origin_px=(5, 7))
    # a field of 10 rows and 16 columns, 3 rows and 2 columns into the movie
    window = np.s_[8:18, 9:25]
    adu = camera.to_adu(np.full((4000, 10, 16), 10.0), rng, (3, 2))
    electrons = camera.electrons(adu, (3, 2))
    assert np.allclose(electrons[0], (adu[0] - offset[window]) * gain[window], atol=1e-3)
    assert np.allclose(electrons.mean(0), 10.0, atol=5 * np.sqrt((10 + 9) / 4000))
    expected = 10 + noise[window] ** 2 + gain[window] ** 2 / 12
    assert np.allclose(electrons.var(0) / expected, 1, atol=0.12)
    assert np.allclose(camera.read_variance_e2((10, 16), (3, 2)), noise[window] ** 2, rtol=1e-5)


def test_a_map_that_does_not_cover_the_frames_names_both_sizes_and_the_origin() -> None:
    camera = Camera("cmos", np.full((30, 40), 100.0), 0.5, 1.0, map_origin_px=(5, 7))
    with pytest.raises(
        InputError, match=r"offset_adu map of 30 x 40 px .* 26 x 20 px .* row 5, column 7; set map_or"
    ):
        camera.electrons(np.zeros((2, 26, 20), np.uint16))


def test_large_grey_values_keep_their_last_digit() -> None:
    camera = Camera("cmos", 2.0**31, 1.0, 0.0, bit_depth=32)
    adu = np.array([[2**31 + 1, 2**31 + 2]], np.uint32)
    assert camera.electrons(adu).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"camera_type": "ccd"}, "camera_type"),
        ({"camera_type": "cmos", "gain_e_per_adu": 0}, "gain_e_per_adu"),
        ({"camera_type": "cmos", "gain_e_per_adu": 1e9}, "gain_e_per_adu"),
        ({"camera_type": "cmos", "qe": 1.2}, "qe"),
        ({"camera_type": "cmos", "read_noise_e": -1}, "read_noise_e"),
        ({"camera_type": "cmos", "em_gain": 300}, "em_gain"),
        ({"camera_type": "ideal", "read_noise_e": 2}, "read_noise_e"),
        ({"camera_type": "cmos", "bit_depth": 64}, "bit_depth"),
        ({"camera_type": "cmos", "offset": 100}, "offset"),
    ],
)
def test_impossible_camera_settings_name_the_field(values: dict[str, object], field: str) -> None:
    with pytest.raises(SettingsError, match=field):
        CameraSettings.create(**values)


@pytest.mark.parametrize(
    "arguments",
    [
        ("cmos", 100.0, 0.0, 1.0),
        ("cmos", 100.0, 0.5, -1.0),
        ("cmos", float("nan"), 0.5, 1.0),
        ("cmos", 100.0, 0.5, 1.0, 300.0),
        ("emccd", 100.0, 0.5, 1.0, 0.5),
        ("ideal", 100.0, 0.5, 1.0),
        ("cmos", np.zeros(5), 0.5, 1.0),
        ("film", 100.0, 0.5, 1.0),
    ],
)
def test_impossible_cameras_are_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(SettingsError):
        Camera(*arguments)


def test_negative_light_is_refused() -> None:
    with pytest.raises(InputError, match="at least 0"):
        Camera("ideal", 0.0, 1.0).to_adu(np.full((2, 2), -1.0), np.random.default_rng(0))


def test_settings_build_the_camera_and_say_what_is_missing() -> None:
    settings = CameraSettings.create(camera_type="cmos", gain_e_per_adu=0.46)
    assert settings.missing == ("offset_adu",)
    with pytest.raises(MissingQuantityError, match="--offset-adu"):
        settings.camera()
    with_map = settings.replace(offset_map="offset.tif", read_noise_map="noise.tif", map_origin_px=(1, 2))
    assert with_map.missing == ()
    maps = {"offset.tif": np.full((4, 5), 101.0), "noise.tif": np.full((4, 5), 2.0)}
    camera = with_map.camera(maps.__getitem__)
    assert camera.electrons(np.full((3, 3), 111))[0, 0] == pytest.approx(4.6)
    assert camera.read_variance_e2((3, 3))[2, 2] == pytest.approx(4.0)
    with pytest.raises(SettingsError, match=r"offset\.tif"):
        with_map.camera()


def test_presets_are_cameras_or_say_what_they_lack() -> None:
    assert camera_preset("ORCA-Flash4-V3").camera().gain_e_per_adu == 0.46
    for name, settings in PRESETS.items():
        assert "typical" in settings.detail, name
        if settings.camera_type == "emccd":
            assert settings.missing == ("offset_adu", "gain_e_per_adu")
        else:
            assert settings.camera().qe > 0.5
    with pytest.raises(SettingsError, match="orca-fusion"):
        camera_preset("polaroid")


@pytest.mark.parametrize("camera_type", ["cmos", "emccd"])
@pytest.mark.parametrize("gain", [0.24, 0.46, 2.2, 5.0])
def test_an_inverted_gain_is_noticed_and_a_right_one_is_not(camera_type: str, gain: float) -> None:
    rng = np.random.default_rng(7)
    truth = Camera(camera_type, 100.0, gain, 1.5)
    level = rng.uniform(20, 200, (24, 24))
    frames = truth.to_adu(np.broadcast_to(level, (200, 24, 24)), rng).astype(float)
    mean, variance = frames.mean(0).ravel(), frames.var(0).ravel()
    # half of the pixels blink: their variance is far larger
    variance[::2] *= rng.uniform(1, 20, variance[::2].size)
    sentence = check_gain_direction(mean, variance, Camera(camera_type, 100.0, 1 / gain, 1.5))
    assert sentence is not None
    assert "ADU per electron" in sentence
    assert check_gain_direction(mean, variance, truth) is None
