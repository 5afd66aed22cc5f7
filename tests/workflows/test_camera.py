from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from stormcell.data import FrameStack, Quantity
from stormcell.errors import MissingQuantityError, SettingsError
from stormcell.workflows.camera import resolve_movie
from stormcell.workflows.movie_settings import MovieSettings

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.physics.cameras import CameraType


def stack_saying(**said: float | str) -> FrameStack:
    metadata = {name: Quantity(name, value, "", "read", "a tag") for name, value in said.items()}
    rng = np.random.default_rng(0)
    return FrameStack.from_array(rng.poisson(50, (40, 16, 16)).astype(np.uint16), metadata=metadata, name="movie.tif")


KNOWN = {"camera_pixel_size_nm": 110.0, "camera_type": "cmos", "offset_adu": 100.0, "gain_e_per_adu": 0.5}


def sources(context) -> dict[str, str]:
    return {quantity.name: quantity.source for quantity in context.quantities}


def test_what_the_file_says_is_taken() -> None:
    context = resolve_movie(stack_saying(**KNOWN), MovieSettings())
    assert context.camera_pixel_size_nm == 110
    assert (context.camera.offset_adu, context.camera.gain_e_per_adu) == (100, 0.5)
    assert sources(context) == {
        **dict.fromkeys(("camera_pixel_size_nm", "camera_type", "offset_adu", "gain_e_per_adu"), "read"),
        **dict.fromkeys(("qe", "read_noise_e"), "assumed"),
    }
    assert context.warnings == ()


def test_the_option_wins_and_the_contradiction_is_said() -> None:
    settings = MovieSettings(pixel_size_nm=100, offset_adu=90)
    context = resolve_movie(stack_saying(**KNOWN), settings)
    assert (context.camera_pixel_size_nm, context.camera.offset_adu) == (100, 90)
    assert sources(context)["offset_adu"] == "given"
    assert len(context.warnings) == 2
    assert "movie.tif says that the pixel size is 110" in context.warnings[0]
    assert "offset adu is 100" in context.warnings[1]
    assert "90" in context.warnings[1]


def test_a_camera_file_stands_between_option_and_movie(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text("camera_type: cmos\noffset_adu: 80\nread_noise_e: 1.5\n")
    context = resolve_movie(stack_saying(**KNOWN), MovieSettings(camera=str(path), offset_adu=70))
    assert (context.camera.offset_adu, context.camera.read_noise_e, context.camera.gain_e_per_adu) == (70, 1.5, 0.5)
    details = {quantity.name: quantity.detail for quantity in context.quantities}
    assert details["read_noise_e"] == "camera file camera.yaml"
    assert details["offset_adu"] == "option --offset-adu"


def test_a_preset_is_given_by_name() -> None:
    context = resolve_movie(stack_saying(camera_pixel_size_nm=100.0), MovieSettings(camera="Orca-Flash4-v3"))
    assert (context.camera.gain_e_per_adu, context.camera.qe) == (0.46, 0.82)
    assert sources(context)["qe"] == "given"


def test_maps_are_read_from_beside_the_camera_file(tmp_path: Path) -> None:
    np.save(tmp_path / "gain.npy", np.full((16, 16), 0.25, np.float32))
    (tmp_path / "camera.yaml").write_text("camera_type: cmos\noffset_adu: 100\ngain_map: gain.npy\n")
    settings = MovieSettings(camera=str(tmp_path / "camera.yaml"), pixel_size_nm=100)
    context = resolve_movie(stack_saying(), settings)
    assert np.all(context.camera.gain_e_per_adu == 0.25)
    assert np.shape(context.camera.gain_e_per_adu) == (16, 16)


def test_an_em_gain_makes_it_an_emccd() -> None:
    said = {**KNOWN, "em_gain": 200.0}
    del said["camera_type"]
    context = resolve_movie(stack_saying(**said), MovieSettings())
    assert context.camera.camera_type == "emccd"
    assert sources(context)["camera_type"] == "assumed"


def test_an_unknown_camera_type_is_assumed_aloud() -> None:
    said = {name: value for name, value in KNOWN.items() if name != "camera_type"}
    context = resolve_movie(stack_saying(**said), MovieSettings())
    assert context.camera.camera_type == "cmos"
    assert "--camera-type emccd" in context.warnings[0]


def test_no_pixel_size_is_refused_with_the_reason() -> None:
    with pytest.raises(MissingQuantityError, match=r"pixel size is missing in movie\.tif; pass --pixel-size-nm"):
        resolve_movie(stack_saying(), MovieSettings())
    stack = FrameStack.from_array(
        np.zeros((3, 8, 8)),
        metadata={"camera_pixel_size_nm": Quantity("camera_pixel_size_nm", None, "nm", "read", "1 um")},
    )
    with pytest.raises(MissingQuantityError, match=r"\(1 um\)"):
        resolve_movie(stack, MovieSettings())


def test_missing_gain_and_offset_are_estimated_aloud() -> None:
    rng = np.random.default_rng(3)
    light = 20 + 400 * np.linspace(0, 1, 48)[None, None, :] * np.ones((200, 48, 1))
    frames = (rng.poisson(light) / 0.5 + 100).round().astype(np.uint16)
    stack = FrameStack.from_array(frames, name="movie.tif")
    context = resolve_movie(stack, MovieSettings(pixel_size_nm=100, camera_type="cmos"))
    assert context.camera.gain_e_per_adu == pytest.approx(0.5, rel=0.1)
    assert sources(context)["gain_e_per_adu"] == "estimated"
    assert sources(context)["offset_adu"] == "estimated"
    gain = next(quantity for quantity in context.quantities if quantity.name == "gain_e_per_adu")
    assert gain.interval[0] < 0.5 < gain.interval[1]
    assert any("estimated from the movie" in text for text in context.warnings)


def test_what_cannot_be_estimated_is_assumed_aloud() -> None:
    stack = FrameStack.from_array(np.full((1, 8, 8), 120, np.uint16))
    context = resolve_movie(stack, MovieSettings(pixel_size_nm=100, camera_type="cmos"))
    assert (context.camera.gain_e_per_adu, context.camera.offset_adu) == (1, 120)
    assert sources(context)["gain_e_per_adu"] == "assumed"
    assert any("no absolute scale" in text and "--gain-e-per-adu" in text for text in context.warnings)


@pytest.mark.parametrize(("camera_type", "em_gain", "excess"), [("cmos", 1.0, 1.0), ("emccd", 30.0, 2.0)])
def test_an_assumed_gain_makes_the_noise_of_the_frames_shot_noise(
    camera_type: CameraType, em_gain: float, excess: float
) -> None:
    """A joint fit told a gain of 1 would split every spot of a movie whose noise is far larger."""
    rng = np.random.default_rng(5)
    frames = rng.normal(1_000, 40, (6, 32, 32)).round().astype(np.uint16)
    frames[:, 10:14, 10:14] += 3_000
    settings = MovieSettings(pixel_size_nm=100, camera_type=camera_type, em_gain=em_gain)
    camera = resolve_movie(FrameStack.from_array(frames), settings).camera
    electrons = camera.electrons(frames.astype(np.float64))[:, 16:]
    assert np.var(electrons) == pytest.approx(excess * np.median(electrons), rel=0.1)


def test_contradictory_camera_values_are_refused() -> None:
    with pytest.raises(SettingsError, match="em_gain"):
        resolve_movie(stack_saying(**KNOWN), MovieSettings(em_gain=100))
