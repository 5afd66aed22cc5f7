"""Joint fits of overlapping emitters in many frames: the array interface, and rows of the table.

Emitters are found and fitted in whole frames (large ones in overlapping tiles). Spots of the detection are the first
ones; where the residual asks for another one, or the light of one looks like that of two, it is tried in a joint
fit of the emitters around, and stays if the likelihood ratio is worth it. In the end every emitter is fitted with
up to nine neighbours, and its Cramer-Rao bound comes from the Fisher information of all of them and the background.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.localization import multi_frames as columns_of
from stormcell.localization.fits import SpotFits
from stormcell.localization.flags import FLAGS
from stormcell.localization.multi_frames import N_COLUMNS, solve_tiles
from stormcell.localization.multi_psf import EmitterShape, core_profile, emitter_shape
from stormcell.localization.multi_scene import SearchPlan
from stormcell.localization.spots import region_flags
from stormcell.localization.tiles import filled_rows, on_all_cores, spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.localization.detection import Spots
    from stormcell.localization.frame_blocks import FrameBlock
    from stormcell.localization.rows import RowWriter
    from stormcell.physics.gaussian import CameraNoise
    from stormcell.physics.psf.model import PSF

    FloatArray = NDArray[np.float64]
    FrameArray = NDArray[np.float32]

LIKELIHOOD_RATIO = 20.0
"""Twice the log-likelihood that an emitter must gain."""

GAUSSIAN_MODEL_ERROR = 0.004
"""What it must gain beyond that per electron of its brightest neighbour where a Gaussian stands for the real PSF."""

_LEAST_EVIDENCE = 2.5
_TILE_PX, _MARGIN_PX, _ONE_TILE_PX = 128, 14, 160
_ROOM_PER_SEED, _ROOM = 6, 32
_SAME_SIGMAS = 0.3
_POOR_CHI2 = 5.0
_LOW_PHOTONS = 3.0
_EXCESS_SPREAD = 1.6  # share by which the spread exceeds the bound, per (bound / sigma)^2; see `small_sample`
_LARGEST_EXCESS = 1.0
_PIXEL_VARIANCE = 1.0 / 12.0


@dataclass(frozen=True)
class JointPlan:
    """How the emitters of a movie are fitted jointly.

    Attributes
    ----------
    shape : EmitterShape
        The PSF.
    search : SearchPlan
        How many emitters are found.
    read_variance_e2 : ndarray of float32
        Shape (Y, X) of the frames.
    """

    shape: EmitterShape
    search: SearchPlan
    read_variance_e2: FrameArray

    @classmethod
    def of(
        cls,
        psf_sigma_px: float,
        roi_size_px: int,
        noise: CameraNoise,
        psf: PSF | None = None,
    ) -> JointPlan:
        """Work out the plan.

        Parameters
        ----------
        psf_sigma_px : float
            Sigma of the PSF in pixels; used where no PSF is given.
        roi_size_px : int
            Odd side of the square in which a fit sees an emitter.
        noise : CameraNoise
            Read variance map (Y, X) and excess noise factor.
        psf : PSF, optional
            A measured or computed PSF, used at its plane nearest to focus; None is a Gaussian.

        Returns
        -------
        JointPlan
            The plan.
        """
        if psf is None:
            shape, error = emitter_shape(psf_sigma_px, roi_size_px), GAUSSIAN_MODEL_ERROR
        else:
            table = psf.bank.table[psf.bank.focus_plane].cpu().numpy()
            shape, error = emitter_shape(psf.sigma_px, roi_size_px, table), 0.0
        search = SearchPlan(float(noise.excess_noise_factor), LIKELIHOOD_RATIO, error, _LEAST_EVIDENCE)
        return cls(shape, search, np.ascontiguousarray(noise.read_variance_e2, dtype=np.float32))

    @property
    def taps(self) -> FloatArray:
        """Half of a Gaussian PSF along one axis and its square, shape (2, R + 1)."""
        half = core_profile(self.shape)
        return np.stack([half, half * half])


@dataclass(frozen=True)
class JointFits:
    """Emitters found in frames, and their fits.

    Attributes
    ----------
    frame : ndarray of int64
        Shape (N,), within the frames searched.
    row, column : ndarray of int64
        Shape (N,), middle of the region that the fit saw, inside the frame.
    snr : ndarray
        Shape (N,): root of twice the log-likelihood that an emitter gained, or its detection response.
    fits : SpotFits
        Positions count from the outer corner of the frame.
    width : ndarray
        Shape (N, 2): score and information about the common sigma.
    """

    frame: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    snr: FloatArray
    fits: SpotFits
    width: FloatArray


def fit_frames(frames_e: FrameArray, spots: Spots, plan: JointPlan) -> JointFits:
    """Find and fit the emitters of frames that show spots, on all cores.

    Parameters
    ----------
    frames_e : ndarray of float32
        Shape (T, Y, X), electrons; pixels that are not finite are left out.
    spots : Spots
        First guesses in these frames; a frame without any stays empty.
    plan : JointPlan
        How.

    Returns
    -------
    JointFits
        Ordered by frame, y and x. Emitters outside the frame serve the fit and are left out.

    Notes
    -----
    Determined by the data alone, whatever the number of threads.
    """
    tiles, cores, seeds = _tiles(frames_e.shape, spots)
    out = np.empty((int(tiles[-1, 8]) if len(tiles) else 0, N_COLUMNS))
    counts = np.zeros(len(tiles), np.int64)
    frames = np.ascontiguousarray(frames_e, dtype=np.float32)

    def work_on(part: slice) -> None:
        solve_tiles(
            frames, plan.read_variance_e2, tiles[part], seeds, plan.shape, plan.search, plan.taps, out, counts[part]
        )

    on_all_cores(len(tiles), work_on)
    row, tile = filled_rows(tiles[:, 7], counts)
    return _collect(out[row], tiles[tile], cores[tile], plan, frames_e.shape)


def _tiles(shape: tuple[int, ...], spots: Spots) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Return the tiles that hold spots as `solve_tiles` takes them, the part each answers for, and all seeds."""
    tiles: list[list[int]] = []
    cores: list[tuple[int, int, int, int]] = []
    seeds = [np.zeros((0, 3))]
    n_seeds = n_rows = 0
    x, y = spots.column + 0.5 + spots.offset_xy_px[:, 0], spots.row + 0.5 + spots.offset_xy_px[:, 1]
    for top, bottom in spans(shape[1], _TILE_PX, _ONE_TILE_PX):
        for left, right in spans(shape[2], _TILE_PX, _ONE_TILE_PX):
            y0, y1 = max(top - _MARGIN_PX, 0), min(bottom + _MARGIN_PX, shape[1])
            x0, x1 = max(left - _MARGIN_PX, 0), min(right + _MARGIN_PX, shape[2])
            (inside,) = np.nonzero((spots.row >= y0) & (spots.row < y1) & (spots.column >= x0) & (spots.column < x1))
            inside = inside[np.lexsort((-spots.snr[inside], spots.frame[inside]))]
            seeds.append(np.column_stack([x[inside] - x0, y[inside] - y0, spots.snr[inside]]))
            for frame, n in zip(*np.unique(spots.frame[inside], return_counts=True), strict=True):
                room = _ROOM_PER_SEED * int(n) + _ROOM
                tiles.append([int(frame), y0, y1, x0, x1, n_seeds, n_seeds + int(n), n_rows, n_rows + room])
                cores.append((top, bottom, left, right))
                n_seeds, n_rows = n_seeds + int(n), n_rows + room
    return (
        np.array(tiles, np.int64).reshape(-1, 9),
        np.array(cores, np.int64).reshape(-1, 4),
        np.ascontiguousarray(np.concatenate(seeds)),
    )


