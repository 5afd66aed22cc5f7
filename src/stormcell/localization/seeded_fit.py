"""Joint fits of emitters of which a good list is there already: all of a tile in one Newton iteration.

Where the list comes from a network that saw the frame, no search is needed, only second thoughts: all emitters are
fitted together, one more is tried where the residual asks for it, those that the pixels do not ask for go, and all
are fitted again. `stormcell.localization.multi` finds emitters without such a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from stormcell.errors import SettingsError
from stormcell.localization.seeded_field import WIDEST_INNER_PX
from stormcell.localization.seeded_moves import N_COLUMNS, SeededPlan, fit_tiles
from stormcell.localization.tiles import filled_rows, on_all_cores, spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.physics.psf.model import PSF

    FloatArray = NDArray[np.float64]

_TILE_PX, _MARGIN_PX, _ONE_TILE_PX = 64, 8, 96
_ROOM_PER_SEED, _ROOM = 3, 16
_SAME_SIGMAS, _BEYOND_PX, _FAR_PX = 0.3, 2, 1000.0


@dataclass(frozen=True)
class SeededFits:
    """Fitted emitters, ordered by frame, y and x.

    Parameters
    ----------
    frame : ndarray of int64
        Shape (N,).
    x_px, y_px : ndarray
        From the outer corner of the frame.
    electrons, background_e : ndarray
        Light of the emitter, and of the background in its pixel.
    std_x_px, std_y_px, std_electrons, std_background_e : ndarray
        Cramer-Rao bounds from the information of all emitters around and of what is trusted of the seeds.
    gain : ndarray
        Twice the log-likelihood that the emitter gained, or the squared signal-to-noise ratio of its light where that
        is far beyond doubt.
    seed : ndarray of int64
        Index of the seed it began as; -1 for one that was added.
    misfit : ndarray
        Shape (N, 2): by how much the squared residual round it exceeds its variance, weighed by the squared light,
        and what that would be if the light in each pixel were wrong by all of itself.
    """

    frame: NDArray[np.int64]
    x_px: FloatArray
    y_px: FloatArray
    electrons: FloatArray
    background_e: FloatArray
    std_x_px: FloatArray
    std_y_px: FloatArray
    std_electrons: FloatArray
    std_background_e: FloatArray
    gain: FloatArray
    seed: NDArray[np.int64]
    misfit: FloatArray


def fit_seeds(
    frames_e: NDArray[np.float32],
    read_variance_e2: NDArray[np.float32],
    frame: NDArray[np.int64],
    seeds: FloatArray,
    psf: PSF,
    plan: SeededPlan,
) -> SeededFits:
    """Fit listed emitters jointly, add what the residual asks for, and drop what the pixels do not.

    Parameters
    ----------
    frames_e : ndarray of float32
        Shape (T, Y, X), electrons with the variance of a Poisson law plus the read variance.
    read_variance_e2 : ndarray of float32
        Shape (Y, X).
    frame : ndarray of int64
        Shape (N,), frame of each seed.
    seeds : ndarray
        Shape (N, 8): x and y (px from the frame's outer corner), electrons, background (electrons per pixel), what it
        must gain to stay (twice the log-likelihood), and how much x, y and electrons are trusted (inverse variances;
        0 is a mere start).
    psf : PSF
        At its plane nearest to focus.
    plan : SeededPlan
        What an emitter must gain.

    Returns
    -------
    SeededFits
        Frames without seeds stay empty. Determined by the data alone, whatever the number of threads.

    Raises
    ------
    SettingsError
        The plan's inner_px is larger than the square in which emitters throw light.
    """
    if not 1 <= plan.inner_px <= WIDEST_INNER_PX:
        msg = f"inner_px: expected 1 to {WIDEST_INNER_PX}, got {plan.inner_px}"
        raise SettingsError(msg)
    height, width = frames_e.shape[1:]
    order = np.argsort(frame, kind="stable")
    edges = np.searchsorted(frame[order], np.arange(len(frames_e) + 1))
    tiles, cores, chosen = [], [], [np.zeros(0, np.int64)]
    n_seeds = n_rows = 0
    for top, bottom in spans(height, _TILE_PX, _ONE_TILE_PX):
        for left, right in spans(width, _TILE_PX, _ONE_TILE_PX):
            y0, y1 = max(top - _MARGIN_PX, 0), min(bottom + _MARGIN_PX, height)
            x0, x1 = max(left - _MARGIN_PX, 0), min(right + _MARGIN_PX, width)
            x, y = np.clip(seeds[order, 0], 0, width - 0.01), np.clip(seeds[order, 1], 0, height - 0.01)
            inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
            for t in range(len(frames_e)):
                mine = order[edges[t] : edges[t + 1]][inside[edges[t] : edges[t + 1]]]
                if not len(mine):
                    continue
                room = _ROOM_PER_SEED * len(mine) + _ROOM
                tiles.append([t, y0, y1, x0, x1, n_seeds, n_seeds + len(mine), n_rows, n_rows + room])
                # at the rim of the frame also what lies a little beyond it
                cores.append(
                    (
                        top - (top == 0) * _BEYOND_PX,
                        bottom + (bottom == height) * _BEYOND_PX,
                        left - (left == 0) * _BEYOND_PX,
                        right + (right == width) * _BEYOND_PX,
                    )
                )
                chosen.append(mine)
                n_seeds, n_rows = n_seeds + len(mine), n_rows + room
    picked = np.concatenate(chosen)
    table = np.ascontiguousarray(psf.bank.table[psf.bank.focus_plane].cpu().numpy(), dtype=np.float32)
    rows, tile = _solve(
        np.ascontiguousarray(frames_e, dtype=np.float32),
        np.ascontiguousarray(read_variance_e2, dtype=np.float32),
        np.array(tiles, np.int64).reshape(-1, 9),
        np.column_stack([seeds[picked, :5], picked.astype(np.float64), seeds[picked, 5:]]),
        table,
        plan,
        n_rows,
    )
    return _collect(rows, np.array(tiles, np.int64).reshape(-1, 9)[tile], np.array(cores).reshape(-1, 4)[tile], psf)


def _solve(
    frames: NDArray[np.float32],
    read_variance: NDArray[np.float32],
    tiles: NDArray[np.int64],
    seeds: FloatArray,
    table: NDArray[np.float32],
    plan: SeededPlan,
    n_rows: int,
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Fit all tiles on all cores; gives the rows and the tile of each."""
    out, counts = np.empty((n_rows, N_COLUMNS)), np.zeros(len(tiles), np.int64)
    on_all_cores(
        len(tiles),
        lambda part: fit_tiles(frames, read_variance, tiles[part], seeds, table, plan, out, counts[part]),
    )
    row, tile = filled_rows(tiles[:, 7], counts)
    return out[row], tile


def _collect(rows: FloatArray, tile: NDArray[np.int64], core: NDArray[np.int64], psf: PSF) -> SeededFits:
    """Put the rows of all tiles together: each tile answers for its core, and at a seam one of two stays."""
    x, y, frame = rows[:, 0] + tile[:, 3], rows[:, 1] + tile[:, 1], tile[:, 0]
    (kept,) = np.nonzero((x >= core[:, 2]) & (x < core[:, 3]) & (y >= core[:, 0]) & (y < core[:, 1]))
    kept = kept[np.lexsort((x[kept], y[kept], frame[kept]))]
    place = np.stack([x[kept], y[kept], _FAR_PX * frame[kept]], axis=1)
    twice = cKDTree(place).query_pairs(_SAME_SIGMAS * psf.sigma_px, output_type="ndarray")
    if len(twice):
        corner = tile[kept, 1:5:2]
        seam = twice[np.any(corner[twice[:, 0]] != corner[twice[:, 1]], axis=1)]
        kept = np.delete(kept, seam[:, 1])
    r = rows[kept]
    return SeededFits(
        frame[kept], x[kept], y[kept], r[:, 2], r[:, 3], r[:, 4], r[:, 5], r[:, 6], r[:, 7], r[:, 8],
        r[:, 9].astype(np.int64), r[:, 10:12],
    )  # fmt: skip
