"""Our light against frames that another program simulated, from its own table of emitters."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from stormcell.io.movies import open_movie
from stormcell.io.tables import read_table
from stormcell.physics.psf.gaussian_psf import gaussian_psf_images

if TYPE_CHECKING:
    from pathlib import Path

    from stormcell.data.localizations import Localizations

PIXEL_NM = 100.0


def _light(truth: Localizations, frame: int, shape: tuple[int, int]) -> np.ndarray:
    rows = truth.take(truth["frame"] == frame)
    x, y, sigma = (torch.tensor(rows[name] / PIXEL_NM) for name in ("x_nm", "y_nm", "psf_sigma_nm"))
    return gaussian_psf_images(x, y, torch.tensor(rows["photons"]), sigma, sigma, shape).sum(dim=0).numpy()


def test_thunderstorm_frames_are_redrawn_from_their_truth(shared_data: Path) -> None:
    """Frames = offset + gain * (our light + background) + noise: the README's facts, and nothing left over.

    Known beforehand: 2.06 ADU per photon, background about 15-17 photons, an EMCCD (variance = 2.05 gain^2 photons).
    """
    folder = shared_data / "deepstorm_training"
    frames = open_movie(folder / "stack.tif").read().astype(np.float64)
    truth = read_table(folder / "truth_thunderstorm.csv")
    light = np.stack([_light(truth, frame, frames.shape[1:]) for frame in range(len(frames))])
    design = np.stack([light.ravel(), np.ones(light.size)], axis=1)
    (gain, level), *_ = np.linalg.lstsq(design, frames.ravel(), rcond=None)
    assert gain == pytest.approx(2.06, rel=0.01)
    residual = frames - gain * light - level
    # variance rises with our light, by twice the gain squared, and is that of the background in the dark
    edges = np.quantile(light, np.linspace(0, 1, 13))
    centre = [light[(light >= a) & (light < b)].mean() for a, b in itertools.pairwise(edges)]
    spread = [residual[(light >= a) & (light < b)].var() for a, b in itertools.pairwise(edges)]
    slope, dark = np.polyfit(centre, spread, 1)
    assert slope == pytest.approx(2.05 * 2.06**2, rel=0.05)
    assert dark / slope == pytest.approx(16, abs=3)
    # no structure is left: a shift of a tenth of a pixel, either way, would correlate with the gradient of the light
    for axis in (1, 2):
        gradient = np.gradient(light, axis=axis)
        shift_px = (residual * gradient).sum() / (gain * (gradient**2).sum())
        assert abs(shift_px) < 0.01