def _collect(
    rows: FloatArray, tile: NDArray[np.int64], core: NDArray[np.int64], plan: JointPlan, shape: tuple[int, ...]
) -> JointFits:
    """Put the rows of all tiles together: each tile answers for its core, and at a seam one of two stays."""
    c = columns_of
    x, y = rows[:, c.X] + tile[:, 3], rows[:, c.Y] + tile[:, 1]
    (kept,) = np.nonzero((x >= core[:, 2]) & (x < core[:, 3]) & (y >= core[:, 0]) & (y < core[:, 1]))
    kept = kept[np.lexsort((x[kept], y[kept], tile[kept, 0]))]
    kept = kept[~_repeated(tile[kept, 0], x[kept], y[kept], _SAME_SIGMAS * plan.shape.sigma_px)]
    rows, tile = rows[kept], tile[kept]
    return JointFits(
        tile[:, 0],
        np.clip(rows[:, c.ROW].astype(np.int64) + tile[:, 1], 0, shape[1] - 1),
        np.clip(rows[:, c.COLUMN].astype(np.int64) + tile[:, 3], 0, shape[2] - 1),
        rows[:, c.SNR].copy(),
        _spot_fits(rows, x[kept], y[kept], plan),
        rows[:, [c.WIDTH_SCORE, c.WIDTH_INFORMATION]],
    )


