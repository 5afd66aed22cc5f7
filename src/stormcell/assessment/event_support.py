"""How many independent events support each place of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from scipy import ndimage

from stormcell.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stormcell.assessment.segments import Pieces
    from stormcell.data.localizations import Localizations
    from stormcell.data.pixel_grid import PixelGrid


def count_support(events: Localizations, grid: PixelGrid, n_sigma: float) -> NDArray[np.int32]:
    """Count the events within reach of each pixel.

    Parameters
    ----------
    events : Localizations
        Linked, with `uncertainty_x_nm` and `uncertainty_y_nm`.
    grid : PixelGrid
        Where the pixels lie.
    n_sigma : float
        Reach in units of each event's own uncertainty.

    Returns
    -------
    ndarray
        Shape of the grid: events whose stated uncertainty, times `n_sigma`, reaches the middle of the pixel.

    Raises
    ------
    InputError
        The table is not linked or states no uncertainty.
    """
    check_events(events)
    sigma = (events["uncertainty_x_nm"] + events["uncertainty_y_nm"]) / 2
    good = np.isfinite(sigma) & (sigma > 0) & np.isfinite(events.positions_nm).all(axis=1)
    if not good.any():
        return np.zeros(grid.shape, dtype=np.int32)
    # One wild uncertainty must not support half of the field.
    reach = n_sigma * np.minimum(sigma[good], 3 * np.median(sigma[good])) / grid.pixel_size_nm
    x, y = grid.x_px(events["x_nm"][good]), grid.y_px(events["y_nm"][good])
    counted: NDArray[np.int32] = _discs(x, y, reach, grid.shape[0], grid.shape[1])
    return counted


def count_on_pieces(events: Localizations, pieces: Pieces, grid: PixelGrid, reach_nm: float) -> NDArray[np.float64]:
    """Count the events on each piece of structure.

    Parameters
    ----------
    events : Localizations
        Linked.
    pieces : Pieces
        Cut from an image on that grid.
    grid : PixelGrid
        Where its pixels lie.
    reach_nm : float
        An event this far from a piece still belongs to it, if no other is nearer.

    Returns
    -------
    ndarray
        Shape (n,).
    """
    distance, nearest = ndimage.distance_transform_edt(pieces.labels == 0, return_indices=True)
    near = np.where(distance * grid.pixel_size_nm <= reach_nm, pieces.labels[nearest[0], nearest[1]], 0)
    x, y = grid.x_px(events["x_nm"]), grid.y_px(events["y_nm"])
    inside = (x >= 0) & (y >= 0) & (x < grid.shape[1]) & (y < grid.shape[0])
    found = near[y[inside].astype(np.int64), x[inside].astype(np.int64)]
    return np.bincount(found, minlength=pieces.n + 1)[1:].astype(np.float64)


def check_events(events: Localizations) -> None:
    """Refuse a table whose rows are not independent events with a stated precision.

    Parameters
    ----------
    events : Localizations
        The table.

    Raises
    ------
    InputError
        It is not linked or states no uncertainty.
    """
    if "n_detections" not in events:
        msg = (
            "expected linked events (column n_detections) as support: the rows of one burst are not independent; "
            "link the table first"
        )
        raise InputError(msg)
    if "uncertainty_x_nm" not in events or "uncertainty_y_nm" not in events:
        msg = "expected uncertainty_x_nm and uncertainty_y_nm to know how far an event supports, the table lacks them"
        raise InputError(msg)


@njit(cache=True, nogil=True)
def _discs(x: Any, y: Any, reach: Any, n_rows: int, n_columns: int) -> Any:
    count = np.zeros((n_rows, n_columns), np.int32)
    for k in range(len(x)):
        for i in range(max(int(y[k] - reach[k]), 0), min(int(y[k] + reach[k]) + 1, n_rows)):
            for j in range(max(int(x[k] - reach[k]), 0), min(int(x[k] + reach[k]) + 1, n_columns)):
                if (i + 0.5 - y[k]) ** 2 + (j + 0.5 - x[k]) ** 2 <= reach[k] ** 2:
                    count[i, j] += 1
    return count
