"""Calibration of what the dense network says of its own certainty: a few factors per model, kept in its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stormcell.metrics.neighbours import Points, count_close

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ISOLATION_PX = 4.0
"""A row with no other within this distance in its frame is isolated."""


def calibrate(
    columns: dict[str, NDArray[Any]], calibration: Mapping[str, float], camera_pixel_size_nm: float
) -> None:
    """Apply a model's factors to the columns of its rows, in place.

    Parameters
    ----------
    columns : dict of str to ndarray
        frame, x_nm, y_nm, photons and their standard deviations, each of shape (N,).
    calibration : mapping of str to float
        sigma_isolated, sigma_crowded, photons, sigma_photons; what is absent is 1.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.
    """
    if not calibration:
        return
    crowded = is_crowded(columns, camera_pixel_size_nm)
    factor = np.where(crowded, calibration.get("sigma_crowded", 1.0), calibration.get("sigma_isolated", 1.0))
    for name in ("uncertainty_x_nm", "uncertainty_y_nm"):
        columns[name] = columns[name] * factor
    photons = calibration.get("photons", 1.0)
    columns["photons"] = columns["photons"] * photons
    columns["uncertainty_photons"] = columns["uncertainty_photons"] * photons * calibration.get("sigma_photons", 1.0)


def is_crowded(columns: Mapping[str, NDArray[Any]], camera_pixel_size_nm: float) -> NDArray[np.bool_]:
    """Tell which rows have another one close by in their frame.

    Parameters
    ----------
    columns : mapping of str to ndarray
        frame, x_nm, y_nm.
    camera_pixel_size_nm : float
        Camera pixel in the sample plane.

    Returns
    -------
    ndarray
        Shape (N,), bool.
    """
    xyz = np.stack([columns["x_nm"], columns["y_nm"], np.zeros(len(columns["x_nm"]))], axis=1)
    points = Points(columns["frame"].astype(np.int64), xyz)
    # each row is close to itself
    return count_close(points, points, ISOLATION_PX * camera_pixel_size_nm) > 1
