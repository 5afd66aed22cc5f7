from __future__ import annotations

import numpy as np
import pytest

from stormcell.data import FrameStack
from stormcell.workflows.survey import Survey


def surveyed(frames: np.ndarray, step: int = 7) -> Survey:
    survey = Survey(FrameStack.from_array(frames))
    for _ in survey.watched().blocks(step):
        pass
    survey.finish()
    return survey


def test_mean_image_is_the_mean_whatever_was_read_before() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 1000, (40, 5, 6)).astype(np.uint16)
    survey = Survey(FrameStack.from_array(frames))
    stack = survey.watched()
    stack.read(0, 10)
    stack.read(3, 20)  # overlaps
    stack.read(30, 35)  # ahead of its turn: counted when finish reads it
    survey.finish()
    np.testing.assert_allclose(survey.mean_image(), frames.mean(axis=0), rtol=1e-6)
    assert survey.n_seen == 40


def test_only_the_chosen_part_counts() -> None:
    frames = np.zeros((6, 8, 8), np.uint16)
    frames[:, 0, 0] = 65535
    frames[4:, 4, 4] = 7
    survey = Survey(FrameStack.from_array(frames).frames(2, 6).crop((2, 8), (3, 8)))
    survey.finish()
    assert survey.largest == 7
    np.testing.assert_allclose(survey.mean_image(), frames[2:, 2:, 3:].mean(axis=0))
    assert survey.sentences() == []


@pytest.mark.parametrize("end", [255, 4095, 65535])
def test_a_pile_at_the_end_of_a_bit_depth_is_saturation(end: int) -> None:
    frames = np.full((5, 4, 4), 10, np.uint16)
    frames[0, 0, :3] = end
    assert f"3 pixel values are saturated at {end} ADU" in surveyed(frames).sentences()[0]


def test_a_single_large_value_is_no_saturation_unless_the_camera_says_so() -> None:
    frames = np.full((5, 4, 4), 10, np.uint16)
    frames[0, 0, 0] = 4095
    assert surveyed(frames).sentences() == []
    assert "1 pixel value is saturated" in surveyed(frames).sentences(4095)[0]


def test_bad_pixels_are_counted_and_left_out_of_the_mean() -> None:
    frames = np.ones((4, 3, 3), np.float32)
    frames[1, 1, 1] = np.nan
    frames[2, 2, 2] = np.inf
    frames[3, 0, 0] = -5
    survey = surveyed(frames)
    assert (survey.n_not_finite, survey.n_negative) == (2, 1)
    assert survey.mean_image()[1, 1] == 1
    assert [sentence.split(":")[0] for sentence in survey.sentences()] == [
        "2 pixel values are NaN or infinite; they were left out",
        "1 pixel value is negative",
    ]
