"""A small blinking movie with known truth, made without the package's own simulator or estimator."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import special


@dataclass(frozen=True)
class Scene:
    """Conditions of a simulated movie."""

    sigma_px: float = 1.1
    photons: float = 1000.0
    log_spread: float = 0.3
    background: float = 20.0
    density_per_px: float = 0.008
    n_frames: int = 120
    shape: tuple[int, int] = (64, 64)
    offset: float = 100.0
    gain: float = 0.5
    read_noise: float = 1.6
    emccd: bool = False
    mean_on_frames: float = 0.0


def expected_electrons(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Pixel-integrated Gaussians at random places, each on in one frame or over an exponential time."""
    n_frames, (height, width), rim = scene.n_frames, scene.shape, 8
    area = (height + 2 * rim) * (width + 2 * rim)
    if scene.mean_on_frames == 0:
        n = rng.poisson(scene.density_per_px * area * n_frames)
        frame, share, owner = rng.integers(0, n_frames, n), np.ones(n), np.arange(n)
    else:
        n = rng.poisson(scene.density_per_px * area * (n_frames + 40) / (1 + scene.mean_on_frames))
        start = rng.uniform(-40, n_frames, n)
        stop = start + rng.exponential(scene.mean_on_frames, n)
        rows = [
            (k, min(b, k + 1) - max(a, k), i)
            for i, (a, b) in enumerate(zip(start, stop, strict=True))
            for k in range(max(0, int(np.floor(a))), min(n_frames, int(np.floor(b)) + 1))
        ]
        frame, share, owner = (np.array(column) for column in zip(*rows, strict=True))
        frame, owner = frame.astype(int), owner.astype(int)
    y, x = rng.uniform(-rim, height + rim, n)[owner], rng.uniform(-rim, width + rim, n)[owner]
    spread = scene.log_spread
    photons = scene.photons * np.exp(spread * rng.standard_normal(n) - spread**2 / 2)[owner] * share
    movie = np.full((n_frames, height, width), scene.background)
    root = scene.sigma_px * np.sqrt(2)
    across_y = np.diff(special.erf((np.arange(height + 1) - y[:, None]) / root), axis=1) / 2
    across_x = np.diff(special.erf((np.arange(width + 1) - x[:, None]) / root), axis=1) / 2
    for k in range(n_frames):
        here = frame == k
        movie[k] += np.einsum("ny,nx->yx", across_y[here], across_x[here] * photons[here, None])
    return movie


def blinking_movie(scene: Scene, seed: int = 0) -> np.ndarray:
    """Grey values (T, Y, X), the camera written out anew."""
    rng = np.random.default_rng(seed)
    electrons = rng.poisson(expected_electrons(scene, rng)).astype(float)
    if scene.emccd:
        electrons = rng.standard_gamma(electrons)
    electrons += scene.read_noise * rng.standard_normal(electrons.shape)
    return np.rint(electrons / scene.gain + scene.offset).clip(0, 65535).astype(np.uint16)


@pytest.fixture(scope="session")
def movie() -> Callable[..., np.ndarray]:
    """Make a movie of the default scene with the fields changed that are named."""

    @cache
    def make(seed: int = 0, **changes: Any) -> np.ndarray:
        return blinking_movie(replace(Scene(), **changes), seed)

    return make
