from __future__ import annotations

import numpy as np
import pytest

from stormcell.errors import InputError, SettingsError
from stormcell.workflows.movie_settings import MovieSettings, parse_range, parse_roi
from stormcell.workflows.opening import open_stack


@pytest.mark.parametrize(("text", "expected"), [("3:7", (3, 7)), (":7", (0, 7)), ("3:", (3, None)), (" 3:7", (3, 7))])
def test_ranges(text: str, expected: tuple) -> None:
    assert parse_range(text, "a:b") == expected


@pytest.mark.parametrize("text", ["5", ":", "", "a:b", "-1:5", "1:2:3", "1.5:3"])
def test_other_texts_are_no_ranges(text: str) -> None:
    with pytest.raises(ValueError, match="expected a:b"):
        parse_range(text, "a:b")


def test_roi_is_rows_then_columns() -> None:
    assert parse_roi("1:5,20:30") == ((1, 5), (20, 30))
    with pytest.raises(SettingsError, match="roi: expected y0:y1,x0:x1"):
        MovieSettings.create(roi="1:5")


def test_part_of_a_movie_keeps_its_place() -> None:
    frames = np.arange(10 * 8 * 6).reshape(10, 8, 6)
    stack = open_stack(frames, MovieSettings(frames="2:5", roi="1:,3:6"))
    assert stack.shape == (3, 7, 3)
    assert (stack.first_frame, stack.origin_px) == (2, (1, 3))
    np.testing.assert_array_equal(stack.read(), frames[2:5, 1:, 3:6])


def test_a_part_outside_the_movie_is_refused() -> None:
    with pytest.raises(InputError, match="0:10"):
        open_stack(np.zeros((10, 8, 6)), MovieSettings(frames="10:20"))
    with pytest.raises(InputError, match="0:8,0:6"):
        open_stack(np.zeros((10, 8, 6)), MovieSettings(roi="0:9,0:6"))


def test_camera_fields_take_their_words_from_the_camera() -> None:
    from stormcell.physics.cameras import CameraSettings

    for name in ("offset_adu", "gain_e_per_adu", "em_gain", "qe", "read_noise_e", "camera_type"):
        assert MovieSettings.model_fields[name].description == CameraSettings.model_fields[name].description