def _repeated(frame: NDArray[np.int64], x: FloatArray, y: FloatArray, distance_px: float) -> NDArray[np.bool_]:
    """Mark rows that lie on the one before them in y, as those of two tiles at a seam do."""
    repeated = np.zeros(len(frame), dtype=bool)
    if len(frame) > 1:
        apart = np.hypot(np.diff(x), np.diff(y))
        repeated[1:] = (np.diff(frame) == 0) & (apart < distance_px)
    return repeated


def _spot_fits(rows: FloatArray, x: FloatArray, y: FloatArray, plan: JointPlan) -> SpotFits:
    c, n, sigma = columns_of, len(rows), plan.shape.sigma_px
    theta, uncertainty, crlb = np.full((n, 6), sigma), np.full((n, 6), np.nan), np.full((n, 6), np.nan)
    theta[:, 0], theta[:, 1], theta[:, 2], theta[:, 3] = x, y, rows[:, c.LIGHT], rows[:, c.BACKGROUND]
    crlb[:, :4] = rows[:, c.STD_X : c.STD_BACKGROUND + 1]
    uncertainty[:, :4] = crlb[:, :4]
    share = 0.5 * np.square(crlb[:, :2]).sum(axis=1) / (sigma**2 + _PIXEL_VARIANCE)
    uncertainty[:, :2] *= 1.0 + np.minimum(_EXCESS_SPREAD * share, _LARGEST_EXCESS)[:, None]
    limit = 1.0 + _POOR_CHI2 * math.sqrt(2.0 / (plan.shape.core_px**2 - 4))
    bound = rows[:, c.AT_BOUND].astype(np.int32)
    raised = {
        "not_converged": (rows[:, c.CONVERGED] == 0) | ~np.isfinite(crlb[:, 0]),
        "position_at_bound": bound & 1 != 0,
        "background_at_bound": bound & 4 != 0,
        "photons_low": theta[:, 2] < _LOW_PHOTONS * uncertainty[:, 2],
        "poor_fit": rows[:, c.CHI2] > limit,
    }
    flags = np.zeros(n, np.int32)
    for name, which in raised.items():
        flags |= np.where(which, FLAGS[name].mask, 0).astype(np.int32)
    return SpotFits(
        theta,
        uncertainty,
        crlb,
        rows[:, c.LOG_LIKELIHOOD].copy(),
        rows[:, c.CHI2].copy(),
        rows[:, c.RESIDUAL_STD].copy(),
        rows[:, c.STEPS].astype(np.int32),
        flags,
    )


def joint_rows(block: FrameBlock, spots: Spots, plan: JointPlan, writer: RowWriter) -> dict[str, NDArray[Any]]:
    """Find the emitters of a block and fit them jointly.

    Parameters
    ----------
    block : FrameBlock
        The frames; a fit sees their electrons as they are.
    spots : Spots
        Spots in this block.
    plan : JointPlan
        How to fit.
    writer : RowWriter
        What the columns are.

    Returns
    -------
    dict of str to ndarray
        Columns by registered name, ordered by frame, y and x.
    """
    found = fit_frames(block.raw_e, spots, plan)
    n = len(found.frame)
    regions = type(spots)(
        found.frame, found.row, found.column, np.zeros((n, 2), np.float32), found.snr.astype(np.float32)
    )
    found.fits.flags[:] |= region_flags(regions, plan.shape.core_px, block.raw_e, block.saturated)
    return writer.columns(found.frame + block.start, np.zeros((n, 2)), found.snr, found.fits)
