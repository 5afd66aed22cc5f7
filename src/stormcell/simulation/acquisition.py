"""An acquisition that runs: frames block by block, with the truth of each block."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from stormcell.data.localizations import Localizations
from stormcell.data.pixel_grid import PixelGrid
from stormcell.data.sr_image import SRImage
from stormcell.physics.psf.model import PSF, make_psf
from stormcell.simulation.backgrounds import decay_factor, draw_background
from stormcell.simulation.blinking import BlinkingEnsemble, LitRows, chain_rates
from stormcell.simulation.labelling import label_sites
from stormcell.simulation.motion import stage_motion
from stormcell.simulation.structures.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from stormcell.simulation.settings import SimulationSettings

_BLOCK_PIXELS = 4_000_000
_MARGIN_PX = 8.0

_SCENE, _LABELS, _BACKGROUND, _WIDEFIELD, _MOTION, _NOISE = range(6)
"""Independent random streams of one seed."""


@dataclass(frozen=True)
class Block:
    """Consecutive frames of an acquisition and their truth."""

    first_frame: int
    frames: NDArray[np.uint16] | NDArray[np.uint32]
    """Shape (T, Y, X), grey values."""
    truth: Localizations
    """Every emitter lit in every frame."""


class Acquisition:
    """A simulated sample under a simulated microscope.

    Parameters
    ----------
    settings : SimulationSettings
        What is simulated; its seed fixes everything.
    read_psf : callable, optional
        Reads a measured PSF from its file.
    read_map : callable, optional
        Reads a camera map from its file.
    fluorophores_nm : ndarray, optional
        Shape (N, 3), x, y, z in place of a labelled structure.
    background_photons : ndarray, optional
        Shape (Y, X), photons per pixel and frame in place of a drawn background.

    Raises
    ------
    SettingsError
        The settings cannot be met, for example more emitters on at once than there are fluorophores.
    """

    def __init__(
        self,
        settings: SimulationSettings,
        *,
        read_psf: Callable[[str], PSF] | None = None,
        read_map: Callable[[str], ArrayLike] | None = None,
        fluorophores_nm: NDArray[np.float64] | None = None,
        background_photons: NDArray[np.float32] | None = None,
    ) -> None:
        self.settings = settings
        size = settings.camera_pixel_size_nm
        self.grid = PixelGrid(size, settings.field_px)
        self.scene = Scene(*self.grid.extent_nm, settings.z_range_nm)
        self.camera = settings.camera.camera(read_map)
        self.psf = make_psf(settings.psf, size, z_range_nm=settings.z_range_nm, read_psf=read_psf)
        labels = self._label() if fluorophores_nm is None else fluorophores_nm
        self.fluorophores_nm = labels[self.scene.holds(labels, _MARGIN_PX * size)]
        self._n_inside = int(self.scene.holds(self.fluorophores_nm).sum())
        self.rates = chain_rates(settings.blinking, self._n_inside, self.scene.area_um2)
        self.background_photons = self._draw_background() if background_photons is None else background_photons
        self.motion_nm = stage_motion(settings.motion, settings.n_frames, self._rng(_MOTION))

    @property
    def block_frames(self) -> int:
        """Frames in a block: a number that depends on the field alone, so that blocks are always the same."""
        return max(1, _BLOCK_PIXELS // (self.grid.shape[0] * self.grid.shape[1]))

    def _rng(self, purpose: int, index: int = 0) -> np.random.Generator:
        key = [self.settings.seed, purpose * 2**48 + index]
        return np.random.Generator(np.random.Philox(key=key))

    def _label(self) -> NDArray[np.float64]:
        sites = self.settings.structure.sites(self.scene, self._rng(_SCENE))
        return label_sites(self.settings.labelling, sites, self.grid.extent_nm, self._rng(_LABELS))

    def _draw_background(self) -> NDArray[np.float32]:
        settings = self.settings
        x, y = (self.fluorophores_nm[:, axis] / settings.camera_pixel_size_nm for axis in (0, 1))
        rows, columns = settings.field_px
        counts, _, _ = np.histogram2d(y, x, bins=(rows, columns), range=((0, rows), (0, columns)))
        image = draw_background(
            settings.background, settings.field_px, settings.camera_pixel_size_nm, counts, self._rng(_BACKGROUND)
        )
        on_density = self._n_inside * self.rates.on_share / self.scene.area_um2
        return image + np.float32(settings.background.photons_per_density * on_density)

    def blocks(self) -> Iterator[Block]:
        """Run the acquisition.

        Yields
        ------
        Block
            Frames and truth, in order.
        """
        settings = self.settings
        ensemble = BlinkingEnsemble(len(self.fluorophores_nm), settings.blinking, self.rates, settings.seed)
        for index, first in enumerate(range(0, settings.n_frames, self.block_frames)):
            n_frames = min(self.block_frames, settings.n_frames - first)
            truth = self._truth(ensemble.advance(n_frames))
            expected = self._expose(truth, first, n_frames)
            frames = self.camera.to_adu(expected, self._rng(_NOISE, index))
            in_field = self.scene.holds(truth.positions_nm)
            yield Block(first, frames, truth.take(in_field))

    def empty_truth(self) -> Localizations:
        """Make a truth table without rows.

        Returns
        -------
        Localizations
            Columns and context as in every block.
        """
        nothing = np.empty(0)
        return self._truth(LitRows(nothing.astype(np.int64), nothing.astype(np.int64), nothing, nothing))

    def _truth(self, lit: LitRows) -> Localizations:
        settings = self.settings
        size = settings.camera_pixel_size_nm
        moved = self.fluorophores_nm[lit.fluorophore]
        moved[:, :2] += self.motion_nm[lit.frame]
        rows, columns = (
            np.clip((moved[:, axis] / size).astype(np.int64), 0, side - 1)
            for axis, side in ((1, self.grid.shape[0]), (0, self.grid.shape[1]))
        )
        background = self.background_photons[rows, columns] * decay_factor(settings.background, lit.frame)
        return Localizations(
            {
                "frame": lit.frame,
                "x_nm": moved[:, 0],
                "y_nm": moved[:, 1],
                "z_nm": moved[:, 2],
                "photons": lit.photons,
                "background_photons": background,
                "psf_sigma_nm": np.full(len(moved), self.psf.sigma_px * size),
                "emitter_id": lit.fluorophore,
                "on_fraction": lit.on_fraction,
            },
            grid=self.grid,
            n_frames=settings.n_frames,
        )

    def _expose(self, truth: Localizations, first: int, n_frames: int) -> NDArray[np.float32]:
        """Compute the expected electrons, shape (T, Y, X)."""
        frames = np.arange(first, first + n_frames)
        decay = decay_factor(self.settings.background, frames).astype(np.float32)
        expected = decay[:, None, None, None] * self.background_photons
        starts = np.searchsorted(truth["frame"], np.arange(first, first + n_frames + 1))
        self._add(expected, starts, truth)
        electrons: NDArray[np.float32] = np.maximum(expected[:, 0], 0) * np.float32(self.camera.qe)
        return electrons

    def _add(self, expected: NDArray[np.float32], starts: NDArray[np.int64], emitters: Localizations) -> None:
        kernel = self.psf.bank.kernel(np.zeros(len(emitters), np.int64), emitters["z_nm"])
        arrays = (
            expected,
            starts,
            kernel,
            self.grid.x_px(emitters["x_nm"]),
            self.grid.y_px(emitters["y_nm"]),
            emitters["photons"].astype(np.float32)[:, None],
        )
        tensors = [torch.from_numpy(np.array(array, copy=None)) for array in arrays]
        self.psf.bank.add_to_frames(*tensors)

    def widefield(self) -> SRImage:
        """Take the wide-field image: all fluorophores at once, with the camera's noise.

        Returns
        -------
        SRImage
            Electrons on the camera's grid.
        """
        n = len(self.fluorophores_nm)
        x, y, z = self.fluorophores_nm.T
        everyone = Localizations(
            {"x_nm": x, "y_nm": y, "z_nm": z, "photons": np.full(n, self.settings.widefield_photons)}
        )
        light = np.zeros((1, 1, *self.grid.shape), np.float32)
        self._add(light, np.array([0, n]), everyone)
        level = max(float(light.mean()), 1.0)
        pattern = self.background_photons / max(float(self.background_photons.mean()), 1e-6)
        expected = np.maximum(light[0, 0] + 0.2 * level * pattern, 0) * self.camera.qe
        # bright images are taken with a shorter exposure: keep well below saturation
        brightest = (
            0.5 * self.camera.saturation_adu * float(np.mean(self.camera.gain_e_per_adu)) / self.camera.em_gain
        )
        expected *= min(1.0, brightest / max(float(expected.max()), 1e-6))
        electrons = self.camera.electrons(self.camera.to_adu(expected, self._rng(_WIDEFIELD)))
        return SRImage(electrons, self.grid, unit="electrons")


def expected_rows(acquisition: Acquisition) -> float:
    """Estimate how many rows the truth of an acquisition will have, before bleaching.

    Parameters
    ----------
    acquisition : Acquisition
        Not yet run.

    Returns
    -------
    float
        Mean number of rows.
    """
    settings = acquisition.settings
    lit = len(acquisition.fluorophores_nm) * acquisition.rates.on_share
    per_frame = lit * (1 + 1 / settings.blinking.mean_on_frames)
    return math.ceil(per_frame * settings.n_frames)
