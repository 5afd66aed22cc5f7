"""A tiny movie on disc, and the command line called in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from stormcell.cli.main import main
from stormcell.io.movies import write_ome_tiff_movie

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stormcell.data import Quantity

CAMERA = ("--offset-adu", "100", "--gain-e-per-adu", "0.5", "--camera-type", "cmos", "--psf-sigma-px", "1.3")


@dataclass(frozen=True)
class Said:
    """What one call of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@pytest.fixture
def stormcell(capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call the command line; everything it prints is caught."""

    def call(*arguments: object) -> Said:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return call


def spots(n_frames: int = 30, side: int = 24, per_frame: int = 2, seed: int = 0) -> np.ndarray:
    """Frames of a few bright Gaussian spots: offset 100 ADU, 0.5 e/ADU, shot noise and 1 e read noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] + 0.5
    frames = np.full((n_frames, side, side), 10.0)
    for frame in frames:
        for index in range(per_frame):  # each in a band of its own, so that no two overlap
            y0, x0 = (
                5 + (side - 10) * index / max(1, per_frame - 1) + rng.uniform(-0.5, 0.5),
                rng.uniform(6, side - 6),
            )
            frame += 1500 / (2 * np.pi * 1.3**2) * np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2 * 1.3**2))
    electrons = rng.poisson(frames) + rng.normal(0, 1, frames.shape)
    return (electrons / 0.5 + 100).round().astype(np.uint16)


def save_movie(path: Path, frames: np.ndarray, pixel_size_nm: float | None = 100.0, **metadata: Quantity) -> Path:
    write_ome_tiff_movie(
        path, [frames], shape=frames.shape, dtype=frames.dtype, camera_pixel_size_nm=pixel_size_nm, metadata=metadata
    )
    return path


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """30 frames of 24 x 24 px with two spots each, pixel size 100 nm in the file."""
    return save_movie(tmp_path / "movie.ome.tif", spots())
