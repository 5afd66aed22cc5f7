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

_CLEAR_SNR = 11.0
_FAINT_SNR = 7.0
_LARGEST_DOUBT = 4.0


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


def weigh_faint(
    rows: NDArray[np.float32],
    columns: dict[str, NDArray[Any]],
    psf_sigma_px: float,
    read_variance_e2: NDArray[np.float32],
) -> None:
    """Lower the probability of rows that are hardly brighter than noise, in place.

    A frame has thousands of places where noise alone can look like a faint emitter, and the network judges each of
    them as if emitters were common. Rows whose light stands less than 11 standard deviations of the noise under
    their PSF above nothing lose odds, up to a factor of four at 7 and below.

    Parameters
    ----------
    rows : ndarray
        Shape (N, 9), as `list_components` gives them, in network electrons.
    columns : dict of str to ndarray
        The same rows of the table; `probability` is changed.
    psf_sigma_px : float
        Width of the PSF.
    read_variance_e2 : ndarray
        Shape (Y, X), network electrons squared.
    """
    if not len(rows):
        return
    electrons = np.exp(rows[:, 5].astype(np.float64))
    # background plus read variance, as the network stabilises them
    per_pixel = np.maximum((rows[:, 7].astype(np.float64) / 2) ** 2 - 0.375, float(read_variance_e2.min()))
    area = 4 * np.pi * (psf_sigma_px**2 + 1 / 12)
    clear = electrons / np.sqrt(electrons + area * per_pixel)
    doubt = np.clip((_CLEAR_SNR - clear) / (_CLEAR_SNR - _FAINT_SNR), 0.0, 1.0)
    probability = columns["probability"]
    odds = np.exp(-np.log(_LARGEST_DOUBT) * doubt)
    columns["probability"] = probability * odds / (probability * odds + 1 - probability)
