"""What the dense network lists, as columns of a table: in photons, calibrated, without light that stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.learning.bad_pixels import find_hot_pixels, repair_pixels
from stormcell.learning.dense_calibration import calibrate, weigh_faint
from stormcell.learning.still_light import Pending, StillLight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from stormcell.data import FrameStack, PixelGrid
    from stormcell.learning.dense_inference import ComponentList
    from stormcell.learning.measured_noise import MovieNoise
    from stormcell.physics.cameras import Camera


class NetworkUnits:
    """Grey values to network electrons and back; bad pixels are replaced on the way.

    Parameters
    ----------
    camera : Camera
        Converts grey values to electrons.
    stack : FrameStack
        The movie.
    noise : MovieNoise
        Its noise; network electrons are electrons divided by the variance per electron.
    is_hot : ndarray, optional
        Shape (Y, X), hot pixels where they are known.
    """

    def __init__(
        self,
        camera: Camera,
        stack: FrameStack,
        noise: MovieNoise,
        is_hot: NDArray[np.bool_] | None = None,
    ) -> None:
        self._camera = camera
        self._origin_px = stack.origin_px
        self.scale = noise.scale
        self.qe = camera.qe
        self.read_variance = np.ascontiguousarray(noise.read_variance_e2 / noise.scale**2, dtype=np.float32)
        self.n_struck = 0
        self.is_hot = np.zeros(stack.frame_shape, np.bool_) if is_hot is None else is_hot

    def find_hot(self, sample: NDArray[Any]) -> None:
        """Find hot pixels.

        Parameters
        ----------
        sample : ndarray
            Shape (T, Y, X), grey values of frames spread over the movie.
        """
        self.is_hot = find_hot_pixels(self._electrons(sample), self.read_variance)

    def to_network(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        """Convert frames.

        Parameters
        ----------
        frames : ndarray
            Shape (T, Y, X), grey values.

        Returns
        -------
        ndarray
            The same shape, network electrons.
        """
        electrons = self._electrons(frames)
        self.n_struck += repair_pixels(electrons, self.read_variance, self.is_hot)
        return electrons

    def _electrons(self, frames: NDArray[Any]) -> NDArray[np.float32]:
        electrons = self._camera.electrons(frames, self._origin_px) / np.float32(self.scale)
        # dead pixels would spread over their whole neighbourhood
        clean: NDArray[np.float32] = np.nan_to_num(electrons, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return clean


class DenseRows:
    """Columns of the emitters of one block after the other, calibrated, without those whose light does not blink.

    Parameters
    ----------
    units : NetworkUnits
        Of the movie.
    grid : PixelGrid
        Its pixels.
    calibration : mapping of str to float
        The model card's factors.
    psf_sigma_px : float
        Width of the PSF.
    still : StillLight or None
        What tells light that does not blink; None keeps all.
    least : float
        Least probability of a row.
    """

    def __init__(
        self,
        units: NetworkUnits,
        grid: PixelGrid,
        calibration: Mapping[str, float],
        psf_sigma_px: float,
        still: StillLight | None,
        least: float,
    ) -> None:
        self._units, self._grid, self._calibration = units, grid, calibration
        self._sigma, self._still, self._least = psf_sigma_px, still, least

    @property
    def n_still(self) -> int:
        """Rows left out because the light at their place does not blink."""
        return 0 if self._still is None else self._still.n_rejected

    def judge(
        self, found: ComponentList, frames: NDArray[np.float32], own: slice, first_frame: int, *, is_last: bool
    ) -> list[dict[str, NDArray[Any]]]:
        """Make the columns of a block.

        Parameters
        ----------
        found : ComponentList
            Its emitters; frames count from the block's first.
        frames : ndarray
            Shape (T, Y, X), network electrons.
        own : slice
            Frames of the block that are not lent from its neighbours.
        first_frame : int
            Number of its first frame in the movie.
        is_last : bool
            Whether no block follows.

        Returns
        -------
        list of dict
            Columns of what can be judged by now: of this block, of earlier ones, or of none; the last tells the rest.
        """
        is_own = (found.frame >= own.start) & (found.frame < own.stop) & (found.rows[:, 0] >= self._least)
        columns = columns_of(found, is_own, first_frame, self._grid, self._units)
        calibrate(columns, self._calibration, self._grid.pixel_size_nm)
        weigh_faint(found.rows[is_own], columns, self._sigma, self._units.read_variance)
        if self._still is None:
            judged = [columns]
        else:
            rows = found.rows[is_own].astype(np.float64)
            judged = self._still.add(frames[own], Pending(columns, rows[:, 1], rows[:, 2], np.exp(rows[:, 5])))
            judged += self._still.finish() if is_last else []
        kept = [part["probability"] >= self._least for part in judged]
        return [
            {name: values[sure] for name, values in part.items()} for part, sure in zip(judged, kept, strict=True)
        ]


def columns_of(
    found: ComponentList, own: NDArray[np.bool_], first_frame: int, grid: PixelGrid, units: NetworkUnits
) -> dict[str, NDArray[Any]]:
    """Turn listed emitters into columns.

    Parameters
    ----------
    found : ComponentList
        Emitters in network units.
    own : ndarray of bool
        Which of them.
    first_frame : int
        Number in the movie of the frame they count from.
    grid : PixelGrid
        The movie's pixels.
    units : NetworkUnits
        The movie's units.

    Returns
    -------
    dict of str to ndarray
        As `Localizations` has them: nm, photons.
    """
    rows = found.rows[own].astype(np.float64)
    x_px, y_px = rows[:, 1], rows[:, 2]
    height, width = units.read_variance.shape
    pixel = (np.clip(y_px, 0, height - 1).astype(int), np.clip(x_px, 0, width - 1).astype(int))
    to_photons = units.scale / units.qe
    photons = np.exp(rows[:, 5]) * to_photons
    background = (rows[:, 7] / 2) ** 2 - 0.375 - units.read_variance[pixel]
    return {
        "frame": found.frame[own] + first_frame,
        "x_nm": grid.x_nm(x_px),
        "y_nm": grid.y_nm(y_px),
        "photons": photons,
        "background_photons": np.maximum(background, 0.0) * to_photons,
        "uncertainty_x_nm": rows[:, 3] * grid.pixel_size_nm,
        "uncertainty_y_nm": rows[:, 4] * grid.pixel_size_nm,
        "uncertainty_photons": photons * np.exp(rows[:, 6]),
        "uncertainty_background_photons": rows[:, 7] / 2 * np.exp(rows[:, 8]) * to_photons,
        "probability": rows[:, 0],
    }
