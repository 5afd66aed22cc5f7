"""Frames still needed, against pictures of the length foretold."""

from __future__ import annotations

import numpy as np
import pytest

from stormcell.assessment.frames_needed import frames_for_agreement, frames_for_resolution, split_halves
from stormcell.data import Localizations


def _picture(n_frames: int, seed: int) -> np.ndarray:
    """Poisson events of a fixed structure, 0.4 in a frame and pixel at most."""
    structure = np.random.default_rng(0).random((60, 60)) ** 4 * 0.02
    return np.random.default_rng(seed).poisson(structure * n_frames).astype(float)


@pytest.mark.parametrize("wanted", [0.8, 0.95])
def test_pictures_of_the_length_foretold_agree_as_wanted(wanted: float) -> None:
    n = 400
    foretold = np.median(
        [frames_for_agreement(_picture(n // 2, 2 * k), _picture(n // 2, 2 * k + 1), n, wanted) for k in range(1, 9)]
    )
    pairs = [(_picture(round(foretold), 100 + 2 * k), _picture(round(foretold), 101 + 2 * k)) for k in range(5)]
    reached = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])
    assert reached == pytest.approx(wanted, abs=0.02)


def test_halves_that_do_not_agree_need_for_ever() -> None:
    ramp = np.arange(16.0).reshape(4, 4)
    assert frames_for_agreement(ramp, -ramp, 100, 0.9) == np.inf
    assert frames_for_agreement(np.zeros((4, 4)), ramp, 100, 0.9) == np.inf


def test_resolution_is_foretold_from_its_law() -> None:
    n = np.array([100, 200, 400, 800])
    law = np.sqrt(30.0**2 + 400.0**2 / n)
    needed = frames_for_resolution(n.tolist(), [*law[:3], np.nan], 0.1)
    assert np.sqrt(30.0**2 + 400.0**2 / needed) == pytest.approx(1.1 * 30.0)
    assert np.isnan(frames_for_resolution([100, 200], [50, 40], 0.1))
    assert frames_for_resolution([100, 200, 400], [80, 40, 20], 0.1) == np.inf
    assert frames_for_resolution([100, 200, 400], [40, 40, 41], 0.1) == 100


def test_halves_are_blocks_of_frames() -> None:
    frame = np.arange(200)
    zeros = np.zeros(200)
    first, second = split_halves(Localizations({"x_nm": zeros, "y_nm": zeros, "frame": frame}))
    assert set(first["frame"]) == {*range(50), *range(100, 150)}
    assert first.n_rows + second.n_rows == 200
