"""From the spots of a block to rows of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from stormcell.localization.fits import FitModel, SpotFits, fit_spots
from stormcell.localization.flags import FLAGS
from stormcell.localization.neighbours import Neighbours, neighbour_light, spot_places, without_nearer_neighbours
from stormcell.localization.spots import cut_map, cut_rois, region_flags
from stormcell.physics.gaussian import CameraNoise, FitSigma

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.data.pixel_grid import PixelGrid
    from stormcell.localization.detection import Spots
    from stormcell.localization.frame_blocks import FrameBlock

_DUPLICATE_SIGMAS = 0.75
_NEAR_SIGMAS = 3.0
_RELAXATION = 0.65
_SETTLED = 0.1  # standard deviations
_LIGHT_SIGMAS = 2.0  # how far beyond a region a neighbour's light still matters


@dataclass(frozen=True)
class FitPlan:
    """How the spots of a movie are fitted.

    Attributes
    ----------
    model : FitModel
        What is fitted and how.
    psf_sigma_px : float
        Expected (or held) sigma.
    roi_size_px : int
        Odd side of the fitted regions.
    noise : CameraNoise
        Read variance map (Y, X) and excess noise factor.
    merge_duplicates : bool
        Of fits that ran to the same place keep one.
    neighbour_rounds : int
        Most repeats of the fits of spots whose regions take in others, each with the others' light accounted for.
    """

    model: FitModel
    psf_sigma_px: float
    roi_size_px: int
    noise: CameraNoise
    merge_duplicates: bool = True
    neighbour_rounds: int = 6


@dataclass(frozen=True)
class RowWriter:
    """Turns fits in pixels and electrons into table columns.

    Attributes
    ----------
    grid : PixelGrid
        The camera grid of the stack.
    qe : float
        Quantum efficiency: photons = electrons / qe.
    first_frame : int
        Index of the stack's first frame in the file.
    fit_sigma : str
        What was fitted decides which columns there are.
    """

    grid: PixelGrid
    qe: float
    first_frame: int
    fit_sigma: FitSigma

    def columns(
        self, frame: NDArray[Any], corner_px: NDArray[Any], snr: NDArray[Any], fits: SpotFits
    ) -> dict[str, NDArray[Any]]:
        """Write columns.

        Parameters
        ----------
        frame : ndarray
            Shape (N,), within the stack.
        corner_px : ndarray
            Shape (N, 2), x and y of each region's outer corner within the stack.
        snr : ndarray
            Shape (N,), detection response in units of its noise.
        fits : SpotFits
            N fits.

        Returns
        -------
        dict of str to ndarray
            Columns by registered name.
        """
        size, qe = self.grid.pixel_size_nm, self.qe
        theta, stds = fits.theta, fits.uncertainty
        columns: dict[str, NDArray[Any]] = {
            "frame": frame + self.first_frame,
            "x_nm": self.grid.x_nm(theta[:, 0] + corner_px[:, 0]),
            "y_nm": self.grid.y_nm(theta[:, 1] + corner_px[:, 1]),
            "photons": theta[:, 2] / qe,
            "background_photons": theta[:, 3] / qe,
            "psf_sigma_nm": np.sqrt(theta[:, 4] * theta[:, 5]) * size,
            "uncertainty_x_nm": stds[:, 0] * size,
            "uncertainty_y_nm": stds[:, 1] * size,
            "uncertainty_photons": stds[:, 2] / qe,
            "uncertainty_background_photons": stds[:, 3] / qe,
            "background_std_photons": fits.residual_std / qe,
            "crlb_x_nm": fits.crlb[:, 0] * size,
            "crlb_y_nm": fits.crlb[:, 1] * size,
            "crlb_photons": fits.crlb[:, 2] / qe,
            "log_likelihood": fits.log_likelihood,
            "chi2": fits.chi2,
            "iterations": fits.iterations,
            "flags": fits.flags,
            "detection_snr": snr.astype(np.float64),
        }
        if self.fit_sigma == "free":
            columns["uncertainty_psf_sigma_nm"] = stds[:, 4] * size
        elif self.fit_sigma == "elliptical":
            columns["psf_sigma_x_nm"] = theta[:, 4] * size
            columns["psf_sigma_y_nm"] = theta[:, 5] * size
        return columns


def fit_rows(block: FrameBlock, spots: Spots, plan: FitPlan, writer: RowWriter) -> dict[str, NDArray[Any]]:
    """Fit the spots of a block, merge duplicates, and order the rows by frame, y and x.

    Parameters
    ----------
    block : FrameBlock
        The frames; a fit sees their electrons as they are.
    spots : Spots
        Spots in this block.
    plan : FitPlan
        How to fit.
    writer : RowWriter
        What the columns are.

    Returns
    -------
    dict of str to ndarray
        Columns by registered name.
    """
    side = plan.roi_size_px
    corner = np.stack([spots.column - side // 2, spots.row - side // 2], axis=1)
    fits = _fit_with_neighbours(cut_rois(block.raw_e, spots, side), spots, corner, plan)
    fits.flags[:] |= region_flags(spots, side, block.raw_e, block.saturated)
    columns = writer.columns(spots.frame + block.start, corner, spots.snr, fits)
    order = np.lexsort((columns["x_nm"], columns["y_nm"], columns["frame"]))
    columns = {name: values[order] for name, values in columns.items()}
    if not plan.merge_duplicates:
        return columns
    distance_nm = _DUPLICATE_SIGMAS * plan.psf_sigma_px * writer.grid.pixel_size_nm
    kept = _best_of_duplicates(
        columns["frame"], columns["x_nm"], columns["y_nm"], columns["detection_snr"], distance_nm
    )
    return {name: values[kept] for name, values in columns.items()}


def _fit_with_neighbours(
    rois: NDArray[np.float32], spots: Spots, corner: NDArray[np.int64], plan: FitPlan
) -> SpotFits:
    side, sigma = plan.roi_size_px, plan.psf_sigma_px
    variance = cut_map(np.asarray(plan.noise.read_variance_e2, dtype=np.float32), spots, side)
    noise = CameraNoise(variance, plan.noise.excess_noise_factor)
    place = spot_places(spots)
    neighbours = Neighbours.of(spots, side / 2 + _LIGHT_SIGMAS * sigma)
    masked = without_nearer_neighbours(rois, place, corner, neighbours)
    fits = fit_spots(masked, sigma, noise=noise, start_xy_px=place - corner, model=plan.model)
    believed = fits.theta.copy()
    active = neighbours.crowded
    for _ in range(plan.neighbour_rounds):
        (rows,) = np.nonzero(active)
        if not len(rows):
            break
        again = fit_spots(
            rois[rows],
            sigma,
            noise=noise if len(variance) == 1 else noise._replace(read_variance_e2=variance[rows]),
            start_xy_px=fits.theta[rows, :2],
            light_e=neighbour_light(rows, believed, corner, neighbours, side),
            model=plan.model,
        )
        fits.replace_rows(rows, again)
        # neighbours overshoot in turns; going part of the way makes them settle
        step = _RELAXATION * (fits.theta - believed)
        believed += step
        moved = np.any(np.abs(step[:, :3]) > _SETTLED * np.nan_to_num(fits.crlb[:, :3]), axis=1)
        active = neighbours.any_of(moved)
    near = neighbours.within(fits.theta[:, :2] + corner, _NEAR_SIGMAS * sigma)
    fits.flags[near] |= FLAGS["near_neighbour"].mask
    return fits


@njit(cache=True, nogil=True)
def _best_of_duplicates(
    frame: NDArray[np.int64], x: NDArray[Any], y: NDArray[Any], snr: NDArray[Any], distance: float
) -> NDArray[np.bool_]:
    """Mark rows to keep: of rows of one frame nearer than a distance the one that detection saw best.

    Rows are ordered by frame and y.
    """
    kept = np.ones(len(frame), dtype=np.bool_)
    for i in range(len(frame)):
        k = i + 1
        while k < len(frame) and frame[k] == frame[i] and y[k] - y[i] < distance:
            near = (x[k] - x[i]) ** 2 + (y[k] - y[i]) ** 2 < distance * distance
            if near and kept[i] and kept[k]:
                if snr[k] > snr[i]:
                    kept[i] = False
                else:
                    kept[k] = False
            k += 1
    return kept
