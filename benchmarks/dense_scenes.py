"""Dense movies with their truth, for the benchmarks of the dense network, in the conditions of the accuracy figures.

Every emitter is lit in one frame: brightness lognormal (sigma 0.6), times an on-fraction min(1, uniform(0.25, 1.75)).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from stormcell.data import FrameStack, Localizations, PixelGrid
from stormcell.physics.cameras import Camera
from stormcell.simulation.structures.registry import STRUCTURES
from stormcell.simulation.structures.scene import Scene as StructureScene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.physics.psf.bank import PSFBank

PIXEL_NM = 100.0
MARGIN_PX = 8
SCMOS = Camera("cmos", offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.5)
EMCCD = Camera("emccd", offset_adu=200.0, gain_e_per_adu=10.0, em_gain=100.0, read_noise_e=30.0)


@dataclass(frozen=True)
class Scene:
    """What is in a movie."""

    density_per_um2: float = 1.0
    electrons: float = 1800.0
    background_e: float = 25.0
    n_frames: int = 20
    side_px: int = 64
    structure: str = "uniform"
    camera: Camera = SCMOS
    spread: float = 0.6
    partial: bool = True
    seed: int = 1


@dataclass(frozen=True)
class Movie:
    """Frames in camera units and the emitters in them; also those up to 2 px outside, which a match may use up.

    PSF and mean electrons are told to the bounds alone.
    """

    stack: FrameStack
    camera: Camera
    truth: Localizations
    expected_e: NDArray[np.float32]
    bank: PSFBank | None = None
    electrons: float = float("nan")

    @property
    def grid(self) -> PixelGrid:
        return self.stack.grid(PIXEL_NM)

    def seen_by(self, camera: Camera) -> Movie:
        """The same movie, taken for one of another camera."""
        return replace(self, camera=camera)


def make_movie(bank: PSFBank, scene: Scene) -> Movie:
    """Simulate; the first PSF of the bank, in focus."""
    rng = np.random.default_rng([scene.seed, 77])
    side = scene.side_px + 2 * MARGIN_PX
    n_mean = scene.density_per_um2 * (side * PIXEL_NM / 1000) ** 2
    counts = rng.poisson(n_mean, scene.n_frames)
    n = int(counts.sum())
    frame = np.repeat(np.arange(scene.n_frames), counts)
    x, y = _positions(rng, scene, n, side)
    # lognormal of the given mean
    electrons = scene.electrons * np.exp(scene.spread * rng.standard_normal(n) - 0.5 * scene.spread**2)
    share = np.minimum(1.0, rng.uniform(0.25, 1.75, n)) if scene.partial else np.ones(n)
    electrons = electrons * share
    frames = torch.full((scene.n_frames, 1, scene.side_px, scene.side_px), scene.background_e)
    kernel = torch.full((n,), bank.focus_plane, dtype=torch.int64)
    first = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
    light = torch.from_numpy(electrons.astype(np.float32)[:, None])
    bank.add_to_frames(frames, first, kernel, torch.from_numpy(x), torch.from_numpy(y), light)
    expected = frames[:, 0].numpy()
    adu = scene.camera.to_adu(expected, rng)
    near = (np.minimum(x, y) > -2) & (np.maximum(x, y) < scene.side_px + 2)
    truth = Localizations(
        {
            "frame": frame[near],
            "x_nm": x[near] * PIXEL_NM,
            "y_nm": y[near] * PIXEL_NM,
            "photons": electrons[near],
            "on_fraction": share[near],
        },
        grid=PixelGrid(PIXEL_NM, (scene.side_px, scene.side_px)),
        n_frames=scene.n_frames,
    )
    return Movie(FrameStack.from_array(adu), scene.camera, truth, expected, bank, scene.electrons)


def _positions(
    rng: np.random.Generator, scene: Scene, n: int, side: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if scene.structure == "uniform":
        x, y = rng.uniform(-MARGIN_PX, side - MARGIN_PX, (2, n))
        return x, y
    field = StructureScene(side * PIXEL_NM, side * PIXEL_NM)
    sites = STRUCTURES[scene.structure].sites(field, rng)
    sites = sites[field.holds(sites)]
    chosen = sites[rng.integers(len(sites), size=n)]
    return chosen[:, 0] / PIXEL_NM - MARGIN_PX, chosen[:, 1] / PIXEL_NM - MARGIN_PX
